//! An error and what lies behind it, as libraries hand it on in layers.

use std::error::Error;

/// Outermost first. A layer that only repeats what the one before it said is left out.
pub fn causes(error: &(dyn Error + 'static)) -> Vec<String> {
    let layers = std::iter::successors(Some(error), |&error| error.source());
    layers.map(ToString::to_string).fold(Vec::new(), |mut told: Vec<String>, layer| {
        if !told.last().is_some_and(|before| before.contains(&layer)) {
            told.push(layer);
        }
        told
    })
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{words}")]
    struct Layer {
        words: &'static str,
        source: io::Error,
    }

    #[test]
    fn what_a_layer_has_said_is_not_said_again() {
        let refused = || io::Error::other("connection refused");
        let told = |words| causes(&Layer { words, source: refused() });
        assert_eq!(told("cannot connect"), ["cannot connect", "connection refused"]);
        assert_eq!(
            told("cannot connect: connection refused"),
            ["cannot connect: connection refused"]
        );
    }
}
