//! Voters that hold no commands (J.-F. Pâris, "Voting with Witnesses", ICDCS 1986), on a table of nodes
//! moved by hand. Those that take a configuration are also run with planted bugs, in `mutants.rs`. What
//! becomes of whole clusters is in `witness_sim.rs`.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use cluster::{Members, NodeId, Role};
use raft::{
    Append, Change, Config, Configuration, Disk, Entry, Error, Identity, Kind, LogIndex, Message,
    Papers, Payload, ReadLevel, Record, Reply, Request, Round, Step, Term, WitnessRefusal,
};

use serde::Serialize;

use crate::bed::{config, plain};
use crate::journal::Journal;
use crate::membership::{change, check, check_changed, check_failed};
use crate::paper::{append, at, entries, last_vote, request_vote, table};
use crate::table::{Table, n};

/// Longer than a leader waits for anybody.
const LONG: Duration = Duration::from_millis(700);

/// Nodes of which the last `witnesses` are that; `n1` leads, and all hold what it does.
fn led(config: Config<Journal>, nodes: u32, witnesses: u32) -> Table {
    let witnesses = (nodes - witnesses + 1..=nodes).map(n);
    let mut table = table(nodes as usize, config.with_witnesses(witnesses));
    let others: Vec<u32> = (2..=nodes).collect();
    table.elect(1, &others);
    table.beat(1, &others, Duration::from_millis(100));
    table
}

fn payloads(table: &Table, id: u32) -> Vec<Payload<u64>> {
    let entries = table.node(n(id)).entries(LogIndex::new(1), usize::MAX);
    entries.map(|entry| entry.payload.clone()).collect()
}

fn refused(node: u32) -> Error {
    Error::Witness(WitnessRefusal::NoReplica { node: n(node) })
}

fn other_kind(node: u32) -> Error {
    Error::Witness(WitnessRefusal::OtherKind { node: n(node) })
}

/// How many entries lie on the way from `n1` to `to`.
fn under_way(table: &Table, to: u32) -> usize {
    let count = |wire: &crate::table::Wire| match &wire.message {
        Message::Append(append) if wire.to == n(to) => append.entries.len(),
        _ => 0,
    };
    table.wires.iter().map(count).sum()
}

#[test]
fn paris_1986_a_witness_votes_and_holds_no_commands() {
    let mut table = led(plain(), 3, 1);
    let write = table.write(n(1), 7);
    table.settle(&[1, 2, 3]);
    let open = table.ask(n(1), Request::Open);
    table.beat(1, &[2, 3], Duration::from_millis(100));
    assert!(matches!(table.answer(write), Some(Ok(Reply::Written { .. }))));
    assert!(matches!(table.answer(open), Some(Ok(Reply::Opened(_)))));
    assert_eq!(payloads(&table, 3), [Payload::Noop, Payload::Withheld, Payload::Withheld]);
    assert_eq!(payloads(&table, 2), payloads(&table, 1));
    assert_eq!(table.node(n(3)).last(), table.node(n(1)).last());
    assert_eq!(table.commit(3), 3, "it knows what is committed");
    assert_eq!(table.node(n(3)).machine(), &Journal::default(), "and applies nothing");
    let status = table.node(n(3)).status();
    assert_eq!((status.kind, table.node(n(2)).status().kind), (Kind::Witness, Kind::Full));
    // It counts: without n2, what n1 and n3 hold is committed.
    table.beat(1, &[3], LONG);
    table.write(n(1), 8);
    table.settle(&[1, 3]);
    assert_eq!(table.commit(1), 4);
    check(&table, &[1, 2, 3], "voters=(1 2 3) witnesses=(3)");
}

#[test]
fn a_witness_answers_no_query_by_name() {
    let mut table = led(plain(), 3, 1);
    for request in [
        Request::ReadLocal(()),
        Request::ReadAt(ReadLevel::Local, ()),
        Request::ReadAt(ReadLevel::Follower, ()),
        Request::Committed { from: LogIndex::new(1), max: 9 },
    ] {
        let asked = table.ask(n(3), request);
        check_failed(&table, asked, refused(3));
    }
    let asked = table.ask(n(3), Request::Read(()));
    check_failed(&table, asked, Error::NotLeader { leader: Some(n(1)) });
}

#[test]
fn a_witness_never_leads() {
    it_does_not_stand(plain());
    it_does_not_stand(config());
}

