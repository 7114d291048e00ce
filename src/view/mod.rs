//! What people and programs get to see: the only code that prints.
//!
//! Commands and the engine hand over plain data; a [`View`] shows it, as text or as JSON.
//! Results go to stdout, everything else to stderr.

mod calls;
mod console;
mod doctor;
mod finding;
mod follow;
pub mod graph;
mod human;
mod hushed;
mod json;
mod listing;
mod lock;
mod logged;
mod plan;
mod problems;
mod progress;
mod prompt;
#[cfg(test)]
mod samples;
mod status;
mod summary;
mod table;
mod text;
mod timeline;
mod trace;
mod watch;

use std::borrow::Cow;
use std::time::Duration;

pub use calls::tell_calls;
pub use console::{Console, Settings};
pub use doctor::report;
pub use follow::follow;
pub use hushed::Hushed;
pub use listing::Listed;
pub use logged::Logged;
pub use problems::Sources;
pub use prompt::Answer;
pub use status::{
    Health, PoolStatus, PortStatus, ResourceStatus, ShareStatus, Status, TunnelStatus,
};
pub use timeline::Timeline;
pub use watch::{Sighting, line as sighting_line};

use graph::Picture;

use crate::doctor::Diagnosis;
use crate::engine::{Cancel, Event, Report};
use crate::error::{Error, Exit};
use crate::plan::Plan;
use crate::topology::{Diagnostic, Difference};
use crate::trace::Trace;

pub trait View: Send {
    /// A finished text that was asked for: a schema, a picture, a rendered file.
    fn data(&mut self, text: &str);
    fn graph(&mut self, picture: &Picture, format: graph::Format);
    /// These words shall never be shown, wherever they come up.
    fn hide(&mut self, secrets: &[String]);
    /// A text without them, for what is written elsewhere.
    fn masked<'a>(&self, text: &'a str) -> Cow<'a, str>;
    /// Everything that is wrong with a file, errors and warnings.
    fn problems(&mut self, sources: &Sources, problems: &[Diagnostic]);
    fn plan(&mut self, plan: &Plan);
    /// Something happened while a plan is carried out.
    fn event(&mut self, event: &Event);
    /// Time went by; called several times a second while a plan is carried out.
    fn tick(&mut self);
    fn summary(&mut self, ending: &Ending);
    fn status(&mut self, status: &Status);
    /// What is shown next takes the place of what was shown last.
    fn wipe(&mut self);
    fn listing(&mut self, listed: &[Listed]);
    /// What is not as it was locked.
    fn lock(&mut self, differences: &[Difference]);
    fn trace(&mut self, trace: &Trace);
    fn doctor(&mut self, diagnosis: &Diagnosis);
    /// A line of `topo watch`.
    fn sighting(&mut self, sighting: &Sighting);
    /// A line of a log; answers whether anybody still reads.
    fn logged(&mut self, line: &Logged) -> bool;
    fn note(&mut self, text: &str);
    fn warning(&mut self, text: &str);
    fn error(&mut self, error: &Error);
    /// Whether the person agrees to what the plan asks for.
    fn confirm(&mut self, asks: &[String], cancel: &Cancel) -> Answer;
    /// Whether nobody reads the result any more, so that what goes on and on may end.
    fn is_unread(&self) -> bool;
    /// Everything is said; answers the exit code, which a broken stdout may worsen.
    fn close(&mut self, exit: Exit) -> Exit;
}

/// How carrying out a plan ended.
#[derive(Debug, Clone, Copy)]
pub struct Ending<'a> {
    pub doing: Doing,
    pub topology: &'a str,
    pub report: &'a Report,
    pub elapsed: Duration,
    /// By which kubectl reaches a cluster that was not there before.
    pub context: Option<&'a str>,
    /// The forwards as they were tried from the host.
    pub ports: &'a [PortStatus],
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Doing {
    Apply,
    Destroy,
    Stop,
    Start,
}

impl Doing {
    pub fn command(self) -> &'static str {
        match self {
            Self::Apply => "apply",
            Self::Destroy => "destroy",
            Self::Stop => "stop",
            Self::Start => "start",
        }
    }
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Format {
    #[default]
    Text,
    Json,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verbosity {
    Quiet,
    #[default]
    Normal,
    Verbose,
}

/// Whether a command answers with one result or tells what it does as it goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// The plan is the result.
    Result,
    /// The plan comes first, then what happens.
    Story,
}

/// The view that the settings ask for.
pub fn of(settings: &Settings, shape: Shape) -> Box<dyn View> {
    let console = Console::new(settings);
    match settings.format {
        Format::Text => Box::new(human::Human::new(console, shape)),
        Format::Json => Box::new(json::Json::new(console, shape)),
    }
}
