//! Public keys as ssh writes them: a type, and base64 of a blob that begins with the type again.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;

use super::nearest;
use super::text::Malformed;

const TYPES: [&str; 8] = [
    "ssh-ed25519",
    "ssh-rsa",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "sk-ssh-ed25519@openssh.com",
    "sk-ecdsa-sha2-nistp256@openssh.com",
    "ssh-dss",
];

/// Certificates hold numbers too, which have no length in front.
const CERTIFICATE: &str = "-cert-v01@openssh.com";

const WHOLE: &str = "the whole line of the `.pub` file";

/// Whether a text is meant as a key, and not as the path of a file that holds one.
pub fn is_meant(text: &str) -> bool {
    ["ssh-", "ecdsa-", "sk-ssh-", "sk-ecdsa-"].iter().any(|begin| text.starts_with(begin))
        && text.contains(' ')
}

/// Checks a line of an `authorized_keys` file: options, if there are any, then the key.
pub fn check(line: &str) -> Result<(), Malformed> {
    let words = words(line);
    let typed = words.iter().position(|word| is_type(word));
    // No option begins like a type.
    let furthest = usize::from(!is_meant(line));
    let Some(at) = typed.filter(|at| *at <= furthest) else {
        let kind = words.first().copied().unwrap_or_default();
        return Err(Malformed::instead(
            format!("unknown type of ssh key `{kind}`"),
            nearest::or_all(kind, &TYPES),
        ));
    };
    let kind = words[at];
    let Some(text) = words.get(at + 1) else {
        return Err(Malformed::instead(format!("the key after `{kind}` is missing"), WHOLE));
    };
    let blob = BASE64_STANDARD
        .decode(text)
        .map_err(|_| Malformed::instead("the key is not valid base64, or is truncated", WHOLE))?;
    let (inner, fields) = field(&blob).unwrap_or_default();
    if inner != kind.as_bytes() {
        return Err(Malformed::instead(
            format!("the key is not the `{kind}` key that it says it is"),
            WHOLE,
        ));
    }
    if kind.ends_with(CERTIFICATE) || is_whole(fields) {
        return Ok(());
    }
    Err(Malformed::instead("the key is truncated", WHOLE))
}

fn is_type(word: &str) -> bool {
    let plain = |kind: &str| kind.strip_suffix("@openssh.com").unwrap_or(kind).to_owned();
    let bare = word.strip_suffix(CERTIFICATE);
    TYPES.iter().any(|kind| word == *kind || bare.is_some_and(|bare| bare == plain(kind)))
}

/// Words are parted by what sshd takes for a blank; those in the quotes of an option are a part of it.
fn words(line: &str) -> Vec<&str> {
    let mut quoted = false;
    line.split(|c: char| {
        quoted ^= c == '"';
        matches!(c, ' ' | '\t') && !quoted
    })
    .filter(|word| !word.is_empty())
    .collect()
}

/// The first field of a blob and what follows it: four bytes tell its length.
fn field(blob: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = blob.split_first_chunk::<4>()?;
    rest.split_at_checked(usize::try_from(u32::from_be_bytes(*length)).ok()?)
}

/// Whether there are fields, and nothing but whole ones.
fn is_whole(mut fields: &[u8]) -> bool {
    let some = !fields.is_empty();
    while let Some((_, rest)) = field(fields) {
        fields = rest;
    }
    some && fields.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(kind: &str, fields: &[&[u8]]) -> String {
        let mut blob = Vec::new();
        for field in std::iter::once(kind.as_bytes()).chain(fields.iter().copied()) {
            blob.extend(u32::try_from(field.len()).expect("short").to_be_bytes());
            blob.extend(field);
        }
        format!("{kind} {}", BASE64_STANDARD.encode(blob))
    }

    #[test]
    fn whole_keys_pass_with_options_and_comment() {
        let ed25519 = key("ssh-ed25519", &[&[7; 32]]);
        let rsa = key("ssh-rsa", &[&[1, 0, 1], &[9; 257]]);
        let certificate = key("ssh-ed25519-cert-v01@openssh.com", &[&[7; 32], &[1]]);
        for line in [
            ed25519.clone(),
            format!("{ed25519} me@here"),
            format!("from=\"10.0.0.0/8, ::1\",no-pty {rsa} me"),
            certificate,
        ] {
            assert_eq!(check(&line), Ok(()), "{line}");
        }
    }

    #[test]
    fn what_is_cut_or_mixed_up_is_refused() {
        let whole = key("ssh-ed25519", &[&[7; 32]]);
        for cut in 1..=whole.len() - "ssh-ed25519 ".len() {
            assert!(check(&whole[..whole.len() - cut]).is_err(), "{cut} characters are missing");
        }
        let other = whole.replacen("ssh-ed25519", "ssh-rsa", 1);
        let after_another = format!("ssh-options {whole}");
        let no_blank_of_sshds = format!("{whole}\u{a0}me@here");
        for line in [
            "ssh-ed25519",
            "ssh-ed25518 AAAA",
            "ssh-ed25519 A*A",
            &other,
            &after_another,
            &no_blank_of_sshds,
        ] {
            assert!(check(line).is_err(), "{line}");
        }
    }
}
