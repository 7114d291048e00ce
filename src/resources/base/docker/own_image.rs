//! The images of topo's own containers: built on a base and named after what they are built from,
//! or the user's own.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use sha2::{Digest, Sha256};

use crate::backend::docker::api::ContainerCreateBody;
use crate::backend::docker::{
    AbsentIsFine, Archived, BuildContext, BuildRequest, Container, Error, Image as Listed, Snapshot,
};
use crate::engine::{Deadline, Failure, Turn};
use crate::plan::{Resource, Want};
use crate::resources::base::context::Context;
use crate::resources::base::docker::ownership::{self, BUILT};
use crate::resources::base::docker::pulled;
use crate::topology::{ImageRef, ServiceImage};

/// A base is pulled and packages are installed over whatever line there is.
const BUILD_DEADLINE: Duration = Duration::from_mins(15);

const READY_HINT: &str =
    "name an image that the engine has or can pull, or `{ base: … }` to have one built";

/// An image that a container of topo's is made from.
pub struct OwnImage {
    role: ImageRole,
    image: Image,
}

/// Whose image it is.
#[derive(Debug, Clone, Copy)]
pub struct ImageRole {
    /// In messages: `the gateway's image`.
    pub whose: &'static str,
    /// The key of the file that names it.
    pub key: &'static str,
    /// What those that topo builds are named.
    pub repository: &'static str,
}

