//! A way to a Docker engine that counts what is called, and does to one call what a test wants done.
//!
//! A run of topo is one [`Run`]: the calls that it made and what came of them. Once it has ended its
//! connections are cut, as those of a program that has ended are.

mod call;
mod fault;
mod http;
mod line;
mod run;

use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub use call::Call;
pub use fault::{Among, Fault, Signal, What};
pub use http::{Head, pass};
pub use run::{Order, Run, Watch};

pub struct Proxy {
    /// For `DOCKER_HOST`.
    pub host: String,
    current: Arc<Mutex<Arc<Run>>>,
}

impl Proxy {
    /// Listens at `socket`, before the engine at `engine`.
    pub fn before(engine: &Path, socket: &Path) -> Self {
        let listener = UnixListener::bind(socket).expect("a socket");
        let current = Arc::new(Mutex::new(Arc::new(Run::new(Order::Pass))));
        let (runs, engine) = (Arc::clone(&current), engine.to_owned());
        std::thread::spawn(move || accept(&listener, &engine, &runs));
        Self { host: format!("unix://{}", socket.display()), current }
    }

    /// What is called from now on belongs to this run.
    pub fn begin(&self, order: Order) -> Arc<Run> {
        let run = Arc::new(Run::new(order));
        *locked(&self.current) = Arc::clone(&run);
        run
    }
}

fn accept(listener: &UnixListener, engine: &Path, runs: &Mutex<Arc<Run>>) {
    for client in listener.incoming().flatten() {
        let run = Arc::clone(&locked(runs));
        let engine: PathBuf = engine.to_owned();
        std::thread::spawn(move || {
            // A connection that breaks is what many tests are about.
            let _ =
                UnixStream::connect(engine).and_then(|engine| line::serve(client, engine, &run));
        });
    }
}

fn locked<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}
