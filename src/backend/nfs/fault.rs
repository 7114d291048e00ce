//! What went wrong at a step, as the wire said it.

use std::fmt;
use std::io;

use super::status::Status;
use super::xdr::Malformed;

/// Where a trial is; each is the beginning of a sentence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    Connect,
    Greet,
    ConnectMount,
    GreetMount,
    Mount,
    Introduce,
    LookUp,
    Attributes,
    Access,
    Create,
    /// What is still to be done with a file that has been made, before it can be written to.
    Open,
    Write,
    Read,
    Owner,
    Close,
    Remove,
    Locks,
}

impl Step {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Connect => "connecting to the NFS server",
            Self::Greet => "greeting the NFS server",
            Self::ConnectMount => "connecting to the mount service",
            Self::GreetMount => "greeting the mount service",
            Self::Mount => "asking the mount service for the path",
            Self::Introduce => "opening a session",
            Self::LookUp => "looking the path up",
            Self::Attributes => "reading the folder's attributes",
            Self::Access => "asking what is allowed in the folder",
            Self::Create => "making a probe file",
            Self::Open => "opening the probe file",
            Self::Write => "writing to the probe file",
            Self::Read => "reading the probe file back",
            Self::Owner => "reading the probe file's owner",
            Self::Close => "closing the probe file",
            Self::Remove => "removing the probe file",
            Self::Locks => "looking for the lock services",
        }
    }

    /// Whether the mount service is spoken to, rather than NFS.
    pub fn is_mount(self) -> bool {
        matches!(self, Self::ConnectMount | Self::GreetMount | Self::Mount)
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    Unconnected {
        kind: io::ErrorKind,
        words: String,
    },
    Silent,
    /// The connection ended where an answer was due.
    Closed(String),
    /// An answer that is none.
    Garbled(String),
    /// The RPC service there speaks other versions of the protocol.
    Mismatch {
        low: u32,
        high: u32,
    },
    /// An RPC service, but another one.
    OtherService,
    /// RPC's `auth_stat`.
    Unauthenticated(u32),
    /// RPC took the call for wrong, or failed in it.
    Rejected(&'static str),
    Status(Status),
    /// The path lies outside of what the server shows: how far it goes, and what is there instead.
    NotThere {
        status: Status,
        reached: String,
        beside: Vec<String>,
    },
    NotAFolder,
    /// The mount service wants one of these RPC flavours, and `AUTH_SYS` is none of them.
    Flavours(Vec<u32>),
    /// What was read is not what was written.
    OtherBytes,
    /// The server grants neither reading nor listing.
    Unreadable,
    WrongOwner {
        is: Owner,
        expected: (u32, u32),
    },
    /// Neither NLM nor NSM, or only one of them, can be found.
    NoLockServices(String),
    /// No mount port was given, and nobody tells where the mount service is.
    MountPortUnknown,
}

impl Fault {
    pub fn from_dial(error: &io::Error) -> Self {
        Self::Unconnected { kind: error.kind(), words: error.to_string() }
    }

    /// Whether the connection can be used no more.
    pub fn ends_connection(&self) -> bool {
        matches!(self, Self::Silent | Self::Closed(_) | Self::Garbled(_))
    }

    pub fn at(self, step: Step) -> Failed {
        Failed { step, fault: self, left_behind: None }
    }
}

impl From<Malformed> for Fault {
    fn from(malformed: Malformed) -> Self {
        Self::Garbled(malformed.to_string())
    }
}

/// A fault and the step at which it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failed {
    pub step: Step,
    pub fault: Fault,
    /// The probe file, where it could not be removed.
    pub left_behind: Option<String>,
}

/// What says of a result at which step it was come by.
pub trait At<T> {
    fn at(self, step: Step) -> Result<T, Failed>;
}

impl<T, F: Into<Fault>> At<T> for Result<T, F> {
    fn at(self, step: Step) -> Result<T, Failed> {
        self.map_err(|fault| fault.into().at(step))
    }
}

/// A file's owner as the server writes it: version 4 has words, of which most servers make numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner {
    pub user: String,
    pub group: String,
}

impl Owner {
    pub fn ids(&self) -> Option<(u32, u32)> {
        Some((self.user.parse().ok()?, self.group.parse().ok()?))
    }
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.user.escape_debug(), self.group.escape_debug())
    }
}
