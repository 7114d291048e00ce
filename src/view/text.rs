//! Widths, cuts and wraps of text as a terminal counts it.

use std::time::Duration;

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// What stands below something else begins after this.
pub const INDENT: &str = "  ";

/// The columns that a text without colours takes.
pub fn width(text: &str) -> usize {
    text.width()
}

/// The text in exactly this many columns or, where it is longer, as it is.
pub fn pad(text: &str, columns: usize) -> String {
    let missing = columns.saturating_sub(width(text));
    format!("{text}{:missing$}", "")
}

/// The text in at most this many columns, its end given up for a `…`.
pub fn cut(text: &str, columns: usize) -> String {
    if width(text) <= columns {
        return text.to_owned();
    }
    let mut kept = String::new();
    let mut taken = 1;
    for char in text.chars() {
        taken += char.width().unwrap_or(0);
        if taken > columns {
            break;
        }
        kept.push(char);
    }
    kept.push('…');
    kept
}

/// The text on lines of at most this many columns, broken at blanks, but not at those of what stands
/// between backticks: that is there to be copied.
pub fn wrap(text: &str, columns: Option<usize>) -> Vec<String> {
    let columns = columns.unwrap_or(usize::MAX);
    let mut lines = Vec::new();
    for paragraph in text.lines() {
        let mut line = String::new();
        for word in words(paragraph) {
            if !line.is_empty() && width(&line) + 1 + width(word) > columns {
                lines.push(std::mem::take(&mut line));
            } else if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
        lines.push(line);
    }
    lines
}

fn words(paragraph: &str) -> Vec<&str> {
    let is_paired = paragraph.matches('`').count().is_multiple_of(2);
    let mut quoted = false;
    paragraph
        .split(|char| {
            quoted ^= char == '`' && is_paired;
            char == ' ' && !quoted
        })
        .collect()
}

/// What a terminal would act on instead of showing is made visible: names and messages come from elsewhere.
pub fn tame(text: &str) -> String {
    text.chars()
        .map(|char| match char {
            '\n' | '\t' => ' ',
            char if char.is_control() => '�',
            char => char,
        })
        .collect()
}

/// A time as short as it is useful: `0.4s`, `12s`, `2m05s`, `1h02m`.
pub fn elapsed(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0..10 => format!("{:.1}s", time.as_secs_f64()),
        10..60 => format!("{seconds}s"),
        60..3600 => format!("{}m{:02}s", seconds / 60, seconds % 60),
        _ => format!("{}h{:02}m", seconds / 3600, seconds / 60 % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_counts_columns_not_characters() {
        assert_eq!(cut("abcdef", 6), "abcdef");
        assert_eq!(cut("abcdefg", 6), "abcde…");
        assert_eq!(cut("日本語", 5), "日本…");
        assert_eq!(cut("日本語", 4), "日…");
    }

    #[test]
    fn a_wrap_breaks_at_blanks_and_never_inside_a_word() {
        assert_eq!(wrap("one two three", Some(8)), ["one two", "three"]);
        assert_eq!(wrap("abcdefghij k", Some(4)), ["abcdefghij", "k"]);
        assert_eq!(wrap("one two three", None), ["one two three"]);
    }

    #[test]
    fn a_wrap_keeps_what_is_to_be_copied_on_one_line() {
        assert_eq!(wrap("now run `a b c`, or wait", Some(9)), ["now run", "`a b c`,", "or wait"]);
        assert_eq!(wrap("it's `open ended", Some(9)), ["it's", "`open", "ended"]);
    }

    #[test]
    fn times_are_short() {
        let shown = [0.04, 9.94, 59.9, 125.0, 3725.0].map(|s| elapsed(Duration::from_secs_f64(s)));
        assert_eq!(shown, ["0.0s", "9.9s", "59s", "2m05s", "1h02m"]);
    }

    #[test]
    fn what_would_move_the_cursor_is_shown_as_a_blank() {
        assert_eq!(tame("a\u{1b}[2Jb\nc"), "a�[2Jb c");
    }
}
