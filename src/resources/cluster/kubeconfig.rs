//! The cluster's entry in the user's kubeconfig: put in when the cluster is made, taken out with it.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde_json::{Value, json};

use crate::backend::host::kubeconfig::{Entry, Mark, Tell, Written, take_out};
use crate::backend::host::{Kubeconfig, KubeconfigError};
use crate::engine::{Failure, Turn};
use crate::resources::base::claim::Claims;
use crate::resources::base::context::Context;

/// What is known of the entries that topo wrote.
pub struct Known {
    written: BTreeMap<PathBuf, Written>,
    /// Those of the claim, and that of the cluster where another than those is found.
    marks: Vec<Mark>,
}

impl Known {
    async fn by_claim(cx: &Context) -> Self {
        let written = cx.claim().await.map(|claim| claim.kubeconfigs).unwrap_or_default();
        let marks = written.values().map(|written| written.mark.clone()).collect();
        Self { written, marks }
    }
}

/// What is known of topo's entries. The cluster is asked only where the claim does not tell whose
/// the one in the kubeconfig is.
pub async fn known(cx: &Context) -> Known {
    let mut known = Known::by_claim(cx).await;
    let found =
        cx.kubeconfig.as_ref().and_then(|file| file.find(&cx.context_name(), &known.marks).ok());
    if found.is_some_and(|found| found.has_foreign())
        && let Ok(own) = own_entry(cx).await
    {
        known.marks.push(own.mark());
    }
    known
}

/// The field as it is now; nothing where it cannot be told.
pub async fn observed(cx: &Context) -> Option<Value> {
    let context = cx.context_name();
    let known = known(cx).await;
    let found = cx.kubeconfig.as_ref()?.find(&context, &known.marks).ok()?;
    Some(if found.is_whole() { json!(context) } else { Value::Null })
}

/// Why the entry could not be written now.
pub async fn obstacle(cx: &Context) -> Option<String> {
    let known = known(cx).await;
    let failure = match kubeconfig(cx) {
        Ok(file) => failure(file.check(&Entry::stand_in(&cx.context_name()), &known.marks).err()?),
        Err(failure) => failure,
    };
    let hint = failure.hint.as_deref().unwrap_or_default();
    Some(format!("{}; {hint}", failure.causes.join(": ")))
}

/// Puts the entry in, or mends what is there of it. What is about to be written is in the claim
/// before it is.
pub async fn merge(cx: &Context, turn: &Turn) -> Result<(), Failure> {
    let file = kubeconfig(cx)?;
    let known = known(cx).await;
    let entry = own_entry(cx).await?;
    // The last topology in a file takes it away, whichever of them made it.
    let claims = Claims::read(&cx.snapshot().await?);
    for (path, is_new) in file.goes_into(&entry, &known.marks).map_err(failure)? {
        let by_any = || {
            let mut written = claims.current.values().filter_map(|it| it.kubeconfigs.get(&path));
            written.any(|written| written.made)
        };
        let made = is_new || known.written.get(&path).is_some_and(|before| before.made) || by_any();
        let written = Written { mark: entry.mark(), made };
        cx.change_claim(|claim| {
            claim.kubeconfigs.insert(path, written);
        })
        .await?;
    }
    let make_current = cx
        .topology()
        .ok()
        .and_then(|topology| topology.cluster.as_ref())
        .is_some_and(|cluster| cluster.use_context);
    file.merge(&entry, &known.marks, make_current, &|what| turn.say(what)).await.map_err(failure)
}

/// A kubeconfig of the topology's context and nothing else, wherever the user has it, or not any more.
pub async fn alone(cx: &Context) -> Result<String, Failure> {
    let unwritable = |error: serde_yaml::Error| Failure::because("cannot write YAML", &error);
    match cx.existing_alone()? {
        Some(theirs) => serde_yaml::to_string(&theirs),
        None => serde_yaml::to_string(&own_entry(cx).await?.document()),
    }
    .map_err(unwritable)
}

/// Takes the entry out of every file that it was written into, and of those that kubectl reads now.
/// The claim keeps those in which another's has taken its place.
pub async fn remove(cx: &Context, known: &Known, tell: &Tell<'_>) -> Result<Vec<PathBuf>, Failure> {
    let context = cx.context_name();
    let found = cx.kubeconfig.as_ref().map(|file| file.find(&context, &known.marks));
    let is_whole = found.is_some_and(|found| found.is_ok_and(|found| found.is_whole()));
    let now = cx.kubeconfig.iter().flat_map(Kubeconfig::files);
    let mut anothers = Vec::new();
    for (path, written) in &known.written {
        let is_anothers = take_out(path, &context, &known.marks, (true, written.made), tell).await;
        if is_anothers.map_err(failure)? {
            anothers.push(path.clone());
        }
    }
    for path in now.filter(|path| !known.written.contains_key(*path)) {
        // One that cannot be read has not been written either.
        let _ = take_out(path, &context, &known.marks, (is_whole, false), tell).await;
    }
    if cx.claim().await.is_some() {
        cx.change_claim(|claim| claim.kubeconfigs.retain(|path, _| anothers.contains(path)))
            .await?;
    }
    Ok(anothers)
}

/// Takes out what is still written of a topology that has been taken down, whose nodes may have gone
/// by other hands, and says what is left.
pub async fn leave(cx: &Context) -> Result<Vec<String>, Failure> {
    let known = Known::by_claim(cx).await;
    let anothers = remove(cx, &known, &|_| {}).await?;
    let told = |path: PathBuf| {
        let (path, context) = (path.display(), cx.context_name());
        format!("`{context}` in the kubeconfig `{path}` is another cluster's now, and was kept")
    };
    Ok(anothers.into_iter().map(told).collect())
}

fn kubeconfig(cx: &Context) -> Result<&Kubeconfig, Failure> {
    cx.kubeconfig.as_ref().ok_or_else(|| {
        Failure::new("cannot put the cluster into the kubeconfig")
            .caused_by("neither KUBECONFIG nor HOME is set")
            .hint("name a file for it: `export KUBECONFIG=/path/of/a/file`")
    })
}

async fn own_entry(cx: &Context) -> Result<Entry, Failure> {
    let own = cx.admin_kubeconfig().await?;
    Entry::named(&cx.context_name(), &own)
        .map_err(|why| Failure::new(format!("cannot read the cluster's kubeconfig: {why}")))
}

fn failure(error: KubeconfigError) -> Failure {
    Failure::because("cannot write the cluster's entry into the kubeconfig", &error)
        .hint(error.hint())
}
