//! Changing who takes part (chapter 4 of the thesis; §6), on a table of nodes moved by hand. The
//! section is in the name. Those that take a configuration are also run with planted bugs, in
//! `mutants.rs`. What becomes of those who go is in `departure.rs`.

use std::time::Duration;

use cluster::{InvalidConfig, Members, RequestId, Role};
use raft::{Change, Config, Error, LogIndex, Message, ReadLevel, Reply, Request, Term};

use crate::bed::{config, plain};
use crate::journal::Journal;
use crate::paper::{append, at, last_vote, request_vote, table};
use crate::table::{Table, Wire, n};

const MILLI: Duration = Duration::from_millis(1);

/// Five nodes, of which the first three vote, and `n1` leads.
pub(crate) fn led(config: Config<Journal>) -> Table {
    let mut table = table(5, config.with_voters((1..=3).map(n)));
    table.elect(1, &[2, 3]);
    table
}

pub(crate) fn change(table: &mut Table, leader: u32, change: Change) -> RequestId {
    table.ask(n(leader), Request::Change(change))
}

pub(crate) fn voters(ids: &[u32]) -> Change {
    Change::Voters(ids.iter().map(|&id| n(id)).collect())
}

/// That each of `ids` uses the configuration that prints so.
#[track_caller]
pub(crate) fn check(table: &Table, ids: &[u32], expected: &str) {
    for &id in ids {
        assert_eq!(table.node(n(id)).configuration().to_string(), expected, "n{id}");
    }
    table.assert_safe();
}

/// That the change was made, and to this.
#[track_caller]
pub(crate) fn check_changed(table: &Table, request: RequestId, expected: &str) {
    match table.answer(request) {
        Some(Ok(Reply::Changed { configuration, .. })) => {
            assert_eq!(configuration.to_string(), expected);
        }
        other => panic!("{other:?}, not {expected}"),
    }
    table.assert_safe();
}

#[track_caller]
pub(crate) fn check_failed(table: &Table, request: RequestId, expected: Error) {
    match table.answer(request) {
        Some(Err(error)) => assert_eq!(*error, expected),
        other => panic!("{other:?}, not {expected:?}"),
    }
    table.assert_safe();
}

#[test]
fn the_first_configuration_is_all_members_or_those_named() {
    let table = led(plain());
    check(&table, &[1, 2, 3, 4, 5], "voters=(1 2 3)");
    let members = Members::first(3).unwrap();
    let validate =
        |ids: &[u32]| config().with_voters(ids.iter().map(|&id| n(id))).validate(&members);
    assert_eq!(validate(&[2, 3]), Ok(()));
    let refused = |found: &str| {
        let expected = "at least one, and all of Members([n1, n2, n3])";
        Err(InvalidConfig::new("voters", found, expected))
    };
    assert_eq!(validate(&[]), refused("voters=()"));
    assert_eq!(validate(&[1, 4]), refused("voters=(1 4)"));
}

/// A node outside the configuration waits to be added, and a learner to be promoted.
pub(crate) fn who_has_no_vote_does_not_stand(config: Config<Journal>) {
    let mut table = led(config);
    let request = change(&mut table, 1, Change::AddLearner(n(4)));
    table.settle(&[1, 2, 3, 4]);
    check_changed(&table, request, "voters=(1 2 3) learners=(4)");
    for id in [4, 5] {
        for _ in 0..5 {
            table.tick(n(id));
            assert_eq!(table.wires.len(), 0, "n{id} asks for votes");
        }
        assert_eq!(table.node(n(id)).role(), Role::Follower);
    }
}

#[test]
fn learners_and_outsiders_do_not_stand() {
    who_has_no_vote_does_not_stand(plain());
    who_has_no_vote_does_not_stand(config());
}

/// "A server grants its vote to a candidate that is not part of the server's current configuration",
/// and "accepts AppendEntries requests from a leader that is not part of it": it may be behind.
#[test]
fn thesis_4_1_votes_and_appends_do_not_ask_for_the_configuration() {
    let mut table = table(5, plain().with_voters((1..=3).map(n)));
    table.inject(n(4), n(2), request_vote(3, at(0, 0)));
    assert_eq!(last_vote(&table), (3, true));
    table.inject(n(1), n(5), request_vote(3, at(0, 0)));
    assert_eq!(last_vote(&table), (3, true), "though it has no vote itself");
    table.inject(n(4), n(3), append(3, at(0, 0), &[(3, 0), (3, 7)], 2));
    assert_eq!(table.log(3), [(3, 0), (3, 7)]);
    assert_eq!(table.node(n(3)).leader(), Some(n(4)));
}

