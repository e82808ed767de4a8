//! Columns.

use unicode_width::UnicodeWidthStr;

/// Spaces between columns.
const GAP: usize = 2;

/// Rows of cells below a heading; no trailing blanks. Cells hold one line each.
#[derive(Debug)]
pub(crate) struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with these headings.
    pub(crate) fn new(headings: &[&str]) -> Self {
        Table { rows: vec![headings.iter().map(|&heading| heading.to_owned()).collect()] }
    }

    /// Columns without headings.
    pub(crate) fn plain() -> Self {
        Table { rows: Vec::new() }
    }

    /// Appends a row.
    pub(crate) fn row(&mut self, cells: Vec<String>) {
        self.rows.push(cells);
    }

    /// The text, every line with a newline.
    pub(crate) fn text(&self) -> String {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let width = |column: usize| {
            self.rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.width()).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..columns).map(width).collect();
        self.rows.iter().map(|row| line(row, &widths)).collect()
    }
}

fn line(row: &[String], widths: &[usize]) -> String {
    let mut line = String::new();
    for (cell, width) in row.iter().zip(widths) {
        line.push_str(cell);
        line.push_str(&" ".repeat(width - cell.width().min(*width) + GAP));
    }
    format!("{}\n", line.trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_by_what_is_seen() {
        let mut table = Table::new(&["A", "B", "C"]);
        table.row(["long cell", "机", "x"].map(str::to_owned).to_vec());
        table.row(["s", "", "y"].map(str::to_owned).to_vec());
        table.row(vec!["only".to_owned()]);
        insta::assert_snapshot!(table.text(), @"
        A          B   C
        long cell  机  x
        s              y
        only
        ");
        assert_eq!(Table::plain().text(), "");
    }
}
