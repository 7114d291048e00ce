//! Files of the web that are pinned by their checksum: fetched once, kept, never trusted unseen.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use sha2::{Digest, Sha256};
use tempfile::NamedTempFile;
use ureq::tls::{RootCerts, TlsConfig};

/// A server that says nothing for this long is not there.
const SILENCE: Duration = Duration::from_secs(20);
const CONNECT: Duration = Duration::from_secs(10);
const CHUNK: usize = 64 * 1024;

#[derive(Debug, thiserror::Error)]
pub enum DownloadError {
    #[error(
        "`{url}` cannot be downloaded; on a machine without that network, put the file at `{}`",
        .place.display()
    )]
    Unreachable { url: String, place: PathBuf, source: Box<ureq::Error> },
    #[error(
        "`{url}` has the checksum {found} instead of {wanted}: it is not the file that was pinned"
    )]
    Another { url: String, found: String, wanted: String },
    #[error("`{}` cannot be kept", .place.display())]
    Broken { place: PathBuf, source: io::Error },
}

/// The folder where downloads are kept, by checksum.
#[derive(Debug, Clone)]
pub struct Downloads {
    folder: PathBuf,
}

impl Downloads {
    /// `$TOPO_CACHE_DIR`, or `topo` in the user's cache folder.
    pub fn of(variable: &dyn Fn(&str) -> Option<String>) -> Self {
        let absolute = |name| variable(name).map(PathBuf::from).filter(|path| path.is_absolute());
        let home = || absolute("HOME").unwrap_or_else(std::env::temp_dir);
        let folder = absolute("TOPO_CACHE_DIR")
            .or_else(|| Some(absolute("XDG_CACHE_HOME")?.join("topo")))
            .unwrap_or_else(|| {
                let caches = if cfg!(target_os = "macos") { "Library/Caches" } else { ".cache" };
                home().join(caches).join("topo")
            });
        Self { folder }
    }

    /// The file with this checksum, if it is here and whole.
    pub fn kept(&self, sha256: &str) -> Option<PathBuf> {
        let place = self.place(sha256);
        (checksum(&place).ok()? == sha256).then_some(place)
    }

    /// The file with this checksum, downloaded unless it is here. `told` hears how many bytes have
    /// come, of how many.
    pub async fn fetch(
        &self,
        url: &str,
        sha256: &str,
        told: impl Fn(u64, Option<u64>) + Send + 'static,
    ) -> Result<PathBuf, DownloadError> {
        if let Some(place) = self.kept(sha256) {
            return Ok(place);
        }
        let place = self.place(sha256);
        let (url, sha256) = (url.to_owned(), sha256.to_owned());
        let fetching = tokio::task::spawn_blocking({
            let place = place.clone();
            move || fetch(&url, &sha256, &place, &told).map(|()| place)
        });
        fetching.await.unwrap_or_else(|error| {
            Err(DownloadError::Broken { place, source: io::Error::other(error) })
        })
    }

    /// Keeps a file that another program downloaded from `url`.
    pub fn take(&self, file: &Path, url: &str, sha256: &str) -> Result<PathBuf, DownloadError> {
        let place = self.place(sha256);
        let broken = |source| DownloadError::Broken { place: place.clone(), source };
        as_pinned(url, checksum(file).map_err(broken)?, sha256)?;
        let copy = beside(&place).map_err(broken)?;
        fs::copy(file, copy.path()).map_err(broken)?;
        copy.persist(&place).map_err(|error| broken(error.error))?;
        Ok(place)
    }

    /// Where the file with this checksum belongs.
    pub fn place(&self, sha256: &str) -> PathBuf {
        self.folder.join("sha256").join(sha256)
    }
}

