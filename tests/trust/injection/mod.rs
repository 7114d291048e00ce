//! Texts that mean something to a program, in every place of a topology that takes one: topo refuses
//! the file at its place, or what it renders is taken by the program that reads it and means that text.

mod places;
mod readers;

use std::fmt;

use places::{EVERYWHERE, Place};
use readers::Readers;

use crate::lane::Lane;
use crate::rounds;
use crate::seed::{Dice, sample};

const TEST: &str = "injection";

/// Of each of the languages that topo writes.
const TEXTS: [&str; 63] = [
    "plain",
    "a b",
    "a\tb",
    "a\nb",
    "a\r\nb",
    "a\rb",
    " a",
    "a ",
    "\\040",
    "a\\",
    "\\\"a",
    "a#b",
    "# a",
    "a;b",
    "a{b",
    "a}b",
    "{{ a }}",
    "{% a %}",
    "{# a #}",
    "%h",
    "a%%b",
    "%n",
    "'",
    "\"",
    "a\"; rm",
    "$(id)",
    "`id`",
    "$HOME",
    "a&b",
    "a|b",
    "a>b",
    "<b>",
    "ü文",
    "a\u{a0}b",
    "\u{202e}a",
    "\u{7f}",
    "a\u{0}b",
    "-rw",
    "--help",
    "*",
    "*(rw,no_root_squash)",
    "a,b=c",
    "a: b",
    "a:b",
    "yes",
    "1e3",
    "0x10",
    "010",
    "~",
    "null",
    "!!binary aGk=",
    "&a",
    "*a",
    "- a",
    "a\nEND_OF_SETTINGS\nid",
    "@a",
    "0.0.0.0/0",
    "192.0.2.0/24",
    "all",
    "1.2.3.4",
    "localhost",
    "10.0.0.1-10.0.0.9",
    "",
];

/// Texts made of the same letters, beside those.
const ROLLED: usize = 30;
const LONGEST: usize = 24;

struct Case {
    place: Place,
    text: String,
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} as {:?}", self.text, self.place)
    }
}

#[test]
#[ignore = "needs the lab"]
fn a_text_is_refused_or_means_itself() {
    let mut dice = Dice::of(TEST);
    let letters: Vec<char> = TEXTS.concat().chars().collect();
    let mut rolled = || -> String {
        (0..=dice.below(LONGEST)).map(|_| letters[dice.below(letters.len())]).collect()
    };
    let cases = EVERYWHERE.into_iter().flat_map(|place| {
        let texts = TEXTS.map(str::to_owned).into_iter().chain((0..ROLLED).map(|_| rolled()));
        texts.map(|text| Case { place, text }).collect::<Vec<_>>()
    });
    let cases = cases.filter(|case| case.place.can_be_given(&case.text));
    let programs = Readers::begin();
    rounds::run(TEST, &sample(TEST, cases.collect()), |lane, case| round(lane, &programs, case));
}

fn round(lane: &Lane, programs: &Readers, Case { place, text }: &Case) -> Result<(), String> {
    let file = lane.write(&place.topology(lane, text));
    let variables = place.variables(lane, text);
    let variables: Vec<(&str, &str)> =
        variables.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let validated = lane.topo_with(&variables, &["validate", &file]);
    if validated.code == Some(2) {
        return if validated.err.contains(&format!("{file}:")) {
            validated.sane("validate")
        } else {
            Err(format!("it was refused without a place:\n{}", validated.said()))
        };
    }
    validated.ends(0, "validate")?;
    let rendered = lane.topo_with(&variables, &["render", place.rendered(), "-f", &file]);
    let is_explained = ["hint:", "Caused by:"].iter().any(|why| rendered.err.contains(why));
    if rendered.code == Some(2) && is_explained {
        return rendered.sane("render");
    }
    rendered.ends(0, "render")?;
    let (read, meant) =
        (place.read(lane, programs, text, &rendered.out)?, place.meaning(lane, programs, text));
    if read == meant {
        Ok(())
    } else {
        Err(format!("it means {meant:?}, and was read as {read:?}"))
    }
}
