//! Starting and ending the process that keeps a tunnel up.

use std::fs::File;
use std::io;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::guard;
use super::{Tunnel, TunnelError};
use crate::backend::host::{Holder, Lock};

const START_LIMIT: Duration = Duration::from_secs(10);
const GRACE: Duration = Duration::from_secs(5);
const LOOK_AGAIN: Duration = Duration::from_millis(20);

impl Tunnel {
    /// Starts the process, which goes on when topo and its terminal are gone. `lock` is the
    /// topology's, if topo holds it: the process must not.
    pub async fn start(&self, lock: Option<&Lock>) -> Result<(), TunnelError> {
        if guard::is_held(&self.lock()) {
            return Ok(());
        }
        let spawn = || self.spawn();
        let mut child =
            lock.map_or_else(spawn, |lock| lock.withheld(spawn)).map_err(TunnelError::Start)?;
        let deadline = Instant::now() + START_LIMIT;
        while !guard::is_held(&self.lock()) {
            let ended = child.try_wait().map_err(TunnelError::Start)?.is_some();
            if ended || Instant::now() > deadline {
                // Too late is as good as never: nothing unwatched stays behind.
                let _ = child.kill();
                let said = std::fs::read_to_string(self.log()).unwrap_or_default();
                return Err(TunnelError::Stillborn(said.trim().to_owned()));
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
        Ok(())
    }

    /// It leaves the terminal's session by itself, which needs no more than to be told.
    fn spawn(&self) -> io::Result<Child> {
        self.forget_report();
        let log = File::create(self.log())?;
        Command::new(std::env::current_exe()?)
            .args(["--color", "never", "tunnel", "run", "--detached"])
            .args(["--name", &self.topology, &self.name])
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
    }

    /// Ends the process, wherever it was started from.
    pub async fn stop(&self) -> Result<(), TunnelError> {
        end(|| guard::holder(&self.lock())).await?;
        self.end_orphan().await
    }

    /// Ends an ssh whose keeper was killed: it goes on for as long as it carries connections, and
    /// would keep the next one from listening in its place.
    pub(super) async fn end_orphan(&self) -> Result<(), TunnelError> {
        let text = std::fs::read_to_string(self.child_file()).unwrap_or_default();
        let Ok(orphan) = text.parse::<Holder>() else { return Ok(()) };
        end(|| Some(orphan.clone()).filter(Holder::is_alive)).await
    }
}

/// Asks whoever `who` names to end, then insists, until it names nobody.
async fn end(who: impl Fn() -> Option<Holder>) -> Result<(), TunnelError> {
    for signal in [Signal::TERM, Signal::KILL] {
        let Some(holder) = who() else { return Ok(()) };
        tell(&holder, signal);
        let deadline = Instant::now() + GRACE;
        while Instant::now() < deadline {
            if who().is_none() {
                return Ok(());
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }
    who().map_or(Ok(()), |Holder { pid, .. }| Err(TunnelError::Stubborn { pid }))
}

/// Only the process that took the lock, never a later one of its number.
fn tell(holder: &Holder, signal: Signal) {
    if let Some(pid) = Pid::from_raw(holder.pid).filter(|_| holder.is_alive()) {
        // Already gone is fine.
        let _ = kill_process(pid, signal);
    }
}
