//! Paths of this machine: made absolute, then looked for.

use std::path::{Component, Path, PathBuf};

use super::super::files::{FileKind, Files};
use super::super::interpolate::UNQUOTE;
use super::super::load::Input;
use super::super::{AuthorizedKey, HostPath, Topology, Via};
use super::Rules;

/// What must stand at a path.
#[derive(Clone, Copy, PartialEq)]
enum Wanted {
    File,
    Folder,
    Either,
}

/// A path of this machine, and where the file names it.
struct Named<'a> {
    at: String,
    wanted: Wanted,
    path: &'a mut HostPath,
}

/// Makes every path absolute: from the file's folder, or from the user's home.
pub(super) fn resolve(topology: &mut Topology, input: &Input, rules: &mut Rules) {
    if let Some(ssh) = topology.gateway.as_mut().and_then(|gateway| gateway.ssh.as_mut()) {
        ssh.authorized_keys.get_or_insert_with(|| own_keys(input));
    }
    for Named { at, path, .. } in named(topology) {
        if path.needs_home() && input.home.is_none() {
            let problem = rules
                .error("no-home", &at, "`~` cannot be resolved: `HOME` is not set")
                .write("the absolute path");
            rules.report(problem);
        }
        path.resolve(input.folder, input.home);
    }
}

/// The public keys of the user's that ssh offers by itself.
fn own_keys(input: &Input) -> Vec<AuthorizedKey> {
    let Some(home) = input.home else { return Vec::new() };
    let mut names: Vec<String> = input
        .files
        .entries(&home.join(".ssh"))
        .iter()
        .filter(|entry| entry.path.extension().is_some_and(|extension| extension == "pub"))
        .filter_map(|entry| entry.path.file_name()?.to_str().map(str::to_owned))
        .filter(|name| name.starts_with("id_"))
        .collect();
    names.sort();
    names.iter().filter_map(|name| format!("~/.ssh/{name}").parse().ok()).collect()
}

/// Looks for everything the file names.
pub(super) fn check(topology: &mut Topology, files: &dyn Files, rules: &mut Rules) {
    for Named { at, wanted, path } in named(topology) {
        let unknown_home = path.needs_home() && !path.path().is_absolute();
        let text = path.path().to_string_lossy();
        if let Some(control) = text.chars().find(|c| c.is_control()) {
            let what = format!("the path contains {control:?}: {text:?}");
            let problem = rules.error("host-path", &at, what).help("rename the folder");
            rules.report(problem);
        } else if !unknown_home {
            stands(&at, wanted, path, files, rules);
        }
    }
    for (at, image) in topology.images.iter().enumerate() {
        let Some(build) = &image.build else { continue };
        if build.dockerfile.as_deref().is_some_and(leads_out) {
            let problem = rules
                .error(
                    "host-path",
                    &format!("images.{at}.dockerfile"),
                    "the Dockerfile must be inside the build folder",
                )
                .write("a path inside `build`, or a `build` folder that contains both");
            rules.report(problem);
            continue;
        }
        let dockerfile =
            build.folder.path().join(build.dockerfile.as_deref().unwrap_or("Dockerfile"));
        if files.kind(build.folder.path()) == Some(FileKind::Folder)
            && files.kind(&dockerfile) != Some(FileKind::File)
        {
            let path = if build.dockerfile.is_some() {
                format!("images.{at}.dockerfile")
            } else {
                format!("images.{at}.build")
            };
            let problem = rules.error(
                "missing-file",
                &path,
                format!("file not found: {}", dockerfile.display()),
            );
            rules.report(problem);
        }
    }
    for (at, manifest) in topology.manifests.iter().enumerate() {
        if let Some(path) = &manifest.path {
            inside(&format!("manifests.{at}.path"), path.path(), files, rules);
        }
    }
}

/// Only what is in the folder is sent to the engine.
fn leads_out(dockerfile: &str) -> bool {
    let path = Path::new(dockerfile);
    path.is_absolute() || path.components().any(|part| part == Component::ParentDir)
}

fn stands(at: &str, wanted: Wanted, path: &HostPath, files: &dyn Files, rules: &mut Rules) {
    let found = files.kind(path.path());
    let message = match (found, wanted) {
        (None, _) => format!(
            "{} not found: {}",
            if wanted == Wanted::Folder { "folder" } else { "file" },
            path.path().display()
        ),
        (Some(FileKind::File), Wanted::Folder) => {
            format!("expected a folder, found a file: {}", path.path().display())
        }
        (Some(FileKind::Folder), Wanted::File) => {
            format!("expected a file, found a folder: {}", path.path().display())
        }
        (Some(FileKind::Other), _) => {
            format!("neither a file nor a folder: {}", path.path().display())
        }
        _ => return,
    };
    let code = if found.is_none() { "missing-file" } else { "wrong-file" };
    let problem = rules.error(code, at, message).seen(path.written());
    let problem = match sibling(path.path(), files).filter(|_| found.is_none()) {
        Some(near) => problem.write(format!("`{near}`, which exists")),
        None if found.is_none() && path.written().contains("${") => problem.help(UNQUOTE),
        None => problem,
    };
    rules.report(problem);
}

