//! Histories made by hand: each judge must see the breach, and must not see one where there is
//! none.

use cluster::{Epoch, NodeId, Timestamp};
use harness::guarantee::Guarantee;
use harness::history::{Access, Call, End, History, Hold, Window};
use harness::implementations;
use harness::judge::judge;
use harness::vocabulary::{Membership, Op, Outcome, ReadPath, Refusal};

/// What the judges of `implementation` find broken in `history`.
#[track_caller]
fn check(implementation: &str, history: &History, expected: &[Guarantee]) {
    let implementation = implementations::named(implementation).expect("it is registered");
    let (violations, undecided) = judge(history, &implementation);
    let mut found: Vec<Guarantee> = violations.iter().map(|it| it.guarantee).collect();
    found.sort();
    found.dedup();
    assert_eq!(found, expected, "{violations:?}");
    assert_eq!(undecided, None);
}

fn at(millis: u64) -> Timestamp {
    Timestamp::from_millis(millis)
}

fn call(process: u32, op: Op, times: (u64, u64), end: End) -> Call {
    let (invoked, returned) = (at(times.0), at(times.1));
    Call { process, op, node: NodeId::new(process + 1), invoked, returned, end }
}

fn led(node: u32, epoch: u64, times: (u64, u64)) -> Call {
    call(node - 1, Op::Lead, times, End::Done(Outcome::Leading(Epoch::new(epoch))))
}

fn wrote(process: u32, value: u64, times: (u64, u64)) -> Call {
    call(process, Op::Write { key: 0, value, ticket: None }, times, End::Done(Outcome::Written))
}

fn read(process: u32, value: Option<u64>, times: (u64, u64)) -> Call {
    call(process, Op::read(0), times, End::Done(Outcome::Value(value)))
}

fn calls(calls: Vec<Call>) -> History {
    History { calls, ..History::default() }
}

#[test]
fn successive_leaders_are_no_split_brain() {
    let history = vec![led(1, 1, (0, 1)), led(2, 2, (2, 3)), led(2, 2, (4, 5))];
    check("bully", &calls(history), &[]);
}

#[test]
fn two_leaders_of_one_epoch_break_election_safety() {
    let history = vec![led(1, 1, (0, 1)), led(2, 1, (2, 3))];
    check("bully", &calls(history), &[Guarantee::ElectionSafety]);
}

#[test]
fn an_old_leader_that_acts_after_a_new_one_is_a_split_brain() {
    let history = vec![led(2, 2, (0, 1)), led(1, 1, (2, 3))];
    check("bully", &calls(history), &[Guarantee::NoSplitBrain]);
}

#[test]
fn an_old_leader_whose_answer_overlaps_the_new_one_is_no_proof() {
    let history = vec![led(2, 2, (0, 5)), led(1, 1, (4, 6))];
    check("bully", &calls(history), &[]);
}

#[test]
fn a_read_of_the_last_write_is_fine() {
    check("raft", &calls(vec![wrote(0, 1, (0, 1)), read(1, Some(1), (2, 3))]), &[]);
}

#[test]
fn a_client_that_goes_back_in_time_breaks_the_weaker_promises_too() {
    let weaker = [Guarantee::RegularReads, Guarantee::MonotonicReads, Guarantee::ReadYourWrites];
    let broken = [&[Guarantee::Linearizability], &weaker[..]].concat();
    let history = vec![
        wrote(0, 1, (0, 1)),
        wrote(0, 2, (2, 3)),
        read(0, Some(2), (4, 5)),
        read(0, Some(1), (6, 7)),
    ];
    check("quorum", &calls(history), &broken);
}

#[test]
fn two_clients_that_see_writes_in_different_orders_break_linearizability_alone() {
    let history = vec![
        wrote(0, 1, (0, 1)),
        wrote(0, 2, (2, 9)),
        read(1, Some(2), (3, 4)),
        read(2, Some(1), (5, 6)),
    ];
    check("quorum", &calls(history), &[Guarantee::Linearizability]);
}

