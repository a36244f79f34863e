//! The four patterns on the same work, through the same trait; then a table that names the winner
//! of each row.
//!
//! In the simulated world times are virtual: they measure the protocol (round trips, syncs,
//! timeouts), not the machine. In the threads world they are real.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use cluster::sim::{Options, Sim};
use cluster::{Cluster, Members};
use comfy_table::Table;
use comfy_table::presets::UTF8_FULL_CONDENSED;
use criterion::{Criterion, Throughput};
use harness::implementation::{Implementation, World};
use harness::implementations;
use harness::measure::Bench;
use raft::Raft;

/// How many nodes every cluster has.
const NODES: usize = 5;
/// Who takes part: each pattern at its defaults.
const PATTERNS: [&str; 4] = ["bully", "raft", "dlock", "quorum"];

/// Seconds for one unit of work, by row and implementation.
type Board = Mutex<BTreeMap<String, BTreeMap<&'static str, Vec<f64>>>>;

static BOARD: Board = Mutex::new(BTreeMap::new());

fn post(row: &str, implementation: &'static str, spent: Duration, units: u64) {
    let mut board = BOARD.lock().unwrap_or_else(PoisonError::into_inner);
    let samples = board.entry(row.to_owned()).or_default().entry(implementation).or_default();
    samples.push(spent.as_secs_f64() / units as f64);
}

fn patterns() -> Vec<Implementation> {
    let all = implementations::all();
    let named = |name| all.iter().find(|one| one.name == name).cloned().expect("it is registered");
    PATTERNS.map(named).to_vec()
}

/// One row: every pattern, measured by `measure`, which returns the time that `units` units took.
fn row(
    criterion: &mut Criterion,
    name: &str,
    mut measure: impl FnMut(&Implementation, u64) -> Duration,
) {
    let mut group = criterion.benchmark_group(name);
    group.sample_size(10).warm_up_time(Duration::from_millis(500));
    group.measurement_time(Duration::from_secs(2));
    for implementation in patterns() {
        group.bench_function(implementation.name, |bencher| {
            bencher.iter_custom(|units| {
                let spent = measure(&implementation, units);
                post(name, implementation.name, spent, units);
                spent
            });
        });
    }
    group.finish();
}

fn start(implementation: &Implementation, world: World, seed: u64) -> Bench {
    Bench::start(implementation, world, NODES, seed).expect("the defaults are valid")
}

fn time_to_first_service(criterion: &mut Criterion) {
    let mut seed = 0;
    row(criterion, "sim: start to first service (virtual)", |implementation, units| {
        (0..units)
            .map(|_| {
                seed += 1;
                start(implementation, World::Sim, seed).until_served().expect("it serves")
            })
            .sum()
    });
    row(criterion, "threads: start to first service", |implementation, units| {
        (0..units)
            .map(|_| {
                seed += 1;
                start(implementation, World::Threads, seed).until_served().expect("it serves")
            })
            .sum()
    });
}

fn time_to_fail_over(criterion: &mut Criterion) {
    let mut seed = 0;
    for (world, name) in [
        (World::Sim, "sim: leader's death to service (virtual)"),
        (World::Threads, "threads: leader's death to service"),
    ] {
        row(criterion, name, |implementation, units| {
            (0..units)
                .map(|_| {
                    seed += 1;
                    let mut bench = start(implementation, world, seed);
                    bench.until_served().expect("it serves");
                    bench.failover().expect("it serves again")
                })
                .sum()
        });
    }
}

fn requests(criterion: &mut Criterion) {
    // The least number of requests a sample is made of: enough that starting up does not count, and
    // that as many are under way as the row says.
    for (world, in_flight, least, name) in [
        (World::Sim, 1, 200, "sim: one request (virtual)"),
        (World::Sim, 64, 2_000, "sim: a request, 64 in flight (virtual)"),
        (World::Sim, 1024, 10_000, "sim: a request, 1024 in flight (virtual)"),
        (World::Threads, 1, 2_000, "threads: one request"),
        (World::Threads, 64, 20_000, "threads: a request, 64 in flight"),
        (World::Threads, 1024, 100_000, "threads: a request, 1024 in flight"),
    ] {
        let mut seed = 0;
        row(criterion, name, |implementation, units| {
            seed += 1;
            let mut bench = start(implementation, world, seed);
            bench.until_served().expect("it serves");
            let requests = units.max(least);
            let spent = bench.serve(requests, in_flight).expect("it goes on serving");
            spent.mul_f64(units as f64 / requests as f64)
        });
    }
}

