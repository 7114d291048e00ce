//! `topo man`

use clap::CommandFactory;
use clap::builder::Resettable;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};

use super::{Cli, EXIT_CODES};
use crate::engine::Failure;
use crate::error::{Error, Exit};
use crate::view::View;

/// Print the manual page of topo, or of one of its commands
///
/// To read it: `topo man apply | man -l -`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The command whose page is wanted
    #[arg(value_name = "COMMAND")]
    of: Option<String>,
}

/// What is typed, and what it does; each is on the page of its command, and the first ones on topo's own.
const EXAMPLES: [(&str, &str); 24] = [
    ("topo init --from hello", "Write the smallest example, with the manifest it names."),
    ("topo apply hello.yaml", "Show the plan, and carry it out."),
    ("topo status hello.yaml", "Show each port, where it leads and whether a pod answers."),
    ("topo destroy hello.yaml", "Remove everything again."),
    ("topo apply --yes -f topo.yaml", "The same in a script, where no questions are asked."),
    ("topo apply --target port/10080", "Only this forward and what it needs."),
    ("topo apply --var NODE_IMAGE=kindest/node:v1.34.0", "Fill in ${NODE_IMAGE} in the file."),
    (
        "topo diff -o json",
        "One JSON document; the exit status is 1 where there is something to do.",
    ),
    ("topo destroy --name dev", "Without the file, from any folder."),
    ("topo stop", "Stop everything that runs, and keep it; topo start starts it again."),
    ("topo watch", "Stay up, and repair drift as it happens."),
    ("topo status --name dev", "Without the file, from any folder."),
    (
        "topo trace 10080",
        "Follow a connection to this port, and name the first hop that is broken.",
    ),
    ("topo trace share/docs", "The same for a shared folder."),
    ("topo graph --format svg", "Draw the resources and their dependencies."),
    ("topo lock", "Pin what the file depends on in topo.lock, to be committed."),
    ("topo lock --update=kind", "Accept the release of kind that is here now."),
    (
        "topo adopt --cluster dev --gateway dev-gw --out topo.yaml",
        "Write a topology file from what was made by hand.",
    ),
    ("topo apply --take pool/dev", "Take over this pool as it is, after a yes."),
    ("topo apply --timeline apply.svg", "Draw what was done when, too."),
    ("topo render kind", "The configuration that kind is given."),
    ("topo tunnel status", "The ssh tunnels of shares and forwards to another machine."),
    ("topo schema", "For an editor: redirect it to topology.schema.json beside the file."),
    ("topo completions fish", "For fish: redirect it to ~/.config/fish/completions/topo.fish."),
];

const OF_TOPO_ITSELF: usize = 4;

const ENVIRONMENT: [(&str, &str); 8] = [
    ("TOPO_FILE", "The topology file where none is named, in place of topo.yaml."),
    (
        "TOPO_KIND",
        "The kind program, in place of the one on PATH or the release that is downloaded.",
    ),
    (
        "TOPO_CACHE_DIR",
        "Where downloads are kept, in place of topo in $XDG_CACHE_HOME or ~/.cache.",
    ),
    ("DOCKER_HOST, DOCKER_CONTEXT", "The Docker engine, as the docker program reads them."),
    ("KUBECONFIG", "Where the entries of clusters are put, as kubectl reads it."),
    ("XDG_STATE_HOME", "Where locks and tunnels are kept, in place of ~/.local/state."),
    (
        "TOPO_LOG, TOPO_LOG_PATH",
        "debug tells each call to the engine, the cluster and other programs, on standard error or in that file.",
    ),
    ("NO_COLOR", "If set, no color."),
];

const FILES: [(&str, &str); 5] = [
    ("topo.yaml", "The topology file."),
    ("topo.lock", "What it depends on, as topo lock wrote it down."),
    ("topology.schema.json", "Its JSON Schema, for editors; topo init writes both."),
    (
        "~/.local/state/topo/NAME",
        "A topology's lock and tunnels. What topo made is found by its marks, not here.",
    ),
    ("~/.cache/topo", "Downloads: kind, MetalLB's manifest, manifests by url."),
];

pub fn run(args: &Args, view: &mut dyn View) -> Result<Exit, Error> {
    let page = page(args.of.as_deref())?;
    view.data(&page);
    Ok(Exit::Done)
}

fn page(of: Option<&str>) -> Result<String, Error> {
    // What is after the help of topo itself has a section of its own here.
    let command = command(of)?.after_help(Resettable::Reset);
    let mut page = Vec::new();
    Man::new(command)
        .source(concat!("topo ", env!("CARGO_PKG_VERSION")))
        .render(&mut page)
        .map_err(|error| Error::because("cannot write the manual page", &error))?;
    let mut roff = Roff::new();
    section(&mut roff, "EXAMPLES", &examples(of));
    section(&mut roff, "EXIT STATUS", &exit_status());
    section(&mut roff, "ENVIRONMENT", &ENVIRONMENT);
    section(&mut roff, "FILES", &FILES);
    Ok(String::from_utf8_lossy(&page).into_owned() + &roff.to_roff())
}

fn examples(of: Option<&str>) -> Vec<(&'static str, &'static str)> {
    let Some(command) = of else { return EXAMPLES[..OF_TOPO_ITSELF].to_vec() };
    let is_of = |typed: &str| typed.split(' ').nth(1) == Some(command);
    EXAMPLES.into_iter().filter(|(typed, _)| is_of(typed)).collect()
}

/// As the help of topo itself ends.
fn exit_status() -> Vec<(&'static str, &'static str)> {
    let lines = EXIT_CODES.lines().skip(1).filter_map(|line| line.trim().split_once(' '));
    lines.map(|(code, means)| (code, means.trim())).collect()
}

fn section(roff: &mut Roff, title: &str, rows: &[(&str, &str)]) {
    if rows.is_empty() {
        return;
    }
    roff.control("SH", [title]);
    for (what, about) in rows {
        roff.control("TP", []).text([bold(*what)]).text([roman(*about)]);
    }
}

fn command(named: Option<&str>) -> Result<clap::Command, Error> {
    let mut topo = Cli::command();
    topo.build();
    let Some(name) = named else { return Ok(topo) };
    let known: Vec<&str> = topo
        .get_subcommands()
        .map(clap::Command::get_name)
        .filter(|name| *name != "help")
        .collect();
    let unknown = Failure::new(format!("`{name}` is not a command of topo"))
        .hint(format!("one of {}", known.join(", ")));
    topo.find_subcommand(name).cloned().ok_or_else(|| Error::refused(unknown))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[test]
    fn every_example_can_be_typed() {
        for (typed, _) in EXAMPLES {
            Cli::try_parse_from(typed.split(' '))
                .unwrap_or_else(|error| panic!("{typed}: {error}"));
        }
    }
}
