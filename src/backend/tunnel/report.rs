//! What the tunnel's process says of itself, in a file that others read.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    pub up: bool,
    /// In seconds since 1970.
    pub since: u64,
    /// How often it was tried since it was up last.
    pub tries: u32,
    /// Why it is not up, or why it last was not.
    pub last_error: Option<String>,
}

/// How a tunnel stands, seen from outside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    Up(Report),
    Degraded(Report),
    /// Nobody keeps it up.
    Stopped,
}

impl Report {
    pub fn first(now: SystemTime) -> Self {
        Self { up: false, since: seconds(now), tries: 0, last_error: None }
    }

    pub fn came_up(&mut self, now: SystemTime) {
        self.up = true;
        self.since = seconds(now);
        self.tries = 0;
    }

    /// A try failed, or what was up is so no more.
    pub fn failed(&mut self, why: String, now: SystemTime) {
        if self.up {
            self.up = false;
            self.since = seconds(now);
        }
        self.tries += 1;
        self.last_error = Some(why);
    }

    fn age(&self, now: SystemTime) -> Duration {
        Duration::from_secs(seconds(now).saturating_sub(self.since))
    }
}

impl Standing {
    /// `up for 3 min`, or since when it is not, and why.
    pub fn in_words(&self, now: SystemTime) -> String {
        match self {
            Self::Up(report) => format!("up for {}", in_words(report.age(now))),
            Self::Degraded(report) => {
                let tries = match report.tries {
                    0 => "connecting".to_owned(),
                    1 => "tried once".to_owned(),
                    tries => format!("tried {tries} times"),
                };
                let why = report.last_error.as_deref().unwrap_or("no answer yet");
                format!("down for {}, {tries}: {why}", in_words(report.age(now)))
            }
            Self::Stopped => "not running".to_owned(),
        }
    }
}

fn seconds(at: SystemTime) -> u64 {
    at.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

fn in_words(age: Duration) -> String {
    match age.as_secs() {
        seconds @ ..120 => format!("{seconds} s"),
        seconds @ 120..7200 => format!("{} min", seconds / 60),
        seconds @ 7200..172_800 => format!("{} h", seconds / 3600),
        seconds => format!("{} days", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(second)
    }

    #[test]
    fn it_is_down_since_it_fell_however_often_it_is_tried() {
        let mut report = Report::first(at(1000));
        report.came_up(at(1001));
        assert_eq!(Standing::Up(report.clone()).in_words(at(1201)), "up for 3 min");
        report.failed("Connection reset by peer".to_owned(), at(2000));
        report.failed("Connection refused".to_owned(), at(2005));
        assert_eq!(
            Standing::Degraded(report.clone()).in_words(at(2012)),
            "down for 12 s, tried 2 times: Connection refused"
        );
        report.came_up(at(2020));
        assert_eq!(report.last_error.as_deref(), Some("Connection refused"));
        assert_eq!((report.up, report.tries, report.since), (true, 0, 2020));
    }

    #[test]
    fn before_the_first_answer_it_says_so() {
        let standing = Standing::Degraded(Report::first(at(1000)));
        assert_eq!(standing.in_words(at(1002)), "down for 2 s, connecting: no answer yet");
    }
}
