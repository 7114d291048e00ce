//! What a file's meaning depends on and the outside can change, as a lock file has it.

use crate::backend::docker::{Image, Snapshot};
use crate::backend::kind;
use crate::engine::Failure;
use crate::resources::base::context::Context;
use crate::topology::{ImageRef, InUse, canonical_image};

/// One such thing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pin {
    pub id: String,
    /// The key of the file that leads to it.
    pub key: String,
    pub outside: Outside,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outside {
    /// The release of the `kind` program, which brings its node image by digest.
    Kind,
    /// What its name means on the engine or, where that lacks it, in its registry.
    Image(ImageRef),
    /// Known by the file, or by this topo.
    Known(String),
}

impl Pin {
    /// None for an image that the file names by its digest.
    pub fn image(image: &ImageRef, key: impl Into<String>) -> Option<Self> {
        image.digest().is_none().then(|| Self {
            id: format!("image/{image}"),
            key: key.into(),
            outside: Outside::Image(image.clone()),
        })
    }

    /// As it would be used now.
    pub async fn in_use(self, cx: &Context, snapshot: &Snapshot) -> Result<InUse, Failure> {
        let values = match self.outside {
            Outside::Known(value) => vec![value],
            Outside::Kind => vec![release_of_kind(cx).await?],
            Outside::Image(image) => match snapshot.image(image.as_str()) {
                Some(here) => names(&image, here),
                None => vec![served(cx, &image).await?],
            },
        };
        Ok(InUse { id: self.id, key: self.key, values })
    }
}

async fn release_of_kind(cx: &Context) -> Result<String, Failure> {
    let cannot = "cannot tell which release of kind would be used";
    let source = kind::Source::find(cx.variable.as_ref())
        .map_err(|error| Failure::because(cannot, &error).hint(kind::HINT))?;
    source.version().await.map_err(|error| Failure::because(cannot, &error))
}

/// Its digest in the repository that the reference names. One that was built or loaded has none, and
/// is told by its id, which is another one where the engine keeps images in containerd.
fn names(image: &ImageRef, here: &Image) -> Vec<String> {
    let repository = |name: &str| {
        canonical_image(name).parse::<ImageRef>().ok().map(|image| image.name().to_owned())
    };
    let own = repository(image.as_str());
    let of_own = here.digests.iter().filter(|digest| repository(digest) == own);
    let digests = of_own.filter_map(|digest| Some(digest.split_once('@')?.1.to_owned()));
    digests.chain([format!("id {}", here.id)]).collect()
}

async fn served(cx: &Context, image: &ImageRef) -> Result<String, Failure> {
    let cannot = || format!("cannot tell what `{image}` is: the engine does not have it");
    let hint = format!("`docker pull {image}` brings it to the engine");
    match cx.docker.registry_digest(image.as_str()).await {
        Ok(Some(digest)) => Ok(digest),
        Ok(None) => {
            Err(Failure::new(cannot()).caused_by("its registry gives no digest").hint(hint))
        }
        Err(error) => Err(Failure::because(cannot(), &error).hint(hint)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(text: &str) -> ImageRef {
        text.parse().expect("an image")
    }

    #[test]
    fn an_image_named_by_its_digest_needs_no_lock() {
        let digest = format!("sha256:{}", "ab".repeat(32));
        assert_eq!(Pin::image(&image(&format!("debian@{digest}")), "gateway.image"), None);
        let pin = Pin::image(&image("debian"), "gateway.image").expect("a pin");
        assert_eq!(pin.id, "image/debian");
    }

    #[test]
    fn an_image_is_called_by_the_digest_of_its_own_repository_or_by_its_id() {
        let (own, copy) = ("ab".repeat(32), "cd".repeat(32));
        let here = Image {
            id: "sha256:1".to_owned(),
            tags: vec!["debian:bookworm-slim".to_owned()],
            digests: vec![
                format!("localhost:5000/debian@sha256:{copy}"),
                format!("debian@sha256:{own}"),
            ],
            labels: [].into(),
        };
        let debian = image("docker.io/library/debian:bookworm-slim");
        assert_eq!(names(&debian, &here), [format!("sha256:{own}"), "id sha256:1".to_owned()]);
        let loaded = Image { digests: Vec::new(), ..here };
        assert_eq!(names(&debian, &loaded), ["id sha256:1"]);
    }
}
