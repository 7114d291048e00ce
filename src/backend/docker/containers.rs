//! Containers: their life, and the files in them.

use std::io::Read;
use std::net::IpAddr;
use std::time::Duration;

use bollard::models::{
    ContainerCreateBody, ContainerInspectResponse, MountPoint, NetworkingConfig,
};
use bollard::query_parameters::{
    CreateContainerOptions, DownloadFromContainerOptions, InspectContainerOptions,
    KillContainerOptions, ListContainersOptions, LogsOptions, RemoveContainerOptions,
    RenameContainerOptions, StartContainerOptions, StopContainerOptions, UploadToContainerOptions,
};
use bytes::Bytes;
use futures::TryStreamExt;

use super::networks::endpoint_at;
use super::patience::{change, look};
use super::{AbsentIsFine, Container, Docker, Error, Result};

const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// A container that is removed by force is gone within seconds, unless its processes do not end.
const REMOVAL_LIMIT: Duration = Duration::from_mins(1);

/// A file to put into a container.
#[derive(Debug, Clone)]
pub struct Archived<'a> {
    /// Below the folder it is put into.
    pub path: &'a str,
    pub mode: u32,
    pub content: &'a [u8],
}

/// A folder or a file of the engine's machine in a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bind {
    pub outside: String,
    pub inside: String,
    pub read_only: bool,
}

/// Those of a container that was inspected.
pub fn binds(container: ContainerInspectResponse) -> Vec<Bind> {
    let mounts = container.mounts.unwrap_or_default().into_iter();
    let binds = mounts.filter(|mount| mount.typ.as_deref() == Some("bind"));
    let bind = |mount: MountPoint| {
        let (outside, inside) = (mount.source?, mount.destination?);
        Some(Bind { outside, inside, read_only: mount.rw == Some(false) })
    };
    binds.filter_map(bind).collect()
}

impl Docker {
    /// Makes a container on one network, at a fixed address if one is given, without starting it.
    pub async fn create_container(
        &self,
        name: &str,
        mut body: ContainerCreateBody,
        network: &str,
        fixed: Option<IpAddr>,
    ) -> Result<String> {
        body.networking_config = Some(NetworkingConfig {
            endpoints_config: Some([(network.to_owned(), endpoint_at(fixed.as_slice()))].into()),
        });
        body.host_config.get_or_insert_default().network_mode = Some(network.to_owned());
        let options = CreateContainerOptions { name: Some(name.to_owned()), ..Default::default() };
        Ok(change(self.api.create_container(Some(options), body)).await?.id)
    }

    pub async fn start_container(&self, name: &str) -> Result<()> {
        change(self.api.start_container(name, None::<StartContainerOptions>)).await
    }

    /// Lets its programs end by themselves, for as long as the engine has patience with it.
    pub async fn stop_container(&self, name: &str) -> Result<()> {
        change(self.api.stop_container(name, None::<StopContainerOptions>)).await
    }

    /// Ends its programs at once; the engine does not start them again.
    pub async fn kill_container(&self, name: &str) -> Result<()> {
        match change(self.api.kill_container(name, None::<KillContainerOptions>)).await {
            // It has ended by itself.
            Err(Error::Conflict(_)) => Ok(()),
            killed => killed,
        }
    }

    /// The one container of this name, in any state.
    pub async fn container(&self, name: &str) -> Result<Option<Container>> {
        let named = [("name".to_owned(), vec![format!("^/?{name}$")])];
        let options = ListContainersOptions {
            all: true,
            filters: Some(named.into()),
            ..ListContainersOptions::default()
        };
        let found = look(self.api.list_containers(Some(options))).await?;
        Ok(found.into_iter().map(Container::from).find(|container| container.name == name))
    }

    /// Removes it, running or not, with its anonymous volumes. Where the engine is at that already,
    /// because of a call that was cut off, it is done when the container is gone.
    pub async fn remove_container(&self, id: &str) -> Result<()> {
        let options = RemoveContainerOptions { force: true, v: true, ..Default::default() };
        match change(self.api.remove_container(id, Some(options))).await {
            Err(Error::Conflict(why)) if why.contains("already in progress") => {
                tokio::time::timeout(REMOVAL_LIMIT, self.until_gone(id))
                    .await
                    .unwrap_or(Err(Error::Conflict(why)))
            }
            removed => removed,
        }
    }

    async fn until_gone(&self, id: &str) -> Result<()> {
        while self.inspect_container(id).await.if_present()?.is_some() {
            tokio::time::sleep(LOOK_AGAIN).await;
        }
        Ok(())
    }

