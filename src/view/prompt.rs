//! The one question that topo asks.

use std::io::{self, BufRead, IsTerminal};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use super::Console;
use crate::engine::Cancel;

/// How soon an interrupt is noticed.
const LOOK_UP: Duration = Duration::from_millis(50);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    Yes,
    No,
    /// There is no terminal to ask on.
    Nobody,
}

/// Names everything that would be lost and asks for a `yes`.
///
/// An interrupt is answer enough, and does not wait for a line.
pub fn confirm(console: &mut Console, asks: &[String], cancel: &Cancel) -> Answer {
    if !io::stdin().is_terminal() || !io::stderr().is_terminal() {
        return Answer::Nobody;
    }
    console.err("This will destroy data:\n");
    for ask in asks {
        console.err(&format!("  - {ask}\n"));
    }
    console.err("Type `yes` to continue: ");
    let (typed, lines) = mpsc::channel();
    std::thread::spawn(move || {
        let mut line = String::new();
        let read = io::stdin().lock().read_line(&mut line);
        // Nobody waits for it after an interrupt.
        let _ = typed.send(read.map(|_| line).unwrap_or_default());
    });
    loop {
        match lines.recv_timeout(LOOK_UP) {
            Ok(line) => return answer(&line),
            Err(RecvTimeoutError::Timeout) if !cancel.is_finishing() => {}
            Err(_) => {
                console.err("\n");
                return Answer::No;
            }
        }
    }
}

/// A letter is typed by habit; the whole word is not.
fn answer(line: &str) -> Answer {
    if line.trim() == "yes" { Answer::Yes } else { Answer::No }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_prompt_asks_for_is_a_yes() {
        for line in ["yes\n", "yes\r\n", "  yes "] {
            assert_eq!(answer(line), Answer::Yes, "{line:?}");
        }
        for line in ["", "\n", "y\n", "Y\n", "YES\n", "yes please\n", "no\n", "yess\n"] {
            assert_eq!(answer(line), Answer::No, "{line:?}");
        }
    }
}
