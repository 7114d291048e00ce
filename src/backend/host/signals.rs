//! The signals that ask a program to end: Ctrl-C, `kill`, and a terminal that is closed.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

pub struct Interrupts {
    int: Signal,
    term: Signal,
    /// Not where whoever started the program had it ignored, as `nohup` does.
    hup: Option<Signal>,
}

impl Interrupts {
    pub fn listen() -> io::Result<Self> {
        let hup = (!ignores_hangup()).then(|| signal(SignalKind::hangup()));
        Ok(Self {
            int: signal(SignalKind::interrupt())?,
            term: signal(SignalKind::terminate())?,
            hup: hup.transpose()?,
        })
    }

    pub async fn next(&mut self) {
        let hangup = async {
            match &mut self.hup {
                Some(hup) => hup.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = self.int.recv() => {}
            _ = self.term.recv() => {}
            _ = hangup => {}
        }
    }
}

/// Only Linux tells; elsewhere a closed terminal is taken for an interrupt.
fn ignores_hangup() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    status.lines().find_map(|line| line.strip_prefix("SigIgn:")).is_some_and(is_hangup_in)
}

/// A mask in hexadecimal digits, whose lowest bit is signal 1.
fn is_hangup_in(mask: &str) -> bool {
    mask.trim().chars().last().and_then(|digit| digit.to_digit(16)).is_some_and(|low| low & 1 == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hangup_is_the_lowest_bit_of_the_mask() {
        assert!(is_hangup_in("\t0000000000000001"));
        assert!(is_hangup_in("\t0000000000001003"));
        assert!(!is_hangup_in("\t0000000000001000"));
    }
}