/// It holds all, and hears no leader; it is even told to stand.
pub(crate) fn it_does_not_stand(config: Config<Journal>) {
    let mut table = led(config, 3, 1);
    let term = table.node(n(1)).term();
    table.inject(n(1), n(3), Message::TimeoutNow { term });
    for _ in 0..4 {
        table.tick(n(3));
        assert_eq!(table.node(n(3)).role(), Role::Follower);
        assert_eq!(table.node(n(3)).term(), term);
    }
    assert!(table.wires.is_empty(), "it asks nobody: {:?}", table.wires);
    let transfer = table.ask(n(1), Request::Transfer { to: Some(n(3)) });
    check_failed(&table, transfer, refused(3));
    let transfer = table.ask(n(1), Request::Transfer { to: None });
    table.settle(&[1, 2, 3]);
    assert!(matches!(table.answer(transfer), Some(Ok(Reply::Transferred { to })) if *to == n(2)));
    table.assert_safe();
}

#[test]
fn section_5_4_1_a_witness_votes_by_the_usual_rule() {
    it_refuses_shorter_logs(plain());
}

/// `n3` holds an entry that `n2` has not.
pub(crate) fn it_refuses_shorter_logs(config: Config<Journal>) {
    let mut table = led(config, 3, 1);
    table.beat(1, &[3], LONG);
    table.write(n(1), 7);
    table.settle(&[1, 3]);
    assert_eq!(table.commit(1), 2);
    let (shorter, same) = (table.node(n(2)).last(), table.node(n(1)).last());
    table.inject(n(2), n(3), request_vote(5, shorter));
    assert_eq!(last_vote(&table), (5, false));
    table.inject(n(1), n(3), request_vote(6, same));
    assert_eq!(last_vote(&table), (6, true));
}

#[test]
fn at_most_half_of_the_voters_are_witnesses() {
    a_majority_holds_a_full_replica(plain());
    let members = Members::first(3).unwrap();
    let validated = |witnesses: &[u32]| {
        let config = plain().with_witnesses(witnesses.iter().map(|&id| n(id)));
        <raft::Raft<Journal> as cluster::Node>::validate(&config, &members)
    };
    assert!(validated(&[3]).is_ok());
    for witnesses in [&[2, 3], &[3, 4]] {
        let refused = validated(witnesses).expect_err("too many, or none of them");
        assert!(refused.to_string().contains("witnesses"), "{refused}");
    }
}

/// Neither by one step nor by a joint change.
pub(crate) fn a_majority_holds_a_full_replica(config: Config<Journal>) {
    let mut table = led(config, 4, 2);
    let too_many =
        |witnesses, voters| Error::Witness(WitnessRefusal::TooMany { witnesses, voters });
    let request = change(&mut table, 1, Change::Remove(n(2)));
    check_failed(&table, request, too_many(2, 3));
    let voters = Change::Voters([1, 3].map(n).into());
    let request = change(&mut table, 1, voters);
    table.beat(1, &[2, 3, 4], LONG);
    check_changed(&table, request, "voters=(1 3) witnesses=(3)");
}

#[test]
fn a_leader_sends_witnesses_what_another_full_replica_holds() {
    it_sends_them_last(plain());
    it_sends_them_last(config());
}

/// So its own crash stops nothing.
pub(crate) fn it_sends_them_last(config: Config<Journal>) {
    let mut table = led(config, 3, 1);
    table.write(n(1), 7);
    assert_eq!((under_way(&table, 2), under_way(&table, 3)), (1, 0));
    // n2 is slow: what n1 has sent is lost with n1.
    table.tick(n(1));
    table.settle(&[1, 3]);
    table.crash(n(1), 0);
    table.pass(LONG);
    for _ in 0..3 {
        table.tick(n(2));
        table.settle(&[2, 3]);
    }
    assert!(table.node(n(2)).is_leader(), "n3 holds no more than n2");
    table.assert_safe();
}

#[test]
fn a_leader_sends_witnesses_what_a_full_replicas_disk_holds() {
    it_sends_them_what_a_disk_holds(plain());
}

/// Or, after a loss of power, the witness would hold more than all that may lead.
pub(crate) fn it_sends_them_what_a_disk_holds(config: Config<Journal>) {
    let mut table = led(config, 3, 1);
    table.beat(1, &[3], LONG);
    table.instant_disks = false;
    table.write(n(1), 7);
    assert_eq!(under_way(&table, 3), 0, "it is on no disk");
    table.sync(n(1));
    assert_eq!(under_way(&table, 3), 1);
    table.assert_safe();
}

