//! What is told in columns.

/// `rows` below `head`, each column as wide as its longest cell, two spaces between them.
pub fn table<const N: usize>(head: [&str; N], rows: &[[String; N]]) -> String {
    let mut widths = head.map(|cell| cell.chars().count());
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.chars().count().max(*width);
        }
    }
    let line = |cells: [&str; N]| {
        let padded = cells.into_iter().zip(widths);
        let line: Vec<_> = padded.map(|(cell, width)| format!("{cell:width$}")).collect();
        line.join("  ").trim_end().to_owned() + "\n"
    };
    let told = rows.iter().map(|row| line(row.each_ref().map(String::as_str)));
    std::iter::once(line(head)).chain(told).collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn columns_are_as_wide_as_their_longest_cell() {
        let rows = [["n1".to_owned(), "leader".to_owned()], ["n10".to_owned(), String::new()]];
        assert_eq!(super::table(["id", "role"], &rows), "id   role\nn1   leader\nn10\n");
    }
}
