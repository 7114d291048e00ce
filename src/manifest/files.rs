//! Reading a topology's manifests from the disk.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::template::{self, Values};
use super::{Fault, Place, Source};

const READ: [&str; 4] = ["yaml", "yml", "json", "j2"];
/// What kustomize looks for in a folder.
const KUSTOMIZATIONS: [&str; 3] = ["kustomization.yaml", "kustomization.yml", "Kustomization"];

/// The texts of one entry of the topology's manifests: a file, or the files of a folder in the
/// order of their names. `shown` is how the topology names the path.
pub fn sources(
    entry: usize,
    path: &Path,
    shown: &str,
    values: &Values,
) -> Result<Vec<Source>, Vec<Fault>> {
    let here = Place::start(&shown.into());
    let files = files(path, shown).map_err(|fault| vec![fault])?;
    let mut sources = Vec::with_capacity(files.len());
    let mut faults = Vec::new();
    for file in files {
        let name: Arc<str> = match file.strip_prefix(path) {
            Ok(inner) if inner != Path::new("") => {
                format!("{}/{}", shown.trim_end_matches('/'), inner.display()).into()
            }
            _ => here.file.clone(),
        };
        match source(entry, &file, name, values) {
            Ok(source) => sources.push(source),
            Err(fault) => faults.push(fault),
        }
    }
    if faults.is_empty() { Ok(sources) } else { Err(faults) }
}

fn source(entry: usize, file: &Path, name: Arc<str>, values: &Values) -> Result<Source, Fault> {
    let bytes = fs::read(file)
        .map_err(|error| Fault::new(Place::start(&name), format!("cannot be read: {error}")))?;
    let text = text(&name, bytes)?;
    // By its name and not by its path: what was downloaded is kept under its checksum.
    if !name.ends_with(".j2") {
        return Ok(Source { name, text, entry, ..Source::default() });
    }
    let (text, secrets) = template::render(&name, &text, values)?;
    let name = format!("{name} (rendered)").into();
    Ok(Source { name, text, entry, secrets, ..Source::default() })
}

/// UTF-8, or UTF-16 with the byte order mark that Windows writes.
fn text(name: &Arc<str>, bytes: Vec<u8>) -> Result<String, Fault> {
    let utf_16 = |unit: fn([u8; 2]) -> u16| {
        let units: Vec<u16> =
            bytes[2..].chunks(2).map(|pair| unit(pair.try_into().unwrap_or_default())).collect();
        String::from_utf16_lossy(&units)
    };
    match bytes.as_slice() {
        [0xFF, 0xFE, ..] => Ok(utf_16(u16::from_le_bytes)),
        [0xFE, 0xFF, ..] => Ok(utf_16(u16::from_be_bytes)),
        [0xEF, 0xBB, 0xBF, rest @ ..] => utf_8(name, rest.to_vec()),
        _ => utf_8(name, bytes),
    }
}

/// In comments bytes of other encodings do no harm.
fn utf_8(name: &Arc<str>, bytes: Vec<u8>) -> Result<String, Fault> {
    let bytes = match String::from_utf8(bytes) {
        Ok(text) => return Ok(text),
        Err(error) => error.into_bytes(),
    };
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        if chunk.invalid().is_empty() {
            continue;
        }
        if !ends_in_comment(&text) {
            let place = Place::at(name, &text, text.len());
            return Err(Fault::new(place, "this is not UTF-8 text").hint("save the file as UTF-8"));
        }
        text.push(char::REPLACEMENT_CHARACTER);
    }
    Ok(text)
}

fn ends_in_comment(text: &str) -> bool {
    let line = text.rsplit('\n').next().unwrap_or_default();
    line.starts_with('#') || line.contains(" #") || line.contains("\t#")
}

