//! Who holds a lock: a process that must not be taken for another, nor for running when it has ended.

use std::fmt;
use std::fs;
use std::process::Command;
use std::str::FromStr;

/// A process, told from a later one of the same number by when it was born.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    pub pid: i32,
    born: String,
}

impl Holder {
    pub fn of(pid: u32) -> Option<Self> {
        let pid = i32::try_from(pid).ok()?;
        Some(Self { pid, born: born(pid)? })
    }

    /// Whether the process of that number is still the one that took the lock.
    pub fn is_alive(&self) -> bool {
        born(self.pid).is_some_and(|born| born == self.born)
    }
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.pid, self.born)
    }
}

impl FromStr for Holder {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (pid, born) = text.split_once(' ').ok_or(())?;
        Ok(Self { pid: pid.parse().map_err(drop)?, born: born.to_owned() })
    }
}

/// When a process started, in the words of the system; only good for being compared. None for one
/// that has ended, also where nobody asks for its exit code: in a container whose first process
/// does not look after orphans it stays listed for good.
fn born(pid: i32) -> Option<String> {
    // The third field and the 22nd; the second, the program's name, may hold blanks and parentheses.
    if let Ok(stat) = fs::read_to_string(format!("/proc/{pid}/stat")) {
        let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
        let runs = !has_ended(fields.next()?);
        return fields.nth(18).filter(|_| runs).map(str::to_owned);
    }
    let listed =
        Command::new("ps").args(["-o", "stat=,lstart=", "-p", &pid.to_string()]).output().ok()?;
    let text = String::from_utf8(listed.stdout).ok()?;
    let (state, since) = text.trim().split_once(char::is_whitespace)?;
    Some(since.trim().to_owned()).filter(|_| !has_ended(state))
}

fn has_ended(state: &str) -> bool {
    state.starts_with(['Z', 'X'])
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    #[test]
    fn a_number_that_another_process_has_now_is_not_the_holders() {
        let own = i32::try_from(std::process::id()).expect("a pid");
        assert!(!Holder { pid: own, born: "another day".to_owned() }.is_alive());
    }

    #[test]
    fn one_that_has_ended_is_gone_before_its_exit_code_is_asked_for() {
        let mut child = Command::new("sleep").arg("60").spawn().expect("starts");
        let holder = Holder::of(child.id()).expect("runs");
        assert!(holder.is_alive());
        child.kill().expect("killed");
        let patience = Instant::now() + Duration::from_secs(10);
        while holder.is_alive() {
            assert!(Instant::now() < patience, "it is taken for alive");
            std::thread::sleep(Duration::from_millis(20));
        }
        child.wait().expect("ended");
    }
}
