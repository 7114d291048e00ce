//! Into a node of the cluster that the topology makes.

use std::net::SocketAddr;

use super::super::rules::Drops;
use super::super::sight::{Dial, Endpoint, Look, NodeInside, Pod};
use super::family;
use super::sections;
use crate::backend::host::sockets;
use crate::resources::Context;

const STATE: &str = concat!(include_str!("dial.sh"), include_str!("node.sh"));
const DIAL: &str = concat!(include_str!("dial.sh"), "echo @dial; dial \"$1\" \"$2\"; echo @end\n");
const ASK: &str = include_str!("arp.pl");

pub async fn inside(
    cx: &Context,
    node: &str,
    aim: Option<SocketAddr>,
    pods: &[&Endpoint],
) -> Look<NodeInside> {
    let family = aim.map_or("4", |aim| family(aim.ip()));
    let address = aim.map(|aim| aim.ip().to_string()).unwrap_or_default();
    let mut arguments = vec![family.to_owned(), ASK.to_owned(), address];
    for pod in pods {
        let port = pod.port.unwrap_or_default().to_string();
        arguments.extend([pod.uid.clone(), pod.address.to_string(), port]);
    }
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let sections = sections::run(&cx.docker, node, STATE, &arguments).await?;
    Ok(read(&sections))
}

fn read(sections: &[(String, String)]) -> NodeInside {
    let mut inside = NodeInside {
        rules: String::new(),
        before: Drops::default(),
        after: None,
        pods: Vec::new(),
        answers: Err("it was not asked".to_owned()),
    };
    for (name, body) in sections {
        match name.as_str() {
            "rules" => {
                inside.before = Drops::of_iptables(body);
                inside.rules.clone_from(body);
            }
            "arp" => inside.answers = Ok(body.lines().map(str::to_owned).collect()),
            // What could not ask has written why.
            "unasked" => {
                inside.answers = inside.answers.and_then(|said| Err(said.join("; ")));
            }
            "dial" => {
                if let Some(pod) = inside.pods.last_mut() {
                    pod.dial = sections::dial(body);
                }
            }
            _ => {
                let Some(uid) = name.strip_prefix("pod ") else { continue };
                let sockets = match body.strip_prefix("found\n") {
                    Some(tables) => Ok(sockets::listening(tables)),
                    None => Err("none of its processes was found on its node".to_owned()),
                };
                let dial = Dial::Untried("it was not asked".to_owned());
                inside.pods.push(Pod { uid: uid.to_owned(), sockets, dial });
            }
        }
    }
    inside
}

pub async fn dial(cx: &Context, node: &str, to: SocketAddr) -> Dial {
    let (address, port) = (to.ip().to_string(), to.port().to_string());
    match sections::run(&cx.docker, node, DIAL, &[&address, &port]).await {
        Ok(seen) => sections::dial(sections::by_name(&seen)["dial"]),
        Err(why) => Dial::Untried(why),
    }
}

pub async fn drops(cx: &Context, node: &str, v4: bool) -> Look<Drops> {
    let save = if v4 { "iptables-save" } else { "ip6tables-save" };
    let saved = cx.docker.exec(node, &[save, "-c"]).await;
    saved.map(|saved| Drops::of_iptables(&saved)).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_look_into_a_node_is_read_by_its_parts() {
        let section = |name: &str, body: &str| (name.to_owned(), body.to_owned());
        let listens = "   0: 00000000000000000000000000000000:1F90 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4214854 2\n";
        let inside = read(&[
            section("rules", "*filter\n:FORWARD DROP [3:180]\n"),
            section("arp", "02:42:ac:14:00:02\n"),
            section("pod 3c74bb67", &format!("found\n{listens}")),
            section("dial", "0 \n"),
            section("pod gone", ""),
            section("dial", "124 \n"),
            section("end", ""),
        ]);
        assert_eq!(inside.answers.as_deref(), Ok(&["02:42:ac:14:00:02".to_owned()][..]));
        let [first, second] = &inside.pods[..] else { panic!("two pods") };
        assert_eq!(first.sockets.as_ref().map(Vec::len), Ok(1));
        assert_eq!((&first.dial, &second.dial), (&Dial::Connected, &Dial::Silent));
        assert!(second.sockets.is_err());
        let unasked = read(&[section("arp", "no perl\n"), section("unasked", "")]);
        assert_eq!(unasked.answers, Err("no perl".to_owned()));
    }
}
