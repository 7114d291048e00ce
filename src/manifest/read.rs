//! From texts to objects: parsed by document on every core, then brought together and checked.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::ops::Range;
use std::sync::Arc;

use rayon::prelude::*;
use serde::de::DeserializeSeed;
use serde_json::Value;
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

use super::canon::Canon;
use super::facts::{self, Facts, Head, Hook};
use super::kinds::{self, Kinds, Served};
use super::yaml::Flaw;
use super::{Fault, Kind, Manifests, Object, Place, Secrets, Source, split, yaml};

/// Documents that one thread reads in a row.
const IN_A_ROW: usize = 512;

/// Reads every object of the sources. `sought` are values that make an object secret where they are
/// found in its text. All faults come at once.
pub fn read(
    mut sources: Vec<Source>,
    kinds: &mut Kinds,
    sought: &[String],
) -> Result<Manifests, Vec<Fault>> {
    sources.iter_mut().for_each(end_the_last_line);
    let documents: Vec<Document> =
        sources.iter().enumerate().flat_map(|(at, source)| documents(at, source)).collect();

    let shares = documents.par_chunks(IN_A_ROW);
    let shares: Vec<Share> = shares.map(|share| read_all(share, &sources, sought)).collect();
    for draft in shares.iter().flat_map(|(drafts, _)| drafts) {
        if let Facts::Defines(definition) = &draft.facts {
            let served = Served {
                plural: definition.plural.as_str().into(),
                namespaced: definition.namespaced,
            };
            kinds.tell(&definition.group, &definition.kind, served);
        }
    }
    let twins: Vec<Twin> = sources.iter().map(Twin::of).collect();
    let mut faults = Vec::new();
    let mut objects = Vec::with_capacity(documents.len());
    let (mut hooks, mut left_out) = (BTreeMap::new(), Vec::new());
    for (drafts, wrong) in shares {
        for mut draft in drafts {
            match (twins[draft.source].mark(&mut draft), draft.hook.take()) {
                (marked, Some(Hook::Elsewhere(events))) => {
                    let chart = &sources[draft.source].name;
                    let object = draft.resolve(kinds);
                    let object = match marked {
                        Ok(()) => object.to_string(),
                        Err(_) => object.kind.name.to_string(),
                    };
                    left_out.push(format!(
                        "{object} of {chart} is not applied: it is a Helm hook for `{events}`"
                    ));
                }
                (Ok(()), hook) => {
                    hooks.extend(hook.map(|hook| (objects.len(), hook)));
                    objects.push(draft.resolve(kinds));
                }
                (Err(message), _) => {
                    let place = Place::of(&sources[draft.source], &draft.bytes);
                    faults.push(Fault::new(place, message).hint(OPEN_NAMES));
                }
            }
        }
        faults.extend(wrong.into_iter().map(|(at, fault)| twins[at].reword(fault)));
    }
    let manifests = Manifests { sources, objects, hooks, left_out };
    faults.extend(twice(&manifests));
    if faults.is_empty() { Ok(manifests) } else { Err(faults) }
}

/// The body of one object, from the text of its document, which was read before.
pub fn body(text: &str, object: &Object) -> Value {
    let mut json = Vec::new();
    // Whatever is wrong with it was found when it was read.
    let _ = canonical(text, &mut json);
    let mut value: Value = serde_json::from_slice(&json).unwrap_or_default();
    for at in &object.items {
        value = value["items"][*at as usize].take();
    }
    let Some(fields) = value.as_object_mut() else { return value };
    fields.entry("apiVersion").or_insert_with(|| object.kind.api_version().into());
    fields.entry("kind").or_insert_with(|| (*object.kind.name).into());
    if let Some(metadata) = fields.get_mut("metadata").and_then(Value::as_object_mut) {
        match &object.namespace {
            Some(namespace) => metadata.insert("namespace".to_owned(), (**namespace).into()),
            None => metadata.remove("namespace"),
        };
    }
    value
}

