//! A member is a node with its disk: who comes back on another one, or as a copy, does not count.

use std::time::Instant;

use cluster::{Cluster, Fault};
use raft::{Change, Config, Disk, Group, Message, Position, Recognition, Reply, Request, Term};

use crate::bed::plain;
use crate::journal::Journal;
use crate::stage::LONG;
use crate::table::{Table, n};

/// Nodes that check each other's disks, and have met.
fn founded(count: u32, config: Config<Journal>) -> Table {
    let mut table = Table::checked(count as usize, config, 1);
    let all: Vec<u32> = (1..=count).collect();
    table.settle(&all);
    for &id in &all {
        assert_eq!(recognition(&table, id), Recognition::Voter, "n{id} has met all others");
    }
    table
}

fn recognition(table: &Table, id: u32) -> Recognition {
    table.node(n(id)).recognition()
}

fn wipe(table: &mut Table, id: u32) {
    table.replace_disk(n(id), Vec::new());
}

/// The first message that fits arrives; whatever else lies there stays.
#[track_caller]
fn deliver(table: &mut Table, from: u32, to: u32) {
    let fits = |wire: &crate::table::Wire| wire.from == n(from) && wire.to == n(to);
    let place = table.wires.iter().position(fits).expect("a message on that way");
    table.deliver(place);
}

fn beat(table: &mut Table, leader: u32, nodes: &[u32]) {
    for _ in 0..6 {
        table.tick(n(leader));
        table.settle(nodes);
    }
}

#[test]
fn founders_meet_before_the_first_election() {
    let mut table = Table::checked(3, plain(), 1);
    assert_eq!(recognition(&table, 1), Recognition::Awaited);
    // The third is not there yet: nobody stands, nobody votes.
    table.settle(&[1, 2]);
    for _ in 0..4 {
        table.tick(n(1));
        table.settle(&[1, 2]);
    }
    assert_eq!(table.node(n(1)).term().get(), 0);
    assert_eq!(recognition(&table, 1), Recognition::Awaited);
    for id in [1, 2, 3] {
        table.tick(n(id));
    }
    table.settle(&[1, 2, 3]);
    table.elect(1, &[2, 3]);
    let configuration = table.node(n(1)).configuration().clone();
    assert_eq!(table.node(n(1)).configured_at().get(), 1, "the first entry says who they are");
    for id in [1, 2, 3] {
        let disk = table.node(n(id)).status().disk;
        assert_ne!(disk, Disk::UNNAMED);
        assert_eq!(configuration.disk(n(id)), disk);
        assert_eq!(table.node(n(id)).configuration(), &configuration);
    }
    table.assert_safe();
}

#[test]
fn a_founder_remembers_that_it_has_met_the_others() {
    let mut table = founded(3, plain());
    let disk = table.node(n(1)).status().disk;
    for id in [1, 2] {
        table.crash(n(id), 0);
        table.restart(n(id));
    }
    table.wires.clear();
    assert_eq!(table.node(n(1)).status().disk, disk, "the disk keeps its name");
    table.elect(1, &[2]);
}

#[test]
fn a_single_node_needs_nobody_to_meet() {
    let mut table = founded(1, plain());
    table.elect(1, &[]);
    table.write(n(1), 7);
    assert_eq!(table.commit(1), 2);
}

#[test]
fn rr_571_a_wiped_node_votes_once_in_a_term() {
    wiped_founders_abstain(plain());
}

/// Two of five vote for the first, and lose their disks; then the others, and they, are asked for their
/// votes in the same term.
pub(crate) fn wiped_founders_abstain(config: Config<Journal>) {
    let mut table = founded(5, config);
    table.tick(n(1));
    for voter in [2, 3] {
        deliver(&mut table, 1, voter);
        deliver(&mut table, voter, 1);
    }
    assert!(table.node(n(1)).is_leader());
    table.wires.clear();
    wipe(&mut table, 2);
    wipe(&mut table, 3);
    table.settle(&[1, 2, 3, 4, 5]);
    assert_eq!(recognition(&table, 2), Recognition::Replaced);
    assert_eq!(table.gauge(n(2), "disk replaced"), 1);
    for candidate in [3, 4] {
        table.tick(n(candidate));
        table.settle(&[2, 3, 4, 5]);
    }
    table.assert_safe();
    assert!(!table.node(n(3)).is_leader() && !table.node(n(4)).is_leader());
    assert!(table.gauge(n(2), "votes withheld") > 0);
    assert_eq!(table.node(n(2)).vote(), None);
}