#[test]
fn a_read_that_misses_a_finished_write_is_not_linearizable() {
    let history = vec![
        wrote(0, 1, (0, 1)),
        wrote(0, 2, (2, 3)),
        read(1, Some(1), (4, 5)),
        read(1, Some(2), (6, 7)),
    ];
    check("raft", &calls(history), &[Guarantee::Linearizability]);
}

#[test]
fn an_acknowledged_write_that_is_gone_at_the_end_was_not_durable() {
    let history = History {
        healed: Some(at(10)),
        ..calls(vec![wrote(0, 1, (0, 1)), wrote(0, 2, (2, 3)), read(1, Some(1), (11, 12))])
    };
    check("raft", &history, &[Guarantee::Linearizability, Guarantee::Durability]);
}

#[test]
fn a_write_of_unknown_outcome_may_be_seen_or_not() {
    let unknown = || call(0, Op::Write { key: 0, value: 1, ticket: None }, (0, 1), End::Unknown);
    check("raft", &calls(vec![unknown(), read(1, None, (2, 3))]), &[]);
    check("raft", &calls(vec![unknown(), read(1, Some(1), (2, 3))]), &[]);
    let back = vec![unknown(), read(1, Some(1), (2, 3)), read(1, None, (4, 5))];
    check("raft", &calls(back), &[Guarantee::Linearizability]);
}

#[test]
fn a_refused_write_that_is_seen_is_not_linearizable() {
    let refused = End::Refused(Refusal::Unavailable);
    let history = vec![
        call(0, Op::Write { key: 0, value: 1, ticket: None }, (0, 1), refused),
        read(1, Some(1), (2, 3)),
    ];
    check("raft", &calls(history), &[Guarantee::Linearizability]);
}

#[test]
fn a_call_that_fails_while_service_is_due_breaks_availability() {
    let serving = vec![NodeId::new(1), NodeId::new(2), NodeId::new(3)];
    let windows = vec![Window { from: at(10), until: at(50), serving }];
    let failed = |process, times| {
        let end = End::Refused(Refusal::Unavailable);
        call(process, Op::Write { key: 0, value: 9, ticket: None }, times, end)
    };
    let with = |call| History { windows: windows.clone(), ..calls(vec![call]) };
    check("raft", &with(failed(0, (20, 30))), &[Guarantee::Availability]);
    // Too early; too late; at a node of which nothing was due.
    check("raft", &with(failed(0, (5, 30))), &[]);
    check("raft", &with(failed(0, (20, 60))), &[]);
    check("raft", &with(failed(3, (20, 30))), &[]);
}

/// Of a node that has a vote, a read at it is due; of one that is out, or may be by then, none.
#[test]
fn reads_at_any_node_are_due_of_those_that_vote() {
    let serving = (1..=4).map(NodeId::new).collect();
    let windows = vec![Window { from: at(10), until: at(90), serving }];
    let vote = |voters: &[u32], times| {
        let voters = voters.iter().copied().map(NodeId::new).collect();
        let op = Op::Change(Membership::Voters(voters));
        call(100, op, times, End::Done(Outcome::Changed))
    };
    let failed =
        |times| call(3, Op::Read { key: 0, path: ReadPath::Follower }, times, End::Unknown);
    let with = |calls| History { calls, windows: windows.clone(), ..History::default() };
    let broken = &[Guarantee::Availability];
    check("raft", &with(vec![failed((20, 30))]), broken);
    let (all, others) = (&[1, 2, 3, 4], &[1, 2, 3]);
    check("raft", &with(vec![vote(all, (11, 15)), failed((20, 30))]), broken);
    check("raft", &with(vec![vote(others, (11, 15)), failed((20, 30))]), &[]);
    // Taken out, and put in: while the read goes on, or before it.
    check("raft", &with(vec![failed((20, 30)), vote(others, (25, 35))]), &[]);
    let back = |times| vec![vote(others, (11, 12)), vote(all, times), failed((20, 30))];
    check("raft", &with(back((13, 25))), &[]);
    check("raft", &with(back((13, 18))), broken);
}