enum Image {
    Ready(ImageRef),
    Built(Vec<(&'static str, String)>),
}

impl OwnImage {
    /// `recipe` makes the files that it is built from out of the base.
    pub fn of<E>(
        role: ImageRole,
        image: &ServiceImage,
        recipe: impl FnOnce(&str) -> Result<Vec<(&'static str, String)>, E>,
    ) -> Result<Self, E> {
        let image = match image {
            ServiceImage::Ready(image) => Image::Ready(image.clone()),
            ServiceImage::Base(base) => Image::Built(recipe(base.as_str())?),
        };
        Ok(Self { role, image })
    }

    pub fn reference(&self) -> String {
        match &self.image {
            Image::Ready(image) => image.to_string(),
            Image::Built(recipe) => {
                let mut hash = Sha256::new();
                for (name, text) in recipe {
                    hash.update(name);
                    hash.update(text);
                }
                format!("{}:{}", self.role.repository, short(hash))
            }
        }
    }

    /// Why it cannot be built: its tag names an image that topo did not build.
    pub fn in_the_way(&self, snapshot: &Snapshot) -> Option<String> {
        let tag = match self.image {
            Image::Ready(_) => return None,
            Image::Built(_) => self.reference(),
        };
        let there = snapshot.image(&tag).filter(|image| !ownership::is_as_built(&tag, image))?;
        Some(format!(
            "the tag `{tag}` of {} image names an image that topo did not build ({}): remove the tag with `docker rmi {tag}`",
            self.role.whose, there.id
        ))
    }

    /// What it is built from; nothing where it is the user's own.
    pub fn files(self) -> Vec<(&'static str, String)> {
        match self.image {
            Image::Ready(_) => Vec::new(),
            Image::Built(recipe) => recipe,
        }
    }

    /// Makes sure that the engine has it.
    pub async fn ensure(&self, cx: &Context, turn: &Turn) -> Result<(), Failure> {
        let recipe = match &self.image {
            Image::Ready(image) => {
                return pulled::ensure(cx, turn, image.as_str(), READY_HINT).await.map(drop);
            }
            Image::Built(recipe) => recipe,
        };
        let reference = self.reference();
        let there = cx.docker.inspect_image(&reference).await.if_present();
        let there = there.map_err(|error| self.failed("look for", &error))?;
        // Whoever gives the tag of an image that topo built to another one does not give it this label.
        let is_it = |built: &String| *built == reference;
        if there.is_some_and(|there| there.labels.get(BUILT).is_some_and(is_it)) {
            return Ok(());
        }
        self.build(cx, turn, &reference, recipe).await
    }

    /// Makes a container of what was made sure of; how to tell the engine's refusal is the caller's to
    /// say. Another topology that goes at this moment takes away the tag of an image that no container
    /// has yet: then it is made once more.
    pub async fn make(
        &self,
        cx: &Context,
        turn: &Turn,
        name: &str,
        body: ContainerCreateBody,
        network: &str,
        fixed: Option<IpAddr>,
    ) -> Result<Result<String, Error>, Failure> {
        let created = Box::pin(cx.create_container(name, body.clone(), network, fixed)).await;
        if !created.as_ref().is_err_and(Error::is_for_want_of_an_image) {
            return Ok(created);
        }
        self.ensure(cx, turn).await?;
        Ok(Box::pin(cx.create_container(name, body, network, fixed)).await)
    }

    async fn build(
        &self,
        cx: &Context,
        turn: &Turn,
        tag: &str,
        recipe: &[(&str, String)],
    ) -> Result<(), Failure> {
        let failed = |error: &Error| self.failed("build", error);
        let files = recipe
            .iter()
            .map(|(name, text)| Archived { path: name, mode: 0o644, content: text.as_bytes() })
            .collect();
        let request = BuildRequest {
            tag,
            context: BuildContext::Files(files),
            args: BTreeMap::new(),
            labels: [(BUILT.to_owned(), tag.to_owned())].into(),
            discreet: false,
        };
        cx.intend_tag(tag).await?;
        let built = async {
            let built = cx.docker.build_image(request, |line| {
                turn.say(format!("building its image: {line}"));
            });
            built.await.map_err(|error| failed(&error))
        };
        let deadline = Deadline::new(turn, BUILD_DEADLINE, "its image to be built");
        deadline.until(built).await.map_err(|failure| {
            failure.hint(format!(
                "the base must be there or be pulled, and its package manager must reach its servers; or name a finished image with `{}`",
                self.role.key
            ))
        })
    }

    fn failed(&self, verb: &str, error: &Error) -> Failure {
        Failure::because(format!("cannot {verb} {} image", self.role.whose), error)
    }
}

impl ImageRole {
    /// The image of a container that is to run on one that topo builds and that is not there yet.
    pub fn builds<'a>(&self, resource: &'a Resource, snapshot: &Snapshot) -> Option<&'a str> {
        let Some(Want::Is(image)) = resource.fields.get("image") else { return None };
        image.as_str().filter(|image| self.is_built(image) && snapshot.image(image).is_none())
    }

    fn is_built(&self, image: &str) -> bool {
        image.strip_prefix(self.repository).is_some_and(|rest| rest.starts_with(':'))
    }

    /// Takes away the tag of an image that topo built and that nothing uses any more.
    pub async fn forget(&self, cx: &Context, image: Option<&str>) -> Result<(), Failure> {
        match image.filter(|image| self.is_built(image)) {
            Some(image) => cx.forget_tag(image).await,
            None => Ok(()),
        }
    }
}

/// The name that the container's image was asked for by. The engine forgets it once the name means
/// another image; if that was built alike, as by a topology that came at the same moment, all is well.
pub fn name_of<'a>(container: &'a Container, snapshot: &'a Snapshot) -> &'a str {
    let built = |image: &'a Listed| image.labels.get(BUILT).map(String::as_str);
    let runs = snapshot.images.iter().find(|image| image.id == container.image_id);
    let name = runs.and_then(built).filter(|_| container.image.starts_with("sha256:"));
    let is_alike = |name: &&str| snapshot.image(name).is_none_or(|now| built(now) == Some(*name));
    name.filter(is_alike).unwrap_or(&container.image)
}

/// Enough digits of a hash to tell two things apart, few enough to read.
pub fn short(hash: Sha256) -> String {
    const DIGITS: usize = 12;
    let mut text = format!("{:x}", hash.finalize());
    text.truncate(DIGITS);
    text
}
