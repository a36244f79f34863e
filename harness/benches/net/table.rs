//! What is printed.

use std::time::Duration;

use comfy_table::presets::UTF8_FULL_CONDENSED;
use comfy_table::{CellAlignment, Table};

use crate::measured::Measured;

/// A table whose first column holds names, and whose others hold numbers.
pub(crate) fn new<'a>(header: impl IntoIterator<Item = &'a str>) -> Table {
    let mut table = Table::new();
    table.load_style(UTF8_FULL_CONDENSED);
    table.set_header(header);
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

/// One row a service: medians of its runs, and how they compare with the first one's.
pub(crate) fn print<'a>(title: &str, rows: impl Iterator<Item = (&'a str, Vec<Measured>)>) {
    let mut table = new([
        title,
        "k/s",
        "least – most",
        "ours is × this",
        "p50 ms",
        "× of this",
        "p99 ms",
        "p99.9 ms",
        "CPU µs, servers",
        "clients",
        "MiB",
    ]);
    let mut ours = None;
    for (name, runs) in rows {
        let rates = sorted(runs.iter().map(|run| run.rate / 1e3));
        let millis = |of: fn(&Measured) -> Duration| {
            median(&sorted(runs.iter().map(|run| of(run).as_secs_f64() * 1e3)))
        };
        let (rate, p50) = (median(&rates), millis(|run| run.p50));
        let (our_rate, our_p50) = *ours.get_or_insert((rate, p50));
        let resident = median(&sorted(runs.iter().map(|run| run.resident as f64)));
        table.add_row([
            name.to_owned(),
            format!("{rate:.1}"),
            format!("{:.1} – {:.1}", rates[0], rates[rates.len() - 1]),
            format!("{:.2}", our_rate / rate),
            format!("{p50:.3}"),
            format!("{:.2}", our_p50 / p50),
            format!("{:.3}", millis(|run| run.p99)),
            format!("{:.3}", millis(|run| run.p999)),
            format!("{:.1}", millis(|run| run.cpu_servers) * 1e3),
            format!("{:.1}", millis(|run| run.cpu_clients) * 1e3),
            format!("{:.0}", resident / f64::from(1 << 20)),
        ]);
    }
    println!("{table}");
}

pub(crate) fn sorted(values: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values
}

pub(crate) fn median(sorted: &[f64]) -> f64 {
    sorted[sorted.len() / 2]
}