fn hold(owner: u32, token: u64, granted: u64, lease_until: u64, believed_until: u64) -> Hold {
    Hold {
        lock: 0,
        owner,
        token,
        arrival: token,
        asked: at(granted),
        granted: at(granted),
        lease_until: at(lease_until),
        believed_until: at(believed_until),
        waited: true,
    }
}

fn holds(holds: Vec<Hold>) -> History {
    History { holds, ..History::default() }
}

#[test]
fn one_holder_after_the_other_is_fine() {
    check("dlock", &holds(vec![hold(0, 1, 0, 90, 10), hold(1, 2, 11, 90, 20)]), &[]);
}

#[test]
fn two_who_believe_to_hold_a_lock_break_mutual_exclusion() {
    let history = holds(vec![hold(0, 1, 0, 5, 30), hold(1, 2, 10, 90, 20)]);
    check("dlock", &history, &[Guarantee::MutualExclusion]);
}

#[test]
fn two_valid_leases_break_lease_exclusion_too() {
    let history = holds(vec![hold(0, 1, 0, 15, 30), hold(1, 2, 10, 90, 20)]);
    check("dlock", &history, &[Guarantee::MutualExclusion, Guarantee::LeaseExclusion]);
}

#[test]
fn a_token_that_does_not_grow_breaks_fencing() {
    let history = holds(vec![hold(0, 7, 0, 90, 10), hold(1, 7, 11, 90, 20)]);
    check("dlock", &history, &[Guarantee::FencedMutualExclusion]);
}

#[test]
fn an_old_grant_that_arrives_late_breaks_nothing() {
    let late = Hold { asked: at(1), ..hold(0, 7, 30, 20, 31) };
    check("dlock", &holds(vec![hold(1, 8, 21, 90, 29), late]), &[]);
    let asked_later = Hold { asked: at(22), ..late };
    let history = holds(vec![hold(1, 8, 21, 90, 29), asked_later]);
    check("dlock", &history, &[Guarantee::FencedMutualExclusion]);
}

#[test]
fn a_client_whose_release_was_lost_may_keep_its_token() {
    check("dlock", &holds(vec![hold(0, 7, 0, 90, 10), hold(0, 7, 11, 90, 20)]), &[]);
}

#[test]
fn a_waiter_served_before_an_earlier_one_breaks_the_order() {
    let first = Hold { arrival: 9, ..hold(0, 1, 0, 90, 10) };
    let second = Hold { arrival: 3, ..hold(1, 2, 11, 90, 20) };
    check("dlock", &holds(vec![first, second]), &[Guarantee::FirstComeFirstServed]);
}

#[test]
fn a_valid_holder_refused_by_the_resource_breaks_fencing() {
    let access = |accepted, lease_valid| Access {
        at: at(1),
        lock: 0,
        owner: 0,
        token: 1,
        accepted,
        lease_valid,
    };
    let with = |access| History { accesses: vec![access], ..History::default() };
    check("dlock", &with(access(false, true)), &[Guarantee::FencedMutualExclusion]);
    check("dlock", &with(access(false, false)), &[]);
    check("dlock", &with(access(true, false)), &[]);
}

#[test]
fn a_resource_that_takes_two_clients_under_one_token_breaks_fencing() {
    let access =
        |owner| Access { at: at(1), lock: 0, owner, token: 1, accepted: true, lease_valid: true };
    let history = History { accesses: vec![access(0), access(1)], ..History::default() };
    check("dlock", &history, &[Guarantee::FencedMutualExclusion]);
}

#[test]
fn a_guarantee_is_found_by_its_name() {
    for guarantee in Guarantee::ALL {
        assert_eq!(Guarantee::named(guarantee.name()), Some(guarantee));
    }
    assert_eq!(Guarantee::named("nonsense"), None);
}
