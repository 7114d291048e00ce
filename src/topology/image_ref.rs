//! References to container images, by the grammar of the registry.

use std::fmt;
use std::net::Ipv6Addr;
use std::str::FromStr;

use super::text::{Malformed, Text, text_type};

/// `[registry[:port]/]path[:tag][@digest]`, kept as written.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ImageRef {
    text: String,
    /// Where the name ends: the tag and the digest follow.
    name_end: usize,
    digest_start: Option<usize>,
}

impl ImageRef {
    /// The base that topo's own images are built on when told nothing.
    pub fn debian() -> Self {
        Self {
            text: "debian:bookworm-slim".to_owned(),
            name_end: "debian".len(),
            digest_start: None,
        }
    }

    /// The container end of docker-connector, by its makers.
    pub fn docker_connector() -> Self {
        const NAME: &str = "wenjunxiao/desktop-docker-connector";
        Self { text: NAME.to_owned(), name_end: NAME.len(), digest_start: None }
    }

    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Registry and path, without tag and digest.
    pub fn name(&self) -> &str {
        &self.text[..self.name_end]
    }

    pub fn tag(&self) -> Option<&str> {
        let end = self.digest_start.unwrap_or(self.text.len());
        self.text[self.name_end..end].strip_prefix(':')
    }

    pub fn digest(&self) -> Option<&str> {
        self.digest_start.map(|start| &self.text[start + 1..])
    }

    /// The version of Kubernetes in a node image of kind's, as in `v1.34.0`: known from its tag,
    /// wherever it is kept. Builds between releases and other images count as they like.
    pub fn kubernetes(&self) -> Option<&str> {
        let is_kinds = self.name() == "kindest/node" || self.name().ends_with("/kindest/node");
        let is_number = |part: &str| part.parse::<u32>().is_ok();
        self.tag().filter(|tag| {
            is_kinds
                && tag
                    .strip_prefix("v1.")
                    .and_then(|rest| rest.split_once('.'))
                    .is_some_and(|(minor, patch)| is_number(minor) && is_number(patch))
        })
    }

    /// The one name that every container runtime has for it: registry and path whole, `latest` where
    /// neither tag nor digest is given, and no tag beside a digest, which alone says what is meant.
    pub fn canonical(&self) -> String {
        let (registry, path) = match self.name().split_once('/') {
            Some((registry, path)) if is_registry(registry) => (registry, path),
            _ => (DOCKER_HUB, self.name()),
        };
        let registry = if registry == OLD_DOCKER_HUB { DOCKER_HUB } else { registry };
        let is_official = registry == DOCKER_HUB && !path.contains('/');
        let folder = if is_official { "library/" } else { "" };
        match (self.digest(), self.tag()) {
            (Some(digest), _) => format!("{registry}/{folder}{path}@{digest}"),
            (None, tag) => format!("{registry}/{folder}{path}:{}", tag.unwrap_or("latest")),
        }
    }

    /// The host that serves it, and whose credentials it takes.
    pub fn registry(&self) -> String {
        let canonical = self.canonical();
        canonical.split('/').next().unwrap_or_default().to_owned()
    }
}

/// The canonical name of an image that a runtime or a manifest names. What is not a reference is
/// itself, as an image id or `<none>:<none>` is.
pub fn canonical_image(name: &str) -> String {
    name.parse().map_or_else(|_| name.to_owned(), |image: ImageRef| image.canonical())
}

/// Where images without a registry come from, and what it was called before.
const DOCKER_HUB: &str = "docker.io";
const OLD_DOCKER_HUB: &str = "index.docker.io";

