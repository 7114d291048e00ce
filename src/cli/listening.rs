//! What happens on the engine and in the cluster, heard as one word: look again.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use super::session::Session;
use crate::backend::kube::Watched;
use crate::manifest::Kind;
use crate::resources::{self, Belongings};

/// What happens together is looked at together: a rollout, a restart of the engine.
const QUIET: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(1);

#[derive(Default)]
pub struct Listening {
    news: Arc<Notify>,
    engine: JoinSet<()>,
    cluster: JoinSet<()>,
    watched: Vec<(Arc<Kind>, Watched)>,
}

impl Listening {
    /// Until the engine ends the connection, which is news too.
    pub fn hear_engine(&mut self, session: &Session) {
        while self.engine.try_join_next().is_some() {}
        if !self.engine.is_empty() {
            return;
        }
        // The session itself holds the topology's lock.
        let (news, cx) = (Arc::clone(&self.news), session.cx());
        let (happenings, ours) = (cx.docker.happenings(), Belongings::of(cx));
        self.engine.spawn(async move {
            let mut happenings = Box::pin(happenings);
            while let Some(Ok(happening)) = happenings.next().await {
                if ours.are_met_by(&happening) {
                    news.notify_one();
                }
            }
            news.notify_one();
        });
    }

    /// To each kind of object that the topology has, as soon as its cluster can be asked.
    pub async fn hear_cluster(&mut self, session: &Session) {
        let Some(watched) = resources::watched(session.cx()) else { return };
        let Ok(kube) = session.cx().kube().await else { return };
        if self.watched == watched {
            return;
        }
        self.cluster = JoinSet::new();
        for (kind, which) in &watched {
            let (news, changes) = (Arc::clone(&self.news), kube.changes(kind, which));
            self.cluster.spawn(async move {
                let mut changes = Box::pin(changes);
                while let Some(()) = changes.next().await {
                    news.notify_one();
                }
            });
        }
        self.watched = watched;
        // A change between the look and the start of these watches would be missed.
        self.news.notify_one();
    }

    /// Until something has happened and it is quiet again, or for so long.
    pub async fn news(&self, pause: Duration) {
        if timeout(pause, self.news.notified()).await.is_err() {
            return;
        }
        let end = Instant::now() + LONGEST;
        while Instant::now() < end {
            tokio::select! {
                () = self.news.notified() => {}
                () = sleep(QUIET) => return,
            }
        }
    }
}
