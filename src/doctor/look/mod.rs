//! The looks: all at the same time, each with an end.

mod live;
mod machine;

use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use super::facts::{Engine, Kernel, Look, Machine};
use crate::backend::docker::{Docker, Surroundings};

pub use live::live;

/// All of it together: a person waits for the answer.
const LIMIT: Duration = Duration::from_millis(4_500);
/// The machine and its engine, so that there is time left for what is live.
const MACHINE_LIMIT: Duration = Duration::from_millis(2_500);

/// When the looks have to end.
#[derive(Debug, Clone, Copy)]
pub struct Ends {
    machine: Instant,
    all: Instant,
}

impl Ends {
    pub fn from_now() -> Self {
        let now = Instant::now();
        Self { machine: now + MACHINE_LIMIT, all: now + LIMIT }
    }
}

/// This machine, and an engine with its connection.
pub async fn machine(
    surroundings: &Surroundings,
    variable: &(dyn Fn(&str) -> Option<String> + Sync),
    ends: Ends,
) -> (Machine, Kernel, Look<(Docker, Engine)>) {
    let (machine, engine) = tokio::join!(
        machine::look(variable, ends.machine),
        by(ends.machine, Box::pin(engine(surroundings))),
    );
    let root = engine.as_ref().ok().map(|(_, engine)| engine.info.root.as_path());
    (machine, machine::kernel(root), engine)
}

async fn engine(surroundings: &Surroundings) -> Look<(Docker, Engine)> {
    let docker = Docker::connect(surroundings).await.map_err(|error| error.to_string())?;
    let (info, snapshot) =
        tokio::try_join!(docker.info(), docker.snapshot()).map_err(|error| error.to_string())?;
    let engine = Engine {
        at: docker.endpoint().to_string(),
        remote: docker.endpoint().remote_host().map(str::to_owned),
        info,
        snapshot,
    };
    Ok((docker, engine))
}

async fn by<T>(end: Instant, look: impl Future<Output = Look<T>>) -> Look<T> {
    timeout_at(end, look).await.unwrap_or_else(|_| Err("no answer in time".to_owned()))
}