#[test]
fn rr_571_what_is_promised_on_another_disk_does_not_count() {
    another_disk_does_not_count(plain());
}

/// `n1` and `n2` have committed what `n3` lacks, and `n2` loses its disk.
pub(crate) fn another_disk_does_not_count(config: Config<Journal>) {
    let mut table = founded(3, config.with_entries_max(1));
    table.elect(1, &[2, 3]);
    for value in 1..=3 {
        table.write(n(1), value);
        table.settle(if value == 3 { &[1, 2] } else { &[1, 2, 3] });
    }
    assert_eq!(table.commit(1), 4);
    wipe(&mut table, 2);
    // It gets some of the log again; what it acknowledges commits nothing.
    beat(&mut table, 1, &[1, 2]);
    table.write(n(1), 4);
    table.settle(&[1, 2]);
    assert_eq!(table.node(n(2)).last_index().get(), 5, "it is caught up");
    assert_eq!(recognition(&table, 2), Recognition::Replaced);
    assert_eq!(table.commit(1), 4, "one of three holds it who counts");
    wipe(&mut table, 2);
    let first = table.wires.iter().position(|wire| matches!(wire.message, Message::Hello { .. }));
    assert!(first.is_some(), "it says hello again");
    table.wires.clear();
    while table.node(n(2)).last_index().get() < 2 {
        table.tick(n(1));
        deliver(&mut table, 1, 2);
        deliver(&mut table, 2, 1);
        table.wires.retain(|wire| wire.to != n(3));
    }
    // It holds less than `n3` now, and would vote for it.
    table.crash(n(1), 0);
    table.wires.clear();
    for _ in 0..2 {
        table.tick(n(3));
        table.settle(&[2, 3]);
    }
    table.assert_safe();
    assert!(!table.node(n(3)).is_leader(), "two of three, and one of them on another disk");
    table.restart(n(1));
    table.settle(&[1, 3]);
    for _ in 0..2 {
        table.tick(n(1));
        table.settle(&[1, 3]);
    }
    assert!(table.node(n(1)).is_leader(), "those two suffice");
    table.assert_safe();
}

#[test]
fn or_898_rr_314_a_wiped_node_rejoins_without_a_panic() {
    a_wiped_node_catches_up(plain());
    a_wiped_node_catches_up(plain().with_snapshot_every(3).with_keep_behind(0).with_lag_max(0));
}

/// What it acknowledged before is forgotten, and it gets everything again.
pub(crate) fn a_wiped_node_catches_up(config: Config<Journal>) {
    let mut table = founded(3, config);
    table.elect(1, &[2, 3]);
    for value in 1..=7 {
        table.write(n(1), value);
        table.settle(&[1, 2, 3]);
    }
    wipe(&mut table, 2);
    beat(&mut table, 1, &[1, 2, 3]);
    assert_eq!(table.node(n(2)).last(), table.node(n(1)).last());
    assert_eq!(table.node(n(2)).machine().values, table.node(n(1)).machine().values);
    assert_eq!(recognition(&table, 2), Recognition::Replaced, "as one that learns");
    let before = table.node(n(1)).term();
    table.tick(n(2));
    table.settle(&[1, 2, 3]);
    assert_eq!(table.node(n(1)).term(), before, "it disturbs nobody");
    table.assert_safe();
}

#[test]
fn rr_571_a_wiped_node_is_renewed_by_the_others() {
    renewal_is_a_joint_change(plain());
}

