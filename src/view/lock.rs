//! What is not as it was locked, with both values below each other.

use std::fmt::Write;

use super::text::{INDENT, tame};
use crate::topology::Difference;

pub fn render(differences: &[Difference]) -> String {
    let mut text = String::new();
    for Difference { id, locked, now, .. } in differences {
        let locked = locked.as_deref().map_or_else(|| "nothing".to_owned(), tame);
        let now = now.as_deref().map_or_else(|| "not used by the file".to_owned(), tame);
        let _ = writeln!(text, "{}\n{INDENT}locked  {locked}\n{INDENT}now     {now}", tame(id));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_difference_shows_what_was_locked_and_what_is_used_now() {
        let of = |id: &str, locked: Option<&str>, now: Option<&str>| Difference {
            id: id.to_owned(),
            key: None,
            locked: locked.map(str::to_owned),
            now: now.map(str::to_owned),
        };
        let text = render(&[
            of("image/web:1", Some("sha256:1"), Some("sha256:2")),
            of("kind", None, Some("v0.33.0")),
            of("metallb", Some("v0.15.3 sha256:3"), None),
        ]);
        insta::assert_snapshot!(text);
        assert_eq!(render(&[]), "");
    }
}
