//! A view through which only what must not be missed comes.

use std::borrow::Cow;

use super::graph::{Format, Picture};
use super::{Answer, Ending, Listed, Logged, Sighting, Sources, Status, View};
use crate::doctor::Diagnosis;
use crate::engine::{Cancel, Event};
use crate::error::{Error, Exit};
use crate::plan::Plan;
use crate::topology::{Diagnostic, Difference};
use crate::trace::Trace;

/// For work that is repeated, and said once: secrets are still hidden, and errors still shown.
pub struct Hushed<'a>(pub &'a mut dyn View);

impl View for Hushed<'_> {
    fn data(&mut self, _: &str) {}
    fn graph(&mut self, _: &Picture, _: Format) {}

    fn hide(&mut self, secrets: &[String]) {
        self.0.hide(secrets);
    }

    fn masked<'a>(&self, text: &'a str) -> Cow<'a, str> {
        self.0.masked(text)
    }

    fn problems(&mut self, _: &Sources, _: &[Diagnostic]) {}
    fn plan(&mut self, _: &Plan) {}
    fn event(&mut self, _: &Event) {}
    fn tick(&mut self) {}
    fn summary(&mut self, _: &Ending) {}
    fn status(&mut self, _: &Status) {}
    fn wipe(&mut self) {}
    fn listing(&mut self, _: &[Listed]) {}
    fn lock(&mut self, _: &[Difference]) {}
    fn trace(&mut self, _: &Trace) {}
    fn doctor(&mut self, _: &Diagnosis) {}

    fn logged(&mut self, line: &Logged) -> bool {
        self.0.logged(line)
    }

    fn note(&mut self, _: &str) {}
    fn warning(&mut self, _: &str) {}

    fn sighting(&mut self, sighting: &Sighting) {
        self.0.sighting(sighting);
    }

    fn error(&mut self, error: &Error) {
        self.0.error(error);
    }

    fn confirm(&mut self, asks: &[String], cancel: &Cancel) -> Answer {
        self.0.confirm(asks, cancel)
    }

    fn is_unread(&self) -> bool {
        self.0.is_unread()
    }

    fn close(&mut self, exit: Exit) -> Exit {
        self.0.close(exit)
    }
}
