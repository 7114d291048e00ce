//! An image of somebody else's that the engine itself needs: there, or pulled.

use std::time::Duration;

use crate::backend::docker::{AbsentIsFine, Error, ImageDetails};
use crate::engine::{Amount, Deadline, Failure, Tally, Turn};
use crate::resources::base::context::Context;
use crate::topology::ImageRef;

/// Images of some gigabytes come over slow lines.
const PULL_DEADLINE: Duration = Duration::from_mins(30);

/// Makes sure that the engine has it, and answers what it is made to run.
pub async fn ensure(
    cx: &Context,
    turn: &Turn,
    image: &str,
    hint: &str,
) -> Result<ImageDetails, Failure> {
    let look = || async {
        let there = cx.docker.inspect_image(image).await.if_present();
        there.map_err(|error| Failure::because(format!("cannot look for `{image}`"), &error))
    };
    if let Some(there) = look().await? {
        return Ok(there);
    }
    let pulled = async {
        pull(cx, turn, image).await.map_err(|error| {
            let hint =
                if error.is_for_want_of_a_login() { login_hint(image, hint) } else { hint.into() };
            Failure::because(format!("cannot pull `{image}`"), &error).hint(hint)
        })
    };
    let deadline = Deadline::new(turn, PULL_DEADLINE, format!("`{image}` to be pulled"));
    deadline.until(pulled).await?;
    look().await?.ok_or_else(|| Failure::new(format!("`{image}` was pulled and is not there")))
}

/// As anybody, and if that is refused as the user, whom only the `docker` program knows.
async fn pull(cx: &Context, turn: &Turn, image: &str) -> Result<(), Error> {
    let pulled = cx.docker.pull_image(image, |amount| {
        let amount = Amount { done: amount.done, total: amount.total, tally: Tally::Bytes };
        turn.measure(format!("pulling {image}"), amount);
    });
    match pulled.await {
        Err(error) if error.is_for_want_of_a_login() && cx.docker.has_program() => {
            cx.docker
                .pull_image_as_user(image, |line| turn.say(format!("pulling {image}: {line}")))
                .await
        }
        pulled => pulled,
    }
}

/// Registries say of an image that one may not see that it is not there.
fn login_hint(image: &str, otherwise: &str) -> String {
    let registry = image.parse::<ImageRef>().map(|image| image.registry()).unwrap_or_default();
    let login = match registry.as_str() {
        "docker.io" => "docker login".to_owned(),
        registry => format!("docker login {registry}"),
    };
    format!("{otherwise}; if its registry requires a login, run `{login}` and apply again")
}