/// "The new configuration takes effect on each server as soon as it is added to that server's log":
/// what is under way is committed by the new majority, of the new voters.
#[test]
fn thesis_4_1_a_configuration_takes_effect_when_it_is_appended() {
    let mut table = led(plain());
    table.settle(&[1, 2, 3]);
    let request = change(&mut table, 1, Change::AddVoter(n(4)));
    // Nobody but the leader and the new node hears of it.
    table.settle(&[1, 4]);
    check(&table, &[1, 4], "voters=(1 2 3 4)");
    check(&table, &[2, 3], "voters=(1 2 3)");
    assert_eq!(table.commit(1), 1, "two of four hold it");
    assert!(table.answer(request).is_none());
    table.tick(n(1));
    table.settle(&[1, 2, 4]);
    check_changed(&table, request, "voters=(1 2 3 4)");
    check(&table, &[1, 2, 4], "voters=(1 2 3 4)");
}

/// "If the entry is removed from the log, the server falls back to the previous configuration".
pub(crate) fn overwritten_configurations_are_undone(config: Config<Journal>) {
    let mut table = led(config);
    table.settle(&[1, 2, 3]);
    change(&mut table, 1, Change::Demote(n(3)));
    table.wires.clear();
    check(&table, &[1], "voters=(1 2) learners=(3)");
    // n2 leads without it.
    while !table.node(n(2)).is_leader() {
        table.tick(n(2));
        table.settle(&[2, 3]);
    }
    table.tick(n(2));
    table.settle(&[1, 2, 3]);
    check(&table, &[1, 2, 3], "voters=(1 2 3)");
    assert_eq!(table.log(1), table.log(2));
}

#[test]
fn thesis_4_1_an_overwritten_configuration_is_undone() {
    overwritten_configurations_are_undone(plain());
}

/// "A leader must not append a new configuration until it has committed an entry of its term" (the
/// correction of 2015; what a toy gets wrong, 5).
pub(crate) fn changes_wait_for_the_noop(config: Config<Journal>) {
    let mut table = table(5, config.with_voters((1..=3).map(n)));
    table.tick(n(1));
    for _ in 0..2 {
        let place = table.wires.iter().position(|wire| wire.to == n(2)).expect("asked");
        table.deliver(place);
        let place = table.wires.iter().position(|wire| wire.to == n(1)).expect("answered");
        table.deliver(place);
        if table.node(n(1)).is_leader() {
            break;
        }
    }
    assert!(table.node(n(1)).is_leader() && table.commit(1) == 0);
    let early = change(&mut table, 1, Change::Demote(n(3)));
    check_failed(&table, early, Error::ChangeInProgress);
    table.settle(&[1, 2]);
    assert_eq!(table.commit(1), 1);
    let later = change(&mut table, 1, Change::Demote(n(3)));
    table.settle(&[1, 2, 3]);
    check_changed(&table, later, "voters=(1 2) learners=(3)");
}

#[test]
fn the_bug_of_2015_no_change_before_an_entry_of_the_term_is_committed() {
    changes_wait_for_the_noop(plain());
}

/// "A leader may only begin a change once the last one has been committed."
pub(crate) fn one_at_a_time(config: Config<Journal>) {
    let mut table = led(config);
    table.settle(&[1, 2, 3]);
    let first = change(&mut table, 1, Change::Demote(n(3)));
    table.wires.clear();
    let second = change(&mut table, 1, Change::Remove(n(2)));
    check_failed(&table, second, Error::ChangeInProgress);
    table.tick(n(1));
    table.settle(&[1, 2, 3]);
    check_changed(&table, first, "voters=(1 2) learners=(3)");
    let third = change(&mut table, 1, Change::Remove(n(2)));
    table.tick(n(1));
    table.settle(&[1, 2, 3]);
    check_changed(&table, third, "voters=(1) learners=(3)");
    let last = change(&mut table, 1, Change::Remove(n(1)));
    check_failed(&table, last, Error::LastVoter);
}

#[test]
fn thesis_4_1_one_change_at_a_time() {
    one_at_a_time(plain());
}

