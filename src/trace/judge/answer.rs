//! What comes of it all: a connection that was tried.

use crate::backend::host::Reach;
use crate::finding::Finding;
use crate::finding::name::{HANGS_UP_AT_ONCE, UNEXPLAINED};
use crate::trace::sight::{Dial, Outcome, Sight};
use crate::trace::{Hop, Rank};

const ANSWER: &str = "answer";

pub fn answer(sight: &Sight, is_explained: bool) -> Hop {
    let at = sight
        .way
        .listen
        .or(sight.aim)
        .map_or_else(|| sight.way.to.to_string(), |it| it.to_string());
    let tried = in_words(sight);
    match sight.outcome() {
        Outcome::Works => Hop::fine(ANSWER, at, tried),
        Outcome::Unknown => Hop::unexamined(ANSWER, at, tried),
        Outcome::Fails if is_explained => Hop::follows(ANSWER, at, tried),
        Outcome::Fails => {
            let door = sight.door.as_ref().and_then(|door| door.reach.as_ref().ok());
            let connects = [&sight.through_gateway, &sight.to_aim].contains(&&Dial::Connected);
            let finding = if door == Some(&Reach::HangsUp) && connects {
                Finding::new(
                    HANGS_UP_AT_ONCE,
                    "the connection comes through, and what answers closes it at once",
                    "every hop is fine: the program behind the port closes connections",
                    "look at what the program logs",
                )
            } else {
                Finding::new(
                    UNEXPLAINED,
                    format!("a connection fails, and no hop says why: {tried}"),
                    "what could not be examined is listed above",
                    "`topo diff` shows what is not as the file says",
                )
            };
            Hop::broken(ANSWER, at, Rank::Symptom, finding)
        }
    }
}

/// `through the gateway it connects, from the gateway it gets no answer`
fn in_words(sight: &Sight) -> String {
    let from = if sight.gateway.is_some() { "from the gateway" } else { "from this machine" };
    let tries = [("through the gateway", &sight.through_gateway), (from, &sight.to_aim)];
    let known = tries.iter().filter(|(_, dial)| !matches!(dial, Dial::Untried(_)));
    let known: Vec<String> =
        known.map(|(how, dial)| format!("{how} it {}", dial.in_words())).collect();
    if !known.is_empty() {
        return known.join(", ");
    }
    match &sight.door {
        Some(door) => match &door.reach {
            Ok(reach) if reach.is_open() => "a connection is taken".to_owned(),
            Ok(_) => "a connection fails".to_owned(),
            Err(why) => format!("no connection was tried: {why}"),
        },
        None => format!(
            "no connection was tried: {}",
            match &sight.to_aim {
                Dial::Untried(why) => why,
                _ => "",
            }
        ),
    }
}
