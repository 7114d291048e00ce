//! An image of somebody else's that the engine itself needs: there, or pulled.

use crate::backend::docker::{AbsentIsFine, ImageDetails};
use crate::engine::{Amount, Failure, Tally, Turn};
use crate::resources::base::context::Context;

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
    let pulled = cx.docker.pull_image(image, |amount| {
        let amount = Amount { done: amount.done, total: amount.total, tally: Tally::Bytes };
        turn.measure(format!("pulling {image}"), amount);
    });
    pulled
        .await
        .map_err(|error| Failure::because(format!("cannot pull `{image}`"), &error).hint(hint))?;
    look().await?.ok_or_else(|| Failure::new(format!("`{image}` was pulled and is not there")))
}
