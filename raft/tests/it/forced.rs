//! Going on by hand with those that are left, when a majority is lost.

use std::collections::BTreeSet;
use std::path::Path;

use cluster::store::{Store, StoreError};
use cluster::threads::Options;
use cluster::{Members, NodeId, PersistCount};
use raft::recovery::{RecoveryError, Survey, Survivor};
use raft::{Builder, Change, Config, Group, ReadLevel, Recognition, Record, Request};

use crate::bed::{config, plain};
use crate::journal::Journal;
use crate::stage::LONG;
use crate::table::{Table, n};

/// A store in memory, for the table.
#[derive(Default)]
struct Shelf(Vec<Record<u64>>);

impl Store<Record<u64>> for &mut Shelf {
    fn append(&mut self, record: Record<u64>) -> Result<(), StoreError> {
        self.0.push(record);
        Ok(())
    }

    fn sync(&mut self) -> Result<(), StoreError> {
        Ok(())
    }

    fn forget(&mut self, _before: PersistCount) -> Result<(), StoreError> {
        Ok(())
    }
}

fn members() -> Members {
    Members::first(5).expect("five are some")
}

fn group(directory: &Path) -> Group<Journal> {
    let builder: Builder<Journal> = Group::builder(Journal::default()).nodes(5);
    let builder = builder.directory(directory).timeout(LONG).options(Options::default());
    builder.start().expect("it makes sense")
}

fn open(
    directory: &Path,
    id: u32,
) -> Result<Survivor<Journal, impl Store<Record<u64>>>, RecoveryError> {
    Survivor::open(directory.join(n(id).to_string()), n(id), members(), &config())
}

fn survey(directory: &Path, id: u32) -> Survey {
    open(directory, id).map(|it| it.survey()).expect("its journal is sound")
}

/// Five nodes on journals, of which three are gone.
#[test]
fn manual_recovery_goes_on_with_the_two_that_are_left() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    let running = group(path);
    let handle = running.handle();
    for value in 1..=50 {
        handle.write(value).wait().unwrap();
    }
    assert!(
        matches!(open(path, 1), Err(RecoveryError::Open(_))),
        "a node has it open: nobody else may touch it"
    );
    // Both of those that will be left hold everything: what only the lost ones held would be lost.
    for id in [1, 2] {
        while handle.status(n(id)).wait().unwrap().applied
            < handle.status(n(3)).wait().unwrap().applied
        {
            std::thread::yield_now();
        }
    }
    drop(handle);
    running.shutdown();
    for id in 3..=5 {
        std::fs::remove_dir_all(path.join(n(id).to_string())).unwrap();
    }
    let best = [1, 2].map(|id| survey(path, id)).into_iter().max_by_key(|it| it.last).unwrap();
    assert!(best.last.index.get() > 50 && best.configuration.voters().len() == 5);
    let chosen = open(path, best.node.get()).expect("its journal is sound");
    let next = chosen.go_on_with(&[n(1), n(2)]).expect("two voters are left");
    assert_eq!(next.voters(), &BTreeSet::from([n(1), n(2)]));
    let running = group(path);
    let handle = running.handle();
    let count = handle.write(51).wait().expect("the two serve");
    assert!(count >= 50, "all that was acknowledged is there");
    let held = handle.read_at(ReadLevel::Index, ()).wait().unwrap();
    assert!(held > count);
    // The lost ones are back, with empty disks, and have no part in it until they are added.
    for id in 3..=5 {
        let recognition = handle.status(n(id)).wait().unwrap().recognition;
        assert_ne!(recognition, Recognition::Voter);
    }
    let configuration = handle.change(Change::AddVoter(n(3))).wait().expect("it catches up");
    assert_eq!(configuration.voters().len(), 3);
    assert_eq!(handle.status(n(3)).wait().unwrap().recognition, Recognition::Voter);
    handle.write(52).wait().expect("they serve on");
}

