//! Plain columns of text, as wide as their widest entry.

use std::fmt::Write;

/// Where an entry stands in its column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    /// At the left, as names do.
    Left,
    /// At the right, as numbers do.
    Right,
}

/// Rows of entries under a header.
pub(crate) struct Columns {
    rows: Vec<Vec<String>>,
    sides: Vec<Side>,
}

impl Columns {
    /// A header, and where the first columns stand; the others are numbers.
    pub(crate) fn new(header: &[&str], sides: &[Side]) -> Columns {
        let header: Vec<String> = header.iter().map(ToString::to_string).collect();
        let sides = (0..header.len()).map(|at| sides.get(at).copied().unwrap_or(Side::Right)).collect();
        Columns { rows: vec![header], sides }
    }

    /// The last column holds names.
    pub(crate) fn left_last(mut self) -> Columns {
        if let Some(last) = self.sides.last_mut() {
            *last = Side::Left;
        }
        self
    }

    /// Adds a row, as long as the header.
    pub(crate) fn row(&mut self, entries: impl IntoIterator<Item = String>) {
        let row: Vec<String> = entries.into_iter().collect();
        debug_assert_eq!(row.len(), self.rows[0].len());
        self.rows.push(row);
    }

    /// The rows as lines, indented by two, without blanks at their ends.
    pub(crate) fn page(&self) -> String {
        let width = |at: usize| self.rows.iter().map(|row| row[at].chars().count()).max().unwrap_or(0);
        let widths: Vec<usize> = (0..self.sides.len()).map(width).collect();
        let mut text = String::new();
        for row in &self.rows {
            let mut line = " ".to_owned();
            for ((entry, side), width) in row.iter().zip(&self.sides).zip(&widths) {
                // Writing to a string cannot fail.
                let _ = match side {
                    Side::Left => write!(line, " {entry:<width$}"),
                    Side::Right => write!(line, " {entry:>width$}"),
                };
            }
            let _ = writeln!(text, "{}", line.trim_end());
        }
        text
    }
}

/// A paragraph in lines of at most `width` characters, indented.
pub(crate) fn wrapped(paragraph: &str, width: usize, indent: usize) -> String {
    let mut text = String::new();
    let mut line = String::new();
    for word in paragraph.split_whitespace() {
        if !line.is_empty() && indent + line.chars().count() + 1 + word.chars().count() > width {
            let _ = writeln!(text, "{:indent$}{line}", "");
            line.clear();
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line += word;
    }
    if !line.is_empty() {
        let _ = writeln!(text, "{:indent$}{line}", "");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stand_left_and_numbers_right() {
        let mut table = Columns::new(&["what", "n"], &[Side::Left]);
        table.row(["a".to_owned(), "10".to_owned()]);
        assert_eq!(table.page(), "  what  n\n  a    10\n");
    }

    #[test]
    fn a_paragraph_is_broken_between_words() {
        assert_eq!(wrapped("one two three", 9, 2), "  one two\n  three\n");
        assert_eq!(wrapped("", 9, 2), "");
        assert_eq!(wrapped("unbreakable", 4, 0), "unbreakable\n");
    }
}
