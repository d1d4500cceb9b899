//! A CSV text with named columns, read row by row; what is wrong is named with line, column and value.

use std::str::FromStr;

use super::{TraceError, seconds};

/// The rows of a CSV text whose header has all columns that a format needs. Other columns are ignored.
pub(super) struct Sheet<'a> {
    name: &'a str,
    records: Vec<(usize, csv::StringRecord)>,
    /// Where each needed column stands.
    places: Vec<(&'static str, usize)>,
}

impl<'a> Sheet<'a> {
    /// Reads the text. Cells are trimmed; a byte-order mark and either kind of line ending are accepted.
    ///
    /// # Errors
    /// A needed column that is missing or there twice, or a row with more or fewer cells than the header.
    pub(super) fn read(
        text: &str,
        name: &'a str,
        format: &'static str,
        needed: &[&'static str],
    ) -> Result<Sheet<'a>, TraceError> {
        let text = text.trim_start_matches('\u{feff}');
        let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(text.as_bytes());
        let header = reader.headers().map_err(|error| malformed(&error, text, name))?;
        let places = places(header, name, format, needed)?;
        let (mut records, mut lines) = (Vec::new(), Lines::new(text));
        for record in reader.into_records() {
            let record = record.map_err(|error| malformed(&error, text, name))?;
            records.push((lines.at(record.position()), record));
        }
        Ok(Sheet { name, records, places })
    }

    /// Rows below the header.
    pub(super) fn len(&self) -> usize {
        self.records.len()
    }

    /// The rows, in the order of the file.
    pub(super) fn rows(&self) -> impl Iterator<Item = Row<'_>> {
        self.records.iter().map(|(line, record)| Row { sheet: self, line: *line, record })
    }
}

/// The error that the text is no table.
pub(super) fn malformed(error: &csv::Error, text: &str, name: &str) -> TraceError {
    let line = Lines::new(text).at(error.position());
    TraceError::BadRow { name: name.into(), line, message: format!("{error}; repair or remove the line") }
}

/// The lines at which rows begin, asked for in ascending order. The csv reader's own are wrong after blank lines and
/// where lines end as on Windows.
pub(super) struct Lines<'a> {
    text: &'a [u8],
    byte: usize,
    line: usize,
}

impl<'a> Lines<'a> {
    pub(super) fn new(text: &'a str) -> Lines<'a> {
        Lines { text: text.as_bytes(), byte: 0, line: 1 }
    }

    /// The line of a position, counted from 1.
    pub(super) fn at(&mut self, position: Option<&csv::Position>) -> usize {
        let begin = position.map_or(0, |at| at.byte() as usize).min(self.text.len());
        let blank = self.text[begin..].iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
        let passed = self.text.get(self.byte..begin + blank).unwrap_or_default();
        self.line += passed.iter().filter(|&&byte| byte == b'\n').count();
        self.byte = self.byte.max(begin + blank);
        self.line
    }
}

fn places(
    header: &csv::StringRecord,
    name: &str,
    format: &'static str,
    needed: &[&'static str],
) -> Result<Vec<(&'static str, usize)>, TraceError> {
    let place = |column: &'static str| {
        let mut found = header.iter().enumerate().filter(|(_, known)| *known == column);
        let bad = |message| TraceError::BadRow { name: name.into(), line: 1, message };
        match (found.next(), found.next()) {
            (Some((at, _)), None) => Ok((column, at)),
            (None, _) => Err(bad(format!(
                "column `{column}` is missing; {format} has the columns {}",
                needed.join(", ")
            ))),
            _ => Err(bad(format!("column `{column}` is there twice; remove one"))),
        }
    };
    needed.iter().copied().map(place).collect()
}

/// One row of a [`Sheet`].
pub(super) struct Row<'a> {
    sheet: &'a Sheet<'a>,
    /// Counted from 1.
    pub(super) line: usize,
    record: &'a csv::StringRecord,
}

