//! The two streams, and what is known about whoever reads them.

use std::borrow::Cow;
use std::io::{self, ErrorKind, IsTerminal, Write};

use anstream::{AutoStream, ColorChoice};

use super::{Format, Verbosity};
use crate::error::Exit;
use crate::topology::{MASK, SHORTEST_SOUGHT};

/// What the person asked for on the command line.
#[derive(Debug, Clone, Copy, Default)]
pub struct Settings {
    pub format: Format,
    pub color: ColorChoice,
    pub verbosity: Verbosity,
}

/// Clears the screen and goes to its beginning.
const CLEAR: &[u8] = b"\x1b[2J\x1b[H";

/// Writes what is handed to it; colours that a stream should not have are taken out here and only here.
pub struct Console {
    out: Stream,
    err: Stream,
    verbosity: Verbosity,
    live: bool,
    hidden: Hidden,
}

/// Words that must not be shown: as they are, and as JSON writes them.
///
/// No resource, record or plan has them; this is for what quotes them, such as the message of a
/// program that was handed one.
#[derive(Debug, Default)]
struct Hidden(Vec<String>);

struct Stream {
    to: Box<dyn Write + Send>,
    color: bool,
    width: Option<usize>,
    is_terminal: bool,
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
                is_terminal: out.is_terminal(),
                to: Box::new(out),
                broken: None,
            },
            err: Stream {
                color: is_colored(&err, settings.color),
                width: width_of(err.is_terminal(), terminal_size::terminal_size_of(&err)),
                is_terminal: err.is_terminal(),
                to: Box::new(err),
                broken: None,
            },
            verbosity: settings.verbosity,
            hidden: Hidden::default(),
        }
    }

    pub fn hide(&mut self, secrets: &[String]) {
        self.hidden.add(secrets);
    }

    /// The text as it may be shown.
    pub fn masked<'a>(&self, text: &'a str) -> Cow<'a, str> {
        self.hidden.masked(text)
    }

    /// A wrong command line, or a call for help: both are clap's to word.
    pub fn usage(usage: &clap::Error) -> Exit {
        // A closed stream cannot be complained to.
        let _ = usage.print();
        if usage.use_stderr() { Exit::Refused } else { Exit::Done }
    }

    /// For somebody who typed nothing but the program's name.
    pub fn introduce(text: &str) -> Exit {
        let mut console = Self::new(&Settings::default());
        console.out(text);
        console.close(Exit::Done)
    }

    pub fn out(&mut self, text: &str) {
        self.out.write(&self.hidden.masked(text));
    }

    /// Whether what goes to stdout still gets anywhere.
    pub fn is_read(&self) -> bool {
        self.out.broken.is_none()
    }

    pub fn err(&mut self, text: &str) {
        self.err.write(&self.hidden.masked(text));
    }

    /// A terminal is cleared; elsewhere an empty line parts what follows from what was before.
    pub fn wipe(&mut self) {
        self.out.wipe();
    }

    /// How many columns stdout has; unlimited where it is no terminal.
    pub fn out_width(&self) -> Option<usize> {
        self.out.width
    }

    pub fn err_width(&self) -> Option<usize> {
        self.err.width
    }

    /// The text as stderr would get it, for what draws there by itself.
    pub fn for_err(&self, text: &str) -> String {
        let text = self.hidden.masked(text);
        if self.err.color {
            text.into_owned()
        } else {
            anstream::adapter::strip_str(&text).to_string()
        }
    }

    pub fn verbosity(&self) -> Verbosity {
        self.verbosity
    }

    /// Whether lines on stderr can be drawn over.
    pub fn is_live(&self) -> bool {
        self.live && self.verbosity == Verbosity::Normal
    }

    /// Whether nobody reads what is written any more.
    pub fn is_unread(&self) -> bool {
        self.out.broken.is_some()
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

impl Hidden {
    fn add(&mut self, secrets: &[String]) {
        for secret in secrets.iter().filter(|secret| secret.len() >= SHORTEST_SOUGHT) {
            let quoted = serde_json::Value::from(secret.as_str()).to_string();
            self.0.push(quoted.trim_matches('"').to_owned());
            self.0.push(secret.clone());
        }
        // A secret that holds another goes first, or its rest would stay.
        self.0.sort_unstable_by_key(|secret| std::cmp::Reverse(secret.len()));
        self.0.dedup();
    }

    fn masked<'a>(&self, text: &'a str) -> Cow<'a, str> {
        self.0.iter().fold(Cow::Borrowed(text), |text, secret| {
            if text.contains(secret) { Cow::Owned(text.replace(secret, MASK)) } else { text }
        })
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

    fn wipe(&mut self) {
        if self.is_terminal {
            self.broken = self.to.write_all(CLEAR).err();
        } else {
            self.write("\n");
        }
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

#[cfg(test)]
pub mod testing {
    use std::sync::{Arc, Mutex, PoisonError};

    use super::*;

    /// What has been written to a stream.
    #[derive(Clone, Default)]
    pub struct Written(Arc<Mutex<Vec<u8>>>);

    impl Written {
        pub fn text(&self) -> String {
            let bytes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            String::from_utf8_lossy(&bytes).into_owned()
        }
    }

    impl Write for Written {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    struct Fails(ErrorKind);

    impl Write for Fails {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(self.0.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn stream(to: impl Write + Send + 'static) -> Stream {
        Stream { to: Box::new(to), color: false, width: Some(80), is_terminal: false, broken: None }
    }

    fn console(out: impl Write + Send + 'static, err: Written) -> Console {
        Console {
            out: stream(out),
            err: stream(err),
            verbosity: Verbosity::Normal,
            live: false,
            hidden: Hidden::default(),
        }
    }

    /// A console of 80 columns without colours, and what goes to its stdout and stderr.
    pub fn captured() -> (Console, Written, Written) {
        let (out, err) = (Written::default(), Written::default());
        (console(out.clone(), err.clone()), out, err)
    }

    #[test]
    fn a_reader_that_went_away_is_no_error_and_a_full_disk_is() {
        let ends = |kind| {
            let err = Written::default();
            let mut console = console(Fails(kind), err.clone());
            console.out("data");
            (console.close(Exit::Done), err.text())
        };
        assert_eq!(ends(ErrorKind::BrokenPipe), (Exit::Done, String::new()));
        let (exit, said) = ends(ErrorKind::StorageFull);
        assert_eq!(exit, Exit::Refused);
        assert!(said.starts_with("error: cannot write the result"), "{said}");
    }

    #[test]
    fn secrets_are_hidden_as_they_are_and_as_json_writes_them() {
        let (mut console, out, err) = captured();
        console.hide(&["pass\"word".to_owned(), "pass\"word-longer".to_owned(), "a".to_owned()]);
        console.out(r#"{"x":"pass\"word-longer"} a"#);
        console.err("said pass\"word!");
        assert_eq!(out.text(), r#"{"x":"(sensitive)"} a"#);
        assert_eq!(err.text(), "said (sensitive)!");
    }
}
