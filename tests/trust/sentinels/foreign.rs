//! A thing that somebody made by hand, with something in it.

use serde_json::Value;

use super::{Case, Labels, Sort};
use crate::lane::Lane;
use crate::{engine, files};

pub struct Foreign {
    sort: Sort,
    pub name: String,
    was: String,
}

impl Foreign {
    pub fn made(lane: &Lane, case: &Case) -> Self {
        let name = case.name.replace('X', &lane.name);
        let labels: Vec<String> =
            labels(lane, case).into_iter().map(|it| format!("--label={it}")).collect();
        let labels: Vec<&str> = labels.iter().map(String::as_str).collect();
        match case.sort {
            Sort::Container => {
                let run = ["run", "-d", "--entrypoint", "sleep", "--name", &name];
                let what = [files::image(), "600"];
                engine::docker(&[&run, labels.as_slice(), &what].concat());
            }
            Sort::Network => {
                let net = format!("--subnet={}.0/24", Lane::net_of(100 + lane.number));
                let create = ["network", "create", &net];
                engine::docker(&[&create, labels.as_slice(), &[&name]].concat());
            }
            Sort::Volume => {
                engine::docker(&[&["volume", "create"], labels.as_slice(), &[&name]].concat());
                let mount = format!("{name}:/v");
                let run = ["run", "--rm", "-v", &mount, "--entrypoint", "sh", files::image()];
                engine::docker(&[&run[..], &["-c", "echo mine >/v/mine"]].concat());
            }
        }
        let made = Self { sort: case.sort, name, was: String::new() };
        Self { was: made.look(), ..made }
    }

    /// What of it is another once it is touched.
    fn look(&self) -> String {
        const SAME: [&str; 8] = [
            "/Id",
            "/Name",
            "/Created",
            "/CreatedAt",
            "/Labels",
            "/Config/Labels",
            "/State/StartedAt",
            "/State/Status",
        ];
        let inspected = inspect(self.sort, &self.name);
        let same = SAME.map(|path| inspected.pointer(path).unwrap_or(&Value::Null).to_string());
        let folder = inspected["Mountpoint"].as_str();
        let content = folder.map(|folder| std::fs::read_to_string(format!("{folder}/mine")).ok());
        format!("{} {content:?}", same.join(" "))
    }

    /// It is as it was once this has been done, whose outcome is passed on.
    pub fn is_untouched(
        &self,
        by: &str,
        act: impl FnOnce() -> Result<(), String>,
    ) -> Result<(), String> {
        let acted = act();
        let now = self.look();
        if now != self.was {
            return Err(format!("{by} touched it: it was {}, and is {now}", self.was));
        }
        acted
    }

    pub fn remove(&self) {
        remove(self.sort, &self.name);
    }
}

fn inspect(sort: Sort, name: &str) -> Value {
    match sort {
        Sort::Container => engine::ask("GET", &format!("/containers/{name}/json")),
        Sort::Network => engine::ask("GET", &format!("/networks/{name}")),
        Sort::Volume => engine::ask("GET", &format!("/volumes/{name}")),
    }
}

/// By hand; a network with all that is on it, and a volume with all that has it.
pub fn remove(sort: Sort, name: &str) {
    let path = match sort {
        Sort::Container => format!("/containers/{name}?force=true"),
        Sort::Network => format!("/networks/{name}"),
        Sort::Volume => format!("/volumes/{name}?force=true"),
    };
    engine::ask("DELETE", &path);
}

fn labels(lane: &Lane, case: &Case) -> Vec<String> {
    match case.labels {
        Labels::None => Vec::new(),
        Labels::Topology => vec![format!("dev.topo.topology={}", lane.name)],
        Labels::Kind => vec![
            format!("io.x-k8s.kind.cluster={}", lane.name),
            "io.x-k8s.kind.role=control-plane".to_owned(),
        ],
        Labels::CopiedFrom(of) => {
            let of = inspect(case.sort, &of.replace('X', &lane.name));
            let labels = of.pointer("/Config/Labels").unwrap_or(&of["Labels"]);
            let labels = labels.as_object().cloned().unwrap_or_default();
            let text = |value: Value| value.as_str().unwrap_or_default().to_owned();
            labels.into_iter().map(|(key, value)| format!("{key}={}", text(value))).collect()
        }
    }
}
