//! An image of somebody else's that the engine itself needs: there, or pulled.

use std::time::Duration;

use crate::backend::docker::{AbsentIsFine, ImageDetails};
use crate::engine::{Amount, Deadline, Failure, Tally, Turn};
use crate::resources::base::context::Context;

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
    let pulled = cx.docker.pull_image(image, |amount| {
        let amount = Amount { done: amount.done, total: amount.total, tally: Tally::Bytes };
        turn.measure(format!("pulling {image}"), amount);
    });
    let pulled = async {
        pulled.await.map_err(|error| Failure::because(format!("cannot pull `{image}`"), &error))
    };
    let deadline = Deadline::new(turn, PULL_DEADLINE, format!("`{image}` to be pulled"));
    deadline.until(pulled).await.map_err(|failure| failure.hint(hint))?;
    look().await?.ok_or_else(|| Failure::new(format!("`{image}` was pulled and is not there")))
}
