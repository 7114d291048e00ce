//! What one run of topo called, and what is to be done to it.

use std::collections::HashSet;
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::sync::{Condvar, Mutex, PoisonError};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::call::{self, Call};
use super::fault::{Among, Fault, What};
use super::http::Head;
use super::locked;

pub type Watch = Box<dyn Fn(&Call, &[u8]) + Send + Sync>;

/// What the proxy does with a run's calls.
pub enum Order {
    Pass,
    Strike(Fault),
    /// Whatever would change something is refused.
    ReadsAlone,
    /// No program can be started in a container.
    NoExec,
    /// Told of each call, with its body, before the engine is.
    Watch(Watch),
}

pub struct Run {
    order: Order,
    told: Mutex<Told>,
    pid: Mutex<Option<Pid>>,
    pid_known: Condvar,
    lines: Mutex<Vec<UnixStream>>,
    over: Mutex<bool>,
    is_over: Condvar,
}

#[derive(Default)]
struct Told {
    calls: Vec<Call>,
    struck: Option<String>,
    /// Execs whose command could change something.
    changing: HashSet<String>,
}

impl Run {
    pub(super) fn new(order: Order) -> Self {
        Self {
            order,
            told: Mutex::default(),
            pid: Mutex::default(),
            pid_known: Condvar::new(),
            lines: Mutex::default(),
            over: Mutex::default(),
            is_over: Condvar::new(),
        }
    }

    /// Of the topo whose run it is: who is to be killed.
    pub fn is_of(&self, pid: u32) {
        *locked(&self.pid) = i32::try_from(pid).ok().and_then(Pid::from_raw);
        self.pid_known.notify_all();
    }

    pub fn calls(&self) -> Vec<Call> {
        locked(&self.told).calls.clone()
    }

    pub fn changes(&self) -> Vec<Call> {
        self.calls().into_iter().filter(|call| call.changes).collect()
    }

    /// The call that the fault met, if it came to it.
    pub fn struck(&self) -> Option<String> {
        locked(&self.told).struck.clone()
    }

    /// Cuts what it left open.
    pub fn end(&self) {
        *locked(&self.over) = true;
        self.is_over.notify_all();
        for line in locked(&self.lines).drain(..) {
            let _ = line.shutdown(Shutdown::Both);
        }
    }

    pub(super) fn has(&self, line: &UnixStream) -> std::io::Result<()> {
        locked(&self.lines).push(line.try_clone()?);
        Ok(())
    }

    pub(super) fn kill(&self) {
        self.signal(Signal::KILL);
        self.end();
    }

    pub(super) fn signal(&self, signal: Signal) {
        let known = locked(&self.pid);
        let known = self.pid_known.wait_while(known, |pid| pid.is_none());
        if let Some(pid) = *known.unwrap_or_else(PoisonError::into_inner) {
            let _ = kill_process(pid, signal);
        }
    }

    pub(super) fn wait_for_end(&self) {
        let over = locked(&self.over);
        drop(self.is_over.wait_while(over, |over| !*over));
    }

    /// A call has come: what is done to it.
    pub(super) fn begin(&self, request: &Head, body: &[u8]) -> Option<What> {
        let (method, path) = (request.method(), request.path());
        let mut told = locked(&self.told);
        let changes = call::changes(method, path, |id| told.changing.contains(id));
        let made = Call { what: call::told(method, path), changes };
        told.calls.push(made.clone());
        let counted = |all: bool| told.calls.iter().filter(|call| all || call.changes).count();
        let what = match &self.order {
            Order::Pass | Order::Watch(_) => None,
            Order::ReadsAlone => changes.then_some(What::Refused(403)),
            Order::NoExec => is_exec(method, path).then_some(What::Refused(403)),
            Order::Strike(Fault { what, at, among }) => {
                let all = *among == Among::All;
                ((all || changes) && counted(all) == *at).then_some(*what)
            }
        };
        if what.is_some() {
            told.struck.get_or_insert_with(|| made.what.clone());
        }
        drop(told);
        if let Order::Watch(watch) = &self.order {
            watch(&made, body);
        }
        what
    }

    /// The id that an exec got, by which it is started.
    pub(super) fn exec_made(&self, request: &[u8], answer: &[u8]) {
        let answer: Value = serde_json::from_slice(answer).unwrap_or_default();
        if let (Some(id), true) = (answer["Id"].as_str(), call::command_changes(request)) {
            locked(&self.told).changing.insert(id.to_owned());
        }
    }
}

pub(super) fn is_exec(method: &str, path: &str) -> bool {
    method == "POST" && call::path_only(path).ends_with("/exec")
}
