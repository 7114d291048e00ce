//! Changes of objects, as they happen.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use futures::{Stream, StreamExt, future};
use kube::api::{DynamicObject, ObjectMeta, PartialObjectMeta};
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{Config, Event, watcher};

use super::Kube;
use crate::manifest::Kind;

/// Which objects of a kind are watched.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Watched {
    /// Those with these labels, in all namespaces.
    Labelled(String),
    One {
        namespace: String,
        name: String,
    },
}

impl Kube {
    /// Yields whenever an object came, went or is another than before; what there is at first is no
    /// change. It goes on by itself, ever slower, while the server is not reached.
    pub fn changes(&self, kind: &Kind, watched: &Watched) -> impl Stream<Item = ()> + Send + use<> {
        let (namespace, config) = match watched {
            Watched::Labelled(labels) => (None, Config::default().labels(labels)),
            Watched::One { namespace, name } => {
                let config = Config::default().fields(&format!("metadata.name={name}"));
                (Some(namespace.as_str()), config)
            }
        };
        let mut known = Known::default();
        watcher(self.api_of::<PartialObjectMeta<DynamicObject>>(kind, namespace), config)
            .default_backoff()
            .filter_map(move |event| future::ready(event.ok().and_then(|event| known.hear(event))))
    }
}

/// Each object that was seen, and how it was.
#[derive(Default)]
struct Known {
    objects: HashMap<String, u64>,
    /// While the server lists all there are.
    listed: Option<HashMap<String, u64>>,
    /// Whether there was a list before.
    listed_before: bool,
}

impl Known {
    /// Whether this is news.
    fn hear(&mut self, event: Event<PartialObjectMeta<DynamicObject>>) -> Option<()> {
        let is_news = match event {
            Event::Init => {
                self.listed = Some(HashMap::new());
                false
            }
            Event::InitApply(object) => {
                let (uid, state) = state(&object.metadata);
                self.listed.get_or_insert_default().insert(uid, state);
                false
            }
            Event::InitDone => {
                let listed = self.listed.take().unwrap_or_default();
                let differs = listed != self.objects;
                self.objects = listed;
                std::mem::replace(&mut self.listed_before, true) && differs
            }
            Event::Apply(object) => {
                let (uid, state) = state(&object.metadata);
                self.objects.insert(uid, state) != Some(state)
            }
            Event::Delete(object) => self.objects.remove(&state(&object.metadata).0).is_some(),
        };
        is_news.then_some(())
    }
}

/// What an object is, by its metadata alone. One that counts its generations is another when its
/// specification or its labels are; its status may change with every second.
fn state(metadata: &ObjectMeta) -> (String, u64) {
    let mut hasher = DefaultHasher::new();
    match metadata.generation {
        Some(generation) => generation.hash(&mut hasher),
        None => metadata.resource_version.hash(&mut hasher),
    }
    metadata.labels.hash(&mut hasher);
    metadata.annotations.hash(&mut hasher);
    metadata.deletion_timestamp.is_some().hash(&mut hasher);
    (metadata.uid.clone().unwrap_or_default(), hasher.finish())
}

#[cfg(test)]
mod tests {
    use std::marker::PhantomData;

    use super::*;

    fn object(
        uid: &str,
        generation: Option<i64>,
        version: &str,
    ) -> PartialObjectMeta<DynamicObject> {
        let metadata = ObjectMeta {
            uid: Some(uid.to_owned()),
            generation,
            resource_version: Some(version.to_owned()),
            ..ObjectMeta::default()
        };
        PartialObjectMeta { types: None, metadata, _phantom: PhantomData }
    }

    fn heard(
        events: impl IntoIterator<Item = Event<PartialObjectMeta<DynamicObject>>>,
    ) -> Vec<bool> {
        let mut known = Known::default();
        events.into_iter().map(|event| known.hear(event).is_some()).collect()
    }

    #[test]
    fn what_is_there_at_first_is_no_news_and_what_comes_and_goes_is() {
        let events = [
            Event::Init,
            Event::InitApply(object("a", None, "1")),
            Event::InitDone,
            Event::Apply(object("a", None, "1")),
            Event::Apply(object("a", None, "2")),
            Event::Apply(object("b", None, "3")),
            Event::Delete(object("b", None, "4")),
            Event::Delete(object("b", None, "4")),
        ];
        assert_eq!(heard(events), [false, false, false, false, true, true, true, false]);
    }

    #[test]
    fn a_status_is_no_news_of_what_counts_its_generations() {
        let events = [
            Event::Apply(object("a", Some(1), "1")),
            Event::Apply(object("a", Some(1), "2")),
            Event::Apply(object("a", Some(2), "3")),
        ];
        assert_eq!(heard(events), [true, false, true]);
    }

    #[test]
    fn what_was_missed_while_the_server_was_away_is_told_when_it_is_back() {
        let listed =
            |version| [Event::Init, Event::InitApply(object("a", None, version)), Event::InitDone];
        let all = [listed("1"), listed("1"), listed("2")].into_iter().flatten();
        assert_eq!(heard(all), [false, false, false, false, false, false, false, false, true]);
    }
}
