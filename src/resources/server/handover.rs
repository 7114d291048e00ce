//! How a server comes into the place of another.
//!
//! A folder cannot be mounted into a container that runs, so a share more or less means another
//! container. It is made and started beside the one that serves, and only when it listens does it
//! take the address: whoever is at work on a share connects again and goes on. File handles are the
//! same in both, and what was written is in the one kernel that both run on. Locks are the kernel's
//! too, so the one before is killed first, or clients could not reclaim theirs from the new one. A
//! new server that does not work never takes over.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use super::container::{self, Exports};
use super::{CONFIG_LABEL, ensure_volumes, image, new_opens_wait, settle_address, unrendered};
use crate::backend::docker::{Archived, Container, Error};
use crate::engine::{Failure, Turn};
use crate::plan::Record;
use crate::resources::base::context::Context;
use crate::resources::base::docker::own_image::OwnImage;
use crate::resources::base::marks;

const NEEDS_SUBNET: &str = "the engine gives fixed addresses only on a network that was made with a subnet: choose another `network.name` and let topo make it";

/// The name of the one that is about to take over.
pub fn next(name: &str) -> String {
    format!("{name}-next")
}

/// A server where there is none.
pub async fn make(cx: &Context, turn: &Turn) -> Result<(), Failure> {
    let name = turn.id().name();
    let handover = Handover::of(cx, turn).await?;
    // Of a run that was cut off.
    cx.remove_container(&next(name)).await?;
    handover.create(cx, turn, name, Some(handover.address)).await?;
    handover.start(cx, name).await
}

/// A server in the place of one that serves.
pub async fn take_over(cx: &Context, turn: &Turn) -> Result<(), Failure> {
    let name = turn.id().name();
    let next = next(name);
    let handover = Handover::of(cx, turn).await?;
    cx.remove_container(&next).await?;
    handover.create(cx, turn, &next, None).await?;
    handover.start(cx, &next).await?;
    let limit = turn.patience(super::READY_DEADLINE);
    if let Err(failure) = until_healthy(cx, &next, limit).await {
        return Err(cx.undo_container(&next, failure).await);
    }
    let away = handover.swap(cx, name, &next).await?;
    turn.warn(format!(
        "its shares paused for {:.1} s while a new server took over; {}",
        away.as_secs_f64(),
        new_opens_wait()
    ));
    Ok(())
}

/// Everything that a new container is made from.
struct Handover {
    image: OwnImage,
    exports: Exports,
    network: String,
    address: IpAddr,
    files: Vec<(String, String)>,
    record: Record,
}

impl Handover {
    async fn of(cx: &Context, turn: &Turn) -> Result<Self, Failure> {
        let topology = cx.topology()?;
        let unknown = || Failure::new("the file has no share by `via: server` any more");
        let resource = turn.resource.as_deref().ok_or_else(unknown)?;
        let image = image::own_image(&topology.nfs_server, &cx.templates).map_err(unrendered)?;
        image.ensure(cx, turn).await?;

        let exports = container::exports_of(&turn.values);
        ensure_volumes(cx, turn.id().name(), &exports).await?;
        let address = settle_address(cx, turn).await?;
        let mut values = turn.values.clone();
        values.set("address", address.clone());
        let subnet = turn.text("subnet").unwrap_or_default();
        Ok(Self {
            image,
            files: container::files(&exports, subnet, &cx.templates).map_err(unrendered)?,
            exports,
            network: topology.network_name().into_owned(),
            address: serde_json::from_value(address)
                .map_err(|error| Failure::because("the server's address is none", &error))?,
            record: Record::of(resource, &values),
        })
    }

