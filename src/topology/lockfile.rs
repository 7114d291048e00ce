//! `topo.lock`: what a file's meaning depended on when it was locked.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The one that this topo writes.
const VERSION: u32 = 1;

const HEAD: &str =
    "# Written by `topo lock`, to be committed. `topo apply --locked` uses nothing else.\n";

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lockfile {
    version: u32,
    /// By id: `kind`, `image/debian:bookworm-slim`.
    pins: BTreeMap<String, String>,
}

/// What would be used now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InUse {
    pub id: String,
    /// The key of the file that leads to it.
    pub key: String,
    /// All that it may be called; the first is the one to write down.
    pub values: Vec<String>,
}

/// Something that is not as it was locked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Difference {
    pub id: String,
    #[serde(skip)]
    pub key: Option<String>,
    pub locked: Option<String>,
    /// None where the file does not lead to it any more.
    pub now: Option<String>,
}

impl Difference {
    /// Whether it was locked as something else than it is now.
    pub fn is_a_change(&self) -> bool {
        self.locked.is_some() && self.now.is_some()
    }
}

impl Default for Lockfile {
    fn default() -> Self {
        Self { version: VERSION, pins: BTreeMap::new() }
    }
}

impl Lockfile {
    /// Or why it cannot be used.
    pub fn parse(text: &str) -> Result<Self, String> {
        let content: serde_yaml::Value =
            serde_yaml::from_str(text).map_err(|error| error.to_string())?;
        match content.get("version").and_then(serde_yaml::Value::as_u64) {
            Some(version) if version == u64::from(VERSION) => {
                serde_yaml::from_str(text).map_err(|error| error.to_string())
            }
            Some(other) => Err(format!("it has version {other}, and this topo reads {VERSION}")),
            None => Err("it has no `version`, so it is not a lock file of topo".to_owned()),
        }
    }

    pub fn text(&self) -> Result<String, serde_yaml::Error> {
        Ok(HEAD.to_owned() + &serde_yaml::to_string(self)?)
    }

    pub fn ids(&self) -> impl Iterator<Item = &str> {
        self.pins.keys().map(String::as_str)
    }

    pub fn differences(&self, in_use: &[InUse]) -> Vec<Difference> {
        let used = in_use.iter().filter_map(|used| {
            let locked = self.pins.get(&used.id);
            let is_same = locked.is_some_and(|locked| used.values.contains(locked));
            (!is_same).then(|| Difference {
                id: used.id.clone(),
                key: Some(used.key.clone()),
                locked: locked.cloned(),
                now: used.values.first().cloned(),
            })
        });
        let is_unused = |id: &&String| in_use.iter().all(|used| used.id != **id);
        let unused = self.pins.keys().filter(is_unused).map(|id| Difference {
            id: id.clone(),
            key: None,
            locked: self.pins.get(id).cloned(),
            now: None,
        });
        let mut all: Vec<Difference> = used.chain(unused).collect();
        all.sort_unstable_by(|a, b| a.id.cmp(&b.id));
        all
    }

    /// From now on it is locked as it is now.
    pub fn accept(&mut self, difference: &Difference) {
        match &difference.now {
            Some(now) => self.pins.insert(difference.id.clone(), now.clone()),
            None => self.pins.remove(&difference.id),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn in_use(id: &str, values: &[&str]) -> InUse {
        let values = values.iter().map(|&value| value.to_owned()).collect();
        InUse { id: id.to_owned(), key: "images.0".to_owned(), values }
    }

    #[test]
    fn what_is_accepted_is_written_and_read_again() {
        let digest = format!("sha256:{}", "ab".repeat(32));
        let metallb = format!("v0.16.1 {digest}");
        let url = format!("manifest/https://example.com/{}.yaml", "long/".repeat(20));
        let used = [
            in_use("kind", &["v0.33.0"]),
            in_use("image/debian:bookworm-slim", &[&digest]),
            in_use("metallb", &[&metallb]),
            in_use(&url, &[&digest]),
        ];
        let mut lockfile = Lockfile::default();
        let differences = lockfile.differences(&used);
        assert_eq!(differences.len(), used.len());
        for difference in &differences {
            lockfile.accept(difference);
        }
        assert_eq!(lockfile.differences(&used), []);
        let text = lockfile.text().expect("written");
        insta::assert_snapshot!(text);
        assert_eq!(Lockfile::parse(&text), Ok(lockfile));
    }

    #[test]
    fn a_value_that_is_one_of_several_names_of_the_same_thing_is_no_difference() {
        let mut lockfile = Lockfile::default();
        let local = [in_use("image/web:1", &["id sha256:1"])];
        lockfile.differences(&local).iter().for_each(|one| lockfile.accept(one));
        let pushed = [in_use("image/web:1", &["sha256:2", "id sha256:1"])];
        assert_eq!(lockfile.differences(&pushed), []);
        let other = [in_use("image/web:1", &["sha256:3", "id sha256:4"])];
        let [difference] = &lockfile.differences(&other)[..] else { panic!("one difference") };
        assert!(difference.is_a_change());
        assert_eq!(difference.locked.as_deref(), Some("id sha256:1"));
        assert_eq!(difference.now.as_deref(), Some("sha256:3"));
    }

    #[test]
    fn what_the_file_no_longer_leads_to_is_a_difference_that_goes() {
        let mut lockfile = Lockfile::parse("version: 1\npins: { kind: v0.33.0 }").expect("read");
        let [difference] = &lockfile.differences(&[])[..] else { panic!("one difference") };
        assert!(!difference.is_a_change());
        lockfile.accept(difference);
        assert_eq!(lockfile, Lockfile::default());
    }

    #[test]
    fn another_version_or_a_merge_that_was_left_is_refused() {
        let newer = Lockfile::parse("version: 2\nlocked: []").expect_err("another version");
        assert_eq!(newer, "it has version 2, and this topo reads 1");
        let text = "version: 1\npins:\n<<<<<<< HEAD\n  kind: v0.33.0\n=======\n";
        assert!(Lockfile::parse(text).expect_err("no YAML").contains("line"));
    }
}
