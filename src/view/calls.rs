//! The calls that topo makes, each as a line when it has ended, for whoever looks for a fault: when it
//! began, whom it went to, what it asked, what came of it and how long that took.

use std::fmt::{self, Write as _};
use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::{Context, SubscriberExt};
use tracing_subscriber::registry::{LookupSpan, Registry};

/// From now on, to a file that is written on, or to standard error.
pub fn tell_calls(to: Option<&Path>) -> io::Result<()> {
    let to: Box<dyn Write + Send> = match to {
        Some(path) => Box::new(File::options().append(true).create(true).open(path)?),
        None => Box::new(io::stderr()),
    };
    tracing::subscriber::set_global_default(Registry::default().with(Calls::told(to)))
        .map_err(io::Error::other)
}

struct Calls {
    began: Instant,
    to: Mutex<Box<dyn Write + Send>>,
}

struct Call {
    began: Instant,
    asked: String,
    came: String,
}

impl Calls {
    fn told(to: Box<dyn Write + Send>) -> Self {
        Self { began: Instant::now(), to: Mutex::new(to) }
    }
}

/// Whom a call goes to, of the spans that are calls: topo's own, and those of the client of Kubernetes.
fn whom(metadata: &Metadata<'_>) -> Option<&'static str> {
    match metadata.name() {
        "engine" => Some("engine"),
        "program" => Some("program"),
        "HTTP" if metadata.target().starts_with("kube_client") => Some("cluster"),
        _ => None,
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Calls {
    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        metadata.is_span() && whom(metadata).is_some()
    }

    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let mut call = Call { began: Instant::now(), asked: String::new(), came: String::new() };
        attributes.record(&mut call);
        if let Some(span) = context.span(id) {
            span.extensions_mut().insert(call);
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        if let Some(span) = context.span(id)
            && let Some(call) = span.extensions_mut().get_mut::<Call>()
        {
            values.record(call);
        }
    }

    fn on_close(&self, id: Id, context: Context<'_, S>) {
        let Some(span) = context.span(&id) else { return };
        let Some(whom) = whom(span.metadata()) else { return };
        let Some(call) = span.extensions_mut().remove::<Call>() else { return };
        if call.asked.is_empty() {
            return; // what it took are calls of their own
        }
        let line = call.line(whom, call.began.duration_since(self.began).as_secs_f64());
        let mut to = self.to.lock().unwrap_or_else(PoisonError::into_inner);
        // Whoever cannot be told is not told; what is done goes on.
        let _ = to.write_all(line.as_bytes());
    }
}

impl Call {
    /// `  0.153 s  engine   GET /v1.45/networks  ok, 4.1 ms`
    fn line(&self, whom: &str, at: f64) -> String {
        let came = if self.came.is_empty() { "given up" } else { &self.came };
        let took = self.began.elapsed().as_secs_f64() * 1000.0;
        format!("{at:8.3} s  {whom:<7}  {}  {came}, {took:.1} ms\n", self.asked)
    }

    /// A look may take several requests.
    fn ask(&mut self, what: fmt::Arguments<'_>) {
        if !self.asked.is_empty() {
            self.asked.push_str(if self.asked.ends_with(' ') { "" } else { ", " });
        }
        let _ = self.asked.write_fmt(what);
    }
}

impl Visit for Call {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        match field.name() {
            "asked" | "http.url" => self.ask(format_args!("{value:?}")),
            "http.method" => self.ask(format_args!("{value:?} ")),
            "came" | "http.status_code" => self.came = format!("{value:?}"),
            _ => {}
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.record_debug(field, &format_args!("{value}"));
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use tracing::{debug_span, field};

    use super::*;

    #[test]
    fn a_call_is_a_line_that_says_what_came_of_it() {
        let log = tempfile::NamedTempFile::new().expect("a file");
        let to = Box::new(log.reopen().expect("a file"));
        let told = Registry::default().with(Calls::told(to));
        tracing::subscriber::with_default(told, || {
            let call = || debug_span!("engine", asked = field::Empty, came = field::Empty);
            let answered = call();
            answered.record("asked", "GET /networks").record("asked", "GET /volumes");
            answered.record("came", "ok");
            drop(answered);
            call().record("asked", "GET /events");
            drop(debug_span!("HTTP", asked = "of some other library"));
        });
        let lines = fs::read_to_string(log.path()).expect("a log");
        let lines: Vec<&str> = lines.lines().collect();
        let [answered, given_up] = lines[..] else { panic!("{lines:?}") };
        assert!(answered.contains(" s  engine   GET /networks, GET /volumes  ok, "), "{answered}");
        assert!(given_up.contains(" s  engine   GET /events  given up, "), "{given_up}");
    }
}
