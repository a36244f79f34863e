//! Raft and its rivals at the same work: three replicas in one process, commands of 256 bytes, the
//! log in memory, a state machine that drops the command.
//!
//! Every library is driven by the same two loops (`drive.rs`): all replicas on one thread, and a
//! thread a replica. A loop hands a replica everything that waits for it, then lets it flush once, and
//! leaves alone whom nothing waits for; messages are moved, never encoded. Each library batches as well
//! as it can: see its own file. One client keeps a stated number of commands outstanding. Only openraft,
//! which is made of tasks, is driven in a way of its own (`open_raft.rs`), among those that have
//! threads. Runs alternate, so that what the machine does in the meantime hits all alike; the table
//! gives the median of the rounds and the spread.
//!
//! "On disk" is the same work with every replica's log on the real disk, synced before anything that
//! depends on it is said, and in a file that has its size: the plain one is written full of zeroes
//! before the time begins, and ours are in use for a while by then. "The disk itself" is what that
//! cannot be faster than: three threads that each append 4 KiB and sync, at the same time.
//!
//! Without the feature `rivals` only ours runs.

mod drive;
#[cfg(feature = "rivals")]
mod omni;
#[cfg(feature = "rivals")]
mod open_raft;
mod ours;
mod plain;
#[cfg(feature = "rivals")]
mod raft_rs;
mod table;

use std::time::Duration;

use drive::{Measured, Replica, on_one_thread, on_threads};

/// One library, in one of the two loops.
struct Rower {
    name: &'static str,
    run: fn(outstanding: usize, span: Duration) -> Measured,
}

fn one_thread<R: Replica>() -> Rower {
    Rower { name: R::NAME, run: on_one_thread::<R> }
}

fn threads<R: Replica>() -> Rower {
    Rower { name: R::NAME, run: on_threads::<R> }
}

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let quick = args.iter().any(|arg| arg == "--test");
    // Cargo passes `--bench`; anything else that is no option is a filter, as in the other benches.
    let filter = args.iter().find(|arg| !arg.starts_with("--"));
    let (rounds, span) = if quick { (1, 10) } else { (5, 400) };
    let span = Duration::from_millis(span);
    let loops: [(&str, Vec<Rower>, &[usize]); 4] = [
        (
            "one thread",
            vec![
                one_thread::<ours::Ours>(),
                #[cfg(feature = "rivals")]
                one_thread::<omni::Omni>(),
                #[cfg(feature = "rivals")]
                one_thread::<raft_rs::RaftRs>(),
            ],
            &[1, 64, 256, 1024, 4096],
        ),
        (
            "a thread a replica",
            vec![
                threads::<ours::Ours>(),
                Rower { name: "raft (ours), as shipped", run: ours::as_shipped },
                #[cfg(feature = "rivals")]
                threads::<omni::Omni>(),
                #[cfg(feature = "rivals")]
                threads::<raft_rs::RaftRs>(),
                #[cfg(feature = "rivals")]
                Rower { name: open_raft::NAME, run: open_raft::run },
            ],
            &[1, 64, 256, 1024, 4096],
        ),
        (
            "on disk",
            vec![
                Rower { name: "raft (ours), as shipped", run: ours::on_journals },
                #[cfg(feature = "rivals")]
                threads::<raft_rs::OnFile>(),
            ],
            &[1, 64, 256, 1024],
        ),
        (
            "the disk itself",
            vec![Rower { name: "4 KiB appends, three at once", run: plain::appends }],
            &[1],
        ),
    ];
    for (title, rowers, counts) in loops {
        if filter.is_some_and(|filter| !title.contains(filter.as_str())) {
            continue;
        }
        println!("{title}: {rounds} rounds of {span:?} each");
        for &outstanding in counts {
            let mut runs: Vec<Vec<Measured>> = rowers.iter().map(|_| Vec::new()).collect();
            for _ in 0..rounds {
                for (rower, runs) in rowers.iter().zip(&mut runs) {
                    runs.push((rower.run)(outstanding, span));
                }
            }
            let names = rowers.iter().map(|rower| rower.name);
            table::print(outstanding, names.zip(runs));
        }
    }
}