impl fmt::Display for ImageRef {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for ImageRef {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        let digest_start = text.find('@');
        if let Some(start) = digest_start {
            digest(&text[start + 1..])?;
        }
        let named = &text[..digest_start.unwrap_or(text.len())];
        let path_start = named.rfind('/').map_or(0, |slash| slash + 1);
        let name_end =
            named[path_start..].find(':').map_or(named.len(), |colon| path_start + colon);
        if let Some(written) = named[name_end..].strip_prefix(':') {
            tag(written)?;
        }
        let (path, rest) = text.split_at(name_end);
        name(path).map_err(|wrong| {
            let lower = path.to_lowercase();
            if lower != path && name(&lower).is_ok() {
                Malformed::instead(wrong.what, format!("`{lower}{rest}`"))
            } else {
                wrong
            }
        })?;
        Ok(Self { text: text.to_owned(), name_end, digest_start })
    }
}

impl Text for ImageRef {
    const FORMAT: &'static str = "image-reference";
    const PATTERN: &'static str = concat!(
        r"^((\[[0-9a-fA-F:]+\]|[a-zA-Z0-9]([a-zA-Z0-9-]*[a-zA-Z0-9])?(\.[a-zA-Z0-9]([a-zA-Z0-9-]*[a-zA-Z0-9])?)*)(:[0-9]{1,5})?/)?",
        r"[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*",
        r"(:[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?(@(sha256:[0-9a-f]{64}|sha384:[0-9a-f]{96}|sha512:[0-9a-f]{128}))?$",
    );
}
text_type!(ImageRef);

const NAME_LENGTH: usize = 255;
const TAG_LENGTH: usize = 128;

fn name(text: &str) -> Result<(), Malformed> {
    if text.is_empty() {
        return Err(Malformed::instead(
            "the image's name is missing",
            "a reference such as `debian:bookworm-slim`",
        ));
    }
    if text.contains("://") {
        let bare = text.split_once("://").map_or(text, |(_, rest)| rest);
        return Err(Malformed::instead("an image reference has no scheme", format!("`{bare}`")));
    }
    if text.len() > NAME_LENGTH {
        return Err(Malformed::new(format!(
            "an image's name is limited to {NAME_LENGTH} characters, found {}",
            text.len()
        )));
    }
    let mut parts = text.split('/').peekable();
    if let Some(first) = parts.next_if(|first| text.contains('/') && is_registry(first)) {
        registry(first)?;
    }
    parts.try_for_each(component)
}

/// A first component is a registry when it could not be a part of a path: a dot, a port, an IPv6
/// address in brackets, or `localhost`.
fn is_registry(first: &str) -> bool {
    first == "localhost"
        || first.contains(['.', ':'])
        || first.chars().any(|c| c.is_ascii_uppercase())
}

fn registry(text: &str) -> Result<(), Malformed> {
    let (host, port) = match text.split_once(':').filter(|_| !text.starts_with('[')) {
        Some((host, port)) => (host, Some(port)),
        None => match text.rsplit_once("]:") {
            Some((host, port)) => (&text[..=host.len()], Some(port)),
            None => (text, None),
        },
    };
    let label = |part: &str| {
        !part.is_empty()
            && !part.starts_with('-')
            && !part.ends_with('-')
            && part.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
    };
    let is_ipv6 = |text: &str| {
        let inside = text.strip_prefix('[').and_then(|text| text.strip_suffix(']'));
        inside.is_some_and(|address| address.parse::<Ipv6Addr>().is_ok() && !address.contains('.'))
    };
    if !is_ipv6(host) && !host.split('.').all(label) {
        return Err(Malformed::new(format!("`{host}` is not a valid registry host")));
    }
    match port {
        Some(port)
            if port.len() > 5
                || port.parse::<u16>().is_err()
                || !port.bytes().all(|b| b.is_ascii_digit()) =>
        {
            Err(Malformed::new(format!("`{port}` is not a valid registry port")))
        }
        _ => Ok(()),
    }
}

