//! Waiting for the cluster: by watches, until a deadline, and able to say what was seen last.

use std::fmt::Debug;
use std::pin::pin;
use std::time::Duration;

use futures::StreamExt;
use kube::Resource;
use kube::api::{Api, DynamicObject};
use kube::runtime::watcher;
use serde::de::DeserializeOwned;
use tokio::time::{Instant, sleep, timeout_at};

use super::{Kube, KubeError, Target};

/// Between two tries of something that a watch cannot see.
const PAUSE: Duration = Duration::from_millis(150);

/// When a wait ends, and how long it was to be.
#[derive(Debug, Clone, Copy)]
pub struct Deadline {
    at: Instant,
    after: Duration,
}

impl Deadline {
    pub fn after(after: Duration) -> Self {
        Self { at: Instant::now() + after, after }
    }

    pub fn is_over(&self) -> bool {
        Instant::now() >= self.at
    }

    /// That it was missed, and what was seen last.
    pub fn missed(&self, last: impl Into<String>) -> WaitError {
        WaitError::TooLate { after: self.after, last: last.into() }
    }
}

/// What one look at an object comes to.
#[derive(Debug, Clone, PartialEq)]
pub enum Verdict<T> {
    Done(T),
    /// Not yet, and what it says of itself.
    NotYet(String),
    /// It will not come to be without somebody's help.
    Failed(String),
}

#[derive(Debug, thiserror::Error)]
pub enum WaitError {
    #[error("not within {} s: {last}", .after.as_secs())]
    TooLate { after: Duration, last: String },
    #[error("{0}")]
    Failed(String),
    #[error(transparent)]
    Kube(#[from] KubeError),
}

impl Kube {
    /// Watches one object until `judge` is content with it. `said` hears every new answer.
    pub async fn until<T>(
        &self,
        target: &Target<'_>,
        deadline: Deadline,
        judge: impl Fn(Option<&DynamicObject>) -> Verdict<T>,
        said: impl Fn(&str),
    ) -> Result<T, WaitError> {
        let mut last = Last::unseen();
        let mut looks =
            pin!(watcher::watch_object(self.api(target.kind, target.namespace), target.name));
        while let Ok(look) = timeout_at(deadline.at, looks.next()).await {
            match look {
                Some(Ok(object)) => match judge(object.as_ref()) {
                    Verdict::Done(value) => return Ok(value),
                    Verdict::Failed(why) => return Err(WaitError::Failed(why)),
                    Verdict::NotYet(answer) => last.answer(answer, &said),
                },
                Some(Err(error)) => last.trouble(&error).await,
                None => break,
            }
        }
        Err(deadline.missed(last.said))
    }

    /// Watches the objects of a kind until what they come to together is enough.
    pub async fn until_all<T>(
        &self,
        target: &Target<'_>,
        labels: &str,
        deadline: Deadline,
        judge: impl Fn(&[DynamicObject]) -> Verdict<T>,
        said: impl FnMut(&str),
    ) -> Result<T, WaitError> {
        until_all(self.api(target.kind, target.namespace), labels, deadline, judge, said).await
    }

    /// Watches until the object is gone.
    pub async fn until_gone(
        &self,
        target: &Target<'_>,
        uid: Option<&str>,
        deadline: Deadline,
    ) -> Result<(), WaitError> {
        let is_it = |object: &&DynamicObject| {
            uid.is_none_or(|uid| object.metadata.uid.as_deref() == Some(uid))
        };
        let judge = |object: Option<&DynamicObject>| match object.filter(is_it) {
            None => Verdict::Done(()),
            Some(object) => Verdict::NotYet(still_there(object)),
        };
        self.until(target, deadline, judge, |_| {}).await
    }

    /// Repeats a call for as long as its error is one that passes and the deadline is not over.
    pub async fn persist<T, F>(
        &self,
        deadline: Deadline,
        said: impl Fn(&str),
        call: impl Fn() -> F,
    ) -> Result<T, WaitError>
    where
        F: Future<Output = Result<T, KubeError>>,
    {
        loop {
            match call().await {
                Ok(value) => return Ok(value),
                Err(error) if !error.is_passing() => return Err(error.into()),
                Err(error) if deadline.is_over() => {
                    return Err(WaitError::TooLate { after: deadline.after, last: error.full() });
                }
                Err(error) => said(&error.full()),
            }
            sleep(PAUSE).await;
        }
    }
}

/// Watches all objects of an API until what they come to together is enough.
pub async fn until_all<K, T>(
    api: Api<K>,
    labels: &str,
    deadline: Deadline,
    judge: impl Fn(&[K]) -> Verdict<T>,
    mut said: impl FnMut(&str),
) -> Result<T, WaitError>
where
    K: Resource + Clone + DeserializeOwned + Debug + Send + 'static,
{
    let mut last = Last::unseen();
    let mut seen: Vec<K> = Vec::new();
    let mut listing = true;
    let mut events = pin!(watcher(api, watcher::Config::default().labels(labels)));
    while let Ok(event) = timeout_at(deadline.at, events.next()).await {
        match event {
            Some(Ok(watcher::Event::Init)) => {
                listing = true;
                seen.clear();
            }
            Some(Ok(watcher::Event::InitDone)) => listing = false,
            Some(Ok(watcher::Event::Apply(object) | watcher::Event::InitApply(object))) => {
                seen.retain(|old| old.meta().uid != object.meta().uid);
                seen.push(object);
            }
            Some(Ok(watcher::Event::Delete(object))) => {
                seen.retain(|old| old.meta().uid != object.meta().uid);
            }
            Some(Err(error)) => {
                last.trouble(&error).await;
                continue;
            }
            None => break,
        }
        if listing {
            continue;
        }
        match judge(&seen) {
            Verdict::Done(value) => return Ok(value),
            Verdict::Failed(why) => return Err(WaitError::Failed(why)),
            Verdict::NotYet(answer) => last.answer(answer, &mut said),
        }
    }
    Err(deadline.missed(last.said))
}

/// What a watch last heard: an answer, or the trouble that there is none yet.
struct Last {
    said: String,
    answered: bool,
}

impl Last {
    fn unseen() -> Self {
        Self { said: "nothing was seen of it".to_owned(), answered: false }
    }

    fn answer(&mut self, answer: String, mut tell: impl FnMut(&str)) {
        if answer != self.said {
            tell(&answer);
            self.said = answer;
        }
        self.answered = true;
    }

    /// The watcher starts again by itself, from where it was, so that what was seen still stands; a
    /// server that is coming up is given a breath.
    async fn trouble(&mut self, error: &watcher::Error) {
        if !self.answered {
            self.said = error.to_string();
        }
        sleep(PAUSE).await;
    }
}

fn still_there(object: &DynamicObject) -> String {
    let finalizers = object.metadata.finalizers.as_deref().unwrap_or_default();
    if finalizers.is_empty() {
        "still there".to_owned()
    } else {
        format!("still there, held by the finalizer {}", finalizers.join(", "))
    }
}