/// The text of a `|` ends with a newline that the file's last line may lack.
fn end_the_last_line(source: &mut Source) {
    if !source.text.ends_with('\n') {
        source.text.push('\n');
    }
}

struct Document {
    source: usize,
    bytes: Range<usize>,
}

/// An object before it is known what kinds there are.
struct Draft {
    api_version: Arc<str>,
    kind: Arc<str>,
    namespace: Option<Arc<str>>,
    name: Box<str>,
    hash: [u8; 32],
    secret: bool,
    facts: Facts,
    hook: Option<Hook>,
    source: usize,
    bytes: Range<usize>,
    items: Box<[u32]>,
}

impl Draft {
    fn resolve(self, kinds: &mut Kinds) -> Object {
        let kind: Arc<Kind> = kinds.named(&self.api_version, &self.kind);
        let namespace = kind.namespaced.then(|| self.namespace.unwrap_or_else(|| "default".into()));
        Object {
            kind,
            namespace,
            name: self.name,
            hash: self.hash,
            secret: self.secret,
            facts: self.facts,
            source: self.source,
            bytes: self.bytes,
            items: self.items,
        }
    }
}

/// Faults with the number of their source.
type Share = (Vec<Draft>, Vec<(usize, Fault)>);

fn read_all(documents: &[Document], sources: &[Source], sought: &[String]) -> Share {
    let mut reader = Reader { sources, sought, names: HashSet::new(), json: Vec::new() };
    let (mut drafts, mut faults) = (Vec::with_capacity(documents.len()), Vec::new());
    for document in documents {
        if let Err(fault) = reader.document(document, &mut drafts) {
            faults.push((document.source, fault));
        }
    }
    (drafts, faults)
}

struct Reader<'a> {
    sources: &'a [Source],
    sought: &'a [String],
    /// Few distinct names of kinds and namespaces are shared by many objects.
    names: HashSet<Arc<str>>,
    json: Vec<u8>,
}

