//! The trial: mount, write, read, remove, as a client would.

use std::io;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use crate::topology::NfsVersion;

use super::diagnosis;
use super::dial::Dial;
use super::evidence::Evidence;
use super::fault::{At, Failed, Fault, Step};
use super::finding::Finding;
use super::folder::{EXTEND, Folder, LOOKUP, MODIFY, READ};
use super::mount3::MOUNT;
use super::nfs3::{Mounted, NFS3};
use super::nfs4::{NFS4, Reached};
use super::portmap::{self, Registered};
use super::rpc::{Caller, Program, random};

/// What is done beside the trial, such as tidying up after it, has a time of its own, so that it is
/// done when the trial has used up its own.
const ASIDE: Duration = Duration::from_secs(2);
const PROBE: &[u8] = b"written by topo to see whether this share can be used\n";

/// How a share is tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trial {
    pub path: String,
    pub version: NfsVersion,
    pub port: u16,
    /// Where version 3's mount service is; without it, the port mapper is asked.
    pub mount_port: Option<u16>,
    /// Whether a file is written, read back and removed.
    pub write: bool,
    /// Who asks.
    pub user: (u32, u32),
    /// Whose a file shall be that is written.
    pub expected_owner: Option<(u32, u32)>,
    /// Whether the server sees the end of a tunnel on its own machine.
    pub tunnelled: bool,
    /// Whether version 3 is mounted with locks, hence without `nolock`.
    pub locks: bool,
}

impl Trial {
    /// A trial as root, with writing, of what listens on the usual port.
    pub fn new(path: impl Into<String>, version: NfsVersion) -> Self {
        Self {
            path: path.into(),
            version,
            port: 2049,
            mount_port: None,
            write: true,
            user: (0, 0),
            expected_owner: None,
            tunnelled: false,
            locks: false,
        }
    }
}

/// What a trial has shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proof {
    pub version: NfsVersion,
    /// It was written to; or, where that was not to be tried, the server says that it could be.
    pub writable: bool,
    /// Of the file that was written, or of the folder; some servers give words instead of numbers.
    pub owner: Option<(u32, u32)>,
    /// What the server calls itself; only 4.1 and later tell.
    pub server: Option<String>,
}

/// Speaks NFS to a server, within the limit; a little longer where something is to be tidied up or
/// explained.
pub async fn check<D: Dial>(dial: &D, trial: &Trial, limit: Duration) -> Result<Proof, Finding> {
    match attempt(dial, trial, Instant::now() + limit).await {
        Ok(proof) => Ok(proof),
        Err(failed) => {
            let evidence = Evidence::gather(dial, trial, &failed).await;
            Err(diagnosis::name(trial, limit, &failed, &evidence))
        }
    }
}

async fn attempt<D: Dial>(dial: &D, trial: &Trial, until: Instant) -> Result<Proof, Failed> {
    let minor = match trial.version {
        NfsVersion::V3 => None,
        NfsVersion::V4_0 => Some(0),
        NfsVersion::V4_1 => Some(1),
        NfsVersion::V4_2 => Some(2),
    };
    let outcome = match minor {
        None => prove(mounted(dial, trial, until).await?, trial).await,
        Some(minor) => prove(reached(dial, trial, minor, until).await?, trial).await,
    };
    let mut failed = match outcome {
        Ok(proof) => return Ok(proof),
        Err(failed) => failed,
    };
    if let Some(name) = &failed.left_behind {
        let until = Instant::now() + ASIDE;
        let gone = match minor {
            None => sweep(mounted(dial, trial, until).await, name).await,
            Some(minor) => sweep(reached(dial, trial, minor, until).await, name).await,
        };
        if gone {
            failed.left_behind = None;
        }
    }
    Err(failed)
}

async fn reached<D: Dial>(
    dial: &D,
    trial: &Trial,
    minor: u32,
    until: Instant,
) -> Result<Reached<D::Stream>, Failed> {
    let mut nfs = connect(dial, trial, trial.port, until).await.at(Step::Connect)?;
    nfs.greet(NFS4).await.at(Step::Greet)?;
    Reached::open(nfs, minor, &trial.path).await
}

async fn mounted<D: Dial>(
    dial: &D,
    trial: &Trial,
    until: Instant,
) -> Result<Mounted<D::Stream>, Failed> {
    let mut nfs = connect(dial, trial, trial.port, until).await.at(Step::Connect)?;
    nfs.greet(NFS3).await.at(Step::Greet)?;
    let port = match trial.mount_port {
        Some(port) => port,
        None => mount_port(dial, trial, until).await.at(Step::ConnectMount)?,
    };
    let mut mount = connect(dial, trial, port, until).await.at(Step::ConnectMount)?;
    mount.greet(MOUNT).await.at(Step::GreetMount)?;
    if trial.locks {
        lock_services(dial, trial, until).await.at(Step::Locks)?;
    }
    Mounted::open(nfs, mount, &trial.path).await
}

pub(super) async fn connect<D: Dial>(
    dial: &D,
    trial: &Trial,
    port: u16,
    until: Instant,
) -> Result<Caller<D::Stream>, Fault> {
    let in_time = timeout_at(until, dial.dial(port)).await;
    let stream = in_time.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
    let stream = stream.map_err(|error| Fault::from_dial(&error))?;
    Ok(Caller::new(stream, trial.user, until))
}

