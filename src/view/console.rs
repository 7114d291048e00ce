//! The two streams, and what is known about whoever reads them.

use std::io::{self, ErrorKind, IsTerminal, Write};

use anstream::{AutoStream, ColorChoice};

use super::{Format, Verbosity};
use crate::error::Exit;

/// What the person asked for on the command line.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    pub format: Format,
    pub color: ColorChoice,
    pub verbosity: Verbosity,
}

/// Writes what is handed to it; colours that a stream should not have are taken out here and only here.
pub struct Console {
    out: Stream,
    err: Stream,
    verbosity: Verbosity,
    live: bool,
}

struct Stream {
    to: Box<dyn Write + Send>,
    color: bool,
    width: Option<usize>,
    /// Nobody listens any more: a broken pipe is no fault, a full disk is.
    broken: Option<io::Error>,
}

impl Console {
    pub fn new(settings: &Settings) -> Self {
        let (out, err) = (io::stdout(), io::stderr());
        Self {
            live: err.is_terminal() && std::env::var_os("TERM").is_none_or(|term| term != "dumb"),
            out: Stream {
                color: is_colored(&out, settings.color),
                width: width_of(out.is_terminal(), terminal_size::terminal_size_of(&out)),
                to: Box::new(out),
                broken: None,
            },
            err: Stream {
                color: is_colored(&err, settings.color),
                width: width_of(err.is_terminal(), terminal_size::terminal_size_of(&err)),
                to: Box::new(err),
                broken: None,
            },
            verbosity: settings.verbosity,
        }
    }

    /// A wrong command line, or a call for help: both are clap's to word.
    pub fn usage(usage: &clap::Error) -> Exit {
        // A closed stream cannot be complained to.
        let _ = usage.print();
        if usage.use_stderr() { Exit::Refused } else { Exit::Done }
    }

    pub fn out(&mut self, text: &str) {
        self.out.write(text);
    }

    pub fn err(&mut self, text: &str) {
        self.err.write(text);
    }

    /// How many columns stdout has; unlimited where it is no terminal.
    pub fn out_width(&self) -> Option<usize> {
        self.out.width
    }

    pub fn err_width(&self) -> Option<usize> {
        self.err.width
    }

    pub fn err_has_color(&self) -> bool {
        self.err.color
    }

    pub fn verbosity(&self) -> Verbosity {
        self.verbosity
    }

    /// Whether lines on stderr can be drawn over.
    pub fn is_live(&self) -> bool {
        self.live && self.verbosity == Verbosity::Normal
    }

    /// The exit code, unless the result could not be written for a reason worth telling.
    pub fn close(&mut self, exit: Exit) -> Exit {
        self.out.flush();
        match self.out.broken.take() {
            Some(error) if error.kind() != ErrorKind::BrokenPipe => {
                self.err.write(&format!("error: cannot write the result\n  Caused by: {error}\n"));
                if exit == Exit::Done { Exit::Refused } else { exit }
            }
            _ => exit,
        }
    }
}

impl Stream {
    fn write(&mut self, text: &str) {
        if self.broken.is_some() {
            return;
        }
        let written = if self.color {
            self.to.write_all(text.as_bytes())
        } else {
            write!(self.to, "{}", anstream::adapter::strip_str(text))
        };
        self.broken = written.and_then(|()| self.to.flush()).err();
    }

    fn flush(&mut self) {
        if self.broken.is_none() {
            self.broken = self.to.flush().err();
        }
    }
}

fn is_colored(stream: &impl anstream::stream::RawStream, choice: ColorChoice) -> bool {
    match choice {
        ColorChoice::Auto => AutoStream::choice(stream) != ColorChoice::Never,
        ColorChoice::Always | ColorChoice::AlwaysAnsi => true,
        ColorChoice::Never => false,
    }
}

fn width_of(
    is_terminal: bool,
    size: Option<(terminal_size::Width, terminal_size::Height)>,
) -> Option<usize> {
    let told = std::env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok());
    told.or_else(|| size.map(|(width, _)| usize::from(width.0)))
        .or(is_terminal.then_some(80))
        .filter(|width| *width > 0)
}