/// "New servers join as non-voting members": service goes on, and who does not come is not waited
/// for.
pub(crate) fn a_new_voter_catches_up_first(config: Config<Journal>) {
    let mut table = led(config);
    table.settle(&[1, 2, 3]);
    let request = change(&mut table, 1, Change::AddVoter(n(4)));
    let busy = change(&mut table, 1, Change::AddVoter(n(5)));
    check_failed(&table, busy, Error::ChangeInProgress);
    let write = table.write(n(1), 10);
    table.settle(&[1, 2, 3]);
    assert!(matches!(table.answer(write), Some(Ok(Reply::Written { .. }))));
    check(&table, &[1, 2, 3], "voters=(1 2 3)");
    assert!(table.answer(request).is_none());
    table.beat(1, &[2, 3], 310 * MILLI);
    check_failed(&table, request, Error::NotCaughtUp);
    assert_eq!(table.node(n(1)).last_index(), LogIndex::new(2), "nothing was done");
    // It is sent nothing any more.
    table.tick(n(1));
    assert!(table.wires.iter().all(|wire| wire.to != n(4)));
    let again = change(&mut table, 1, Change::AddVoter(n(4)));
    table.settle(&[1, 2, 3, 4]);
    check_changed(&table, again, "voters=(1 2 3 4)");
}

#[test]
fn thesis_4_2_1_a_new_voter_catches_up_first() {
    a_new_voter_catches_up_first(plain());
}

/// "The algorithm waits a fixed number of rounds (such as 10). If the last round lasts less than an
/// election timeout, then the leader adds the new server to the cluster […]. Otherwise, the leader
/// aborts the configuration changes with an error."
#[test]
fn thesis_4_2_1_a_slow_node_has_ten_rounds() {
    let mut table = led(plain());
    table.settle(&[1, 2, 3]);
    let request = change(&mut table, 1, Change::AddVoter(n(4)));
    for round in 1..=10 {
        assert!(table.answer(request).is_none(), "given up in round {round}");
        // n4 hears nothing for longer than an election timeout, and then everything; but the log has
        // grown when its answer comes.
        table.beat(1, &[2, 3], 160 * MILLI);
        table.tick(n(1));
        while table.node(n(4)).last() < table.node(n(1)).last() {
            let between = |wire: &Wire| [wire.from, wire.to].contains(&n(4));
            let place = table.wires.iter().position(between).expect("more to tell");
            table.deliver(place);
        }
        table.write(n(1), round);
        let place = table.wires.iter().position(|wire| wire.from == n(4)).expect("an answer");
        table.deliver(place);
        table.wires.clear();
    }
    check_failed(&table, request, Error::NotCaughtUp);
    check(&table, &[1, 2, 3, 4], "voters=(1 2 3)");
    // What it has it keeps, and the next time it is quick.
    let again = change(&mut table, 1, Change::AddVoter(n(4)));
    table.settle(&[1, 2, 3, 4]);
    check_changed(&table, again, "voters=(1 2 3 4)");
}

/// A change that is not yet in the log dies with the leadership, and does nothing.
#[test]
fn a_leader_that_falls_forgets_a_change_that_it_has_not_appended() {
    let mut table = led(plain());
    let request = change(&mut table, 1, Change::AddVoter(n(4)));
    table.inject(n(2), n(1), request_vote(9, at(0, 0)));
    check_failed(&table, request, Error::NotLeader { leader: None });
    check(&table, &[1, 2, 3], "voters=(1 2 3)");
    let there = change(&mut table, 2, Change::AddVoter(n(4)));
    check_failed(&table, there, Error::NotLeader { leader: Some(n(1)) });
}

/// "Learners" get the log and count for nothing.
pub(crate) fn learners_do_not_count(config: Config<Journal>) {
    let mut table = led(config);
    for id in [4, 5] {
        let request = change(&mut table, 1, Change::AddLearner(n(id)));
        table.settle(&[1, 2, 3, 4, 5]);
        assert!(matches!(table.answer(request), Some(Ok(Reply::Changed { .. }))));
    }
    check(&table, &[1, 2, 3, 4, 5], "voters=(1 2 3) learners=(4 5)");
    let before = table.commit(1);
    let write = table.write(n(1), 10);
    table.settle(&[1, 4, 5]);
    assert_eq!(table.node(n(4)).last(), table.node(n(1)).last(), "they have it");
    assert_eq!(table.commit(1), before, "one of three voters holds it");
    let read = table.ask(n(1), Request::Read(()));
    table.settle(&[1, 4, 5]);
    assert!(table.answer(read).is_none(), "nor do they confirm that it leads");
    table.tick(n(1));
    table.settle(&[1, 2, 4, 5]);
    assert!(matches!(table.answer(write), Some(Ok(Reply::Written { .. }))));
    assert!(matches!(table.answer(read), Some(Ok(Reply::Answer(_)))));
}

