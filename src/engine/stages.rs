//! How a step tells, while it is still running, that it has come far enough for some of the others.

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::plan::Stage;

/// A step that has come to a stage.
#[derive(Debug)]
pub(super) struct Reached {
    pub(super) step: usize,
    pub(super) stage: Stage,
}

/// What each running step announces its stages with.
#[derive(Debug, Clone)]
pub(super) struct Herald {
    step: usize,
    tell: UnboundedSender<Reached>,
}

impl Herald {
    pub(super) fn reached(&self, stage: Stage) {
        // Nobody listens any more once the run has ended.
        let _ = self.tell.send(Reached { step: self.step, stage });
    }
}

/// What the queue hears them by.
pub(super) struct Stages {
    tell: UnboundedSender<Reached>,
    heard: UnboundedReceiver<Reached>,
}

impl Stages {
    pub(super) fn new() -> Self {
        let (tell, heard) = unbounded_channel();
        Self { tell, heard }
    }

    pub(super) fn herald(&self, step: usize) -> Herald {
        Herald { step, tell: self.tell.clone() }
    }

    pub(super) async fn next(&mut self) -> Reached {
        match self.heard.recv().await {
            Some(reached) => reached,
            // It holds a sender itself, so that the channel never closes.
            None => std::future::pending().await,
        }
    }
}
