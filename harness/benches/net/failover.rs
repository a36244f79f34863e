//! How long there is no service after the leader was killed.

use std::time::Duration;

use anyhow::Context;

use crate::Row;
use crate::place::Place;
use crate::process;
use crate::table;

/// How often survivors are asked.
pub(crate) const EVERY: Duration = Duration::from_millis(5);

/// So many crashes of the leader of each of `rows`, one row after the other.
pub(crate) fn measure(rows: &[Row], crashes: usize, place: &Place) -> anyhow::Result<()> {
    println!("failover: {crashes} crashes each");
    let mut table = table::new(["failover", "median ms", "least – most", "mean"]);
    for (number, row) in rows.iter().filter(|row| row.fails_over).enumerate() {
        let directory = place.fresh(&format!("failover-{number}"))?;
        let mut served = (row.start)(directory.path()).context(row.name)?;
        let outages: Vec<Duration> = (0..crashes)
            .map(|_| served.fail_over())
            .collect::<anyhow::Result<_>>()
            .context(row.name)?;
        let millis = table::sorted(outages.iter().map(|outage| outage.as_secs_f64() * 1e3));
        table.add_row([
            row.name.to_owned(),
            format!("{:.0}", table::median(&millis)),
            format!("{:.0} – {:.0}", millis[0], millis[crashes - 1]),
            format!("{:.0}", millis.iter().sum::<f64>() / crashes as f64),
        ]);
    }
    println!("{table}\nload average {}", process::load());
    Ok(())
}
