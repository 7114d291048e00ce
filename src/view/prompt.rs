//! The one question that topo asks.

use std::io::{self, BufRead, IsTerminal};

use super::Console;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    Yes,
    No,
    /// There is no terminal to ask on.
    Nobody,
}

/// Names everything that would be lost and waits for a yes.
pub fn confirm(console: &mut Console, asks: &[String]) -> Answer {
    if !io::stdin().is_terminal() || !io::stderr().is_terminal() {
        return Answer::Nobody;
    }
    console.err("This needs your word:\n");
    for ask in asks {
        console.err(&format!("  - {ask}\n"));
    }
    console.err("Go on? Only `yes` is taken as one: ");
    let mut line = String::new();
    match io::stdin().lock().read_line(&mut line) {
        Ok(_) if matches!(line.trim(), "y" | "yes") => Answer::Yes,
        _ => Answer::No,
    }
}