impl Reader<'_> {
    fn document(&mut self, document: &Document, drafts: &mut Vec<Draft>) -> Result<(), Fault> {
        let source = &self.sources[document.source];
        let text = &source.text[document.bytes.clone()];
        let mut json = std::mem::take(&mut self.json);
        json.clear();
        canonical(text, &mut json).map_err(|flaw| document.flaw(source, flaw))?;
        let read = if json == b"null" {
            Ok(())
        } else {
            self.object_or_list(document, &mut Vec::new(), &json, drafts)
        };
        self.json = json;
        read
    }

    /// `items` are the places of the item in the lists that it is in.
    fn object_or_list(
        &mut self,
        document: &Document,
        items: &mut Vec<u32>,
        json: &[u8],
        drafts: &mut Vec<Draft>,
    ) -> Result<(), Fault> {
        let head = head(json).map_err(|message| self.fault(document, items, message))?;
        let Some(listed) = head.items else {
            return self.object(document, items, head, json, drafts);
        };
        if head.kind.is_none() || head.api_version.is_none() {
            return Err(self.no_object(document, items));
        }
        let listed: Option<Vec<&RawValue>> = serde_json::from_str(listed.get())
            .map_err(|_| self.fault(document, items, "`items` is not a list"))?;
        for (at, item) in (0..).zip(listed.unwrap_or_default()) {
            items.push(at);
            let typed = typed_item(item.get(), &head);
            let json = typed.as_deref().unwrap_or(item.get().as_bytes());
            self.object_or_list(document, items, json, drafts)?;
            items.pop();
        }
        Ok(())
    }

    fn fault(&self, document: &Document, items: &[u32], message: impl Into<String>) -> Fault {
        let path: Vec<String> = items.iter().map(|at| format!("items[{at}]")).collect();
        let message = message.into();
        let message =
            if path.is_empty() { message } else { format!("{}: {message}", path.join(".")) };
        document.fault(&self.sources[document.source], message)
    }

    fn no_object(&self, document: &Document, items: &[u32]) -> Fault {
        self.fault(document, items, "this document is not a Kubernetes object")
            .hint("an object begins with `apiVersion:` and `kind:`")
    }

    fn object(
        &mut self,
        document: &Document,
        items: &[u32],
        head: Head,
        json: &[u8],
        drafts: &mut Vec<Draft>,
    ) -> Result<(), Fault> {
        let source = &self.sources[document.source];
        let fault = |message: String| self.fault(document, items, message);
        let (Some(api_version), Some(kind)) = (head.api_version, head.kind) else {
            return Err(self.no_object(document, items));
        };
        if let Some(instead) = kinds::replacement(&api_version, &kind) {
            return Err(fault(format!("`{api_version}` no longer serves {kind}"))
                .hint(format!("write `apiVersion: {instead}`")));
        }
        let Some(name) = head.metadata.name else {
            let hint = if head.metadata.generate_name.is_some() {
                "`generateName` makes another object every time: give it a `metadata.name`"
            } else {
                "give it a `metadata.name`"
            };
            return Err(fault(format!("this {kind} has no name")).hint(hint));
        };
        if kind == "Job" && facts::has_stray_selector(json) {
            return Err(fault(format!(
                "Job `{name}` names a selector, which Kubernetes makes itself"
            ))
            .hint("leave `spec.selector` out, or add `manualSelector: true`"));
        }
        let text = &source.text[document.bytes.clone()];
        let secret = (kind == "Secret" && api_version == "v1")
            || self.sought.iter().any(|secret| text.contains(secret.as_str()));
        let namespace = head.metadata.namespace.map(|namespace| self.shared(&namespace));
        drafts.push(Draft {
            hook: source.release.is_some().then(|| facts::hook(json)).flatten(),
            facts: facts::facts(&api_version, &kind, json),
            api_version: self.shared(&api_version),
            kind: self.shared(&kind),
            namespace: namespace.or_else(|| source.release.clone()),
            name: name.into(),
            hash: Sha256::digest(json).into(),
            secret,
            source: document.source,
            bytes: document.bytes.clone(),
            items: items.into(),
        });
        Ok(())
    }

    fn shared(&mut self, name: &str) -> Arc<str> {
        if let Some(known) = self.names.get(name) {
            return known.clone();
        }
        let name: Arc<str> = name.into();
        self.names.insert(name.clone());
        name
    }
}

const OPEN_NAMES: &str =
    "leave sensitive variables out of names, kinds and conditions, or take them out of `sensitive`";

/// The same source with other values in the place of sensitive ones.
enum Twin {
    None,
    /// The digest of each object.
    Read {
        digests: HashMap<Name, [u8; 32]>,
        faults: Vec<Fault>,
    },
    Unknown,
}

type Name = (Arc<str>, Arc<str>, Option<Arc<str>>, Box<str>);

impl Twin {
    fn of(source: &Source) -> Self {
        let text = match &source.secrets {
            Secrets::Nowhere => return Self::None,
            Secrets::Anywhere => return Self::Unknown,
            Secrets::Beside(text) => text.clone(),
        };
        let mut twin = [Source { text, secrets: Secrets::Nowhere, ..source.clone() }];
        end_the_last_line(&mut twin[0]);
        let (drafts, faults) = read_all(&documents(0, &twin[0]), &twin, &[]);
        Self::Read {
            digests: drafts.iter().map(|draft| (draft.name(), draft.hash)).collect(),
            faults: faults.into_iter().map(|(_, fault)| fault).collect(),
        }
    }

