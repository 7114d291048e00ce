//! Shows events as they come, and lets time go by in between.

use std::time::{Duration, Instant};

use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::{MissedTickBehavior, interval};

use super::{Timeline, View};
use crate::engine::Event;

/// Quick enough for a spinner to turn.
const TICK: Duration = Duration::from_millis(100);

/// Runs beside the work until everyone who could tell something has gone.
pub async fn follow(
    view: &mut dyn View,
    mut events: UnboundedReceiver<Event>,
    mut timeline: Option<&mut Timeline>,
) {
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        tokio::select! {
            event = events.recv() => match event {
                Some(event) => {
                    if let Some(timeline) = &mut timeline {
                        timeline.event(&event, Instant::now());
                    }
                    view.event(&event);
                }
                None => return,
            },
            _ = ticks.tick() => view.tick(),
        }
    }
}
