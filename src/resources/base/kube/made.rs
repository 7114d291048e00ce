//! Objects that another program makes of values some of which may be sensitive.

use crate::engine::Failure;
use crate::manifest::Secrets;

/// What the program makes, and where the sensitive values are in it. `open` makes it of others in their
/// place, and comes first: what is wrong with a sensitive value would tell of it.
pub async fn with_secrets(
    what: &str,
    open: impl Future<Output = Result<String, Failure>>,
    real: Option<impl Future<Output = Result<String, Failure>>>,
) -> Result<(String, Secrets), Failure> {
    let open = open.await?;
    let Some(real) = real else { return Ok((open, Secrets::Nowhere)) };
    let unfit = |_| Failure::new(what).caused_by("a sensitive variable does not fit it");
    let text = real.await.map_err(unfit)?;
    let secrets = if text == open { Secrets::Nowhere } else { Secrets::Beside(open) };
    Ok((text, secrets))
}