    /// An object that comes out otherwise holds a secret; one that would not be there, or not
    /// under this name, could not be named without telling of it.
    fn mark(&self, draft: &mut Draft) -> Result<(), &'static str> {
        match self {
            Self::None => {}
            Self::Unknown => draft.secret = true,
            Self::Read { digests, .. } => match digests.get(&draft.name()) {
                Some(digest) => draft.secret |= *digest != draft.hash,
                None => return Err("the name of this object depends on a sensitive variable"),
            },
        }
        Ok(())
    }

    /// What is wrong with a sensitive value would tell of it.
    fn reword(&self, fault: Fault) -> Fault {
        match self {
            Self::None => fault,
            Self::Read { faults, .. } if faults.contains(&fault) => fault,
            Self::Read { .. } | Self::Unknown => Fault::new(
                fault.place,
                "this cannot be read with the values of the sensitive variables in it",
            ),
        }
    }
}

impl Draft {
    fn name(&self) -> Name {
        let Self { api_version, kind, namespace, name, .. } = self;
        (api_version.clone(), kind.clone(), namespace.clone(), name.clone())
    }
}

fn documents(at: usize, source: &Source) -> Vec<Document> {
    let ranges = split::documents(&source.text).into_iter();
    ranges.map(|bytes| Document { source: at, bytes }).collect()
}

impl Document {
    fn fault(&self, source: &Source, message: impl Into<String>) -> Fault {
        Fault::new(Place::of(source, &self.bytes), message)
    }

    fn flaw(&self, source: &Source, flaw: Flaw) -> Fault {
        let place = Place::at(&source.name, &source.text, self.bytes.start + flaw.offset);
        let hint = flaw.hint.map(ToOwned::to_owned);
        Fault { place, message: flaw.message, hint }
    }
}

/// As `kubectl` does, what begins with a brace is tried as JSON before it is read as YAML.
fn canonical(text: &str, json: &mut Vec<u8>) -> Result<(), Flaw> {
    if !split::is_json(text) {
        return yaml::canonical(text, json);
    }
    let Err(error) = canonical_json(text, json) else { return Ok(()) };
    json.clear();
    let is_quoted = text.trim_start()[1..].trim_start().starts_with('"');
    yaml::canonical(text, json)
        .map_err(|flaw| if is_quoted { json_flaw(text, &error) } else { flaw })
}

fn canonical_json(text: &str, json: &mut Vec<u8>) -> Result<(), serde_json::Error> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    Canon(json).deserialize(&mut deserializer)?;
    deserializer.end()
}

fn json_flaw(text: &str, error: &serde_json::Error) -> Flaw {
    let before = text.split_inclusive('\n').take(error.line().saturating_sub(1)).map(str::len);
    let offset = text.len().min(before.sum::<usize>() + error.column().saturating_sub(1));
    let message = without_position(&error.to_string()).to_owned();
    Flaw { offset: text.floor_char_boundary(offset), message, hint: None }
}

fn head(json: &[u8]) -> Result<Head<'_>, String> {
    if json.first() != Some(&b'{') {
        return Err("this document is not a Kubernetes object: it must be a map".to_owned());
    }
    serde_json::from_slice(json).map_err(|error| without_position(&error.to_string()).to_owned())
}

/// The items of a typed list, a `ConfigMapList`, need not say what they are.
fn typed_item(item: &str, list: &Head) -> Option<Vec<u8>> {
    let head: Head = serde_json::from_str(item).ok()?;
    if head.kind.is_some() || head.api_version.is_some() {
        return None;
    }
    let kind = list.kind.as_deref()?;
    let mut typed: Value = serde_json::from_str(item).ok()?;
    typed["apiVersion"] = list.api_version.as_deref()?.into();
    typed["kind"] = kind.strip_suffix("List").unwrap_or(kind).into();
    let mut json = Vec::new();
    Canon(&mut json).deserialize(typed).ok()?;
    Some(json)
}

/// The place is said in front, and counts from the start of the file instead of the document.
fn without_position(message: &str) -> &str {
    message.rfind(" at line ").map_or(message, |at| &message[..at])
}

