//! What was done when, as a drawing: a bar for each step, and before it how long the step could have begun
//! and did not.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write;
use std::time::{Duration, Instant};

use super::graph::{STYLE, as_f64, escaped};
use super::text::cut;
use crate::engine::{Event, StepPhase};
use crate::plan::{Action, Bond, Id, Plan};

const MARGIN: f64 = 24.0;
const TITLE: f64 = 56.0;
const ROW: f64 = 20.0;
const NAMES: f64 = 330.0;
const NAME: usize = 42;
const SCALE: f64 = 760.0;
/// Right of the bars, for the time of one that reaches the end.
const TIMES: f64 = 150.0;
/// What is not longer is not seen.
const SHORT: Duration = Duration::from_millis(50);
/// More steps of a kind than this are drawn as one.
const MOST: usize = 20;
const MOST_MARKS: u64 = 12;

/// Hears the events of a run.
pub struct Timeline {
    began: Instant,
    /// What must be there before a resource is made.
    needs: HashMap<Id, Vec<Id>>,
    bars: Vec<Bar>,
    /// The bar of each resource that is worked on.
    open: HashMap<Id, usize>,
    /// When the work on each was over.
    ended: HashMap<Id, Duration>,
}

struct Bar {
    name: String,
    kind: String,
    from: Duration,
    /// When it was made, and only waited for.
    made: Option<Duration>,
    to: Duration,
    /// When all that it needs had been there, if that was well before it began.
    ready: Option<Duration>,
    is_failed: bool,
    said: String,
}

impl Timeline {
    pub fn of(plan: &Plan) -> Self {
        let needs = |bonds: &[Bond]| bonds.iter().map(|bond| bond.id().clone()).collect();
        let makes = plan.items.iter().filter(|item| item.action.changes_something());
        let makes = makes.filter(|item| !matches!(item.action, Action::Delete | Action::Stop));
        Self {
            began: Instant::now(),
            needs: makes.map(|item| (item.id.clone(), needs(&item.bonds))).collect(),
            bars: Vec::new(),
            open: HashMap::new(),
            ended: HashMap::new(),
        }
    }

    pub fn event(&mut self, event: &Event, now: Instant) {
        let now = now.duration_since(self.began);
        match event {
            Event::Step { id, phase: StepPhase::Started, .. } => {
                self.begin(id, now);
            }
            Event::Step { id, phase: StepPhase::Waiting, .. } => {
                let bar = self.begin(id, now);
                self.bars[bar].made = Some(now);
            }
            Event::Step { id, detail, .. } => self.end(id, detail.as_deref(), false, now),
            Event::Failed { id, failure, .. } => self.end(id, Some(&failure.message), true, now),
            Event::Progress { id, detail, .. } => {
                if let Some(at) = self.open.get(id) {
                    self.bars[*at].said.clone_from(detail);
                }
            }
            Event::Warning { .. } => {}
        }
    }

    fn begin(&mut self, id: &Id, now: Duration) -> usize {
        if let Some(at) = self.open.get(id) {
            return *at;
        }
        let ready = self.ready(id);
        self.bars.push(Bar {
            name: id.to_string(),
            kind: id.kind().to_owned(),
            from: now,
            made: None,
            to: now,
            ready: ready.filter(|ready| now.saturating_sub(*ready) > SHORT),
            is_failed: false,
            said: String::new(),
        });
        self.open.insert(id.clone(), self.bars.len() - 1);
        self.bars.len() - 1
    }

    /// Since when all that it needs is there; not known of what goes ahead of the end of a need.
    fn ready(&self, id: &Id) -> Option<Duration> {
        let needs = self.needs.get(id).into_iter().flatten();
        let made = needs.filter(|need| self.needs.contains_key(need));
        let ended: Option<Vec<Duration>> = made.map(|need| self.ended.get(need).copied()).collect();
        Some(ended?.into_iter().max().unwrap_or_default())
    }

    fn end(&mut self, id: &Id, said: Option<&str>, is_failed: bool, now: Duration) {
        self.ended.insert(id.clone(), now);
        let Some(at) = self.open.remove(id) else { return };
        let bar = &mut self.bars[at];
        (bar.to, bar.is_failed) = (now, is_failed);
        if let Some(said) = said {
            said.clone_into(&mut bar.said);
        }
    }