/// What a full replica holds on another disk than that on which it votes, it cannot lead with.
#[test]
fn what_a_replaced_disk_holds_is_held_by_nobody() {
    let mut table = Table::checked(3, plain().with_witnesses([n(3)]), 1);
    table.settle(&[1, 2, 3]);
    table.elect(1, &[2, 3]);
    table.beat(1, &[2, 3], LONG);
    table.replace_disk(n(2), Vec::new());
    table.beat(1, &[2, 3], LONG);
    assert_eq!(table.log(2), table.log(1), "it has caught up");
    table.instant_disks = false;
    table.write(n(1), 7);
    let to_2 = table.wires.iter().position(|wire| wire.to == n(2)).expect("it is sent all");
    table.deliver(to_2);
    table.sync(n(2));
    let answer = table.wires.iter().position(|wire| wire.from == n(2)).expect("it has it");
    table.deliver(answer);
    assert_eq!(under_way(&table, 3), 0, "neither n1 nor a voter has it on its disk");
    table.sync(n(1));
    assert_eq!(under_way(&table, 3), 1);
    table.assert_safe();
}

/// Nobody waits for a full replica that is silent, or that is far behind.
#[test]
fn witnesses_are_sent_all_when_no_other_full_replica_keeps_pace() {
    let mut table = led(plain(), 3, 1);
    table.beat(1, &[3], LONG);
    for value in 0..600 {
        table.write(n(1), value);
        table.settle(&[1, 3]);
    }
    assert_eq!(table.commit(1), 601, "n2 is silent");
    // It answers again, and gets nowhere.
    table.beat(1, &[3], LONG);
    for value in 600..606 {
        table.write(n(1), value);
        table.settle(&[1, 3]);
        table.inject(n(2), n(1), answer(&table, 1));
    }
    table.settle(&[1, 3]);
    assert_eq!(table.commit(1), 607, "n2 is behind");
    table.beat(1, &[2, 3], LONG);
    assert_eq!(table.log(2), table.log(1));
    table.write(n(1), 606);
    assert_eq!((under_way(&table, 2), under_way(&table, 3)), (1, 0), "n2 keeps pace again");
    table.assert_safe();
}

/// An acknowledgement by `n2` of the first `index` entries.
fn answer(table: &Table, index: u64) -> Message<u64> {
    Message::Appended {
        term: table.node(n(1)).term(),
        round: Round::ZERO,
        outcome: raft::Appended::Matched(LogIndex::new(index)),
        by: raft::Identity::default(),
    }
}

#[test]
fn kinds_do_not_change_in_place() {
    a_disk_without_commands_is_not_promoted(plain());
}

/// Not as it is, and not after it was removed either; a wiped one is.
pub(crate) fn a_disk_without_commands_is_not_promoted(config: Config<Journal>) {
    let mut table = led(config, 4, 1);
    table.write(n(1), 7);
    table.beat(1, &[2, 3, 4], Duration::from_millis(100));
    for wish in [Change::AddVoter(n(4)), Change::AddLearner(n(4))] {
        let request = change(&mut table, 1, wish);
        check_failed(&table, request, other_kind(4));
    }
    let request = change(&mut table, 1, Change::AddWitness(n(3)));
    check_failed(&table, request, other_kind(3));
    for node in [4, 3] {
        change(&mut table, 1, Change::Remove(n(node)));
        table.beat(1, &[2, 3, 4], LONG);
    }
    check(&table, &[1, 2], "voters=(1 2)");
    for (node, wish) in [(4, Change::AddVoter(n(4))), (3, Change::AddWitness(n(3)))] {
        let request = change(&mut table, 1, wish);
        table.beat(1, &[2, 3, 4], LONG);
        check_failed(&table, request, other_kind(node));
        assert!(table.gauge(n(node), "taken for the other kind") > 0);
        table.replace_disk(n(node), Vec::new());
    }
    let request = change(&mut table, 1, Change::AddVoter(n(4)));
    table.beat(1, &[2, 3, 4], LONG);
    check_changed(&table, request, "voters=(1 2 4)");
    let request = change(&mut table, 1, Change::AddWitness(n(3)));
    table.beat(1, &[2, 3, 4], LONG);
    check_changed(&table, request, "voters=(1 2 3 4) witnesses=(3)");
    assert_eq!(payloads(&table, 4), payloads(&table, 1), "n4 is whole");
    assert!(payloads(&table, 3).contains(&Payload::Withheld), "n3 is not");
    table.assert_safe();
}