/// Lower-case letters and digits, with `.`, `_`, `__` or dashes between them.
fn component(text: &str) -> Result<(), Malformed> {
    if text.is_empty() {
        return Err(Malformed::new("the image's name has an empty path component"));
    }
    if let Some(upper) = text.chars().find(char::is_ascii_uppercase) {
        return Err(Malformed::new(format!("an image's name must be lower case, found {upper:?}")));
    }
    if let Some(other) = text
        .chars()
        .find(|c| !(c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '.' | '_' | '-')))
    {
        return Err(Malformed::new(format!(
            "an image's name can only contain a-z, 0-9, `.`, `_`, `-` and `/`, found {other:?}"
        )));
    }
    let separator = |c: char| !c.is_ascii_alphanumeric();
    let mut separators = text.split(char::is_alphanumeric).filter(|s| !s.is_empty());
    let joined = separators.all(|s| matches!(s, "." | "_" | "__") || s.bytes().all(|b| b == b'-'));
    if joined && !text.starts_with(separator) && !text.ends_with(separator) {
        return Ok(());
    }
    Err(Malformed::new(format!("`{text}` has a misplaced `.`, `_` or `-`")))
}

fn tag(text: &str) -> Result<(), Malformed> {
    if text.is_empty() {
        return Err(Malformed::instead(
            "the tag after `:` is missing",
            "a tag such as `:1.27`, or no colon",
        ));
    }
    if text.len() > TAG_LENGTH {
        return Err(Malformed::new(format!(
            "a tag is limited to {TAG_LENGTH} characters, found {}",
            text.len()
        )));
    }
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if text.starts_with(|c| !word(c)) {
        return Err(Malformed::new(format!(
            "the tag `{text}` must begin with a letter, a digit or `_`"
        )));
    }
    match text.chars().find(|&c| !(word(c) || c == '.' || c == '-')) {
        Some(other) => Err(Malformed::new(format!(
            "a tag can only contain letters, digits, `_`, `.` and `-`, found {other:?}"
        ))),
        None => Ok(()),
    }
}

/// The algorithms that engines and registries take, and how many digits theirs have.
const DIGESTS: [(&str, usize); 3] = [("sha256", 64), ("sha384", 96), ("sha512", 128)];

