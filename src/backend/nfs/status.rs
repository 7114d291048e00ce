//! What NFS and MOUNT answer with when they refuse: numbers, and what they mean.

use std::fmt;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    Mount,
    Nfs3,
    Nfs4,
}

/// A refusal. The three protocols share their numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Status {
    pub protocol: Protocol,
    pub code: u32,
}

pub const PERM: u32 = 1;
pub const NOENT: u32 = 2;
pub const ACCES: u32 = 13;
pub const EXIST: u32 = 17;
pub const NOTDIR: u32 = 20;
pub const INVAL: u32 = 22;
pub const NOSPC: u32 = 28;
pub const ROFS: u32 = 30;
pub const DQUOT: u32 = 69;
pub const STALE: u32 = 70;
pub const BADHANDLE: u32 = 10_001;
pub const NOTSUPP: u32 = 10_004;
pub const SERVERFAULT: u32 = 10_006;
pub const DELAY: u32 = 10_008;
pub const GRACE: u32 = 10_013;
pub const WRONGSEC: u32 = 10_016;
pub const MINOR_VERS_MISMATCH: u32 = 10_021;
pub const SYMLINK: u32 = 10_029;

const WORDS: &[(u32, &str, &str)] = &[
    (PERM, "PERM", "not permitted"),
    (NOENT, "NOENT", "no such file or folder"),
    (5, "IO", "an input or output error"),
    (6, "NXIO", "no such device"),
    (ACCES, "ACCES", "access denied"),
    (EXIST, "EXIST", "it exists already"),
    (19, "NODEV", "no such device"),
    (NOTDIR, "NOTDIR", "not a folder"),
    (21, "ISDIR", "a folder"),
    (INVAL, "INVAL", "an invalid argument"),
    (27, "FBIG", "the file is too large"),
    (NOSPC, "NOSPC", "no space left"),
    (ROFS, "ROFS", "a read-only file system"),
    (63, "NAMETOOLONG", "the name is too long"),
    (DQUOT, "DQUOT", "the quota is used up"),
    (STALE, "STALE", "the file handle means nothing any more"),
    (BADHANDLE, "BADHANDLE", "the file handle is not valid"),
    (NOTSUPP, "NOTSUPP", "not supported"),
    (SERVERFAULT, "SERVERFAULT", "the server failed inside"),
    (10_011, "EXPIRED", "the lease has run out"),
    (GRACE, "GRACE", "the server has just started and waits for its former clients"),
    (10_014, "FHEXPIRED", "the file handle has expired"),
    (10_015, "SHARE_DENIED", "another client has it open and shares it with nobody"),
    (WRONGSEC, "WRONGSEC", "another way of authentication is wanted"),
    (10_017, "CLID_INUSE", "another client has this name"),
    (10_018, "RESOURCE", "the server has no resources left"),
    (10_019, "MOVED", "it has moved to another server"),
    (10_020, "NOFILEHANDLE", "no file handle"),
    (MINOR_VERS_MISMATCH, "MINOR_VERS_MISMATCH", "this minor version is not served"),
    (10_022, "STALE_CLIENTID", "the server does not know this client any more"),
    (10_025, "BAD_STATEID", "the open file is not known"),
    (10_026, "BAD_SEQID", "a request out of order"),
    (SYMLINK, "SYMLINK", "a symbolic link"),
    (10_032, "ATTRNOTSUPP", "an attribute is not supported"),
    (10_036, "BADXDR", "the request could not be read"),
    (10_039, "BADOWNER", "the owner's name means nothing to the server"),
    (10_040, "BADCHAR", "a character in the name is not allowed"),
    (10_041, "BADNAME", "the name is not allowed"),
    (10_044, "OP_ILLEGAL", "the operation is not known"),
    (10_046, "FILE_OPEN", "the file is open"),
    (10_052, "BADSESSION", "the session is not known"),
    (10_063, "SEQ_MISORDERED", "a request out of order"),
    (10_065, "REQ_TOO_BIG", "the request is too large for the session"),
    (10_070, "TOO_MANY_OPS", "too many operations in one request"),
    (10_071, "OP_NOT_IN_SESSION", "the operation wants a session"),
];

impl Status {
    /// Asked again a little later, the server may answer otherwise.
    pub fn passes(self) -> bool {
        self.code == DELAY
    }

    pub fn is_absence(self) -> bool {
        self.code == NOENT
    }
}

/// `MNT3ERR_ACCES (access denied)`
impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (prefix, delay) = match self.protocol {
            Protocol::Mount => ("MNT3ERR", "DELAY"),
            Protocol::Nfs3 => ("NFS3ERR", "JUKEBOX"),
            Protocol::Nfs4 => ("NFS4ERR", "DELAY"),
        };
        match self.code {
            // The only names that differ.
            DELAY => write!(f, "{prefix}_{delay} (ask again later)"),
            ACCES if self.protocol == Protocol::Nfs4 => {
                write!(f, "{prefix}_ACCESS (access denied)")
            }
            code => match WORDS.iter().find(|(known, ..)| *known == code) {
                Some((_, name, words)) => write!(f, "{prefix}_{name} ({words})"),
                None => write!(f, "{prefix} {code}"),
            },
        }
    }
}

/// RPC's `auth_stat`.
pub const AUTH_BADCRED: u32 = 1;
pub const AUTH_TOOWEAK: u32 = 5;

pub fn auth_stat(code: u32) -> &'static str {
    match code {
        AUTH_BADCRED => "AUTH_BADCRED (the credentials are not accepted)",
        2 => "AUTH_REJECTEDCRED (other credentials are wanted)",
        3 => "AUTH_BADVERF (the verifier is not accepted)",
        4 => "AUTH_REJECTEDVERF (another verifier is wanted)",
        AUTH_TOOWEAK => "AUTH_TOOWEAK (the authentication is too weak)",
        13 => "RPCSEC_GSS_CREDPROBLEM (Kerberos credentials are wanted)",
        14 => "RPCSEC_GSS_CTXPROBLEM (a Kerberos context is wanted)",
        _ => "that the authentication failed",
    }
}

/// RPC's flavours of authentication, as `sec=` writes them.
pub fn flavour(number: u32) -> String {
    match number {
        0 => "none".to_owned(),
        1 => "sys".to_owned(),
        390_003 => "krb5".to_owned(),
        390_004 => "krb5i".to_owned(),
        390_005 => "krb5p".to_owned(),
        other => format!("flavour {other}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_number_is_named_once_and_as_its_protocol_names_it() {
        let mut codes: Vec<u32> = WORDS.iter().map(|(code, ..)| *code).collect();
        let count = codes.len();
        codes.dedup();
        assert!(codes.is_sorted());
        assert_eq!(codes.len(), count);

        let say = |protocol, code| Status { protocol, code }.to_string();
        assert_eq!(say(Protocol::Mount, 13), "MNT3ERR_ACCES (access denied)");
        assert_eq!(say(Protocol::Nfs4, 13), "NFS4ERR_ACCESS (access denied)");
        assert_eq!(say(Protocol::Nfs3, 10_008), "NFS3ERR_JUKEBOX (ask again later)");
        assert_eq!(say(Protocol::Nfs4, 12_345), "NFS4ERR 12345");
    }
}
