//! Tests of the hosts: that what is said to be cut is cut, that what is killed dies, and that nothing
//! is left behind.
//!
//! Whoever lives on these hosts is this test binary itself, started again as a [`probe`]; or nodes of our
//! own ([`residents`]).

mod left;
mod links;
mod probe;
mod processes;
mod residents;

use std::io::Write as _;
use std::time::{Duration, Instant};

use cluster::{Cluster as _, Completion, NodeId};
use harness::hosts::{Cluster, Kind, available};
use harness::implementation::{Setting, World};
use harness::vocabulary::{Answer, Op};

use probe::Probe;

/// How long anything may take that is to happen.
const PATIENCE: Duration = Duration::from_secs(30);

/// The kinds of ground that are to be tested here; a line for each that is not there and need not be.
#[track_caller]
fn kinds() -> Vec<Kind> {
    let mut kinds = vec![Kind::Loopback];
    kinds.extend(namespaces());
    kinds
}

/// Namespaces; none, and a line, if they cannot be made and need not be.
#[track_caller]
fn namespaces() -> Option<Kind> {
    let Err(why) = available() else { return Some(Kind::Namespaces) };
    assert!(std::env::var_os("CI_REQUIRE_ENGINES").is_none(), "{why}");
    // Not by `eprintln!`, which a test that passes keeps to itself.
    let _ = writeln!(std::io::stderr(), "skipped: {why}");
    None
}

#[track_caller]
fn start(kind: Kind, nodes: usize, small_disks: bool) -> Cluster<Probe> {
    let setting = Setting { small_disks, ..Setting::new(World::Net, nodes, 1) };
    Cluster::start_on(kind, Probe::new(), &setting).expect("probes start")
}

fn n(number: u32) -> NodeId {
    NodeId::new(number)
}

/// Waits until `look` finds something.
#[track_caller]
fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let give_up = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < give_up, "{what}: not within {PATIENCE:?}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// What comes of asking `node`; none if nothing does within `patience`.
fn ask(
    cluster: &mut Cluster<Probe>,
    node: NodeId,
    op: Op,
    patience: Duration,
) -> Option<Completion<Answer>> {
    let request = cluster.submit(node, op);
    let until = cluster.now() + patience;
    while let Some(completion) = cluster.poll(until) {
        if completion.request == request {
            return Some(completion);
        }
    }
    None
}
