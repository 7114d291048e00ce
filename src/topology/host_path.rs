//! Paths on this machine, as written and as they are meant.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use super::text::{Malformed, Text, text_type};

/// A path of this machine. Relative ones start at the topology file's folder, `~` is the user's home.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct HostPath {
    written: String,
    resolved: PathBuf,
}

impl HostPath {
    /// As it stands in the file.
    pub fn written(&self) -> &str {
        &self.written
    }

    /// Absolute, once the file has been loaded.
    pub fn path(&self) -> &Path {
        &self.resolved
    }

    /// Whether it begins at the user's home.
    pub fn needs_home(&self) -> bool {
        self.written == "~" || self.written.starts_with("~/")
    }

    pub(super) fn resolve(&mut self, folder: &Path, home: Option<&Path>) {
        let from_home = self.written.strip_prefix('~').map(|rest| rest.trim_start_matches('/'));
        let joined = match (from_home, home) {
            (Some(rest), Some(home)) if self.needs_home() => home.join(rest),
            _ => folder.join(&self.written),
        };
        // `.` components drop out; `..` stays, because a symlink may stand before it.
        self.resolved = joined.components().collect();
    }
}

impl fmt::Display for HostPath {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(&self.written)
    }
}

impl FromStr for HostPath {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        if text.is_empty() {
            return Err(Malformed::new("a path cannot be empty"));
        }
        if let Some(other) = text.chars().find(|c| c.is_control()) {
            return Err(Malformed::new(format!("a path cannot contain {other:?}")));
        }
        if text.starts_with('~') && text != "~" && !text.starts_with("~/") {
            return Err(Malformed::instead(
                "`~user` is not supported",
                "`~/…` for your own home, or the absolute path",
            ));
        }
        if let Some(path) = windows(text) {
            return Err(Malformed::instead("Windows paths are not supported", path));
        }
        Ok(Self { written: text.to_owned(), resolved: PathBuf::from(text) })
    }
}

/// What WSL calls a path that begins with a drive, such as `C:\`.
fn windows(text: &str) -> Option<String> {
    let (drive, rest) = text.split_once(':')?;
    let is_drive = drive.len() == 1 && drive.starts_with(|c: char| c.is_ascii_alphabetic());
    (is_drive && rest.starts_with(['\\', '/'])).then(|| {
        format!(
            "the path as Linux has it, in WSL `/mnt/{}{}`",
            drive.to_lowercase(),
            rest.replace('\\', "/")
        )
    })
}

impl Text for HostPath {
    const FORMAT: &'static str = "host-path";
    const PATTERN: &'static str = r"^[^\x00-\x1f]+$";
}
text_type!(HostPath);
