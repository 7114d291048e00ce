//! The right spelling of a word that is nearly one of those allowed.

/// More words than these are not listed beside the one that was most likely meant.
const FEW: usize = 6;

/// The allowed word that `seen` was most likely meant to be.
pub fn to<'a>(seen: &str, allowed: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let folded = seen.to_lowercase();
    allowed
        .into_iter()
        .map(|word| (distance(&folded, &word.to_lowercase()), word))
        .filter(|(distance, word)| *distance <= (word.len().max(seen.len()) / 4).max(1))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, word)| word)
}

/// How many letters differ; a word broken off, or with an ending of its own, counts as one.
fn distance(seen: &str, word: &str) -> usize {
    const SHORTEST_STEM: usize = 4;
    let (short, long) = if seen.len() < word.len() { (seen, word) } else { (word, seen) };
    if short.len() >= SHORTEST_STEM && long.starts_with(short) {
        usize::from(short != long)
    } else {
        strsim::damerau_levenshtein(seen, word)
    }
}

/// The nearest word, with all of them when they are few; all of them when none is near.
pub fn or_all(seen: &str, allowed: &[&str]) -> String {
    match to(seen, allowed.iter().copied()) {
        Some(word) if allowed.len() > FEW || allowed.len() == 1 => format!("`{word}`"),
        Some(word) => format!("`{word}`; valid values are {}", list(allowed)),
        None => format!("one of {}", list(allowed)),
    }
}

/// `a`, `b` and `c`, each in backticks.
pub fn list(words: &[&str]) -> String {
    let quoted: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
    match quoted.as_slice() {
        [] => String::new(),
        [one] => one.clone(),
        [most @ .., last] => format!("{} and {last}", most.join(", ")),
    }
}
