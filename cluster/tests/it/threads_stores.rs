//! Threads on stores: one sync a batch, nothing before it that waits for it, and no life after one
//! that failed.

use std::sync::{Arc, Condvar, Mutex, MutexGuard};

use cluster::store::{Opened, Store, StoreError};
use cluster::threads::{Options, Refusal, Threads};
use cluster::{
    Cluster, Damage, DiskFault, Fault, Members, NoAnswer, NodeState, PersistCount, RequestId,
};

use crate::scribe::{Answer, Ask, Config, Scribe, eventually, n};
use crate::threads_calls::{LONG, gauge, inject};

/// A disk whose syncs last until they are let go.
#[derive(Clone, Default)]
struct Disk(Arc<(Mutex<State>, Condvar)>);

#[derive(Default)]
struct State {
    durable: Vec<u64>,
    appended: Vec<u64>,
    forgotten: Vec<u64>,
    /// Syncs begun, and ended.
    begun: u32,
    ended: u32,
    held: bool,
    fails: bool,
}

impl Disk {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.0.lock().expect("nobody panics while it is locked")
    }

    fn hold(&self, held: bool) {
        self.state().held = held;
        self.0.1.notify_all();
    }
}

impl Store<u64> for Disk {
    fn append(&mut self, record: u64) -> Result<(), StoreError> {
        self.state().appended.push(record);
        Ok(())
    }

    fn sync(&mut self) -> Result<(), StoreError> {
        let mut state = self.state();
        state.begun += 1;
        let free = self.0.1.wait_while(state, |state| state.held);
        let mut state = free.expect("nobody panics while it is locked");
        state.ended += 1;
        if state.fails {
            return Err(StoreError::Failed { because: "it smokes".to_owned() });
        }
        let batch = std::mem::take(&mut state.appended);
        state.durable.extend(batch);
        Ok(())
    }

    fn forget(&mut self, before: PersistCount) -> Result<(), StoreError> {
        self.state().forgotten.push(before.0);
        Ok(())
    }
}

fn start_on<S: Store<u64> + 'static>(
    nodes: usize,
    open: impl Fn(cluster::NodeId) -> Opened<S, u64> + Send + Sync + 'static,
) -> Threads<Scribe> {
    let members = Members::first(nodes).expect("a valid cluster");
    Threads::start_on(Config::default(), members, Options::default(), open).expect("valid")
}

/// A cluster whose first node writes to the disk that is returned.
fn start(nodes: usize) -> (Disk, Threads<Scribe>) {
    let disk = Disk::default();
    let first = disk.clone();
    let open = move |node| {
        let disk = if node == n(1) { first.clone() } else { Disk::default() };
        disk.state().appended.clear();
        let records = disk.state().durable.clone();
        Ok((disk, records))
    };
    let cluster = start_on(nodes, open);
    (disk, cluster)
}

fn append(cluster: &mut Threads<Scribe>, value: u64) -> RequestId {
    cluster.submit(n(1), Ask::Append(value))
}

#[track_caller]
fn end(cluster: &mut Threads<Scribe>, id: RequestId) -> Result<Answer, NoAnswer> {
    let end = cluster.poll(cluster.now() + LONG).expect("an end");
    assert_eq!(end.request, id);
    end.outcome
}