fn fetch(
    url: &str,
    sha256: &str,
    place: &Path,
    told: &dyn Fn(u64, Option<u64>),
) -> Result<(), DownloadError> {
    let broken = |source| DownloadError::Broken { place: place.to_owned(), source };
    let unreachable = |source| DownloadError::Unreachable {
        url: url.to_owned(),
        place: place.to_owned(),
        source: Box::new(source),
    };
    let agent = ureq::Agent::config_builder()
        .timeout_connect(Some(CONNECT))
        .timeout_recv_response(Some(SILENCE))
        .timeout_per_read(Some(SILENCE))
        .tls_config(TlsConfig::builder().root_certs(RootCerts::PlatformVerifier).build())
        .build()
        .new_agent();
    let mut response = agent.get(url).call().map_err(unreachable)?;
    let total = response.body().content_length();
    let mut body = response.body_mut().as_reader();

    let mut file = beside(place).map_err(broken)?;
    let mut digest = Sha256::new();
    let mut chunk = vec![0; CHUNK];
    let mut done = 0;
    loop {
        let read = body.read(&mut chunk).map_err(|error| unreachable(error.into()))?;
        if read == 0 {
            break;
        }
        digest.update(&chunk[..read]);
        file.write_all(&chunk[..read]).map_err(broken)?;
        done += read as u64;
        told(done, total);
    }
    as_pinned(url, format!("{:x}", digest.finalize()), sha256)?;
    file.persist(place).map_err(|error| broken(error.error))?;
    Ok(())
}

/// An empty file that can take this place.
fn beside(place: &Path) -> io::Result<NamedTempFile> {
    let folder = place.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder)?;
    NamedTempFile::new_in(folder)
}

fn as_pinned(url: &str, found: String, wanted: &str) -> Result<(), DownloadError> {
    if found == wanted {
        return Ok(());
    }
    Err(DownloadError::Another { url: url.to_owned(), found, wanted: wanted.to_owned() })
}

fn checksum(path: &Path) -> io::Result<String> {
    let mut digest = Sha256::new();
    io::copy(&mut File::open(path)?, &mut digest)?;
    Ok(format!("{:x}", digest.finalize()))
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    /// SHA-256 of `hello`.
    const HELLO: &str = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";

    fn downloads(folder: &Path) -> Downloads {
        let folder = folder.display().to_string();
        Downloads::of(&move |name| (name == "TOPO_CACHE_DIR").then(|| folder.clone()))
    }

    /// A server that gives one answer and goes away.
    fn serve(body: &'static str) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}/file", listener.local_addr().expect("an address"));
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("a client");
            let mut request = [0; 1024];
            let _ = stream.read(&mut request).expect("a request");
            let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len());
            stream.write_all((head + body).as_bytes()).expect("an answer");
        });
        url
    }

    #[tokio::test]
    async fn a_file_is_fetched_once_and_kept() {
        let folder = tempfile::tempdir().expect("a folder");
        let downloads = downloads(folder.path());
        let url = serve("hello");
        let place = downloads.fetch(&url, HELLO, |_, _| {}).await.expect("fetched");
        assert_eq!(fs::read_to_string(&place).expect("read"), "hello");
        // The server is gone by now.
        assert_eq!(downloads.fetch(&url, HELLO, |_, _| {}).await.expect("kept"), place);
    }

    #[tokio::test]
    async fn another_file_than_the_pinned_one_is_refused_and_not_kept() {
        let folder = tempfile::tempdir().expect("a folder");
        let downloads = downloads(folder.path());
        let error = downloads.fetch(&serve("evil"), HELLO, |_, _| {}).await.expect_err("refused");
        assert!(matches!(error, DownloadError::Another { .. }), "{error}");
        assert_eq!(downloads.kept(HELLO), None);
    }

    #[tokio::test]
    async fn without_a_network_the_error_says_where_to_put_the_file() {
        let folder = tempfile::tempdir().expect("a folder");
        let error = downloads(folder.path())
            .fetch("http://127.0.0.1:1/file", HELLO, |_, _| {})
            .await
            .expect_err("nobody there");
        let place = folder.path().join("sha256").join(HELLO);
        assert!(error.to_string().contains(&place.display().to_string()), "{error}");
    }
}