/// The third disk never comes to count beside the first: whatever is committed on the way has a majority
/// before and after.
pub(crate) fn renewal_is_a_joint_change(config: Config<Journal>) {
    let mut table = founded(3, config);
    table.elect(1, &[2, 3]);
    table.write(n(1), 1);
    table.settle(&[1, 2, 3]);
    let lost = table.node(n(2)).status().disk;
    wipe(&mut table, 2);
    beat(&mut table, 1, &[1, 2, 3]);
    let disk = table.node(n(2)).status().disk;
    assert_ne!(disk, lost);
    let request = table.ask(n(1), Request::Change(Change::Renew(n(2))));
    // While it is under way, the node counts with neither disk in the half that names the lost one.
    let mut joint = None;
    for _ in 0..6 {
        table.tick(n(1));
        while !table.wires.is_empty() {
            table.deliver(0);
            let configuration = table.node(n(1)).configuration();
            if configuration.is_joint() {
                joint.get_or_insert_with(|| configuration.clone());
            }
        }
    }
    table.assert_safe();
    let joint = joint.expect("it went through a joint configuration");
    assert_eq!((joint.outgoing_disk(n(2)), joint.disk(n(2))), (lost, disk));
    match table.answer(request) {
        Some(Ok(Reply::Changed { configuration, .. })) => {
            assert_eq!(configuration.disk(n(2)), disk);
            assert!(!configuration.is_joint());
        }
        other => panic!("no change but {other:?}"),
    }
    assert_eq!(recognition(&table, 2), Recognition::Voter);
    // Its word counts: the third is not needed.
    table.write(n(1), 2);
    table.settle(&[1, 2]);
    assert_eq!(table.commit(1), table.node(n(1)).last_index().get());
    table.crash(n(1), 0);
    table.wires.clear();
    for _ in 0..2 {
        table.tick(n(2));
        table.settle(&[2, 3]);
    }
    assert!(table.node(n(2)).is_leader());
    table.assert_safe();
}

#[test]
fn a_wiped_node_is_renewed_while_another_is_down() {
    let mut table = founded(5, plain());
    table.elect(1, &[2, 3, 4, 5]);
    wipe(&mut table, 2);
    table.crash(n(5), 0);
    beat(&mut table, 1, &[1, 2, 3, 4]);
    let request = table.ask(n(1), Request::Change(Change::Renew(n(2))));
    beat(&mut table, 1, &[1, 2, 3, 4]);
    assert!(matches!(table.answer(request), Some(Ok(Reply::Changed { .. }))));
    assert_eq!(recognition(&table, 2), Recognition::Voter);
    table.assert_safe();
}

#[test]
fn who_does_not_vote_cannot_be_renewed() {
    let mut table = Table::new(3, plain().with_voters([n(1), n(2)]), 1);
    table.elect(1, &[2]);
    let request = table.ask(n(1), Request::Change(Change::Renew(n(3))));
    assert!(matches!(table.answer(request), Some(Err(raft::Error::UnfitMember))));
}

#[test]
fn a_founder_that_another_knows_is_written_down() {
    founders_are_written_down_first(plain());
}

/// A crash must not undo what was said.
pub(crate) fn founders_are_written_down_first(config: Config<Journal>) {
    let mut table = Table::checked(3, config, 1);
    table.wires.clear();
    table.instant_disks = false;
    table.tick(n(1));
    deliver(&mut table, 1, 2);
    let answered =
        |table: &Table| table.wires.iter().any(|wire| (wire.from, wire.to) == (n(2), n(1)));
    assert!(!answered(&table), "it is on no disk yet");
    table.sync(n(2));
    assert!(answered(&table));
}

#[test]
fn a_cloned_disk_is_not_heard_beside_the_later_one() {
    an_old_copy_is_not_heard(plain());
}

