//! What is printed.

use comfy_table::presets::UTF8_FULL_CONDENSED;
use comfy_table::{CellAlignment, Table};

use crate::drive::Measured;

/// One row a library: medians of its runs, and how they compare with the first one's.
pub(crate) fn print<'a>(outstanding: usize, rows: impl Iterator<Item = (&'a str, Vec<Measured>)>) {
    let mut table = Table::new();
    table.load_style(UTF8_FULL_CONDENSED);
    table.set_header([
        &format!("{outstanding} outstanding"),
        "k/s",
        "least – most",
        "ours is × this",
        "p50 µs",
        "p99 µs",
        "p99.9 µs",
        "CPU ns",
    ]);
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    let mut ours = None;
    for (name, runs) in rows {
        let rates = sorted(runs.iter().map(|run| run.rate / 1e3));
        let micros = |of: fn(&Measured) -> std::time::Duration| {
            median(&sorted(runs.iter().map(|run| of(run).as_secs_f64() * 1e6)))
        };
        let rate = median(&rates);
        let ours = *ours.get_or_insert(rate);
        table.add_row([
            name.to_owned(),
            format!("{rate:.0}"),
            format!("{:.0} – {:.0}", rates[0], rates[rates.len() - 1]),
            format!("{:.2}", ours / rate),
            format!("{:.1}", micros(|run| run.p50)),
            format!("{:.1}", micros(|run| run.p99)),
            format!("{:.1}", micros(|run| run.p999)),
            format!("{:.0}", micros(|run| run.cpu) * 1e3),
        ]);
    }
    println!("{table}");
}

fn sorted(values: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values
}

fn median(sorted: &[f64]) -> f64 {
    sorted[sorted.len() / 2]
}
