//! Each step that goes wrong is named, and leaves nothing behind.

use std::time::Duration;

use crate::topology::NfsVersion::{self, V3, V4_0, V4_1, V4_2};

use super::server::{Server, Wrong};
use crate::backend::nfs::{Finding, Proof, Trial, check};

/// Enough on the busiest machine, and nothing here waits for its end but what is silent.
const LIMIT: Duration = Duration::from_secs(20);
const SHORT: Duration = Duration::from_millis(300);
const VERSIONS: [NfsVersion; 4] = [V3, V4_0, V4_1, V4_2];
/// A record that claims two gigabytes.
const LYING: &[u8] = b"\xff\xff\xff\xff1234";

fn trial(version: NfsVersion) -> Trial {
    Trial { mount_port: Some(20_048), ..Trial::new("/folder", version) }
}

async fn outcome(server: &Server, version: NfsVersion) -> Result<Proof, Finding> {
    check(server, &trial(version), LIMIT).await
}

async fn found(server: &Server, trial: &Trial) -> Finding {
    check(server, trial, LIMIT).await.expect_err("a finding")
}

/// Calls that only give back what the server keeps: what comes of them changes nothing.
fn is_farewell(call: &str) -> bool {
    call.contains("UMNT") || call.contains("DESTROY")
}

/// Which calls a trial makes that nothing disturbs.
async fn calls(version: NfsVersion) -> Vec<String> {
    let server = Server::default();
    let proof = outcome(&server, version).await.expect("nothing goes wrong");
    assert_eq!((proof.writable, proof.owner), (true, Some((1000, 100))));
    let told = matches!(version, V4_1 | V4_2).then(|| "memory 1.0".to_owned());
    assert_eq!(proof.server, told);
    assert!(server.files().is_empty());
    server.calls()
}

/// The same fault at each call in turn. The server is well again afterwards, so that nothing may
/// be left in its folder.
async fn each_call_goes_wrong(wrong: Wrong, limit: Duration, names: &[&str]) {
    for version in VERSIONS {
        let calls = calls(version).await;
        let each = calls.iter().enumerate().map(async |(at, call)| {
            let server = Server::wrong_at(at, wrong.clone());
            match check(&server, &trial(version), limit).await {
                Ok(_) => assert!(is_farewell(call), "{version}, {wrong:?} at {call}"),
                Err(finding) => {
                    assert!(names.contains(&finding.name), "{version}, {call}: {finding}");
                    assert!(!finding.fix.is_empty() && !finding.saw.contains("left behind"));
                }
            }
            assert_eq!(server.files(), Vec::<String>::new(), "{version}, {wrong:?} at {call}");
        });
        futures::future::join_all(each).await;
    }
}

#[tokio::test]
async fn a_silence_is_told_with_its_step() {
    each_call_goes_wrong(Wrong::Silence, SHORT, &["silent"]).await;
}

#[tokio::test]
async fn a_connection_that_ends_is_told() {
    each_call_goes_wrong(Wrong::HangUp, LIMIT, &["hangs-up", "mount-port-moves"]).await;
}

#[tokio::test]
async fn what_is_no_rpc_is_told() {
    for bytes in [&b"HTTP/1.1 400 Bad Request\r\n\r\n"[..], LYING, b"\x80\0\0\x08somebody"] {
        each_call_goes_wrong(Wrong::Bytes(bytes), LIMIT, &["not-nfs"]).await;
    }
}

#[tokio::test]
async fn what_a_foreign_service_says_is_shown() {
    let server = Server::wrong_at(0, Wrong::Bytes(b"SSH-2.0-OpenSSH_9.2\r\n"));
    let finding = found(&server, &trial(V4_2)).await;
    assert_eq!(finding.saw, "the answer was `SSH-2.0-OpenSSH_9.2`");
}

#[tokio::test]
async fn an_answer_in_pieces_is_an_answer() {
    for version in VERSIONS {
        for at in 0..calls(version).await.len() {
            let server = Server::wrong_at(at, Wrong::Crumbs);
            assert!(outcome(&server, version).await.is_ok());
        }
    }
}

#[tokio::test]
async fn every_refusal_has_a_name() {
    for (status, name) in [
        (5, "server-error"),
        (28, "no-space"),
        (30, "read-only"),
        (10_016, "kerberos-required"),
        (10_021, "v4-not-served"),
    ] {
        for version in VERSIONS {
            for (at, call) in calls(version).await.iter().enumerate() {
                let server = Server::wrong_at(at, Wrong::Status(status));
                let outcome = outcome(&server, version).await;
                assert!(server.files().is_empty(), "{version}, {status} at {call}");
                match outcome {
                    Ok(_) => assert!(is_farewell(call) || call == "NULL", "{version} at {call}"),
                    Err(finding) => assert_eq!(finding.name, name, "{version} at {call}"),
                }
            }
        }
    }
}

#[tokio::test]
async fn a_server_that_wants_to_be_asked_later_is_asked_later() {
    for version in VERSIONS {
        let calls = calls(version).await;
        let asked = calls.iter().position(|call| call == "CREATE" || call.contains(" OPEN "));
        let server = Server::wrong_at(asked.expect("a file is made"), Wrong::Status(10_008));
        assert!(outcome(&server, version).await.is_ok_and(|proof| proof.writable), "{version}");
        // In less time than it takes to ask again.
        let server = Server::wrong_at(asked.expect("a file is made"), Wrong::Status(10_008));
        let finding = check(&server, &trial(version), Duration::from_millis(200)).await;
        assert_eq!(finding.map_err(|finding| finding.name), Err("server-busy"), "{version}");
    }
}

