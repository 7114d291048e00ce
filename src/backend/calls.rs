//! What is asked of others, as spans that a log can be made of: one for each call to the engine, and for
//! each program that is run. kube makes those of the API server.
//!
//! What is sent is in none of them, and of a program only its name and first word: so that no secret is.

use std::ffi::OsString;
use std::fmt::Display;
use std::path::Path;

use tracing::{Span, debug_span, field};

/// A call to the engine, before it is known which.
pub fn to_engine() -> Span {
    debug_span!("engine", asked = field::Empty, came = field::Empty)
}

pub fn to_program(path: &Path, arguments: &[OsString]) -> Span {
    let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy();
    let first = arguments.first().map(|first| first.to_string_lossy()).unwrap_or_default();
    debug_span!("program", asked = format!("{name} {first}"), came = field::Empty)
}

/// Names the request of the current call; one that is sent outside of any is a call of its own.
pub fn asks(what: impl Display) {
    let current = Span::current();
    let is_one = current.metadata().is_some_and(|it| it.name() == "engine");
    if is_one {
        current.record("asked", field::display(what));
    } else {
        to_engine().record("asked", field::display(what)).record("came", "sent");
    }
}

/// What came of the call that is under way here.
pub fn came(what: impl Display) {
    Span::current().record("came", field::display(what));
}
