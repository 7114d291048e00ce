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

/// Names everything that would be lost and asks for a `yes`.
pub fn confirm(console: &mut Console, asks: &[String]) -> Answer {
    if !io::stdin().is_terminal() || !io::stderr().is_terminal() {
        return Answer::Nobody;
    }
    console.err("This will destroy data:\n");
    for ask in asks {
        console.err(&format!("  - {ask}\n"));
    }
    console.err("Type `yes` to continue: ");
    let mut line = String::new();
    match io::stdin().lock().read_line(&mut line) {
        Ok(_) => answer(&line),
        Err(_) => Answer::No,
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
