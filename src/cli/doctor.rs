//! `topo doctor`: the machine, the file and what is live, looked at together.

use std::fs::File as OpenFile;
use std::io::Write;
use std::path::Path;

use super::session::Session;
use super::validate::{self, Checked};
use super::{DoctorArgs, load};
use crate::backend::docker::{Docker, Snapshot, Surroundings};
use crate::doctor::look::{self, Ends};
use crate::doctor::{self, Balancing, Diagnosis, Facts, File, Look};
use crate::engine::Failure;
use crate::error::{Error, Exit};
use crate::manifest::Object;
use crate::resources::{self, Objects};
use crate::topology::{Loaded, Severity, Topology};
use crate::view::{self, View};

pub async fn doctor(args: &DoctorArgs, view: &mut dyn View) -> Result<Exit, Error> {
    let report = args.report.as_deref().map(create).transpose()?;
    let ends = Ends::from_now();
    let path = args.file.if_any();
    let (file, loaded) = match &path {
        Some(path) => read(path, view).await?,
        None => (None, None),
    };
    let surroundings = Surroundings::read(load::environment);
    let (machine, kernel, engine) =
        Box::pin(look::machine(&surroundings, &load::environment, ends)).await;
    let (docker, engine) = match engine {
        Ok((docker, engine)) => (Ok(docker), Ok(engine)),
        Err(why) => (Err("no engine answers".to_owned()), Err(why)),
    };
    let live = match (docker, &engine, path.as_deref().zip(loaded)) {
        (Ok(docker), Ok(engine), Some((path, loaded))) => {
            let subject = Subject { path, loaded, docker, snapshot: engine.snapshot.clone() };
            Box::pin(live(subject, &args.file.typed("apply"), ends, view)).await
        }
        (Err(why), ..) => Err(why),
        _ => Err("there is no valid file".to_owned()),
    };
    let diagnosis = doctor::diagnose(&Facts { machine, kernel, engine, file, live });
    view.doctor(&diagnosis);
    if let Some(report) = report {
        report.write(&diagnosis, view)?;
    }
    Ok(if diagnosis.findings.is_empty() { Exit::Done } else { Exit::Differs })
}

/// The file as `validate` sees it.
async fn read(path: &Path, view: &mut dyn View) -> Result<(Option<File>, Option<Loaded>), Error> {
    let Checked { problems, loaded, objects, unread, .. } = validate::check(path, view).await?;
    let is_valid = problems.iter().all(|problem| problem.severity == Severity::Warning);
    let loaded = loaded.filter(|_| is_valid);
    // Of some of the manifests nothing can be said of all.
    let objects = objects.filter(|_| unread.is_empty());
    let topology = loaded.as_ref().map(|loaded| &loaded.topology);
    let balancing =
        topology.zip(objects.as_ref()).map(|(topology, objects)| balancing(topology, objects));
    let file = File {
        path: load::name(path).display().to_string(),
        problems,
        topology: topology.cloned(),
        balancing,
        unread: unread.into_iter().map(|(source, _)| source).collect(),
    };
    Ok((Some(file), loaded))
}

/// What the manifests ask of a load balancer.
fn balancing(topology: &Topology, objects: &Objects) -> Balancing {
    let asking = resources::asking(objects).into_iter();
    let name = |object: &Object| {
        format!("{}/{}", object.namespace.as_deref().unwrap_or("default"), object.name)
    };
    Balancing {
        asking: asking.map(name).collect(),
        is_lacking: resources::lacks_balancer(topology, objects),
    }
}

/// A valid file, and an engine that answers.
struct Subject<'a> {
    path: &'a Path,
    loaded: Loaded,
    docker: Docker,
    snapshot: Snapshot,
}

async fn live(
    subject: Subject<'_>,
    apply: &str,
    ends: Ends,
    view: &mut dyn View,
) -> Look<doctor::Live> {
    let Subject { path, loaded, docker, snapshot } = subject;
    let in_words = |error: Error| error.to_string();
    let session = Session::on(path, loaded, docker, snapshot, view).map_err(in_words)?;
    session.check_claims(true).map_err(in_words)?;
    if !session.is_known() {
        return Err(format!("`{}` is not applied", session.name()));
    }
    Ok(look::live(session.cx(), session.snapshot(), apply, ends).await)
}

/// A file for the report, which was not there before.
struct Report<'a> {
    path: &'a Path,
    file: OpenFile,
}

fn create(path: &Path) -> Result<Report<'_>, Error> {
    let file = OpenFile::create_new(path).map_err(|error| {
        let failure = Failure::because(format!("cannot write `{}`", path.display()), &error);
        Error::refused(failure.hint("name a file that is not there yet"))
    })?;
    Ok(Report { path, file })
}

impl Report<'_> {
    fn write(mut self, diagnosis: &Diagnosis, view: &mut dyn View) -> Result<(), Error> {
        let path = self.path.display();
        let text = view::report(diagnosis);
        let written = self.file.write_all(view.masked(&text).as_bytes());
        written.map_err(|error| Error::because(format!("cannot write `{path}`"), &error))?;
        view.note(&format!("wrote `{path}`: names and addresses of this machine are in it"));
        Ok(())
    }
}
