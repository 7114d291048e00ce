//! Keeping a tunnel up: connect, watch, wait a little, connect again.

use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use rustix::process::setsid;
use tokio::time::MissedTickBehavior;

use super::backoff::Backoff;
use super::connection::{Connection, Happening};
use super::guard::{self, Guard};
use super::report::Report;
use super::{Tunnel, TunnelError};
use crate::backend::host::Interrupts;

const TICK: Duration = Duration::from_secs(1);
/// ssh's own limits come first; this is for one that hangs before they hold.
const CONNECT_LIMIT: Duration = Duration::from_secs(40);
/// A clock on the wall that went this much further than the machine's own: the machine slept.
const SLEPT: Duration = Duration::from_secs(5);
/// How long the other end may take to answer after that.
const ANSWER_LIMIT: Duration = Duration::from_secs(3);
/// How long it must have failed, and how often it is asked then, whether the gateway is gone for good.
const ASK_WHETHER_GONE: Duration = Duration::from_mins(1);

/// Why a tunnel is no longer kept up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// By a signal.
    Told,
    /// Its folder is gone, or another's.
    Abandoned,
    /// Its gateway is gone for good, and so are its files now.
    GatewayGone,
}

/// Why a connection ended.
enum Lost {
    Why(String),
    Finally(Ending),
}

/// Keeps the tunnel up until it is told to end, or has nothing to do any more. `gone` answers
/// whether the gateway is gone for good; what cannot be known is not gone.
pub async fn supervise(
    tunnel: &Tunnel,
    detached: bool,
    gone: impl AsyncFn() -> bool,
) -> Result<Ending, TunnelError> {
    if detached {
        // Fails only for one that leads a session already, which no terminal ends either.
        let _ = setsid();
    }
    let Some(guard) = Guard::take(&tunnel.lock()).map_err(|source| tunnel.broken(source))? else {
        let pid = guard::holder(&tunnel.lock()).map_or(0, |holder| holder.pid);
        return Err(TunnelError::Running { name: tunnel.name.clone(), pid });
    };
    let mut keeper = Keeper {
        tunnel,
        guard,
        stop: Interrupts::listen().map_err(TunnelError::Signals)?,
        report: Report::first(SystemTime::now()),
    };
    keeper.tell();
    tunnel.end_orphan().await?;
    let mut backoff = Backoff::default();
    let mut down_since = Instant::now();
    let mut asked = Instant::now();
    loop {
        let (lost, up) = keeper.hold().await;
        let why = match lost {
            Lost::Finally(ending) => return Ok(ending),
            Lost::Why(why) => why,
        };
        keeper.report.failed(why, SystemTime::now());
        keeper.tell();
        if up.is_some() {
            down_since = Instant::now();
        }
        if down_since.elapsed() > ASK_WHETHER_GONE && asked.elapsed() > ASK_WHETHER_GONE {
            asked = Instant::now();
            if gone().await {
                tunnel.remove()?;
                return Ok(Ending::GatewayGone);
            }
        }
        if let Some(ending) = keeper.pause(backoff.after(up)).await {
            return Ok(ending);
        }
    }
}

struct Keeper<'a> {
    tunnel: &'a Tunnel,
    guard: Guard,
    stop: Interrupts,
    report: Report,
}