    async fn create(
        &self,
        cx: &Context,
        turn: &Turn,
        name: &str,
        fixed: Option<IpAddr>,
    ) -> Result<(), Failure> {
        turn.say("making the container");
        let mut labels = marks::labels(&cx.name, turn.id(), &self.record);
        let config = self.files.iter().find(|(path, _)| container::CONFIG.ends_with(path.as_str()));
        if let Some((_, config)) = config {
            labels.insert(CONFIG_LABEL.to_owned(), container::digest(config.as_bytes()));
        }
        let image = self.image.reference();
        let body = container::body(turn.id().name(), Some(&image), &self.exports, labels);
        let made = self.image.make(cx, turn, name, body, &self.network, fixed).await?;
        made.map_err(|error| failed("make", name, &error))?;
        let files: Vec<Archived> = self
            .files
            .iter()
            .map(|(path, text)| Archived { path, mode: 0o644, content: text.as_bytes() })
            .collect();
        let put = cx.docker.put_files(name, container::FILES, &files).await;
        if let Err(error) = put {
            return Err(cx.undo_container(name, failed("furnish", name, &error)).await);
        }
        Ok(())
    }

    async fn start(&self, cx: &Context, name: &str) -> Result<(), Failure> {
        if let Err(error) = cx.docker.start_container(name).await {
            return Err(cx.undo_container(name, failed("start", name, &error)).await);
        }
        Ok(())
    }

    /// Gives the address to the new one, and then takes the old one away. Should the engine refuse,
    /// the old one is started again.
    async fn swap(&self, cx: &Context, name: &str, next: &str) -> Result<Duration, Failure> {
        let refused = |error: &Error| failed("give its address to", next, error);
        let snapshot = cx.snapshot().await?;
        let network = snapshot.network(&self.network).map(|network| network.id.clone());
        let network = network.unwrap_or_else(|| self.network.clone());
        cx.docker.disconnect_network(&network, next).await.map_err(|error| refused(&error))?;

        let away = Instant::now();
        let is_on = snapshot.on_network(&self.network).any(|container| container.name == name);
        let serves = snapshot.container(name).is_some_and(Container::is_running);
        let swapped = async {
            // Off the network first: clients that see their connection end try again once at once,
            // and then not for three seconds.
            if is_on {
                cx.docker.disconnect_network(&network, name).await?;
            }
            if serves {
                cx.docker.kill_container(name).await?;
            }
            cx.docker.connect_network(&network, next, &[self.address]).await
        };
        if let Err(error) = swapped.await {
            let mut failure = refused(&error);
            let back = async {
                if is_on {
                    cx.docker.connect_network(&network, name, &[self.address]).await?;
                }
                if serves { cx.docker.start_container(name).await } else { Ok(()) }
            };
            if let Err(error) = back.await {
                failure = failure.note(failed("start again", name, &error).to_string());
            }
            return Err(cx.undo_container(next, failure).await);
        }
        let away = away.elapsed();
        cx.remove_container(name).await?;
        let renamed = cx.docker.rename_container(next, name).await;
        renamed.map_err(|error| failed("rename", next, &error))?;
        Ok(away)
    }
}

fn failed(verb: &str, name: &str, error: &Error) -> Failure {
    let failure = Failure::because(format!("cannot {verb} `{name}`"), error);
    if error.is_for_want_of_a_subnet() { failure.hint(NEEDS_SUBNET) } else { failure }
}

/// Waits until it listens; one that ends instead is quoted.
pub async fn until_healthy(cx: &Context, name: &str, limit: Duration) -> Result<(), Failure> {
    let listening = cx.docker.exec(name, &["sh", "-c", container::UNTIL_HEALTHY]);
    let why = match tokio::time::timeout(limit, listening).await {
        Ok(Ok(_)) => return Ok(()),
        Ok(Err(error)) => error.to_string(),
        Err(_) => format!("it does not listen after {} s", limit.as_secs()),
    };
    let said = cx.docker.last_lines(name, 20).await.unwrap_or_default();
    let failure = Failure::new(format!("`{name}` does not work: {why}"));
    Err(if said.trim().is_empty() { failure } else { failure.caused_by(said.trim().to_owned()) })
}