impl<'a> Row<'a> {
    /// The text of a cell, empty where it says nothing. The column is one of those that the sheet was read with.
    pub(super) fn text(&self, column: &'static str) -> &'a str {
        let place = self.sheet.places.iter().find(|(known, _)| *known == column);
        debug_assert!(place.is_some(), "{column} was not asked for");
        place.and_then(|&(_, at)| self.record.get(at)).unwrap_or_default()
    }

    /// The number in a cell.
    pub(super) fn number<T: FromStr>(
        &self,
        column: &'static str,
        must: &'static str,
    ) -> Result<T, TraceError> {
        self.text(column).parse().map_err(|_| self.bad(column, must))
    }

    /// Nanoseconds in a cell that holds seconds.
    pub(super) fn nanos(&self, column: &'static str) -> Result<u64, TraceError> {
        seconds::parse(self.text(column)).ok_or_else(|| self.bad(column, seconds::MUST))
    }

    /// A length of time in seconds that may be unknown (empty or `NaN`) or negative.
    pub(super) fn length(&self, column: &'static str) -> Result<Length, TraceError> {
        let text = self.text(column);
        if text.is_empty() || text.eq_ignore_ascii_case("nan") {
            return Ok(Length::Unknown);
        }
        if text.strip_prefix('-').is_some_and(|rest| seconds::parse(rest).is_some_and(|nanos| nanos > 0)) {
            return Ok(Length::Negative);
        }
        self.nanos(column).map(Length::Nanos)
    }

    /// The error that a cell cannot be used.
    pub(super) fn bad(&self, column: &'static str, must: &'static str) -> TraceError {
        TraceError::BadCell {
            name: self.sheet.name.into(),
            line: self.line,
            column,
            value: self.text(column).into(),
            must: must.into(),
        }
    }
}

/// What a cell says about a length of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Length {
    /// Nothing, or `NaN`.
    Unknown,
    /// Less than 0.
    Negative,
    /// So many nanoseconds.
    Nanos(u64),
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Sheet<'_>, TraceError> {
        Sheet::read(text, "t.csv", "a test", &["a", "b"])
    }

    #[test]
    fn marks_line_endings_and_further_columns_do_not_matter() {
        let sheet = read("\u{feff}b, x,a\r\n1, 2, 3\r\n\r\n4,5,\r\n").unwrap();
        let rows: Vec<_> = sheet.rows().map(|row| (row.line, row.text("a"), row.text("b"))).collect();
        assert_eq!(rows, [(2, "3", "1"), (4, "", "4")]);
    }

    #[test]
    fn faults_are_named() {
        let cases = [
            ("", "t.csv line 1: column `a` is missing; a test has the columns a, b"),
            ("a,c\n1,2\n", "t.csv line 1: column `b` is missing"),
            ("a,b,a\n1,2,3\n", "column `a` is there twice; remove one"),
            ("a,b\n1,2\n3\n", "t.csv line 3: "),
            ("a,b\r\n1,2\r\n\r\n3\r\n", "t.csv line 4: "),
        ];
        for (text, expected) in cases {
            let error = read(text).err().unwrap().to_string();
            assert!(error.contains(expected), "{error} lacks {expected}");
        }
    }

    #[test]
    fn lengths_may_be_unknown_or_negative_but_not_nonsense() {
        let text = "a,b\n1.5,\nNaN,-3\n-0,x\n-x,1e400\n";
        let sheet = read(text).unwrap();
        let lengths: Vec<_> = sheet.rows().flat_map(|row| [row.length("a"), row.length("b")]).collect();
        let known = [Length::Nanos(1_500_000_000), Length::Unknown, Length::Unknown, Length::Negative];
        assert!(lengths[..4].iter().zip(known).all(|(length, known)| *length == Ok(known)));
        assert!(lengths[4..].iter().all(Result::is_err));
        let error = lengths[5].clone().unwrap_err().to_string();
        assert_eq!(error, "t.csv line 4: `b` is `x`; it must be a number of seconds from 0 to 18446744073");
    }
}
