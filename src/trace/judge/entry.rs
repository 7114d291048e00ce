//! The port on this machine, and the container that publishes it.

use super::cause;
use crate::backend::docker::ContainerState;
use crate::backend::host::Reach;
use crate::backend::host::sockets::Listener;
use crate::finding::Finding;
use crate::finding::name::{GATEWAY_MISSING, GATEWAY_STOPPED, PORT_HELD, PORT_NOT_PUBLISHED};
use crate::trace::Hop;
use crate::trace::sight::{Container, Door, Publisher, Sight};
use crate::trace::way::Through;

const HOST: &str = "host";
const GATEWAY: &str = "gateway";

/// Programs of the engine that listen for it.
const ENGINES: [&str; 8] = [
    "docker-proxy",
    "dockerd",
    "rootlessport",
    "rootlesskit",
    "com.docke",
    "OrbStack",
    "limactl",
    "colima",
];

pub fn host(sight: &Sight) -> Option<Hop> {
    let door = sight.door.as_ref()?;
    let at = door.at.to_string();
    if let Some(publisher) = sight.gateway.as_ref().and_then(|it| it.publisher.as_ref()) {
        return Some(by_rules(sight, door, publisher));
    }
    let publishes = publisher(sight).is_some_and(|container| container.publishes);
    if let Some(other) = &door.other
        && !publishes
    {
        let saw = format!("the container `{other}` publishes {at}");
        let fix = format!(
            "stop it, `docker stop {other}`, or listen on another port; then `{}`",
            sight.remedy.apply
        );
        return Some(cause(HOST, at, held(saw, fix)));
    }
    let foreign = door.listeners.as_ref().ok().and_then(|all| all.iter().find(|it| is_foreign(it)));
    if let Some(Listener { process: Some((pid, program)), at: where_, .. }) = foreign {
        let saw = format!("`{program}` (pid {pid}) listens on {where_}, in place of the engine");
        let fix = format!(
            "end it, `kill {pid}`, or listen on another port; then `{}`",
            sight.remedy.apply
        );
        return Some(cause(HOST, at, held(saw, fix)));
    }
    let is_running = publisher(sight).is_some_and(|it| it.state == ContainerState::Running);
    if !is_running && door.reach.as_ref().is_ok_and(|reach| reach.is_open()) {
        let saw = format!("something takes connections on {at}, and no container publishes it");
        let fix = format!(
            "`sudo lsof -i :{}` names it; end it, or listen on another port",
            door.at.port()
        );
        return Some(cause(HOST, at, held(saw, fix)));
    }
    if !is_running || !publishes {
        return Some(Hop::follows(
            HOST,
            at,
            "nothing listens, since no container publishes it now",
        ));
    }
    Some(seen(door))
}

/// Nothing listens for rules of the kernel, and what does gets no connection.
fn by_rules(sight: &Sight, door: &Door, publisher: &Publisher) -> Hop {
    let (at, name) = (door.at.to_string(), &publisher.name);
    match (&publisher.in_force, &door.reach) {
        (Ok(false), _) => {
            let saw = format!("the rules of `{name}` are not in force");
            let why = "no connection to the port is led into the network by the kernel";
            let fix = format!("`{}` puts them in force", sight.remedy.apply);
            cause(HOST, at, Finding::new(PORT_NOT_PUBLISHED, saw, why, fix))
        }
        (Err(why), _) => {
            Hop::unexamined(HOST, at, format!("rules of the kernel publish it: {why}"))
        }
        (Ok(true), Ok(reach)) => {
            Hop::fine(HOST, at, format!("rules of the kernel publish it; {}", in_words(*reach)))
        }
        (Ok(true), Err(why)) => {
            Hop::unexamined(HOST, at, format!("rules of the kernel publish it; not tried: {why}"))
        }
    }
}

fn held(saw: String, fix: String) -> Finding {
    Finding::new(PORT_HELD, saw, "what connects to the port reaches that and not the topology", fix)
}

fn is_foreign(listener: &Listener) -> bool {
    let engine = |name: &str| ENGINES.iter().any(|engine| name.starts_with(engine));
    listener.process.as_ref().is_some_and(|(_, name)| !engine(name))
}

fn seen(door: &Door) -> Hop {
    let at = door.at.to_string();
    let listens = match &door.listeners {
        Ok(all) => all
            .iter()
            .find_map(|it| it.process.as_ref())
            .map(|(pid, name)| format!("{name} (pid {pid}) listens")),
        Err(_) => None,
    };
    let listens = listens.unwrap_or_else(|| "published".to_owned());
    match &door.reach {
        Ok(reach) => Hop::fine(HOST, at, format!("{listens}; {}", in_words(*reach))),
        Err(why) => Hop::unexamined(HOST, at, format!("{listens}; not tried: {why}")),
    }
}

fn in_words(reach: Reach) -> &'static str {
    match reach {
        Reach::Answers => "a connection is answered",
        Reach::Holds => "a connection is taken",
        Reach::HangsUp => "a connection is taken and closed again",
        Reach::Refused => "a connection is refused",
        Reach::NoRoute => "a connection meets \"no route to host\"",
        Reach::Silent => "a connection gets no answer",
    }
}

/// The container that should publish the port.
fn publisher(sight: &Sight) -> Option<&Container> {
    match sight.way.through {
        Through::Gateway => sight.gateway.as_ref()?.container.as_ref(),
        Through::Node(_) => {
            let all = || sight.nodes.iter().map(|node| &node.container);
            all().find(|node| node.publishes).or_else(|| all().next())
        }
        Through::Nothing => None,
    }
}

pub fn gateway(sight: &Sight) -> Option<Hop> {
    let gateway = sight.gateway.as_ref()?;
    let (name, apply) = (&gateway.name, &sight.remedy.apply);
    let Some(container) = &gateway.container else {
        let saw = format!("there is no container `{name}` of this topology");
        let why = "it publishes the port and forwards it";
        return Some(cause(
            GATEWAY,
            name,
            Finding::new(GATEWAY_MISSING, saw, why, format!("`{apply}` makes it")),
        ));
    };
    if container.state != ContainerState::Running {
        let saw = format!("the gateway `{name}` does not run: {}", container.status);
        let why = "nothing publishes the port while it is stopped";
        return Some(cause(
            GATEWAY,
            name,
            Finding::new(GATEWAY_STOPPED, saw, why, format!("`{apply}` starts it")),
        ));
    }
    let listen = sight.way.listen?;
    if gateway.publisher.is_some() {
        return Some(Hop::fine(GATEWAY, name, container.status.clone()));
    }
    if !container.publishes {
        let saw = format!("the gateway `{name}` does not publish {listen}/{}", sight.way.proto);
        let why = "the published ports are fixed when the container is made";
        let fix = format!("`{apply}` replaces the gateway by one that does");
        return Some(cause(GATEWAY, name, Finding::new(PORT_NOT_PUBLISHED, saw, why, fix)));
    }
    Some(Hop::fine(GATEWAY, name, format!("{}, publishes the port", container.status)))
}