#[test]
fn learners_have_no_word() {
    learners_do_not_count(plain());
}

/// A learner serves reads like any follower; it does not get the lead.
#[test]
fn learners_serve_reads_and_never_lead() {
    let mut table = led(plain());
    change(&mut table, 1, Change::AddLearner(n(4)));
    table.settle(&[1, 2, 3, 4]);
    table.write(n(1), 10);
    table.settle(&[1, 2, 3, 4]);
    let read = table.ask(n(4), Request::ReadAt(ReadLevel::Follower, ()));
    table.settle(&[1, 2, 3, 4]);
    table.tick(n(1));
    table.settle(&[1, 2, 3, 4]);
    assert!(matches!(table.answer(read), Some(Ok(Reply::Answer(1)))), "{:?}", table.answer(read));
    for to in [4, 5] {
        let transfer = table.ask(n(1), Request::Transfer { to: Some(n(to)) });
        check_failed(&table, transfer, Error::NoSuchMember);
    }
    table.inject(n(1), n(4), Message::TimeoutNow { term: Term::new(1) });
    assert!(table.wires.is_empty() && table.node(n(4)).role() == Role::Follower);
}

/// "Agreement (for elections and entry commitment) requires separate majorities from both the old and
/// new configurations" (§6).
pub(crate) fn joint_consensus_needs_both_majorities(config: Config<Journal>) {
    for few in [[2, 3], [4, 5]] {
        let mut table = led(config.clone());
        table.settle(&[1, 2, 3]);
        let request = change(&mut table, 1, voters(&[1, 4, 5]));
        // The new ones catch up, and nobody gets the entry.
        while !table.node(n(1)).configuration().is_joint() {
            let place = table.wires.iter().position(|wire| !few.contains(&0) && wire.to != n(2));
            table.deliver(place.expect("it catches up"));
        }
        table.wires.clear();
        let joint = "voters=(1 4 5)&&(1 2 3) autoleave";
        table.tick(n(1));
        table.settle(&[1, few[0], few[1]]);
        check(&table, &[1, few[0], few[1]], joint);
        assert!(table.answer(request).is_none(), "with n{few:?} and the leader");
        assert_eq!(table.commit(1), 1, "n{few:?} and the leader are one of two majorities");
        let others = if few[0] == 2 { [4, 5] } else { [2, 3] };
        table.tick(n(1));
        table.settle(&[1, few[0], others[0]]);
        table.tick(n(1));
        table.settle(&[1, 4, 5]);
        check_changed(&table, request, "voters=(1 4 5)");
    }
}

#[test]
fn section_6_joint_consensus_needs_separate_majorities() {
    joint_consensus_needs_both_majorities(plain());
}

/// More than one voter at a time goes through a joint configuration, and no further before that is
/// committed (§4.3 of the thesis).
pub(crate) fn many_voters_go_through_a_joint_configuration(config: Config<Journal>) {
    let mut table = led(config);
    table.settle(&[1, 2, 3]);
    let request = change(&mut table, 1, Change::Replace { old: n(3), new: n(4) });
    table.settle(&[1, 4]);
    check(&table, &[1, 4], "voters=(1 2 4)&&(1 2 3) autoleave");
    let joint_at = table.node(n(1)).configured_at();
    table.tick(n(1));
    table.settle(&[1, 2, 3, 4]);
    check_changed(&table, request, "voters=(1 2 4)");
    let Some(Ok(Reply::Changed { index, .. })) = table.answer(request) else { unreachable!() };
    assert_eq!(*index, joint_at.next());
    check(&table, &[1, 2, 3, 4], "voters=(1 2 4)");
}

#[test]
fn complaint_12_replace_is_one_call_and_safe() {
    many_voters_go_through_a_joint_configuration(plain());
}

/// A candidate needs both majorities too, and whoever leads then leaves the joint configuration: the
/// operator's request may be forgotten, the change is not.
pub(crate) fn the_next_leader_leaves_the_joint_configuration(config: Config<Journal>) {
    let mut table = led(config);
    table.settle(&[1, 2, 3]);
    let request = change(&mut table, 1, voters(&[1, 4, 5]));
    table.settle(&[1, 4, 5]);
    let joint = "voters=(1 4 5)&&(1 2 3) autoleave";
    check(&table, &[1, 4, 5], joint);
    table.crash(n(1), 0);
    // n4 and n5 are a majority of the new voters, and of the old ones none.
    table.tick(n(4));
    table.settle(&[4, 5]);
    assert!(!table.node(n(4)).is_leader());
    while !table.node(n(4)).is_leader() {
        table.tick(n(4));
        table.settle(&[2, 3, 4, 5]);
    }
    table.tick(n(4));
    table.settle(&[2, 3, 4, 5]);
    check(&table, &[2, 3, 4, 5], "voters=(1 4 5)");
    assert!(table.answer(request).is_none(), "its leader is gone");
    table.restart(n(1));
    check(&table, &[1], joint);
    table.tick(n(4));
    table.settle(&[1, 2, 3, 4, 5]);
    check(&table, &[1], "voters=(1 4 5)");
}