#[test]
fn manual_recovery_refuses_what_makes_no_sense() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    assert!(matches!(open(path, 1), Err(RecoveryError::Open(_))), "there is nothing");
    assert!(!path.join("n1").exists(), "and nothing is made");
    let refused = |keep: &[NodeId], shelf: &mut Shelf| {
        let records = shelf.0.clone();
        let config = plain().with_voters([n(1), n(2), n(3)]);
        let survivor = Survivor::on(&mut *shelf, records, n(1), members(), &config).unwrap();
        let refusal = survivor.go_on_with(keep).expect_err("it makes no sense");
        refusal.to_string()
    };
    let empty = refused(&[n(1)], &mut Shelf::default());
    assert!(empty.contains("empty"), "{empty}");
    let mut table = Table::new(5, plain().with_voters([n(1), n(2), n(3)]), 1);
    table.elect(1, &[2, 3]);
    let mut shelf = Shelf(table.records(n(1)).to_vec());
    let before = shelf.0.len();
    let kept = refused(&[n(2), n(3)], &mut shelf);
    assert!(kept.contains("n1 is not among those"), "{kept}");
    let voter = refused(&[n(1), n(4)], &mut shelf);
    assert!(voter.contains("n4 has no vote"), "{voter}");
    assert_eq!(shelf.0.len(), before, "nothing was done");
}

/// Five nodes on a table, founded; two hold what the others hold, and one entry more; three are thought
/// lost. Then those return, with their disks.
#[test]
fn manual_recovery_keeps_out_the_lost_ones_that_return() {
    for config in
        [plain(), config(), plain().with_snapshot_every(3).with_keep_behind(0).with_lag_max(0)]
    {
        lost_ones_return(config);
    }
}

fn lost_ones_return(config: Config<Journal>) {
    let mut table = Table::checked(5, config.clone(), 1);
    let all = [1, 2, 3, 4, 5];
    table.settle(&all);
    table.elect(3, &all);
    for value in 1..=6 {
        table.write(n(3), value);
        table.settle(&all);
    }
    table.write(n(3), 7);
    table.settle(&[1, 3]);
    for id in all {
        table.crash(n(id), 0);
    }
    let survey = |table: &Table, id: u32| {
        let mut shelf = Shelf(table.records(n(id)).to_vec());
        let records = shelf.0.clone();
        Survivor::on(&mut shelf, records, n(id), members(), &config).unwrap().survey()
    };
    assert!(survey(&table, 1).last > survey(&table, 2).last, "the first is the one to choose");
    let mut shelf = Shelf(table.records(n(1)).to_vec());
    let records = shelf.0.clone();
    let survivor = Survivor::on(&mut shelf, records, n(1), members(), &config).unwrap();
    survivor.go_on_with(&[n(1), n(2)]).unwrap();
    table.wires.clear();
    table.replace_disk(n(1), shelf.0);
    table.restart(n(2));
    table.wires.clear();
    for _ in 0..2 {
        table.tick(n(1));
        table.settle(&[1, 2]);
    }
    assert!(table.node(n(1)).is_leader());
    table.write(n(1), 8);
    table.settle(&[1, 2]);
    let values = |table: &Table, id: u32| table.node(n(id)).machine().values.clone();
    assert_eq!(values(&table, 1), [1, 2, 3, 4, 5, 6, 7, 8]);
    // A majority of the old configuration is back, and elects a leader before it hears of the others.
    for id in [3, 4, 5] {
        table.restart(n(id));
    }
    table.wires.clear();
    table.tick(n(4));
    table.settle(&[3, 4, 5]);
    let lost_leader = [3, 4, 5].into_iter().find(|&id| table.node(n(id)).is_leader());
    let lost_leader = lost_leader.unwrap_or_else(|| {
        table.elect(3, &[4, 5]);
        3
    });
    let term = table.node(n(1)).term();
    // Then it does, and that is the end of it.
    table.tick(n(lost_leader));
    table.settle(&all);
    assert!(!table.node(n(lost_leader)).is_leader(), "it has heard of a later generation");
    for _ in 0..3 {
        for id in [3, 4, 5] {
            table.tick(n(id));
            table.settle(&all);
        }
    }
    assert!(table.node(n(1)).is_leader());
    assert_eq!(table.node(n(1)).term(), term, "they disturb nobody");
    for id in [3, 4, 5] {
        assert!(table.node(n(id)).term() <= term && !table.node(n(id)).is_leader());
    }
    table.ask(n(1), Request::Write(9));
    table.settle(&[1, 2]);
    assert_eq!(values(&table, 1), [1, 2, 3, 4, 5, 6, 7, 8, 9]);
}
