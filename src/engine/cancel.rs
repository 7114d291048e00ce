//! Two ways to stop: start nothing new, or give up what is running too.

use tokio_util::sync::CancellationToken;

#[derive(Debug, Clone, Default)]
pub struct Cancel {
    finish: CancellationToken,
    abort: CancellationToken,
}

impl Cancel {
    /// The first interrupt: running steps end, no new ones start.
    pub fn finish(&self) {
        self.finish.cancel();
    }

    /// The second interrupt: running steps are dropped where they stand.
    pub fn abort(&self) {
        self.finish.cancel();
        self.abort.cancel();
    }

    pub fn is_finishing(&self) -> bool {
        self.finish.is_cancelled()
    }

    pub fn is_aborted(&self) -> bool {
        self.abort.is_cancelled()
    }

    pub async fn finishing(&self) {
        self.finish.cancelled().await;
    }

    pub async fn aborted(&self) {
        self.abort.cancelled().await;
    }
}
