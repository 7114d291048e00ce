//! From what a person types to the resource that is meant.

use super::Id;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotOne {
    #[error("no resource is called `{typed}`{}", did_you_mean(.nearest.as_ref()))]
    None { typed: String, nearest: Option<Id> },
    #[error("`{typed}` is ambiguous: write one of {}", list(.candidates))]
    Several { typed: String, candidates: Vec<Id> },
}

fn did_you_mean(nearest: Option<&Id>) -> String {
    nearest.map_or_else(String::new, |id| format!("; did you mean `{id}`?"))
}

/// The first few by name, the rest by number.
fn list(candidates: &[Id]) -> String {
    const SHOWN: usize = 5;
    let mut text: Vec<String> = candidates.iter().take(SHOWN).map(|id| format!("`{id}`")).collect();
    if candidates.len() > SHOWN {
        text.push(format!("{} more", candidates.len() - SHOWN));
    }
    text.join(", ")
}

impl Id {
    /// The one id that a shorthand stands for. A whole id always stands for itself.
    pub fn find<'a>(
        typed: &str,
        among: impl IntoIterator<Item = &'a Self>,
    ) -> Result<Self, NotOne> {
        let ids: Vec<&Self> = among.into_iter().collect();
        if let Some(exact) = ids.iter().find(|id| id.as_str() == typed) {
            return Ok((*exact).clone());
        }
        let those = |is_it: &dyn Fn(&Self) -> bool| {
            let mut those: Vec<Self> =
                ids.iter().copied().filter(|id| is_it(id)).cloned().collect();
            those.sort_unstable();
            those.dedup();
            those
        };
        let mut candidates = those(&|id| id.answers_to(typed));
        if candidates.is_empty() {
            candidates = those(&|id| id.contains(typed));
        }
        match candidates.len() {
            1 => Ok(candidates.remove(0)),
            0 => Err(NotOne::None { typed: typed.to_owned(), nearest: nearest(typed, &ids) }),
            _ => Err(NotOne::Several { typed: typed.to_owned(), candidates }),
        }
    }
}

fn nearest(typed: &str, ids: &[&Id]) -> Option<Id> {
    const ALIKE: f64 = 0.7;
    let likeness = |id: &Id| {
        strsim::jaro_winkler(typed, id.as_str()).max(strsim::jaro_winkler(typed, id.name()))
    };
    ids.iter()
        .map(|id| (likeness(id), *id))
        .filter(|(likeness, _)| *likeness >= ALIKE)
        .max_by(|(a, left), (b, right)| a.total_cmp(b).then_with(|| right.cmp(left)))
        .map(|(_, id)| id.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids() -> Vec<Id> {
        [
            "gateway/dev",
            "cluster/dev",
            "pool/edge",
            "object/core/Service/default/web",
            "port/127.0.0.1:10001/tcp",
            "image/localhost/echo:1",
        ]
        .iter()
        .map(|text| text.parse().expect("valid"))
        .collect()
    }

    fn find(typed: &str) -> Result<String, String> {
        let ids = ids();
        Id::find(typed, &ids).map(|id| id.to_string()).map_err(|error| error.to_string())
    }

    #[test]
    fn a_shorthand_stands_for_the_one_that_answers_to_it() {
        for (typed, meant) in [
            ("edge", "pool/edge"),
            ("gateway/dev", "gateway/dev"),
            ("web", "object/core/Service/default/web"),
            ("Service/web", "object/core/Service/default/web"),
            ("10001/tcp", "port/127.0.0.1:10001/tcp"),
            ("port/10001", "port/127.0.0.1:10001/tcp"),
            ("10001", "port/127.0.0.1:10001/tcp"),
            ("gateway", "gateway/dev"),
            ("image/echo", "image/localhost/echo:1"),
        ] {
            assert_eq!(find(typed).as_deref(), Ok(meant));
        }
    }

    #[test]
    fn several_that_answer_are_named() {
        assert_eq!(
            find("dev").expect_err("two"),
            "`dev` is ambiguous: write one of `cluster/dev`, `gateway/dev`"
        );
    }

    #[test]
    fn none_that_answers_names_the_nearest() {
        assert_eq!(
            find("gatway/dev").expect_err("none"),
            "no resource is called `gatway/dev`; did you mean `gateway/dev`?"
        );
        assert_eq!(find("zzzz").expect_err("none"), "no resource is called `zzzz`");
    }
}