fn files(path: &Path, shown: &str) -> Result<Vec<PathBuf>, Fault> {
    let fault = |message: String| Fault::new(Place::start(&shown.into()), message);
    let unreadable = |error: std::io::Error| fault(format!("cannot be read: {error}"));
    if !fs::metadata(path).map_err(unreadable)?.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    if let Some(name) = KUSTOMIZATIONS.iter().find(|name| path.join(name).is_file()) {
        return Err(fault(format!("`{name}` in this folder is not a manifest"))
            .hint(format!("to build the folder, write `kustomize: {shown}` instead of `path`")));
    }
    let home = path.canonicalize().map_err(unreadable)?;
    let mut files = Vec::new();
    for entry in fs::read_dir(path).map_err(unreadable)? {
        let file = entry.map_err(unreadable)?.path();
        let extension = file.extension().and_then(OsStr::to_str).unwrap_or_default();
        if !READ.contains(&extension) || file.is_dir() {
            continue;
        }
        let real = file
            .canonicalize()
            .map_err(|error| fault(format!("`{}` leads nowhere: {error}", file.display())))?;
        if !real.starts_with(&home) {
            return Err(fault(format!(
                "`{}` is a link that leads out of the folder, to `{}`",
                file.display(),
                real.display()
            ))
            .hint("name that file in the topology itself, or copy it into the folder"));
        }
        files.push(file);
    }
    if files.is_empty() {
        return Err(fault("there is no manifest in this folder".to_owned())
            .hint("files that end in .yaml, .yml, .json or .j2 are read"));
    }
    files.sort_unstable();
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder() -> tempfile::TempDir {
        let folder = tempfile::tempdir().expect("a folder");
        for (name, text) in [
            ("b.yaml", "b: 1"),
            ("a.json", "{}"),
            ("c.json.j2", "{\"n\": {{ vars.n }}}"),
            ("notes.txt", "no manifest"),
        ] {
            fs::write(folder.path().join(name), text).expect("written");
        }
        folder
    }

    fn read(path: &Path) -> Result<Vec<Source>, Vec<Fault>> {
        sources(3, path, "m/", &serde_json::json!({"vars": {"n": 7}}).into())
    }

    #[test]
    fn a_folder_is_read_in_the_order_of_names() {
        let folder = folder();
        let read = read(folder.path()).expect("reads");
        let seen: Vec<_> = read.iter().map(|source| (&*source.name, &*source.text)).collect();
        assert_eq!(
            seen,
            [("m/a.json", "{}"), ("m/b.yaml", "b: 1"), ("m/c.json.j2 (rendered)", "{\"n\": 7}"),]
        );
        assert!(read.iter().all(|source| source.entry == 3));
    }

    #[cfg(unix)]
    #[test]
    fn a_link_may_stay_in_the_folder_and_not_leave_it() {
        let (inside, outside) = (folder(), folder());
        let link = |to: &Path| std::os::unix::fs::symlink(to, inside.path().join("d.yaml"));
        link(&inside.path().join("b.yaml")).expect("linked");
        assert_eq!(read(inside.path()).expect("reads").len(), 4);

        fs::remove_file(inside.path().join("d.yaml")).expect("removed");
        link(&outside.path().join("b.yaml")).expect("linked");
        let faults = read(inside.path()).expect_err("leads out");
        assert!(faults[0].message.contains("leads out of the folder"), "{}", faults[0]);
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        let folder = folder();
        let missing = read(&folder.path().join("none")).expect_err("missing");
        assert!(missing[0].message.starts_with("cannot be read: "), "{}", missing[0]);
        let empty = tempfile::tempdir().expect("a folder");
        assert!(read(empty.path()).expect_err("empty")[0].hint.is_some());
        fs::write(empty.path().join("kustomization.yml"), "resources: []").expect("written");
        let hint = read(empty.path()).expect_err("kustomize's")[0].hint.clone();
        assert!(hint.is_some_and(|hint| hint.contains("`kustomize: m/`")));
        let latin = folder.path().join("l.yaml");
        fs::write(&latin, b"a: 1 # \xff\nb: \xff").expect("written");
        let faults = read(&latin).expect_err("not UTF-8");
        assert_eq!((faults[0].place.line, faults[0].place.column), (2, 4));
    }

    #[test]
    fn what_windows_writes_is_read() {
        let folder = folder();
        let file = folder.path().join("w.yaml");
        let utf_16 = |order: fn(u16) -> [u8; 2]| -> Vec<u8> {
            "\u{feff}a: é\r\n".encode_utf16().flat_map(order).collect()
        };
        let marked = "\u{feff}a: é\r\n".as_bytes().to_vec();
        for bytes in [utf_16(u16::to_le_bytes), utf_16(u16::to_be_bytes), marked] {
            fs::write(&file, bytes).expect("written");
            assert_eq!(read(&file).expect("reads")[0].text, "a: é\r\n");
        }
        fs::write(&file, b"a: 1 # caf\xe9\n").expect("written");
        assert_eq!(read(&file).expect("reads")[0].text, "a: 1 # caf\u{fffd}\n");
    }
}