    /// A drawing that needs no other program.
    pub fn draw(mut self, title: &str) -> String {
        let end = self.bars.iter().map(|bar| bar.to).max().unwrap_or_default();
        for at in self.open.values() {
            self.bars[*at].to = end;
        }
        let rows = rows(self.bars);
        let scale = SCALE / end.as_secs_f64().max(0.1);
        let width = NAMES + SCALE + TIMES + 2.0 * MARGIN;
        let height = TITLE + as_f64(rows.len()) * ROW + 2.0 * MARGIN;
        let mut text = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width:.0}\" height=\"{height:.0}\" \
             viewBox=\"0 0 {width:.0} {height:.0}\" role=\"img\">\n<title>{title}</title>\n\
             <style>{STYLE}{OWN_STYLE}</style>\n<rect class=\"paper\" width=\"100%\" height=\"100%\"/>\n\
             <text class=\"title\" x=\"{MARGIN}\" y=\"{MARGIN}\" dy=\"12\">{title}</text>\n",
            title = escaped(title),
        );
        for mark in marks(end) {
            let (x, second) = (MARGIN + NAMES + mark.as_secs_f64() * scale, mark.as_secs());
            let _ = writeln!(
                text,
                "<path class=\"rule\" d=\"M{x:.1} {:.1}V{:.1}\"/><text class=\"kind\" x=\"{x:.1}\" y=\"{:.1}\" \
                 text-anchor=\"middle\">{second} s</text>",
                MARGIN + TITLE - 6.0,
                height - MARGIN,
                MARGIN + TITLE - 12.0,
            );
        }
        for (at, row) in rows.iter().enumerate() {
            let top = MARGIN + TITLE + as_f64(at) * ROW;
            let _ = writeln!(text, "{}", row.drawn(top, scale));
        }
        text.push_str("</svg>\n");
        text
    }
}

const OWN_STYLE: &str = ".rule{stroke:#d0d7de;stroke-width:1}.idle{stroke:#8c959f;stroke-width:1.4;stroke-dasharray:2 3}\
    .later{opacity:.45}.failed{stroke:#cf222e;stroke-width:2}\
    @media(prefers-color-scheme:dark){.rule{stroke:#3d444d}}";

impl Bar {
    fn drawn(&self, top: f64, scale: f64) -> String {
        let x = |at: Duration| MARGIN + NAMES + at.as_secs_f64() * scale;
        let wide = |from: Duration, to: Duration| (x(to) - x(from)).max(1.5);
        let made = self.made.unwrap_or(self.to);
        let kind = &self.kind;
        let middle = top + ROW / 2.0;
        let mut text = format!(
            "<g><title>{}</title><text class=\"name\" x=\"{MARGIN}\" y=\"{:.1}\">{}</text>",
            escaped(&self.told()),
            middle + 4.0,
            escaped(&cut(&self.name, NAME)),
        );
        if let Some(ready) = self.ready {
            let _ = write!(
                text,
                "<path class=\"idle\" d=\"M{:.1} {middle:.1}H{:.1}\"/>",
                x(ready),
                x(self.from)
            );
        }
        let failed = if self.is_failed { " failed" } else { "" };
        for (from, to, later) in [(self.from, made, ""), (made, self.to, " later")] {
            if to > from || (later.is_empty() && self.made.is_none()) {
                let _ = write!(
                    text,
                    "<rect class=\"bar {kind}{later}{failed}\" x=\"{:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{:.1}\" rx=\"2\"/>",
                    x(from),
                    top + 3.0,
                    wide(from, to),
                    ROW - 6.0
                );
            }
        }
        let _ = write!(
            text,
            "<text class=\"kind\" x=\"{:.1}\" y=\"{:.1}\">{:.1} s{}</text></g>",
            x(self.to) + 6.0,
            middle + 3.5,
            self.lasted().as_secs_f64(),
            if self.is_failed { ", failed" } else { "" },
        );
        text
    }

    fn lasted(&self) -> Duration {
        self.to.saturating_sub(self.from)
    }

    fn told(&self) -> String {
        let seconds = |at: Duration| format!("{:.2} s", at.as_secs_f64());
        let mut told = format!("{}: {} to {}", self.name, seconds(self.from), seconds(self.to));
        if let Some(made) = self.made.filter(|made| *made > self.from) {
            let _ = write!(told, ", made at {}", seconds(made));
        }
        if let Some(ready) = self.ready {
            let _ = write!(told, "; what it needs was there at {}", seconds(ready));
        }
        if !self.said.is_empty() {
            let _ = write!(told, "\n{}", self.said);
        }
        told
    }
}