/// The same object in two places, each named.
fn twice(manifests: &Manifests) -> Vec<Fault> {
    let mut first: HashMap<_, &Object> = HashMap::with_capacity(manifests.objects.len());
    let mut faults = Vec::new();
    for object in &manifests.objects {
        let key =
            (&object.kind.group, &object.kind.name, object.namespace.as_deref(), &object.name);
        if let Some(before) = first.insert(key, object) {
            let place = manifests.place(before);
            faults.push(
                Fault::new(
                    manifests.place(object),
                    format!("{object} is defined twice: {place} defines it already"),
                )
                .hint("remove one of the two"),
            );
        }
    }
    faults
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use super::*;

    fn source(name: &str, text: &str) -> Source {
        Source { name: name.into(), text: text.to_owned(), ..Source::default() }
    }

    fn objects(text: &str) -> Manifests {
        read(vec![source("a.yaml", text)], &mut Kinds::default(), &[]).expect("reads")
    }

    fn faults(text: &str) -> Vec<String> {
        let faults = read(vec![source("a.yaml", text)], &mut Kinds::default(), &[])
            .expect_err("is at fault");
        faults
            .iter()
            .map(|fault| match &fault.hint {
                Some(hint) => format!("{fault} | {hint}"),
                None => fault.to_string(),
            })
            .collect()
    }

    const SERVICE: &str = "apiVersion: v1\nkind: Service\nmetadata: {name: web}\n";

    #[test]
    fn objects_get_the_namespace_that_their_kind_asks_for() {
        let read = objects(&format!(
            "{SERVICE}---\napiVersion: v1\nkind: Namespace\nmetadata: {{name: one, namespace: x}}\n"
        ));
        let names: Vec<_> = read.objects.iter().map(ToString::to_string).collect();
        assert_eq!(names, ["Service default/web", "Namespace one"]);
        assert_eq!(read.body(&read.objects[0])["metadata"]["namespace"], "default");
        assert!(read.body(&read.objects[1])["metadata"].get("namespace").is_none());
    }

    #[test]
    fn a_definition_in_the_files_tells_the_scope_of_its_kind() {
        let read = objects(
            "apiVersion: e.com/v1\nkind: Thing\nmetadata: {name: t}\n---\n\
             apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\n\
             metadata: {name: things.e.com}\n\
             spec: {group: e.com, scope: Cluster, names: {kind: Thing, plural: thingz}}\n",
        );
        assert_eq!(read.objects[0].namespace, None);
        assert_eq!(&*read.objects[0].kind.plural, "thingz");
    }

    #[test]
    fn the_hash_is_of_the_content_and_not_of_its_writing() {
        let one = objects(SERVICE);
        let json = r#"{"kind": "Service", "metadata": {"name": "web"}, "apiVersion": "v1"}"#;
        let two = read(vec![source("a.json", json)], &mut Kinds::default(), &[]).expect("reads");
        assert_eq!(one.objects[0].hash(), two.objects[0].hash());
        assert!(one.objects[0].hash().starts_with("sha256:"));
    }

    #[test]
    fn lists_are_unfolded() {
        let read = objects(
            "apiVersion: v1\nkind: List\nitems:\n\
             - {apiVersion: v1, kind: ConfigMap, metadata: {name: a}, data: {k: one}}\n\
             - {apiVersion: v1, kind: ConfigMap, metadata: {name: b}, data: {k: two}}\n",
        );
        assert_eq!(read.objects.len(), 2);
        assert_eq!(read.body(&read.objects[1])["data"]["k"], "two");
    }

    #[test]
    fn values_are_what_kubectl_makes_of_them() {
        let read = objects(
            "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\n  labels: &l {x: y1}\n\
             data: {<< : *l, mode: \"0644\", on: z}\nspec: {mode: 0644, name: 0755, hostNetwork: yes}\n",
        );
        let body = read.body(&read.objects[0]);
        assert_eq!(body["data"], serde_json::json!({"x": "y1", "mode": "0644", "true": "z"}));
        assert_eq!(
            body["spec"],
            serde_json::json!({"mode": 420, "name": 493, "hostNetwork": true})
        );
    }

    #[test]
    fn any_object_with_items_is_a_list() {
        let list = "apiVersion: v1\nkind: List\nmetadata: {name: named}\nitems:\n";
        assert!(objects(&format!("{list}---\n{list}  []\n")).objects.is_empty());

        let nested = "- apiVersion: v1\n  kind: ConfigMapList\n  items:\n  - metadata: {name: a}\n\
            \x20 - metadata: {name: b}\n    data: {k: two}\n\
            - {apiVersion: v1, kind: Secret, metadata: {name: c}}\n";
        let read = objects(&format!("{list}{nested}"));
        let names: Vec<_> = read.objects.iter().map(ToString::to_string).collect();
        assert_eq!(names, ["ConfigMap default/a", "ConfigMap default/b", "Secret default/c"]);
        assert_eq!(
            read.body(&read.objects[1]),
            serde_json::json!({"apiVersion": "v1", "kind": "ConfigMap", "data": {"k": "two"},
                "metadata": {"name": "b", "namespace": "default"}})
        );

        let alone =
            objects("{apiVersion: v1, kind: ConfigMap, metadata: {name: b}, data: {k: two}}");
        assert_eq!(alone.objects[0].hash, read.objects[1].hash);

        let wrong = faults(&format!("{list}- 1\n"));
        assert!(wrong[0].starts_with("a.yaml:1:1: items[0]: "), "{}", wrong[0]);
        assert!(
            faults("apiVersion: v1\nkind: List\nitems: x\n")[0].contains("`items` is not a list")
        );
    }

    #[test]
    fn the_last_line_of_a_block_has_its_newline_whether_or_not_the_file_has_one() {
        for end in ["", "\n", "\n---\n", "\n...\n"] {
            let text =
                "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata:\n  k: |\n    text";
            let read = objects(&format!("{text}{end}"));
            assert_eq!(read.body(&read.objects[0])["data"]["k"], "text\n", "{end:?}");
        }
    }

    #[test]
    fn json_and_yaml_may_follow_each_other() {
        let json = |name: &str| {
            format!(r#"{{"apiVersion": "v1", "kind": "Secret", "metadata": {{"name": "{name}"}}}}"#)
        };
        let text = format!("{}{}\n\n{}\n---\n{SERVICE}", json("a"), json("b"), json("c"));
        let read = objects(&text);
        let names: Vec<_> = read.objects.iter().map(|object| &*object.name).collect();
        assert_eq!(names, ["a", "b", "c", "web"]);
        assert_eq!(read.lines(), [1, 1, 3, 5]);
        assert_eq!(
            faults("{\"apiVersion\": \"v1\",\n \"kind\" \"Secret\"}"),
            ["a.yaml:2:9: expected `:`"]
        );
    }

    #[test]
    fn every_fault_says_where_and_what_to_write() {
        let text = format!(
            "# head\n---\n{SERVICE}---\n\nfoo: bar\n---\na: [\n---\napiVersion: extensions/v1beta1\n\
             kind: DaemonSet\nmetadata: {{name: x}}\n---\napiVersion: v1\nkind: Pod\n\
             metadata: {{generateName: x-}}\n---\n- 1\n"
        );
        let found = faults(&text);
        assert_eq!(found.len(), 5, "{found:#?}");
        assert!(found[0].starts_with("a.yaml:8:1: this document is not a Kubernetes object |"));
        assert!(found[1].starts_with("a.yaml:"), "{}", found[1]);
        assert_eq!(
            found[2],
            "a.yaml:12:1: `extensions/v1beta1` no longer serves DaemonSet | write `apiVersion: apps/v1`"
        );
        assert!(found[3].contains("this Pod has no name | `generateName` makes"), "{}", found[3]);
        assert!(found[4].contains("it must be a map"), "{}", found[4]);
    }

    #[test]
    fn the_same_object_twice_names_both_places() {
        let found = faults(&format!("{SERVICE}---\n{SERVICE}"));
        assert_eq!(
            found,
            ["a.yaml:5:1: Service default/web is defined twice: a.yaml:1:1 defines it already | \
              remove one of the two"]
        );
    }

    #[test]
    fn secrets_and_what_holds_a_sensitive_value_are_marked() {
        let text = "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\n---\n\
            apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\ndata: {p: hunter2}\n---\n\
            apiVersion: v1\nkind: ConfigMap\nmetadata: {name: d}\n";
        let read =
            read(vec![source("a.yaml", text)], &mut Kinds::default(), &["hunter2".to_owned()])
                .expect("reads");
        let secret: Vec<_> = read.objects.iter().map(|object| object.secret).collect();
        assert_eq!(secret, [true, true, false]);
    }

    const TWO: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {p: PIN}\n---\n\
        apiVersion: v1\nkind: ConfigMap\nmetadata: {name: b}\n";

    fn beside(text: &str) -> Result<Manifests, Vec<Fault>> {
        let with = |pin: &str| text.replace("PIN", pin);
        let secrets = Secrets::Beside(with("y"));
        let source = Source { secrets, ..source("a.yaml", &with("x")) };
        read(vec![source], &mut Kinds::default(), &[])
    }

    #[test]
    fn what_comes_out_otherwise_with_another_value_holds_a_secret() {
        let secret = |manifests: Manifests| -> Vec<bool> {
            manifests.objects.iter().map(|object| object.secret).collect()
        };
        assert_eq!(secret(beside(TWO).expect("reads")), [true, false]);
        let unknown = Source { secrets: Secrets::Anywhere, ..source("a.yaml", TWO) };
        let read = read(vec![unknown], &mut Kinds::default(), &[]).expect("reads");
        assert_eq!(secret(read), [true, true]);
    }

    #[test]
    fn neither_a_name_nor_a_fault_tells_of_a_secret() {
        let named = beside(&TWO.replace("{name: a}", "{name: a-PIN}")).expect_err("would tell");
        assert_eq!(named.len(), 1);
        assert_eq!(named[0].message, "the name of this object depends on a sensitive variable");
        let broken = beside("kind: PIN\n").expect_err("is no object");
        assert!(!broken[0].message.contains('x'), "{}", broken[0]);
        let unfit = read(
            vec![Source { secrets: Secrets::Anywhere, ..source("a.yaml", "a: hunter2: x\n") }],
            &mut Kinds::default(),
            &[],
        );
        assert!(unfit.expect_err("is no YAML")[0].message.starts_with("this cannot be read with"));
    }

    #[test]
    fn many_documents_come_out_in_their_order() {
        let mut text = String::new();
        for n in 0..20_000 {
            let _ = writeln!(text, "apiVersion: v1\nkind: Service\nmetadata: {{name: s{n}}}\n---");
        }
        let read = objects(&text);
        assert!(read.objects.len() > 2 * IN_A_ROW);
        assert!(read.objects.iter().enumerate().all(|(n, object)| *object.name == format!("s{n}")));
        let lines = read.lines();
        assert_eq!((lines[0], lines[19_999]), (1, 19_999 * 4 + 1));
        assert_eq!(read.place(&read.objects[19_999]).line, lines[19_999]);
    }

    #[test]
    fn hostile_texts_end_in_a_fault() {
        let bomb = "a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\n\
            c: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b]\nd: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c]\n\
            e: &e [*d,*d,*d,*d,*d,*d,*d,*d,*d]\nf: &f [*e,*e,*e,*e,*e,*e,*e,*e,*e]\n";
        for text in [bomb, &"[".repeat(10_000), "a: *nowhere", "a: b: c", "a: .inf"] {
            assert!(!faults(text).is_empty(), "{text:.20}");
        }
    }
}
