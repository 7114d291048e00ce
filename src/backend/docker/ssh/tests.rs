//! What the connection does with an ssh that fails, and how it ends. A program stands in ssh's place:
//! what matters is how it is started, heard and ended.

use std::os::unix::fs::PermissionsExt;

use super::*;

/// In whose folder a program is `ssh`, and whose sockets are there too.
struct Here {
    folder: tempfile::TempDir,
}

impl Here {
    /// What it does when it is asked to log in. To bring a socket here it always manages.
    fn with(login: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let ssh = folder.path().join("ssh");
        let script = format!("#!/bin/sh\ncase \"$*\" in *' -O '*) exit;; esac\n{login}\n");
        std::fs::write(&ssh, script).expect("written");
        let executable = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(&ssh, executable).expect("is made executable");
        Self { folder }
    }

    async fn open(&self) -> Result<Line, SshError> {
        let surroundings = Surroundings {
            path: Some(self.folder.path().display().to_string()),
            runtime_dir: Some(self.folder.path().to_owned()),
            ..Surroundings::default()
        };
        Line::open(&Far::read("me@far").expect("an address"), &surroundings).await
    }

    fn is_clean(&self) -> bool {
        let entries = std::fs::read_dir(self.folder.path()).expect("listed");
        entries.filter(|entry| entry.as_ref().expect("listed").file_name() != "ssh").count() == 0
    }
}

const LETS_IN: &str = "echo Welcome; echo topo: socket /run/docker.sock; exec cat";

#[tokio::test]
async fn it_ends_with_topo_and_leaves_nothing() {
    let here = Here::with(LETS_IN);
    let line = here.open().await.expect("gets in");
    let folder = here.folder.path().display().to_string();
    assert!(line.address().starts_with(&format!("unix://{folder}/topo-ssh-")));
    assert_eq!(line.ended(), None);
    drop(line);
    assert!(here.is_clean());
}

#[tokio::test]
async fn it_lasts_as_long_as_a_program_that_was_led_over_it() {
    let here = Here::with(LETS_IN);
    let mut line = here.open().await.expect("gets in");
    let kind = line.lead(Program::new("/bin/sleep").arg("0.5"));
    let kind = tokio::spawn(async move { kind.run(|_| {}).await });
    tokio::time::sleep(Duration::from_millis(200)).await;
    // As the system does for a topo that is killed.
    line.ssh.input = None;
    assert_eq!(line.ended(), None);
    kind.await.expect("no panic").expect("sleeps");
    assert!(wait(&mut line.ssh.child(), GRACE).is_some_and(|status| status.success()));
}

#[tokio::test]
async fn a_refusal_is_told_in_sshs_own_words() {
    let denied = "echo 'me@far: Permission denied (publickey).' >&2; exit 255";
    let here = Here::with(denied);
    let error = here.open().await.expect_err("is refused");
    let words = "`ssh://me@far` is not reached; ssh says:\nme@far: Permission denied (publickey).";
    assert_eq!(error.to_string(), words);
    assert!(here.is_clean());
}

#[tokio::test]
async fn what_stands_in_the_way_there_is_told() {
    for (said, words) in [
        ("denied /var/run/docker.sock", "may not use the socket"),
        ("missing /var/run/docker.sock", "has no engine"),
        ("elsewhere tcp://192.0.2.7:2376", "elsewhere again"),
    ] {
        let error = Here::with(&format!("echo topo: {said}")).open().await.expect_err("no engine");
        assert!(error.to_string().contains(words), "{error}");
    }
    let error = Here::with("echo This account is not available").open().await.expect_err("nobody");
    assert!(matches!(error, SshError::Strange { .. }), "{error}");
}

#[tokio::test]
async fn one_that_ended_says_why() {
    let script =
        "echo topo: socket /s; sleep 0.1; echo 'Timeout, server far not responding.' >&2; exit 255";
    let here = Here::with(script);
    let line = here.open().await.expect("gets in");
    wait(&mut line.ssh.child(), GRACE).expect("ends");
    assert_eq!(line.ended().as_deref(), Some("Timeout, server far not responding."));
}

#[tokio::test]
async fn without_ssh_there_is_no_way() {
    let surroundings =
        Surroundings { path: Some("/nowhere".to_owned()), ..Surroundings::default() };
    let far = Far::read("me@far").expect("an address");
    let error = Line::open(&far, &surroundings).await.expect_err("no ssh");
    assert!(matches!(error, SshError::NoProgram { .. }), "{error}");
}
