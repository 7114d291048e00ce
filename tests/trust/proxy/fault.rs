//! What happens to one call of a run.

use std::fmt;

pub use rustix::process::Signal;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// The engine never hears of it: this status comes in its place.
    Refused(u16),
    /// The connection is closed before the engine has it.
    ResetBefore,
    /// It takes effect, and the connection is closed in place of the answer.
    ResetAfter,
    /// It takes effect, and half of the answer comes.
    HalfAnswered,
    /// It takes effect, and what comes back means nothing.
    Garbled,
    /// It takes effect, the answer begins and never goes on.
    Stalled,
    /// topo gets this signal so often, and the call goes on.
    Signalled(Signal, usize),
    /// topo is killed, and the engine never hears of the call.
    KilledBefore,
    /// topo is killed once the engine has answered.
    KilledAfter,
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Refused(status) => write!(f, "refused with {status} at"),
            Self::ResetBefore => write!(f, "cut off before"),
            Self::ResetAfter => write!(f, "cut off after"),
            Self::HalfAnswered => write!(f, "half answered at"),
            Self::Garbled => write!(f, "given garbage at"),
            Self::Stalled => write!(f, "left waiting at"),
            Self::Signalled(signal, times) => write!(f, "given {times} {} at", name(signal)),
            Self::KilledBefore => write!(f, "killed before"),
            Self::KilledAfter => write!(f, "killed after"),
        }
    }
}

fn name(signal: Signal) -> &'static str {
    match signal {
        Signal::INT => "SIGINT",
        Signal::TERM => "SIGTERM",
        Signal::HUP => "SIGHUP",
        _ => "another signal",
    }
}

/// Which calls are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Among {
    Changes,
    All,
}

/// What happens at the call of this number, from 1 on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fault {
    pub what: What,
    pub at: usize,
    pub among: Among,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let among = match self.among {
            Among::Changes => "change",
            Among::All => "call",
        };
        write!(f, "{} {among} {}", self.what, self.at)
    }
}
