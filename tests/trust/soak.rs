//! Edit after edit of one file, each applied to whatever those before it have left: after every one the
//! topology is in sync and a second apply has nothing to do, and now and then it is taken down.

use std::fmt;

use crate::files::File;
use crate::lane::Lane;
use crate::listing::{self, Listing};
use crate::rounds;
use crate::seed::{Dice, sample};

const TEST: &str = "soak";
const EDITS: usize = 200;

struct Edit {
    file: File,
    is_taken_down: bool,
}

impl fmt::Display for Edit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let File { is_moved, published, is_less, .. } = self.file;
        write!(f, "moved {is_moved}, less {is_less}, {published} ports")?;
        if self.is_taken_down { f.write_str(", then destroyed") } else { Ok(()) }
    }
}

#[test]
#[ignore = "needs the lab"]
fn after_every_edit_it_is_as_the_file_says() {
    let mut dice = Dice::of(TEST);
    let edits = (0..EDITS).map(|_| Edit {
        file: File {
            is_moved: dice.below(2) == 0,
            is_less: dice.below(3) == 0,
            published: 3 + u16::try_from(dice.below(4)).unwrap_or(0),
            ..File::new()
        },
        is_taken_down: dice.below(8) == 0,
    });
    let lanes = [rounds::lane(TEST, 1), rounds::lane(TEST, 2)];
    let empty = lanes.each_ref().map(|lane| (lane.name.clone(), listing::of(lane)));
    rounds::in_lanes(TEST, &lanes, &sample(TEST, edits.collect()), |lane, edit| {
        let (_, empty) = empty.iter().find(|(name, _)| *name == lane.name).ok_or("a known lane")?;
        round(lane, edit, empty)
    });
    for lane in &lanes {
        let file = File::new().write(lane);
        lane.topo(&["destroy", "--yes", &file]).ends(0, "the last destroy").expect("it goes");
    }
}

fn round(lane: &Lane, edit: &Edit, empty: &Listing) -> Result<(), String> {
    let file = edit.file.write(lane);
    lane.topo(&["apply", "--yes", &file]).ends(0, "the apply")?;
    lane.topo(&["diff", &file]).ends(0, "the diff after it")?;
    let again = lane.topo(&["apply", &file]);
    again.ends(0, "the apply with nothing to do")?;
    if let Some(change) = again.run.changes().first() {
        return Err(format!("an apply with nothing to do called {}", change.what));
    }
    if !edit.is_taken_down {
        return Ok(());
    }
    lane.topo(&["destroy", "--yes", &file]).ends(0, "the destroy")?;
    listing::same(empty, &listing::of(lane))
}