async fn mount_port<D: Dial>(dial: &D, trial: &Trial, until: Instant) -> Result<u16, Fault> {
    // Whatever kept the port mapper from telling, it is the port that is missing.
    let registered = registered(dial, trial, MOUNT, until).await.ok();
    registered.and_then(|mount| mount.tcp).ok_or(Fault::MountPortUnknown)
}

pub(super) async fn registered<D: Dial>(
    dial: &D,
    trial: &Trial,
    service: Program,
    until: Instant,
) -> Result<Registered, Fault> {
    let mut mapper = connect(dial, trial, portmap::PORT, until).await?;
    portmap::lookup(&mut mapper, service).await
}

/// A client that locks over version 3 finds both services through the port mapper, or does not mount.
async fn lock_services<D: Dial>(dial: &D, trial: &Trial, until: Instant) -> Result<(), Fault> {
    const LOCK_MANAGER: Program = Program { number: 100_021, version: 4 };
    const STATUS_MONITOR: Program = Program { number: 100_024, version: 1 };
    let until = until.min(Instant::now() + ASIDE);
    let mut missing = Vec::new();
    for (service, called) in [(LOCK_MANAGER, "lockd"), (STATUS_MONITOR, "statd")] {
        match registered(dial, trial, service, until).await {
            Ok(Registered { tcp: Some(_), .. }) => {}
            Ok(_) => missing.push(called),
            Err(_) => {
                return Err(Fault::NoLockServices(
                    "no port mapper tells on port 111 where lockd and statd are".to_owned(),
                ));
            }
        }
    }
    if missing.is_empty() {
        return Ok(());
    }
    Err(Fault::NoLockServices(format!("the server runs no {} over TCP", missing.join(" and no "))))
}

/// What is to be shown of a folder, and then nothing of it left.
async fn prove<F: Folder>(mut folder: F, trial: &Trial) -> Result<Proof, Failed> {
    let outcome = try_out(&mut folder, trial).await;
    let broken = outcome.as_ref().is_err_and(|failed| failed.fault.ends_connection());
    if !broken {
        folder.wait_until(Instant::now() + ASIDE);
        folder.leave().await;
    }
    outcome
}

async fn try_out<F: Folder>(folder: &mut F, trial: &Trial) -> Result<Proof, Failed> {
    let attributes = folder.attributes().await?;
    if !attributes.is_folder {
        return Err(Fault::NotAFolder.at(Step::Attributes));
    }
    let (writable, owner) = if trial.write {
        let name = format!(".topo-probe-{:08x}{:08x}", random(), random());
        (true, write(folder, trial, &name).await?)
    } else {
        (may_write(folder).await?, attributes.owner.ids())
    };
    let server = folder.server().map(str::to_owned);
    Ok(Proof { version: trial.version, writable, owner, server })
}

/// Asks without trying; that it can be read is insisted on.
async fn may_write<F: Folder>(folder: &mut F) -> Result<bool, Failed> {
    let granted = folder.access(READ | LOOKUP | MODIFY | EXTEND).await?;
    if granted & (READ | LOOKUP) != READ | LOOKUP {
        return Err(Fault::Unreadable.at(Step::Access));
    }
    Ok(granted & (MODIFY | EXTEND) != 0)
}

/// Leaves nothing behind, or says so.
async fn write<F: Folder>(
    folder: &mut F,
    trial: &Trial,
    name: &str,
) -> Result<Option<(u32, u32)>, Failed> {
    let outcome = write_and_read(folder, trial, name).await;
    let Err(mut failed) = outcome else {
        let removed = folder.remove(name).await;
        let left = |failed| Failed { left_behind: Some(name.to_owned()), ..failed };
        return removed.map_err(left).and(outcome);
    };
    let made = failed.step != Step::Create || failed.fault.ends_connection();
    if made && !removed_after(folder, name, &failed).await {
        failed.left_behind = Some(name.to_owned());
    }
    Err(failed)
}

async fn removed_after<F: Folder>(folder: &mut F, name: &str, failed: &Failed) -> bool {
    if failed.fault.ends_connection() {
        return false;
    }
    folder.wait_until(Instant::now() + ASIDE);
    // An open file can be removed as well, and its state ends with the client.
    let _ = folder.close().await;
    folder.remove(name).await.is_ok()
}

async fn write_and_read<F: Folder>(
    folder: &mut F,
    trial: &Trial,
    name: &str,
) -> Result<Option<(u32, u32)>, Failed> {
    folder.create(name).await?;
    folder.write(PROBE).await?;
    let most = u32::try_from(PROBE.len()).unwrap_or(u32::MAX);
    if folder.read(most).await? != PROBE {
        return Err(Fault::OtherBytes.at(Step::Read));
    }
    let owner = folder.owner().await?;
    folder.close().await?;
    let ids = owner.ids();
    match trial.expected_owner {
        Some(expected) if ids != Some(expected) => {
            Err(Fault::WrongOwner { is: owner, expected }.at(Step::Owner))
        }
        _ => Ok(ids),
    }
}

/// Removes a probe file over a new connection, since the one that made it is lost. It may never
/// have been made.
async fn sweep<F: Folder>(opened: Result<F, Failed>, name: &str) -> bool {
    let Ok(mut folder) = opened else { return false };
    let removed = match folder.remove(name).await {
        Ok(()) => true,
        Err(failed) => matches!(failed.fault, Fault::Status(status) if status.is_absence()),
    };
    folder.leave().await;
    removed
}
