//! The key-value server of `raft` beside etcd and Redis, at the same work: processes on loopback, values
//! of 256 bytes, every write on the disks of a majority before it is acknowledged, all disks the same one.
//!
//! A client keeps one request outstanding. RESP clients, ours and Redis's, have a connection each and are
//! served by one and the same loop, on one thread (`clients.rs`); etcd's speak gRPC over a bare HTTP/2
//! library, on one thread too, and share connections as etcd's own `benchmark` tool has them do
//! (`grpc.rs`). All clients ask the leader. The time of the first fifth of a run does not count.
//!
//! Runs alternate, so that what the machine does in the meantime hits all alike; tables give the median of
//! the rounds and the spread. A row's servers are started anew for each kind of work and each round, and
//! alone on the machine while they are measured. Redis is one process that syncs each batch of writes, and
//! replicates nothing: the floor, no rival.
//!
//! Names say after how long without a leader there is an election: one to two times that, on both sides.
//! Throughput is measured with what etcd has by default. Shorter timeouts change nothing of it but what
//! elections cost that a busy machine brings about.
//!
//! "Failover" is the time from the kill -9 of the leader to the next acknowledgement of a write that was
//! asked after it. Every survivor is asked every few milliseconds, whatever became of what it was asked
//! before.
//!
//! Arguments: `--test` for one quick round; words filter: `puts`, `gets`, `mixed`, `failover`, and `ours`,
//! `etcd`, `redis`. Without the feature `rivals` only ours runs.

mod clients;
#[cfg(feature = "rivals")]
mod etcd;
mod failover;
#[cfg(feature = "rivals")]
mod grpc;
mod measured;
mod ours;
mod place;
mod process;
#[cfg(feature = "rivals")]
mod redis;
mod served;
mod table;

use std::path::Path;
use std::time::Duration;

use anyhow::Context;

use measured::Measured;
use place::Place;
use served::{Served, Work};

/// One row of each table.
struct Row {
    name: &'static str,
    /// What is durable when a write is acknowledged, and by which setting.
    sync: &'static str,
    /// Whether its throughput is measured.
    works: bool,
    /// Whether it has a leader to lose, and others.
    fails_over: bool,
    start: fn(&Path) -> anyhow::Result<Box<dyn Served>>,
}

/// How much is measured.
struct Extent {
    rounds: usize,
    span: Duration,
    counts: &'static [usize],
    crashes: usize,
}

const WHOLE: Extent =
    Extent { rounds: 5, span: Duration::from_secs(2), counts: &[1, 64, 256, 1024], crashes: 20 };
const QUICK: Extent =
    Extent { rounds: 1, span: Duration::from_millis(200), counts: &[1, 64], crashes: 1 };

fn rows() -> anyhow::Result<Vec<Row>> {
    let rows = ours::rows()?;
    #[cfg(feature = "rivals")]
    let rows = beside_rivals(rows)?;
    Ok(rows)
}

/// These, and after them the rivals that are installed.
#[cfg(feature = "rivals")]
fn beside_rivals(mut rows: Vec<Row>) -> anyhow::Result<Vec<Row>> {
    for (name, found) in [("etcd", etcd::rows()), ("redis", redis::rows())] {
        match found {
            Ok(found) => rows.extend(found),
            Err(why) => {
                println!("{name}: skipped: {why}");
                anyhow::ensure!(std::env::var_os("CI_REQUIRE_ENGINES").is_none(), "{name}: {why}");
            }
        }
    }
    Ok(rows)
}

fn main() -> anyhow::Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let extent = if args.iter().any(|arg| arg == "--test") { QUICK } else { WHOLE };
    // Cargo passes `--bench`; what is no option is a filter, as in the other benches.
    let filters: Vec<&String> = args.iter().filter(|arg| !arg.starts_with("--")).collect();
    let (kinds, names): (Vec<&String>, Vec<&String>) =
        filters.into_iter().partition(|filter| KINDS.contains(&filter.as_str()));
    let wanted = |filters: &[&String], what: &str| {
        filters.is_empty() || filters.iter().any(|filter| what.contains(filter.as_str()))
    };
    let mut rows = rows()?;
    rows.retain(|row| wanted(&names, row.name));
    process::raise_limits()?;
    let place = Place::new().context("a directory on the disk")?;
    println!("{place}; load average {}", process::load());
    for row in &rows {
        println!("{}: {}", row.name, row.sync);
    }
    for (kind, work) in [("puts", Work::Puts), ("gets", Work::Gets), ("mixed", Work::Mixed)] {
        if wanted(&kinds, kind) {
            measure(kind, work, &rows, &extent, &place).with_context(|| kind.to_owned())?;
        }
    }
    if wanted(&kinds, "failover") {
        failover::measure(&rows, extent.crashes, &place).context("failover")?;
    }
    println!("load average {}", process::load());
    Ok(())
}

/// The kinds of work, as filters name them.
const KINDS: [&str; 4] = ["puts", "gets", "mixed", "failover"];

fn measure(
    kind: &str,
    work: Work,
    rows: &[Row],
    extent: &Extent,
    place: &Place,
) -> anyhow::Result<()> {
    let Extent { rounds, span, counts, .. } = *extent;
    let rows: Vec<&Row> = rows.iter().filter(|row| row.works).collect();
    println!("{kind}: {rounds} rounds of {span:?} each");
    let mut runs: Vec<Vec<Vec<Measured>>> = vec![vec![Vec::new(); rows.len()]; counts.len()];
    for round in 0..rounds {
        for (row, &Row { name, start, .. }) in rows.iter().copied().enumerate() {
            let directory = place.fresh(&format!("{kind}-{round}-{row}"))?;
            let mut served = start(directory.path()).context(name)?;
            served.drive(Work::Fill, 64, Duration::ZERO).context(name)?;
            for (count, runs) in counts.iter().zip(&mut runs) {
                let measured = served.drive(work, *count, span);
                runs[row].push(measured.with_context(|| format!("{name}, {count} clients"))?);
            }
        }
    }
    for (count, runs) in counts.iter().zip(runs) {
        let title = format!("{kind}, {count} clients");
        table::print(&title, rows.iter().map(|row| row.name).zip(runs));
    }
    Ok(())
}