impl Keeper<'_> {
    /// One connection, from its start to its end, and how long it was up.
    async fn hold(&mut self) -> (Lost, Option<Duration>) {
        let (config, host) = (self.tunnel.config(), self.tunnel.host());
        let mut connection = match Connection::open(Path::new("ssh"), &config, &host) {
            Ok(connection) => connection,
            Err(error) => return (Lost::Why(format!("cannot start ssh: {error}")), None),
        };
        if let Some(process) = connection.process().filter(|_| self.guard.holds()) {
            // Without it only an ssh that outlives a killed keeper is not found.
            let _ = std::fs::write(self.tunnel.child_file(), process.to_string());
        }
        let mut up: Option<Instant> = None;
        let lost = self.watch(&mut connection, &mut up).await;
        connection.close().await;
        (lost, up.map(|since| since.elapsed()))
    }

    async fn watch(&mut self, connection: &mut Connection, up: &mut Option<Instant>) -> Lost {
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut clocks = Clocks::now();
        let mut due = Some(Instant::now() + CONNECT_LIMIT);
        loop {
            tokio::select! {
                happening = connection.next() => match happening {
                    Happening::Up => {
                        *up = Some(Instant::now());
                        due = None;
                        self.report.came_up(SystemTime::now());
                        self.tell();
                    }
                    Happening::Echo => due = None,
                    Happening::Ended(why) => return Lost::Why(why),
                },
                () = self.stop.next() => return Lost::Finally(Ending::Told),
                _ = tick.tick() => {
                    if !self.guard.holds() {
                        return Lost::Finally(Ending::Abandoned);
                    }
                    let slept = clocks.slept();
                    if slept && up.is_none() {
                        return Lost::Why("this machine slept".to_owned());
                    }
                    if slept {
                        connection.ping().await;
                        due = Some(Instant::now() + ANSWER_LIMIT);
                    }
                    if due.is_some_and(|due| Instant::now() > due) {
                        return Lost::Why("the gateway does not answer".to_owned());
                    }
                }
            }
        }
    }

    /// Waits for the next try, unless there is to be none.
    async fn pause(&mut self, pause: Duration) -> Option<Ending> {
        tokio::select! {
            () = tokio::time::sleep(pause) => (!self.guard.holds()).then_some(Ending::Abandoned),
            () = self.stop.next() => Some(Ending::Told),
        }
    }

    /// One whose folder is gone finds that out at its next tick.
    fn tell(&self) {
        if self.guard.holds() {
            let _ = self.tunnel.report(&self.report);
        }
    }
}

/// Time as it goes by for the world and for this machine, which stands still while it sleeps.
struct Clocks {
    wall: SystemTime,
    own: Instant,
}

impl Clocks {
    fn now() -> Self {
        Self { wall: SystemTime::now(), own: Instant::now() }
    }

    /// Whether the machine slept since it was last asked.
    fn slept(&mut self) -> bool {
        let before = std::mem::replace(self, Self::now());
        let own = self.own.duration_since(before.own);
        self.wall.duration_since(before.wall).is_ok_and(|wall| wall > own + SLEPT)
    }
}

#[cfg(test)]
mod tests {
    use super::super::folder::tests::{spec, tunnel};
    use super::super::{Engine, Standing};
    use super::*;

    #[test]
    fn a_wall_clock_that_ran_ahead_means_that_the_machine_slept() {
        let mut clocks = Clocks::now();
        assert!(!clocks.slept());
        clocks.wall -= Duration::from_mins(1);
        assert!(clocks.slept());
        assert!(!clocks.slept());
    }

    /// With a configuration that ssh refuses, so that no connection comes about.
    #[tokio::test]
    async fn it_says_why_it_is_down_and_ends_with_its_folder() {
        let home = tempfile::tempdir().expect("a folder");
        let tunnel = tunnel(home.path());
        tunnel.write(&spec(), "NoSuchSetting yes\n", "ssh-ed25519 AAAA").expect("written");
        let watcher = async {
            let down = loop {
                match tunnel.standing() {
                    Standing::Degraded(report) if report.tries > 0 => break report,
                    _ => tokio::time::sleep(Duration::from_millis(20)).await,
                }
            };
            tunnel.remove().expect("removed");
            down
        };
        let keeper = supervise(&tunnel, false, async || false);
        let both = async { tokio::join!(keeper, watcher) };
        let (ending, down) =
            tokio::time::timeout(Duration::from_secs(20), both).await.expect("ends in time");
        assert_eq!(ending.expect("ends well"), Ending::Abandoned);
        let why = down.last_error.expect("there is a reason");
        assert!(why.contains("NoSuchSetting") || why.contains("nosuchsetting"), "{why}");
    }

    #[tokio::test]
    async fn there_is_one_keeper_a_tunnel() {
        let home = tempfile::tempdir().expect("a folder");
        let tunnel = tunnel(home.path());
        tunnel.write(&spec(), "", "ssh-ed25519 AAAA").expect("written");
        let _held = Guard::take(&tunnel.lock()).expect("works").expect("free");
        let second = supervise(&tunnel, false, async || false).await;
        assert!(matches!(second, Err(TunnelError::Running { .. })), "{second:?}");
        let engine = Engine { host: "tcp://192.0.2.7:2376".to_owned(), certificates: None };
        assert_eq!(tunnel.spec().expect("readable").expect("there").engine, engine);
    }
}