/// `n2` has voted for `n1`, and comes back as it was before.
pub(crate) fn an_old_copy_is_not_heard(config: Config<Journal>) {
    let mut table = founded(3, config);
    let copy = table.records(n(2)).to_vec();
    table.crash(n(2), 0);
    table.restart(n(2));
    table.wires.clear();
    // n3 hears of its second boot, n1 gets its vote.
    let (term, last) = (Term::ZERO, Position::ZERO);
    table.inject(n(3), n(2), Message::PreVote { term, last, agrees: last });
    deliver(&mut table, 2, 3);
    table.tick(n(1));
    deliver(&mut table, 1, 2);
    deliver(&mut table, 2, 1);
    assert!(table.node(n(1)).is_leader());
    // n3 stands in the same term.
    table.replace_disk(n(2), copy);
    table.wires.clear();
    table.tick(n(3));
    deliver(&mut table, 3, 2);
    deliver(&mut table, 2, 3);
    table.assert_safe();
    assert_eq!(table.gauge(n(3), "impostors ignored"), 1);
}

#[test]
fn a_cloned_disk_that_boots_again_is_heard_again() {
    let mut table = founded(3, plain());
    for _ in 0..3 {
        table.crash(n(2), 0);
        table.restart(n(2));
        table.settle(&[1, 2, 3]);
    }
    table.elect(1, &[2]);
    assert_eq!(table.gauge(n(1), "impostors ignored"), 0, "every boot is later than the last");
}

#[test]
fn strange_hellos_are_dropped() {
    let hello = |disk| Message::Hello { disk, known: Some(Disk::new(9)), asks: true };
    let mut table = Table::new(3, plain(), 1);
    table.inject(n(2), n(1), hello(Disk::new(7)));
    assert_eq!(table.gauge(n(1), "messages dropped"), 1, "whoever trusts disks meets nobody");
    let mut table = Table::checked(3, plain().with_voters([n(1), n(2)]), 1);
    table.wires.clear();
    for (from, disk) in [(3, Disk::new(7)), (2, Disk::UNNAMED), (9, Disk::new(7))] {
        table.inject(n(from), n(1), hello(disk));
    }
    assert_eq!(table.gauge(n(1), "messages dropped"), 3);
    assert!(table.wires.is_empty(), "and not answered");
    assert_eq!(recognition(&table, 1), Recognition::Awaited);
}

/// A group on threads, as a user has it: one of its disks is lost, which its status says, and one call
/// makes it whole.
#[test]
fn rr_571_a_wiped_node_of_a_group_is_renewed_by_a_call() {
    let mut group =
        Group::builder(Journal::default()).timeout(LONG).start().expect("it makes sense");
    let handle = group.handle();
    for value in 0..20 {
        handle.write(value).wait().expect("all are up");
    }
    let leader = handle.status(n(1)).wait().unwrap().leader;
    let lost = [1, 2, 3].map(n).into_iter().find(|&id| Some(id) != leader).expect("one follows");
    let await_status = |id, expected| {
        let until = Instant::now() + LONG;
        loop {
            let status = handle.status(id).wait();
            if status.as_ref().is_ok_and(|it| it.recognition == expected) {
                return;
            }
            assert!(Instant::now() < until, "{id} is no {expected:?} but {status:?}");
            std::thread::yield_now();
        }
    };
    await_status(lost, Recognition::Voter);
    for fault in [Fault::Wipe { node: lost }, Fault::Restart { node: lost }] {
        group.cluster().inject(&fault).unwrap();
    }
    await_status(lost, Recognition::Replaced);
    handle.write(20).wait().expect("two of three serve");
    let configuration = handle.change(Change::Renew(lost)).wait().expect("two of three can");
    await_status(lost, Recognition::Voter);
    assert_eq!(configuration.disk(lost), handle.status(lost).wait().unwrap().disk);
    let other = [1, 2, 3].map(n).into_iter().find(|&id| id != lost && Some(id) != leader);
    let other = other.expect("there are three");
    group.cluster().inject(&Fault::Crash { node: other }).unwrap();
    assert_eq!(handle.write(21).wait(), Ok(21), "it counts");
}