#[test]
fn section_6_a_later_leader_leaves_the_joint_configuration() {
    the_next_leader_leaves_the_joint_configuration(plain());
}

/// A request whose change is in the log when its leader falls is answered truly: it may yet be done.
#[test]
fn a_leader_that_falls_does_not_know_of_what_it_has_appended() {
    for wish in [Change::Demote(n(3)), voters(&[1, 4, 5])] {
        let mut table = led(plain());
        table.settle(&[1, 2, 3]);
        let request = change(&mut table, 1, wish);
        table.settle(&[1, 4, 5]);
        assert!(table.node(n(1)).configured_at() > LogIndex::ZERO);
        table.inject(n(2), n(1), request_vote(9, at(0, 0)));
        check_failed(&table, request, Error::Deposed);
    }
}

/// "What is the configuration" survives as the log does: by entries, and by snapshots (§7; §5.1.1 of
/// the thesis: "the latest configuration in the prefix").
#[test]
fn a_restart_remembers_the_configuration() {
    let small = plain().with_snapshot_every(4).with_keep_behind(0).with_lag_max(0);
    for (config, compacted) in [(plain(), false), (small, true)] {
        let mut table = led(config);
        change(&mut table, 1, Change::Replace { old: n(3), new: n(4) });
        table.settle(&[1, 2, 3, 4]);
        for value in 1..=9 {
            table.write(n(1), value);
            table.settle(&[1, 2, 4]);
        }
        for id in [1, 2, 4] {
            assert_eq!(table.node(n(id)).base() > at(0, 0), compacted);
            let before = table.node(n(id)).configured_at();
            table.crash(n(id), 0);
            table.restart(n(id));
            check(&table, &[id], "voters=(1 2 4)");
            assert_eq!(table.node(n(id)).configured_at(), before);
        }
    }
}

/// "The snapshot also includes the latest configuration as of lastIncludedIndex" (§7): who installs it
/// uses it (what a toy gets wrong, 14).
pub(crate) fn snapshots_carry_the_configuration(config: Config<Journal>) {
    let config = config.with_snapshot_every(4).with_keep_behind(0).with_lag_max(0);
    let mut table = led(config);
    table.settle(&[1, 2, 3]);
    change(&mut table, 1, Change::Replace { old: n(2), new: n(4) });
    table.settle(&[1, 2, 4]);
    check(&table, &[1, 4], "voters=(1 3 4)");
    for value in 1..=9 {
        table.write(n(1), value);
        table.settle(&[1, 4]);
    }
    check(&table, &[3], "voters=(1 2 3)");
    for _ in 0..5 {
        table.tick(n(1));
        table.settle(&[1, 3, 4]);
    }
    assert_eq!(table.gauge(n(3), "snapshots installed"), 1);
    check(&table, &[1, 3, 4], "voters=(1 3 4)");
    table.crash(n(3), 0);
    table.restart(n(3));
    check(&table, &[3], "voters=(1 3 4)");
}

#[test]
fn section_7_a_snapshot_carries_the_configuration() {
    snapshots_carry_the_configuration(plain());
}

/// What is asked for twice is answered alike.
#[test]
fn a_change_that_is_made_already_is_made_again() {
    let mut table = led(plain());
    table.settle(&[1, 2, 3]);
    for _ in 0..2 {
        let request = change(&mut table, 1, Change::AddVoter(n(4)));
        table.settle(&[1, 2, 3, 4]);
        check_changed(&table, request, "voters=(1 2 3 4)");
    }
    let strange = change(&mut table, 1, Change::AddVoter(n(9)));
    check_failed(&table, strange, Error::NoSuchMember);
    let transfer = table.ask(n(1), Request::Transfer { to: Some(n(2)) });
    let late = change(&mut table, 1, Change::AddVoter(n(5)));
    check_failed(&table, late, Error::Transferring { to: n(2) });
    table.settle(&[1, 2, 3, 4]);
    assert!(matches!(table.answer(transfer), Some(Ok(Reply::Transferred { .. }))));
}