/// Denied at the first step that asks for the path.
async fn denied(version: NfsVersion, clients: &[&str], tunnelled: bool) -> Finding {
    let calls = calls(version).await;
    let at = calls.iter().position(|call| call == "MNT" || call.contains("LOOKUP"));
    let mut server = Server::wrong_at(at.expect("a step"), Wrong::Status(13));
    server.clients = clients.iter().map(ToString::to_string).collect();
    found(&server, &Trial { tunnelled, ..trial(version) }).await
}

#[tokio::test]
async fn whom_an_export_admits_decides_why_access_is_denied() {
    for version in VERSIONS {
        for (clients, tunnelled, name) in [
            (&["10.0.0.0/8"][..], false, "unprivileged-port-refused"),
            (&["10.0.0.0/8"], true, "export-excludes-tunnel"),
            (&["127.0.0.1"], true, "unprivileged-port-refused"),
            (&["192.168.0.0/16"], false, "export-excludes-client"),
            (&["*.example.org"], false, "unprivileged-port-refused"),
            (&["*.example.org"], true, "export-excludes-tunnel"),
            (&[], false, "unprivileged-port-refused"),
        ] {
            let finding = denied(version, clients, tunnelled).await;
            assert_eq!(finding.name, name, "{version}, {clients:?}, {tunnelled}: {finding}");
        }
    }
}

#[tokio::test]
async fn a_client_that_no_export_names_is_left_out_and_not_asked_for_kerberos() {
    for (clients, cause) in [
        (&["192.168.0.0/16"][..], "does not name the address"),
        (&["10.0.0.0/8"], "translates addresses"),
        (&["*.example.org"], "exports it to others only"),
    ] {
        let mut server = Server::wrong_at(1, Wrong::Refusal(vec![1, 1, 1]));
        server.clients = clients.iter().map(ToString::to_string).collect();
        let finding = found(&server, &trial(V4_2)).await;
        assert_eq!(finding.name, "export-excludes-client", "{clients:?}: {finding}");
        assert!(finding.cause.contains(cause), "{clients:?}: {finding}");
    }
}

#[tokio::test]
async fn a_grace_period_is_told_at_once() {
    for version in [V4_0, V4_1, V4_2] {
        let calls = calls(version).await;
        let at = calls.iter().position(|call| call.contains(" OPEN "));
        let server = Server::wrong_at(at.expect("a file is opened"), Wrong::Status(10_013));
        assert_eq!(found(&server, &trial(version)).await.name, "server-busy", "{version}");
    }
}

#[tokio::test]
async fn a_reset_behind_a_tunnel_is_an_export_that_leaves_it_out() {
    let tunnelled = Trial { tunnelled: true, ..trial(V4_2) };
    let later = Server::wrong_at(1, Wrong::HangUp);
    assert_eq!(found(&later, &tunnelled).await.name, "export-excludes-tunnel");
    // What never answers at all is not there.
    let at_once = Server { no_export_list: true, ..Server::wrong_at(0, Wrong::HangUp) };
    assert_eq!(found(&at_once, &tunnelled).await.name, "hangs-up");
}

#[tokio::test]
async fn rpc_itself_can_refuse() {
    let mismatch = |low, high| Wrong::Refusal(vec![0, 0, 0, 2, low, high]);
    for (version, refusal, name) in [
        (V4_2, mismatch(3, 3), "v4-not-served"),
        (V3, mismatch(4, 4), "v3-not-served"),
        (V4_1, Wrong::Refusal(vec![0, 0, 0, 1]), "not-nfs"),
        (V4_1, Wrong::Refusal(vec![0, 0, 0, 5]), "not-nfs"),
        (V4_1, Wrong::Refusal(vec![1, 0, 2, 2]), "not-nfs"),
        (V4_1, Wrong::Refusal(vec![1, 1, 5]), "unprivileged-port-refused"),
        (V4_1, Wrong::Refusal(vec![1, 1, 1]), "export-excludes-client"),
        (V4_1, Wrong::Refusal(vec![1, 1, 2]), "kerberos-required"),
    ] {
        let finding = found(&Server::wrong_at(0, refusal), &trial(version)).await;
        assert_eq!(finding.name, name, "{finding}");
    }
    let finding = found(&Server::wrong_at(0, mismatch(2, 3)), &trial(V4_2)).await;
    assert_eq!(finding.saw, "the server said that it supports versions 2 to 3");
}

#[tokio::test]
async fn an_owner_that_is_another_is_told_with_both() {
    let expected = Trial { expected_owner: Some((0, 0)), user: (5, 6), ..trial(V4_0) };
    let finding = found(&Server::default(), &expected).await;
    assert_eq!(finding.name, "owner-mismatch");
    assert_eq!(finding.saw, "a file written by 5:6 belongs to 1000:100, not to 0:0");
}

#[tokio::test]
async fn what_is_there_instead_is_shown() {
    let trial = Trial { path: "/fodler".to_owned(), ..trial(V4_1) };
    let finding = found(&Server::default(), &trial).await;
    assert_eq!(finding.name, "no-such-export");
    assert!(finding.saw.contains("in `/`, where it shows `folder`"), "{finding}");
}

#[tokio::test]
async fn nothing_is_written_where_that_is_not_to_be_tried() {
    for version in VERSIONS {
        let server = Server::default();
        let trial = Trial { write: false, ..trial(version) };
        let proof = check(&server, &trial, LIMIT).await.expect("nothing goes wrong");
        assert!(proof.writable);
        let calls = server.calls();
        assert!(calls.iter().any(|call| call.contains("ACCESS")));
        assert!(!calls.iter().any(|call| call.contains("CREATE ") || call.contains(" OPEN")));
    }
}
