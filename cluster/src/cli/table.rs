//! What is told in columns.

use comfy_table::presets::NOTHING;
use comfy_table::{ContentArrangement, Table};

/// `rows` below `head`, each column as wide as its longest cell, two spaces between them.
pub fn table<const N: usize>(head: [&str; N], rows: &[[String; N]]) -> String {
    let mut table = Table::new();
    // However narrow a terminal is, nothing is broken: programs read this too.
    table.load_style(NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(head).add_rows(rows);
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    table.trim_fmt() + "\n"
}

#[cfg(test)]
mod tests {
    #[test]
    fn columns_are_as_wide_as_their_longest_cell() {
        let rows = [["n1".to_owned(), "leader".to_owned()], ["n10".to_owned(), String::new()]];
        assert_eq!(super::table(["id", "role"], &rows), "id   role\nn1   leader\nn10\n");
    }
}