/// How quick the simulated world is: events a second of wall time, a 5-node raft under load.
fn simulated_events(criterion: &mut Criterion) {
    const REQUESTS: u64 = 20_000;
    const IN_FLIGHT: usize = 64;
    let mut group = criterion.benchmark_group("sim: events a second of a 5-node raft under load");
    group.sample_size(10);
    let mut seed = 0;
    let mut run = move || {
        seed += 1;
        load(seed, REQUESTS, IN_FLIGHT)
    };
    let (events, _) = run();
    group.throughput(Throughput::Elements(events));
    let mut rates = Vec::new();
    group.bench_function("raft", |bencher| {
        bencher.iter_custom(|runs| {
            let start = Instant::now();
            let handled: u64 = (0..runs).map(|_| run().0).sum();
            let spent = start.elapsed();
            rates.push(handled as f64 / spent.as_secs_f64());
            spent
        });
    });
    group.finish();
    if !rates.is_empty() {
        let (low, median, high) = spread(&mut rates);
        println!(
            "simulated events a second: median {:.2} M (from {:.2} M to {:.2} M)",
            median / 1e6,
            low / 1e6,
            high / 1e6
        );
    }
}

/// Keeps a simulated raft busy; how many inputs its nodes handled, and in how much virtual time.
fn load(seed: u64, requests: u64, in_flight: usize) -> (u64, Duration) {
    use implementations::raft::{Command, Registers};
    let config = raft::Config::new(Registers::default());
    let members = Members::first(NODES).expect("five nodes");
    let mut sim = Sim::<Raft<Registers>>::new(config, members, Options::seeded(seed))
        .expect("the defaults are valid");
    let members = sim.members().to_vec();
    let (mut served, mut asked, mut value) = (0, 0_usize, 0);
    while served < requests {
        let leader = members.iter().copied().find(|&node| sim.peek(node).leads());
        let Some(leader) = leader else {
            let later = sim.now() + Duration::from_millis(10);
            while sim.poll(later).is_some() {
                asked -= 1;
            }
            continue;
        };
        while asked < in_flight {
            value += 1;
            asked += 1;
            let command = Command { key: (value % 64) as u32, value };
            sim.submit(leader, raft::Request::Write(command));
        }
        let later = sim.now() + Duration::from_secs(1);
        if let Some(completion) = sim.poll(later) {
            asked -= 1;
            served += u64::from(matches!(completion.outcome, Ok(Ok(_))));
        }
    }
    (sim.events(), sim.now().since(cluster::Timestamp::ZERO))
}

fn spread(samples: &mut [f64]) -> (f64, f64, f64) {
    samples.sort_by(f64::total_cmp);
    (samples[0], samples[samples.len() / 2], samples[samples.len() - 1])
}

/// The table: median (least to greatest) of each row and pattern, and who was quickest.
fn print_board() {
    let mut board = BOARD.lock().unwrap_or_else(PoisonError::into_inner);
    if board.is_empty() {
        return;
    }
    let mut table = Table::new();
    table.load_style(UTF8_FULL_CONDENSED);
    table.set_header(["median (least–greatest)"].into_iter().chain(PATTERNS).chain(["winner"]));
    for (name, row) in board.iter_mut() {
        let mut cells = vec![name.clone()];
        let mut best: Option<(&str, f64)> = None;
        for pattern in PATTERNS {
            let Some(samples) = row.get_mut(pattern) else {
                cells.push("–".to_owned());
                continue;
            };
            let (low, median, high) = spread(samples);
            cells.push(format!("{} ({}–{})", time(median), time(low), time(high)));
            if best.is_none_or(|(_, least)| median < least) {
                best = Some((pattern, median));
            }
        }
        cells.push(best.map_or("–", |(pattern, _)| pattern).to_owned());
        table.add_row(cells);
    }
    println!(
        "{NODES} nodes, one client; time for one unit of work: bully says who leads (and replicates \
         nothing), raft and quorum write, dlock grants a lock\n{table}"
    );
}

fn time(seconds: f64) -> String {
    match seconds {
        _ if seconds >= 1.0 => format!("{seconds:.2} s"),
        _ if seconds >= 1e-3 => format!("{:.2} ms", seconds * 1e3),
        _ if seconds >= 1e-6 => format!("{:.2} µs", seconds * 1e6),
        _ => format!("{:.0} ns", seconds * 1e9),
    }
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    time_to_first_service(&mut criterion);
    time_to_fail_over(&mut criterion);
    requests(&mut criterion);
    simulated_events(&mut criterion);
    criterion.final_summary();
    print_board();
}