    pub async fn rename_container(&self, name: &str, to: &str) -> Result<()> {
        let options = RenameContainerOptions { name: to.to_owned() };
        change(self.api.rename_container(name, options)).await
    }

    pub async fn inspect_container(&self, name: &str) -> Result<ContainerInspectResponse> {
        look(self.api.inspect_container(name, None::<InspectContainerOptions>)).await
    }

    /// The folders of the engine's machine that it has.
    pub async fn binds(&self, name: &str) -> Result<Vec<Bind>> {
        Ok(binds(self.inspect_container(name).await?))
    }

    /// What it runs.
    pub async fn command(&self, name: &str) -> Result<String> {
        let config = self.inspect_container(name).await?.config.unwrap_or_default();
        let words = config.entrypoint.into_iter().chain(config.cmd).flatten();
        Ok(words.collect::<Vec<String>>().join(" "))
    }

    /// The ports of the host that it publishes whenever it runs.
    pub async fn bound_ports(&self, name: &str) -> Result<Vec<u16>> {
        let bindings = self.inspect_container(name).await?.host_config.unwrap_or_default();
        let bindings = bindings.port_bindings.unwrap_or_default().into_values().flatten().flatten();
        Ok(bindings.filter_map(|binding| binding.host_port?.parse().ok()).collect())
    }

    /// The last lines it wrote, both streams.
    pub async fn last_lines(&self, name: &str, lines: u16) -> Result<String> {
        let options = LogsOptions {
            stdout: true,
            stderr: true,
            tail: lines.to_string(),
            ..LogsOptions::default()
        };
        let chunks = async { self.api.logs(name, Some(options)).try_collect().await };
        let chunks: Vec<_> = look(chunks).await?;
        Ok(chunks.iter().map(ToString::to_string).collect())
    }

    /// Puts files into a folder of a container, running or not.
    pub async fn put_files(&self, name: &str, folder: &str, files: &[Archived<'_>]) -> Result<()> {
        let options = UploadToContainerOptions { path: folder.to_owned(), ..Default::default() };
        let body = bollard::body_full(archive(files)?);
        change(self.api.upload_to_container(name, Some(options), body)).await
    }

    /// The content of one file of a container, running or not; `None` where there is no such file.
    pub async fn get_file(&self, name: &str, path: &str) -> Result<Option<Vec<u8>>> {
        let options = DownloadFromContainerOptions { path: path.to_owned() };
        let chunks =
            async { self.api.download_from_container(name, Some(options)).try_collect().await };
        let chunks: Result<Vec<Bytes>> = look(chunks).await;
        let Some(chunks) = chunks.if_present()? else { return Ok(None) };
        let tar = chunks.concat();
        let mut archive = tar::Archive::new(tar.as_slice());
        let mut content = Vec::new();
        let unreadable = |error: std::io::Error| Error::Lost(format!("reading {path}: {error}"));
        for entry in archive.entries().map_err(unreadable)? {
            let mut entry = entry.map_err(unreadable)?;
            if entry.header().entry_type().is_file() {
                entry.read_to_end(&mut content).map_err(unreadable)?;
                return Ok(Some(content));
            }
        }
        Ok(None)
    }
}

/// A tar archive of files that belong to root.
pub(super) fn archive(files: &[Archived<'_>]) -> Result<Bytes> {
    let mut tar = tar::Builder::new(Vec::new());
    let written: std::io::Result<Vec<u8>> = files
        .iter()
        .try_for_each(|file| {
            let mut header = tar::Header::new_gnu();
            header.set_size(file.content.len() as u64);
            header.set_mode(file.mode);
            tar.append_data(&mut header, file.path, file.content)
        })
        .and_then(|()| tar.into_inner());
    written.map(Bytes::from).map_err(|error| Error::Lost(format!("packing files: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_archive_holds_the_files_with_their_modes() {
        let files = [
            Archived { path: "rules", mode: 0o644, content: b"table ip topo" },
            Archived { path: "keys/host", mode: 0o600, content: b"secret" },
        ];
        let bytes = archive(&files).expect("packs");
        let mut read = tar::Archive::new(bytes.as_ref());
        let seen: Vec<(String, u32)> = read
            .entries()
            .expect("a tar")
            .map(|entry| {
                let entry = entry.expect("an entry");
                let path = entry.path().expect("a path").display().to_string();
                (path, entry.header().mode().expect("a mode"))
            })
            .collect();
        assert_eq!(seen, [("rules".to_owned(), 0o644), ("keys/host".to_owned(), 0o600)]);
    }
}