/// A learner that is promoted, a voter that is demoted, replaced or renewed: what it is, it stays.
#[test]
fn changes_keep_the_kind() {
    let mut table = led(plain(), 4, 1);
    table.write(n(1), 7);
    for (wish, expected) in [
        (Change::Demote(n(4)), "voters=(1 2 3) learners=(4) witnesses=(4)"),
        (Change::Promote(n(4)), "voters=(1 2 3 4) witnesses=(4)"),
        (Change::Renew(n(4)), "voters=(1 2 3 4) witnesses=(4)"),
        (Change::Voters([1, 2, 4].map(n).into()), "voters=(1 2 4) witnesses=(4)"),
    ] {
        let request = change(&mut table, 1, wish);
        table.beat(1, &[2, 3, 4], LONG);
        check_changed(&table, request, expected);
    }
    table.replace_disk(n(3), Vec::new());
    let request = change(&mut table, 1, Change::Replace { old: n(4), new: n(3) });
    table.beat(1, &[2, 3, 4], LONG);
    check_changed(&table, request, "voters=(1 2 3) witnesses=(3)");
    let full = change(&mut table, 1, Change::Replace { old: n(2), new: n(3) });
    check_failed(&table, full, other_kind(3));
}

/// Whatever a leader sends, nothing of it is on the disk of a witness but its place.
#[test]
fn a_witness_that_is_sent_a_command_strips_it() {
    let mut table = led(plain(), 3, 1);
    let term = table.node(n(1)).term();
    let message = Message::Append(Append {
        term,
        prev: table.node(n(3)).last(),
        entries: entries(1, &[(1, 77)]),
        commit: LogIndex::ZERO,
        round: Round::ZERO,
        kind: Kind::Witness,
    });
    table.inject(n(1), n(3), message);
    assert_eq!(payloads(&table, 3), [Payload::Noop, Payload::Withheld]);
    let written = format!("{:?}", table.records(n(3)));
    assert!(!written.contains("77"), "{written}");
}

/// A full replica never holds what is withheld, nor starts on it.
#[test]
fn a_full_replica_refuses_what_is_withheld() {
    let mut table = led(plain(), 3, 1);
    let term = table.node(n(1)).term();
    let withheld = Entry { term, index: LogIndex::new(2), payload: Payload::Withheld };
    let send = |kind| {
        let (prev, entries) = (at(1, 1), vec![withheld.clone()].into());
        let (commit, round) = (LogIndex::ZERO, Round::ZERO);
        Message::Append(Append { term, prev, entries, commit, round, kind })
    };
    table.inject(n(1), n(2), send(Kind::Full));
    assert_eq!(table.gauge(n(2), "messages dropped"), 1);
    table.inject(n(1), n(2), send(Kind::Witness));
    assert_eq!(table.gauge(n(2), "taken for the other kind"), 1);
    let lent = vec![withheld.clone()].into();
    table.tick(n(2));
    table.inject(n(3), n(2), Message::Lent { term, prev: at(1, 1), entries: lent });
    assert_eq!(table.log(2), [(1, 0)]);
    let mut records = table.records(n(2)).to_vec();
    records.push(Record::Entries(vec![withheld].into()));
    table.replace_disk(n(2), records);
    assert!(!table.is_up(n(2)), "no full replica wrote that");
}

/// The mark is on the disk before the first entry is.
#[test]
fn a_witness_is_one_after_any_crash() {
    let mut table = table(3, plain().with_voters([n(1), n(2)]));
    table.elect(1, &[2]);
    table.instant_disks = false;
    assert!(!table.node(n(3)).is_witness(), "it is nothing yet");
    let message = match append(1, at(0, 0), &[(1, 0), (1, 7)], 0) {
        Message::Append(append) => Message::Append(Append { kind: Kind::Witness, ..append }),
        other => panic!("{other:?}"),
    };
    table.inject(n(1), n(3), message.clone());
    for lucky in 0..=table.records(n(3)).len() {
        table.crash(n(3), lucky);
        table.restart(n(3));
        let holds = table.node(n(3)).last_index() > LogIndex::ZERO;
        assert!(table.node(n(3)).is_witness() || !holds, "{:?}", table.records(n(3)));
        table.inject(n(1), n(3), message.clone());
    }
    table.sync(n(3));
    table.assert_safe();
}