/// Steps that took no time are left out, and many of a kind are one.
fn rows(bars: Vec<Bar>) -> Vec<Bar> {
    let mut kinds: BTreeMap<String, Vec<Bar>> = BTreeMap::new();
    for bar in bars.into_iter().filter(|bar| bar.is_failed || bar.lasted() > SHORT) {
        kinds.entry(bar.kind.clone()).or_default().push(bar);
    }
    let mut rows: Vec<Bar> = kinds.into_values().flat_map(together).collect();
    rows.sort_by_key(|bar| (bar.from, bar.to));
    rows
}

fn together(bars: Vec<Bar>) -> Vec<Bar> {
    let (failed, bars): (Vec<Bar>, Vec<Bar>) = bars.into_iter().partition(|bar| bar.is_failed);
    let span = bars.iter().map(|bar| bar.from).min().zip(bars.iter().map(|bar| bar.to).max());
    match span.zip(bars.first()) {
        Some(((from, to), first)) if bars.len() > MOST => {
            let one = Bar {
                name: format!("{} of kind {}", bars.len(), first.kind),
                kind: first.kind.clone(),
                from,
                made: None,
                to,
                ready: None,
                is_failed: false,
                said: String::new(),
            };
            failed.into_iter().chain([one]).collect()
        }
        _ => failed.into_iter().chain(bars).collect(),
    }
}

/// Full seconds, about ten of them.
fn marks(end: Duration) -> impl Iterator<Item = Duration> {
    const STEPS: [u64; 11] = [1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1800];
    const HOUR: u64 = 3600;
    let end = end.as_secs();
    let step = STEPS.into_iter().find(|step| end / step <= MOST_MARKS).unwrap_or(HOUR);
    (0..=end / step).map(move |mark| Duration::from_secs(mark * step))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Failure;
    use crate::plan::Item;

    fn id(text: &str) -> Id {
        text.parse().expect("an id")
    }

    fn step(text: &str, phase: StepPhase) -> Event {
        let (action, elapsed) = (Action::Create, Duration::ZERO);
        Event::Step { id: id(text), action, phase, elapsed, detail: None }
    }

    fn plan() -> Plan {
        let item = |text: &str, needs: &[&str]| {
            let mut item = Item::new(id(text), Action::Create);
            item.bonds = needs.iter().map(|need| Bond::Uses(id(need))).collect();
            item
        };
        let items = vec![
            item("network/dev", &[]),
            item("cluster/dev", &["network/dev"]),
            item("gateway/dev-gw", &["network/dev"]),
            item("port/127.0.0.1:80", &["gateway/dev-gw"]),
        ];
        Plan { topology: "dev".to_owned(), items }
    }

    fn run(events: &[(u64, Event)]) -> String {
        let mut timeline = Timeline::of(&plan());
        let began = timeline.began;
        for (at, event) in events {
            timeline.event(event, began + Duration::from_millis(*at));
        }
        timeline.draw("topo apply dev & others")
    }

    #[test]
    fn a_bar_has_its_making_its_waiting_and_how_long_it_could_have_begun() {
        use StepPhase::{Done, Started, Waiting};
        let failure = Failure::new("cannot make it");
        let failed = Event::Failed {
            id: id("gateway/dev-gw"),
            action: Action::Create,
            elapsed: Duration::ZERO,
            failure,
        };
        insta::assert_snapshot!(run(&[
            (0, step("network/dev", Started)),
            (200, step("network/dev", Waiting)),
            (210, step("network/dev", Done)),
            (220, step("cluster/dev", Started)),
            (11_000, step("cluster/dev", Waiting)),
            (2_000, step("gateway/dev-gw", Started)),
            (2_900, failed),
            (21_400, step("cluster/dev", Done)),
        ]));
    }

    #[test]
    fn many_of_a_kind_are_one() {
        let ids: Vec<String> = (1..=30).map(|port| format!("port/127.0.0.1:{port}")).collect();
        let begun = ids.iter().map(|id| (1000, step(id, StepPhase::Started)));
        let ended = ids.iter().map(|id| (1400, step(id, StepPhase::Done)));
        let drawn = run(&begun.chain(ended).collect::<Vec<_>>());
        assert!(drawn.contains(">30 of kind port</text>"), "{drawn}");
        assert_eq!(drawn.matches("<g>").count(), 1, "{drawn}");
    }

    #[test]
    fn a_run_without_a_step_is_drawn_too() {
        assert!(run(&[]).ends_with("</svg>\n"));
    }

    #[test]
    fn the_scale_has_about_ten_marks() {
        for seconds in [0, 1, 9, 45, 200, 1500, 20_000] {
            let marks = marks(Duration::from_secs(seconds)).count();
            assert!(marks <= 13, "{seconds} s: {marks}");
        }
    }
}
