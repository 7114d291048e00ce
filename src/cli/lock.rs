//! `topo lock`: the lock file beside the topology file, written and kept to.

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use futures::future::try_join_all;

use super::FileArgs;
use super::load::STDIN;
use super::session::{Purpose, Session, Which};
use crate::backend::host::write_atomically;
use crate::engine::Failure;
use crate::error::{Error, Exit};
use crate::resources;
use crate::topology::{Difference, InUse, Lockfile, nearest};
use crate::view::View;

/// Pin what the file depends on: kind, images, downloads
///
/// Writes the release of kind, MetalLB's manifest, the digests of images and the checksums of downloads
/// into a file beside the topology file: `dev.lock` for `dev.yaml`. With it committed, `topo apply
/// --locked` and `topo diff --locked` refuse anything else. What is locked stays locked until `--update`
/// accepts what is there now. Ends with 1 while something differs.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    file: FileArgs,
    /// Accept what is there now, of everything or of one: `--update=kind`; may be repeated
    #[arg(
        long,
        value_name = "ID",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "",
        conflicts_with = "check"
    )]
    update: Vec<String>,
    /// Write nothing; say what differs
    #[arg(long)]
    check: bool,
}

pub async fn lock(args: &Args, view: &mut dyn View) -> Result<Exit, Error> {
    let path = lock_file(&args.file)?;
    let before = read(&path)?;
    if args.check && before.is_none() {
        return Err(missing(&path, &args.file));
    }
    let is_new = before.is_none();
    let mut lockfile = before.unwrap_or_default();
    let which = Which::File(args.file.path());
    let session = Session::open(which, Purpose::Look, "topo lock", view).await?;
    let differences = lockfile.differences(&in_use(&session).await?);
    if args.check {
        view.lock(&differences);
        return Ok(exit(&differences));
    }

    check_ids(&args.update, &lockfile, &differences)?;
    let updates = |id: &String| args.update.iter().any(|all| all.is_empty() || all == id);
    let (changed, other): (Vec<_>, Vec<_>) =
        differences.into_iter().partition(Difference::is_a_change);
    let (accepted, kept): (Vec<_>, Vec<_>) = changed.into_iter().partition(|it| updates(&it.id));
    accepted.iter().chain(&other).for_each(|difference| lockfile.accept(difference));
    let differing: Vec<Difference> = accepted.iter().chain(&kept).cloned().collect();
    view.lock(&differing);
    if is_new || !accepted.is_empty() || !other.is_empty() {
        write(&path, &lockfile)?;
        view.note(&format!("wrote `{}`", path.display()));
    } else if kept.is_empty() {
        view.note(&format!("`{}` is up to date", path.display()));
    }
    if !kept.is_empty() {
        let accept = args.file.typed("lock --update");
        view.note(&format!("kept what was locked; `{accept}` accepts what is there now"));
    }
    Ok(exit(&kept))
}

fn exit(differences: &[Difference]) -> Exit {
    if differences.is_empty() { Exit::Done } else { Exit::Differs }
}

/// For commands that use nothing but what is locked.
pub async fn refuse_unlocked(file: &FileArgs, session: &Session) -> Result<(), Error> {
    let path = lock_file(file)?;
    let lockfile = read(&path)?.ok_or_else(|| missing(&path, file))?;
    let mut differences = lockfile.differences(&in_use(session).await?);
    // A pin of what is no longer used does not matter.
    differences.retain(|difference| difference.now.is_some());
    let accept = match &differences[..] {
        [] => return Ok(()),
        [one] => format!("lock --update={}", one.id),
        _ => "lock --update".to_owned(),
    };
    let mut failure =
        Failure::new(format!("what would be used does not match `{}`", path.display()));
    failure.causes = differences.iter().map(|difference| said(difference, session)).collect();
    Err(Error::refused(
        failure.hint(format!("`{}` accepts what is there now", file.typed(&accept))),
    ))
}

fn said(difference: &Difference, session: &Session) -> String {
    let place = difference.key.as_ref().and_then(|key| session.place(key));
    let place = place.map(|place| format!(" ({place})")).unwrap_or_default();
    let locked = difference.locked.as_deref().unwrap_or("nothing");
    let now = difference.now.as_deref().unwrap_or("nothing");
    format!("`{}`{place}: locked {locked}, now {now}", difference.id)
}

async fn in_use(session: &Session) -> Result<Vec<InUse>, Error> {
    let Some(topology) = &session.topology else { return Ok(Vec::new()) };
    let pins = resources::pins(topology)?;
    let look = pins.into_iter().map(|pin| {
        let place = session.place(&pin.key);
        async move {
            let looked = pin.in_use(session.cx(), session.snapshot()).await;
            looked.map_err(|failure| match place {
                Some(place) => failure.note(format!("it is used at {place}")),
                None => failure,
            })
        }
    });
    Ok(try_join_all(look).await?)
}

/// `dev.lock` beside `dev.yaml`.
fn lock_file(file: &FileArgs) -> Result<PathBuf, Error> {
    let path = file.path();
    if path == Path::new(STDIN) {
        let failure = Failure::new("a topology from standard input has no lock file");
        return Err(Error::refused(failure.hint("name the topology file")));
    }
    Ok(path.with_extension("lock"))
}

/// None where there is no such file.
fn read(path: &Path) -> Result<Option<Lockfile>, Error> {
    let cannot = || format!("cannot read `{}`", path.display());
    let text = match std::fs::read_to_string(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        text => text.map_err(|error| Error::because(cannot(), &error))?,
    };
    let lockfile = Lockfile::parse(&text).map_err(|why| {
        let hint = "remove it, and run `topo lock` to write it again";
        Error::refused(Failure::new(cannot()).caused_by(why).hint(hint))
    })?;
    Ok(Some(lockfile))
}

fn write(path: &Path, lockfile: &Lockfile) -> Result<(), Error> {
    let cannot = || format!("cannot write `{}`", path.display());
    let text = lockfile.text().map_err(|error| Error::because(cannot(), &error))?;
    let absolute = std::path::absolute(path).map_err(|error| Error::because(cannot(), &error))?;
    write_atomically(&absolute, text.as_bytes(), 0o644)
        .map_err(|error| Error::because(cannot(), &error))
}

fn missing(path: &Path, file: &FileArgs) -> Error {
    let failure = Failure::new(format!("`{}` not found", path.display()));
    Error::refused(failure.hint(format!("`{}` writes it", file.typed("lock"))))
}

fn check_ids(
    updates: &[String],
    lockfile: &Lockfile,
    differences: &[Difference],
) -> Result<(), Error> {
    let now = differences.iter().map(|difference| difference.id.as_str());
    let known: BTreeSet<&str> = lockfile.ids().chain(now).collect();
    let unknown = updates.iter().find(|id| !id.is_empty() && !known.contains(id.as_str()));
    unknown.map_or(Ok(()), |id| {
        let known: Vec<&str> = known.iter().copied().collect();
        let failure = Failure::new(format!("`{id}` is not an id of the lock file"));
        Err(Error::refused(failure.hint(format!("write {}", nearest::or_all(id, &known)))))
    })
}