/// One that is far behind is sent no state: where its log begins, and who takes part.
#[test]
fn a_snapshot_for_a_witness_holds_no_state() {
    let config = plain().with_snapshot_every(10).with_keep_behind(0).with_lag_max(0);
    let mut table = led(config, 4, 1);
    change(&mut table, 1, Change::Remove(n(3)));
    table.beat(1, &[2, 3, 4], LONG);
    for value in 1_000..1_100 {
        table.write(n(1), value);
        table.settle(&[1, 2]);
    }
    // Too long silent to be kept anything for.
    table.beat(1, &[2], 4 * LONG);
    assert!(table.node(n(1)).base().index.get() >= 100);
    let mut sent = 0;
    for _ in 0..20 {
        table.tick(n(1));
        while let Some(wire) = table.wires.first() {
            if let Message::Install(install) = &wire.message {
                sent += install.chunk.len();
            }
            table.deliver(0);
        }
    }
    assert!((1..100).contains(&sent), "{sent} bytes");
    let witness = |table: &Table| {
        let node = table.node(n(4));
        assert_eq!(node.last(), table.node(n(1)).last());
        assert_eq!(node.configuration().to_string(), "voters=(1 2 4) witnesses=(4)");
        assert_eq!(node.machine(), &Journal::default());
        assert!(node.is_witness() && node.base().index.get() >= 100);
    };
    witness(&table);
    table.crash(n(4), 0);
    table.restart(n(4));
    table.beat(1, &[2, 4], LONG);
    witness(&table);
    // It compacts its own log as well.
    let before = table.node(n(4)).base().index;
    for value in 2_000..2_050 {
        table.write(n(1), value);
        table.settle(&[1, 2, 4]);
    }
    table.beat(1, &[2, 4], LONG);
    assert!(table.node(n(4)).base().index > before);
    assert!(table.node(n(4)).is_witness());
    assert_eq!(Term::new(1), table.node(n(4)).term());
    table.assert_safe();
}

/// What was written before there were witnesses is read as it was, and is written so where there are
/// none.
#[test]
fn the_format_is_the_one_before_where_nobody_is_a_witness() {
    /// A configuration as it was.
    #[derive(Serialize)]
    struct Before {
        voters: Vec<NodeId>,
        outgoing: Vec<NodeId>,
        learners: Vec<NodeId>,
        learners_next: Vec<NodeId>,
        auto_leave: bool,
        disks: BTreeMap<NodeId, Disk>,
        outgoing_disks: BTreeMap<NodeId, Disk>,
    }
    let disk = |node: NodeId| Disk::new(node.get().into());
    let simple = Configuration::of([n(1), n(2), n(3)]).named(disk);
    let steps = [Step::Voter(n(4)), Step::Remove(n(1)), Step::Learner(n(2)), Step::Learner(n(5))];
    let joint = simple.enter_joint(true, &steps).expect("it makes sense");
    for configuration in [&simple, &joint] {
        let list = |nodes: &BTreeSet<NodeId>| nodes.iter().copied().collect::<Vec<_>>();
        let before = Before {
            voters: list(configuration.voters()),
            outgoing: list(configuration.outgoing()),
            learners: list(configuration.learners()),
            learners_next: list(configuration.learners_next()),
            auto_leave: configuration.leaves_by_itself(),
            disks: [1, 2, 3]
                .map(n)
                .into_iter()
                .filter(|node| configuration.voters().contains(node))
                .map(|node| (node, disk(node)))
                .collect(),
            outgoing_disks: list(configuration.outgoing())
                .into_iter()
                .map(|node| (node, disk(node)))
                .collect(),
        };
        let bytes = postcard::to_allocvec(&before).unwrap();
        assert_eq!(postcard::to_allocvec(configuration).unwrap(), bytes);
        assert_eq!(&postcard::from_bytes::<Configuration>(&bytes).unwrap(), configuration);
    }
    for founded in [false, true] {
        let own = Identity { disk: Disk::new(7), ..Identity::default() };
        let founders: BTreeMap<NodeId, Disk> = [(n(2), Disk::new(9))].into();
        let bytes = postcard::to_allocvec(&(own, &founders, founded)).unwrap();
        let papers = Papers { own, founders, founded, witness: false };
        assert_eq!(postcard::to_allocvec(&papers).unwrap(), bytes);
        for papers in [Papers { witness: true, ..papers.clone() }, papers] {
            let bytes = postcard::to_allocvec(&papers).unwrap();
            assert_eq!(postcard::from_bytes::<Papers>(&bytes).unwrap(), papers);
        }
    }
    let witnessed = joint.leave_joint().and_then(|it| it.simple(&[Step::Witness(n(6))])).unwrap();
    let bytes = postcard::to_allocvec(&witnessed).unwrap();
    assert_eq!(postcard::from_bytes::<Configuration>(&bytes).unwrap(), witnessed);
}
