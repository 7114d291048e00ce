//! A tunnel that starts with the user's session: a unit of systemd, or an agent of launchd.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::{Tunnel, TunnelError};
use crate::backend::host::write_atomically;

/// Where the unit of a tunnel is, and what its system calls it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unit {
    pub system: System,
    pub name: String,
    pub path: PathBuf,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum System {
    Systemd,
    Launchd,
}

impl System {
    pub fn here() -> Self {
        if cfg!(target_os = "macos") { Self::Launchd } else { Self::Systemd }
    }
}

impl Unit {
    /// None where no home folder is known.
    pub fn of(
        tunnel: &Tunnel,
        system: System,
        variable: &(impl Fn(&str) -> Option<String> + ?Sized),
    ) -> Option<Self> {
        let home = variable("HOME").map(PathBuf::from);
        let (name, path) = match system {
            System::Systemd => {
                let config = variable("XDG_CONFIG_HOME").filter(|path| path.starts_with('/'));
                let config = config.map(PathBuf::from).or_else(|| Some(home?.join(".config")))?;
                let name = format!("{}.service", tunnel.host());
                (name.clone(), config.join("systemd/user").join(name))
            }
            System::Launchd => {
                let name = format!("dev.topo.{}.{}", tunnel.topology, tunnel.name);
                let path = home?.join("Library/LaunchAgents").join(format!("{name}.plist"));
                (name, path)
            }
        };
        Some(Self { system, name, path })
    }

    pub fn exists(&self) -> bool {
        self.path.exists()
    }

    pub fn write(&self, text: &str) -> Result<(), TunnelError> {
        let folder = self.path.parent().unwrap_or(Path::new("/"));
        fs::create_dir_all(folder)
            .and_then(|()| write_atomically(&self.path, text.as_bytes(), 0o644))
            .map_err(|source| self.broken(source))
    }

    /// With the link by which systemd starts it.
    pub fn remove(&self) -> Result<(), TunnelError> {
        let link = self.path.with_file_name("default.target.wants").join(&self.name);
        for path in [&link, &self.path] {
            match fs::remove_file(path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(self.broken(error));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// What the user types to have it started now and with every session.
    pub fn to_enable(&self) -> String {
        match self.system {
            System::Systemd => format!("systemctl --user enable --now {}", self.name),
            System::Launchd => format!("launchctl bootstrap gui/$UID {}", self.path.display()),
        }
    }

    /// What the user types before the file is removed.
    pub fn to_disable(&self) -> String {
        match self.system {
            System::Systemd => format!("systemctl --user disable --now {}", self.name),
            System::Launchd => format!("launchctl bootout gui/$UID/{}", self.name),
        }
    }

    fn broken(&self, source: io::Error) -> TunnelError {
        TunnelError::File { path: self.path.clone(), source }
    }
}

#[cfg(test)]
mod tests {
    use super::super::folder::tests::tunnel;
    use super::*;

    #[test]
    fn a_unit_is_where_its_system_looks() {
        let home = |name: &str| (name == "HOME").then(|| "/home/me".to_owned());
        let tunnel = tunnel(Path::new("/home/me"));
        let of = |system| Unit::of(&tunnel, system, &home).expect("a home");
        let unit = of(System::Systemd);
        assert_eq!(unit.path, Path::new("/home/me/.config/systemd/user/topo-dev-docs.service"));
        assert_eq!(unit.to_enable(), "systemctl --user enable --now topo-dev-docs.service");
        let agent = of(System::Launchd);
        assert_eq!(agent.path, Path::new("/home/me/Library/LaunchAgents/dev.topo.dev.docs.plist"));
        assert_eq!(Unit::of(&tunnel, System::Launchd, &|_: &str| None), None);
    }

    #[test]
    fn removing_takes_the_link_too_and_may_be_repeated() {
        let home = tempfile::tempdir().expect("a folder");
        let path = home.path().display().to_string();
        let tunnel = tunnel(home.path());
        let variable = |name: &str| (name == "HOME").then(|| path.clone());
        let unit = Unit::of(&tunnel, System::Systemd, &variable).expect("a home");
        unit.write("[Unit]\n").expect("written");
        let wants = unit.path.with_file_name("default.target.wants");
        fs::create_dir(&wants).expect("made");
        std::os::unix::fs::symlink(&unit.path, wants.join(&unit.name)).expect("linked");
        unit.remove().expect("removed");
        assert!(!unit.exists() && fs::read_dir(&wants).expect("is there").next().is_none());
        unit.remove().expect("is gone already");
    }
}