/// A name in the same folder that is nearly the one looked for.
fn sibling(path: &Path, files: &dyn Files) -> Option<String> {
    let name = path.file_name()?.to_str()?;
    let entries = files.entries(path.parent()?);
    let names: Vec<&str> =
        entries.iter().filter_map(|entry| entry.path.file_name()?.to_str()).collect();
    super::super::nearest::to(name, names).map(str::to_owned)
}

/// A folder of manifests is applied whole; a symlink in it must not bring in what lies elsewhere.
fn inside(at: &str, folder: &Path, files: &dyn Files, rules: &mut Rules) {
    if files.kind(folder) != Some(FileKind::Folder) {
        return;
    }
    let Some(root) = files.canonical(folder) else { return };
    let mut open: Vec<PathBuf> = vec![root.clone()];
    while let Some(folder) = open.pop() {
        for entry in files.entries(&folder) {
            if entry.symlink {
                let target = files.canonical(&entry.path);
                if target.as_ref().is_none_or(|target| !target.starts_with(&root)) {
                    let leads = target.map_or_else(
                        || "to a file that does not exist".to_owned(),
                        |target| format!("out of the folder, to {}", target.display()),
                    );
                    let problem = rules
                        .error(
                            "symlink-leaves-folder",
                            at,
                            format!("the symlink {} leads {leads}", entry.path.display()),
                        )
                        .help("name the file itself under `manifests`, or copy it into the folder");
                    rules.report(problem);
                }
            } else if files.kind(&entry.path) == Some(FileKind::Folder) {
                open.push(entry.path);
            }
        }
    }
}

/// Every path of this machine that the file names.
fn named(topology: &mut Topology) -> Vec<Named<'_>> {
    let mut found = Vec::new();
    let mut name = |at: String, wanted: Wanted, path| found.push(Named { at, wanted, path });
    if let Some(cluster) = &mut topology.cluster {
        for (at, mount) in cluster.mounts.iter_mut().enumerate() {
            name(format!("cluster.mounts.{at}.hostPath"), Wanted::Either, &mut mount.host_path);
        }
        for (group, members) in cluster.groups.iter_mut().enumerate() {
            for (at, mount) in members.mounts.iter_mut().enumerate() {
                name(
                    format!("cluster.groups.{group}.mounts.{at}.hostPath"),
                    Wanted::Either,
                    &mut mount.host_path,
                );
            }
        }
    }
    for (at, image) in topology.images.iter_mut().enumerate() {
        if let Some(build) = &mut image.build {
            name(format!("images.{at}.build"), Wanted::Folder, &mut build.folder);
        }
    }
    if let Some(path) = topology.metallb.as_mut().and_then(|metallb| metallb.manifest.as_mut()) {
        name("metallb.manifest".to_owned(), Wanted::File, path);
    }
    if let Some(path) = &mut topology.templates {
        name("templates".to_owned(), Wanted::Folder, path);
    }
    for (at, manifest) in topology.manifests.iter_mut().enumerate() {
        let is_remote = manifest.chart_is_remote();
        if let Some(path) = &mut manifest.path {
            name(format!("manifests.{at}.path"), Wanted::Either, path);
        }
        if let Some(folder) = &mut manifest.kustomize {
            name(format!("manifests.{at}.kustomize"), Wanted::Folder, folder);
        }
        if let Some(chart) = manifest.chart.as_mut().filter(|_| !is_remote) {
            name(format!("manifests.{at}.chart"), Wanted::Either, chart);
        }
        for (file, path) in manifest.values_files.iter_mut().enumerate() {
            name(format!("manifests.{at}.valuesFiles.{file}"), Wanted::File, path);
        }
    }
    if let Some(ssh) = topology.gateway.as_mut().and_then(|gateway| gateway.ssh.as_mut()) {
        for (at, key) in ssh.authorized_keys.iter_mut().flatten().enumerate() {
            if let AuthorizedKey::File(path) = key {
                name(format!("gateway.ssh.authorizedKeys.{at}"), Wanted::File, path);
            }
        }
    }
    for (at, share) in topology.shares.iter_mut().enumerate() {
        // The path of an external share is one of another machine.
        if let Some(path) = share.path.as_mut().filter(|_| share.via != Via::External) {
            name(format!("shares.{at}.path"), Wanted::Folder, path);
        }
    }
    found
}