#[track_caller]
fn count(cluster: &Threads<Scribe>) -> u64 {
    match cluster.client().call(n(1), Ask::Count, LONG) {
        Ok(Answer::Count(count)) => count,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_batch_is_synced_once_and_what_waits_for_nothing_leaves_before() {
    let (disk, mut cluster) = start(2);
    disk.hold(true);
    let first = append(&mut cluster, 0);
    eventually("a sync has begun", || disk.state().begun == 1);
    // The note that waits for nothing; the answer and the other note wait.
    eventually("it is told", || gauge(&cluster, 2, "heard") == 1);
    let ids: Vec<_> = (1..=100).map(|value| append(&mut cluster, value)).collect();
    assert!(cluster.poll(cluster.now()).is_none());
    assert_eq!(disk.state().appended, [0], "the rest is still in the inbox");
    disk.hold(false);
    assert_eq!(end(&mut cluster, first), Ok(Answer::Done));
    for id in ids {
        assert_eq!(end(&mut cluster, id), Ok(Answer::Done));
    }
    assert_eq!(disk.state().ended, 2, "one for the first, one for the hundred");
    assert_eq!(disk.state().durable, (0..=100).collect::<Vec<_>>());
    eventually("all is told", || gauge(&cluster, 2, "heard") == 202);
    cluster.shutdown();
}

#[test]
fn a_failed_sync_is_the_end_of_the_node_and_of_what_waited() {
    let (disk, mut cluster) = start(2);
    let id = append(&mut cluster, 1);
    assert_eq!(end(&mut cluster, id), Ok(Answer::Done));
    eventually("both notes are heard", || gauge(&cluster, 2, "heard") == 2);
    assert_eq!(cluster.refusal(n(1)), None);
    disk.state().fails = true;
    let id = append(&mut cluster, 2);
    assert_eq!(end(&mut cluster, id), Err(NoAnswer::Lost));
    assert_eq!(cluster.state(n(1)), NodeState::Down);
    let because = "it smokes".to_owned();
    assert_eq!(cluster.refusal(n(1)), Some(Refusal::Failed(StoreError::Failed { because })));
    assert_eq!(disk.state().ended, 2, "it is not tried again");
    disk.state().fails = false;
    inject(&mut cluster, Fault::Restart { node: n(1) });
    assert_eq!((count(&cluster), cluster.refusal(n(1))), (1, None));
    let id = append(&mut cluster, 3);
    assert_eq!(end(&mut cluster, id), Ok(Answer::Done));
    eventually("all is heard but that 2 is safe", || gauge(&cluster, 2, "heard") == 5);
    cluster.shutdown();
}

#[test]
fn what_a_node_forgets_its_store_forgets() {
    let (disk, mut cluster) = start(1);
    for value in 1..=3 {
        let id = append(&mut cluster, value);
        assert_eq!(end(&mut cluster, id), Ok(Answer::Done));
    }
    let id = cluster.submit(n(1), Ask::Forget(2));
    assert_eq!(end(&mut cluster, id), Ok(Answer::Done));
    assert_eq!(disk.state().forgotten, [2]);
    cluster.shutdown();
}

/// Seven effects, as in memory; here the gated ones come last.
#[test]
fn a_process_may_die_between_any_two_effects() {
    for effects in 0..=7 {
        let (disk, mut cluster) = start(3);
        inject(&mut cluster, Fault::CrashAfter { node: n(1), effects });
        let id = append(&mut cluster, 7);
        let answered = end(&mut cluster, id);
        assert_eq!(answered.is_ok(), effects == 7, "{effects} effects");
        assert_eq!(cluster.state(n(1)), NodeState::Down);
        let heard = gauge(&cluster, 2, "heard") + gauge(&cluster, 3, "heard");
        let due = [0, 0, 1, 2, 2, 3, 4, 4][effects as usize];
        assert_eq!(heard, due, "{effects} effects");
        let durable = disk.state().durable.len();
        assert_eq!(durable, usize::from(effects > 4), "{effects} effects");
        inject(&mut cluster, Fault::Restart { node: n(1) });
        assert_eq!(count(&cluster), durable as u64, "{effects} effects");
        cluster.shutdown();
    }
}

#[test]
fn what_needs_a_simulated_disk_is_refused_by_reason() {
    let (_, mut cluster) = start(1);
    let node = n(1);
    for (fault, reason) in [
        (Fault::PowerLoss, "the power of a real disk stays on; crash the nodes"),
        (
            Fault::Disk { node, disk: DiskFault::default() },
            "a real disk cannot be told to misbehave",
        ),
        (
            Fault::Rot { node, at_ppm: 0, damage: Damage::Lost },
            "what a store has written is its own to change",
        ),
        (Fault::Wipe { node }, "what a store has written is its own to remove"),
    ] {
        assert_eq!(cluster.inject(&fault).expect_err("refused").reason, reason);
    }
    assert_eq!(count(&cluster), 0, "it lives");
    cluster.shutdown();
}

#[cfg(feature = "journal")]
mod journals {
    use cluster::store::{OpenError, journals_in};
    use tempfile::TempDir;

    use super::*;

    #[test]
    fn what_was_answered_outlives_the_cluster() {
        let directory = TempDir::new().expect("a directory");
        for life in 0..4 {
            let mut cluster = start_on(1, journals_in(directory.path()));
            assert_eq!(count(&cluster), 2 * life);
            let id = append(&mut cluster, 2 * life);
            assert_eq!(end(&mut cluster, id), Ok(Answer::Done));
            inject(&mut cluster, Fault::Crash { node: n(1) });
            inject(&mut cluster, Fault::Restart { node: n(1) });
            let id = append(&mut cluster, 2 * life + 1);
            assert_eq!(end(&mut cluster, id), Ok(Answer::Done));
            // Dropped as it is.
        }
    }

    #[test]
    fn a_journal_that_is_corrupt_keeps_its_node_down_and_names_file_and_byte() {
        let directory = TempDir::new().expect("a directory");
        for value in 0..2 {
            let mut cluster = start_on(1, journals_in(directory.path()));
            let id = append(&mut cluster, 0x0123_4567_89AB + value);
            assert_eq!(end(&mut cluster, id), Ok(Answer::Done));
        }
        let segment = directory.path().join("n1/segment-00000000000000000001");
        let mut bytes = std::fs::read(&segment).expect("the log");
        // The first batch: after it come others that say it was durable.
        bytes[250] ^= 1;
        std::fs::write(&segment, bytes).expect("a file");
        let mut cluster = start_on(1, journals_in(directory.path()));
        assert_eq!(cluster.state(n(1)), NodeState::Down);
        match cluster.refusal(n(1)) {
            Some(Refusal::Closed(OpenError::Corrupt { place, .. })) => {
                assert!(place.starts_with(&segment.display().to_string()), "{place}");
                assert!(place.contains(" at byte "), "{place}");
            }
            other => panic!("{other:?}"),
        }
        let id = append(&mut cluster, 1);
        assert_eq!(end(&mut cluster, id), Err(NoAnswer::Unreachable));
        cluster.shutdown();
    }
}
