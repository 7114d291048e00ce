//! What happens on the engine, as it happens.

use bollard::models::EventMessage;
use bollard::query_parameters::EventsOptionsBuilder;
use futures::{Stream, StreamExt};

use super::{Docker, Error, Labels, Result};

/// What can make a topology differ from its file. The others, an `exec` above all, come by the hundred.
const TELLING: [&str; 9] =
    ["connect", "destroy", "die", "disconnect", "pause", "rename", "start", "unpause", "update"];

/// Something that happened to a container or a network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Happening {
    /// Of the container or network.
    pub name: String,
    /// Of a container, its labels are among them.
    pub attributes: Labels,
}

impl Docker {
    /// Ends when the engine does; what happens before it is asked again is not told.
    pub fn happenings(&self) -> impl Stream<Item = Result<Happening>> + use<> {
        let filters = [
            ("type", ["container", "network"].map(str::to_owned).to_vec()),
            ("event", TELLING.map(str::to_owned).to_vec()),
        ];
        let filters = filters.into_iter().map(|(key, values)| (key.to_owned(), values)).collect();
        let options = EventsOptionsBuilder::new().filters(&filters).build();
        let told = self.api.events(Some(options));
        told.map(|event| event.map(Happening::from).map_err(Error::from))
    }
}

impl From<EventMessage> for Happening {
    fn from(event: EventMessage) -> Self {
        let actor = event.actor.unwrap_or_default();
        let attributes: Labels = actor.attributes.unwrap_or_default().into_iter().collect();
        let name = attributes.get("name").cloned().unwrap_or_default();
        Self { name, attributes }
    }
}
