//! A signal before the first change.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::{Machine, engine};

/// Far less than the engine is waited for.
const AT_ONCE: Duration = Duration::from_secs(8);

#[test]
fn an_interrupt_before_the_first_change_says_that_there_was_none() {
    for (signal, command) in
        [(Signal::INT, "apply"), (Signal::TERM, "apply"), (Signal::INT, "destroy")]
    {
        let machine = Machine::new();
        machine.write("topo.yaml", "name: dev\ngateway: {}\n");
        let (host, calls) = engine::silent();
        let topo = Command::new(env!("CARGO_BIN_EXE_topo"))
            .args([command, "--yes"])
            .current_dir(machine.path())
            .env_clear()
            .env("HOME", machine.path())
            .env("DOCKER_HOST", host)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("topo can be started");
        let _call = calls.recv().expect("it asks the engine");
        let since = Instant::now();
        kill_process(Pid::from_child(&topo), signal).expect("it runs");
        let ended = topo.wait_with_output().expect("it ends");
        let said = String::from_utf8_lossy(&ended.stderr);
        assert_eq!(ended.status.code(), Some(130), "{command}: {said}");
        assert_eq!(said, "error: interrupted; nothing was changed\n");
        assert!(since.elapsed() < AT_ONCE, "{:?}", since.elapsed());
    }
}