fn digest(text: &str) -> Result<(), Malformed> {
    let (algorithm, hex) = text.split_once(':').unwrap_or((text, ""));
    let known = DIGESTS.iter().find(|(name, _)| *name == algorithm);
    let (name, length) = known.unwrap_or(&DIGESTS[0]);
    let digits = hex.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    if known.is_some() && digits && hex.len() == *length {
        return Ok(());
    }
    Err(Malformed::instead(
        format!("`{text}` is not a valid digest"),
        format!("`{name}:` and {length} hexadecimal digits in lower case"),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_parts_are_told_apart() {
        let digest = format!("sha256:{}", "a1".repeat(32));
        let image: ImageRef =
            format!("registry.example:5000/team/web:1.2@{digest}").parse().unwrap();
        assert_eq!(
            (image.name(), image.tag(), image.digest()),
            ("registry.example:5000/team/web", Some("1.2"), Some(&*digest))
        );
        let ipv6: ImageRef = "[::1]:5000/web:1".parse().unwrap();
        assert_eq!((ipv6.name(), ipv6.tag(), ipv6.digest()), ("[::1]:5000/web", Some("1"), None));
        let plain: ImageRef = "localhost/web".parse().unwrap();
        assert_eq!((plain.name(), plain.tag(), plain.digest()), ("localhost/web", None, None));
    }

    #[test]
    fn the_canonical_name_is_whole() {
        let digest = format!("sha256:{}", "a1".repeat(32));
        for (written, canonical) in [
            ("debian", "docker.io/library/debian:latest".to_owned()),
            ("kindest/node:v1", "docker.io/kindest/node:v1".to_owned()),
            ("localhost/web:1", "localhost/web:1".to_owned()),
            ("localhost:5000/web", "localhost:5000/web:latest".to_owned()),
            ("quay.io/library/web", "quay.io/library/web:latest".to_owned()),
            (&format!("web:1@{digest}"), format!("docker.io/library/web@{digest}")),
            (&format!("host:5000/web:1@{digest}"), format!("host:5000/web@{digest}")),
        ] {
            assert_eq!(canonical_image(written), canonical);
        }
        assert_eq!(canonical_image("<none>:<none>"), "<none>:<none>");
    }

    #[test]
    fn what_breaks_the_grammar_is_refused() {
        for text in [
            "",
            ":tag",
            "web:",
            "web:-x",
            "Web",
            "a//b",
            "/a",
            "a/",
            "a..b",
            "a___b",
            "-a",
            "a-",
            "web@sha256:12",
            "web@",
            "https://a/b",
            "a b",
            "a:1:2",
            "host:port/a",
            "host:99999/a",
            "a@sha256:",
            "a@nonsense:fff",
            "a@nonsense:ffffffffffffffffffffffffffffffffffffffff",
            "a@sha512:ffffffffffffffffffffffffffffffffffffffff",
            "ü",
            "[::1]",
            "[::1]:5000",
            "[::1]5000/a",
            "[::1/a",
            "::1/a",
            "[::g]/a",
            "[::1]:/a",
            "[::ffff:1.2.3.4]/a",
        ] {
            assert!(text.parse::<ImageRef>().is_err(), "{text:?}");
        }
        let digest = format!("a@sha512:{}", "0f".repeat(64));
        for text in [
            "a",
            "a.b",
            "a__b",
            "a--b",
            "a/b/c:d",
            "h.i:1/a",
            "localhost/a",
            "UPPER/a",
            "a:_x",
            "[::1]:5000/x",
            "[fd00::2]/team/x:1.2",
            &digest,
        ] {
            assert!(text.parse::<ImageRef>().is_ok(), "{text:?}");
        }
    }

    /// Every way to write an image of Docker Hub.
    fn spellings(path: &str, which: &str) -> Vec<String> {
        let short = if path.contains('/') { vec![path] } else { vec![path, "library/"] };
        let paths = short.iter().map(|part| match *part {
            "library/" => format!("library/{path}"),
            whole => whole.to_owned(),
        });
        let registries = ["", "docker.io/", "index.docker.io/"];
        paths
            .flat_map(|path| registries.map(|registry| format!("{registry}{path}")))
            .flat_map(|name| {
                let tagged = which.starts_with('@').then(|| format!("{name}:1.2{which}"));
                let bare = (which == ":latest").then(|| name.clone());
                [Some(format!("{name}{which}")), tagged, bare].into_iter().flatten()
            })
            .collect()
    }

    proptest! {
        #[test]
        fn all_spellings_of_an_image_are_one(
            path in "[a-z][a-z0-9]{0,6}(/[a-z][a-z0-9]{0,6})?",
            which in "(:latest|:[a-z0-9]{1,6}|@sha256:[0-9a-f]{64})",
        ) {
            prop_assume!(!path.starts_with("library/") && !path.starts_with("localhost/"));
            let folder = if path.contains('/') { "" } else { "library/" };
            let canonical = format!("docker.io/{folder}{path}{which}");
            for spelling in spellings(&path, &which) {
                prop_assert_eq!(canonical_image(&spelling), canonical.as_str());
            }
            prop_assert_eq!(canonical_image(&canonical), canonical);
        }

        #[test]
        fn parts_put_together_are_the_text(text in "(\\[[0-9a-f:]{2,6}\\])?[a-zA-Z0-9./:@_-]{0,40}") {
            if let Ok(image) = text.parse::<ImageRef>() {
                let tag = image.tag().map_or_else(String::new, |tag| format!(":{tag}"));
                let digest = image.digest().map_or_else(String::new, |digest| format!("@{digest}"));
                prop_assert_eq!(format!("{}{tag}{digest}", image.name()), text);
                prop_assert!(image.canonical().parse::<ImageRef>().is_ok());
            }
        }
    }
}
