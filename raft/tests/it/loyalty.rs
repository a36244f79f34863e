//! Staying with a leader that is heard (§4.2.3 of the thesis), stepping down without a majority
//! (§6.2 of the thesis), and disks that hang.

use std::time::Duration;

use cluster::sim::Options;
use cluster::{DiskFault, Fault};
use raft::{Config, Error, Message, Request, Term};

use crate::bed::{Bed, SECOND, config};
use crate::journal::Journal;
use crate::paper::{append, at, last_vote, request_vote, table};
use crate::table::n;

const MILLI: Duration = Duration::from_millis(1);

/// "If a server receives a RequestVote request within the minimum election timeout of hearing from a
/// current leader, it does not update its term or grant its vote."
#[test]
fn thesis_4_2_3_who_has_heard_a_leader_ignores_candidates() {
    let mut table = table(3, config());
    table.elect(1, &[2, 3]);
    table.wires.clear();
    table.inject(n(3), n(2), request_vote(9, at(9, 9)));
    assert!(table.wires.is_empty(), "no answer");
    assert_eq!(table.node(n(2)).term(), Term::new(1));
    assert_eq!(table.gauge(n(2), "candidates ignored"), 1);
    // So does the leader, while it hears from a majority.
    table.inject(n(3), n(1), request_vote(9, at(9, 9)));
    assert!(table.node(n(1)).is_leader());
    // After the shortest timeout in silence, it listens.
    table.pass(149 * MILLI);
    table.inject(n(3), n(2), request_vote(9, at(9, 9)));
    assert!(table.wires.is_empty());
    table.pass(MILLI);
    table.inject(n(3), n(2), request_vote(9, at(9, 9)));
    assert_eq!(last_vote(&table), (9, true));
}

#[test]
fn thesis_4_2_3_it_can_be_turned_off() {
    let mut table = table(3, config().with_stickiness(false));
    table.elect(1, &[2, 3]);
    table.inject(n(3), n(2), request_vote(9, at(9, 9)));
    assert_eq!(last_vote(&table), (9, true));
}

/// "A leader steps down if an election timeout elapses without a successful round of heartbeats to a
/// majority of its cluster": its clients are told, and told the truth.
pub(crate) fn a_leader_without_a_majority_steps_down(config: Config<Journal>) {
    let mut table = table(5, config);
    table.elect(1, &[2, 3, 4, 5]);
    let write = table.write(n(1), 10);
    let read = table.ask(n(1), Request::Read(()));
    table.wires.clear();
    // Two of five answer.
    table.beat(1, &[2], 299 * MILLI);
    table.beat(1, &[2], 50 * MILLI);
    assert!(!table.node(n(1)).is_leader(), "it leads on");
    assert_eq!(table.node(n(1)).term(), Term::new(1), "in the same term");
    assert_eq!(table.gauge(n(1), "abdications"), 1);
    // The write may yet be committed by another leader; the read did nothing.
    assert!(matches!(table.answer(write), Some(Err(Error::Deposed))));
    assert!(matches!(table.answer(read), Some(Err(Error::NotLeader { leader: None }))));
    let refused = table.write(n(1), 11);
    assert!(matches!(table.answer(refused), Some(Err(Error::NotLeader { leader: None }))));
}

#[test]
fn thesis_6_2_a_leader_without_a_majority_steps_down() {
    a_leader_without_a_majority_steps_down(config());
}

#[test]
fn thesis_6_2_a_leader_with_a_majority_leads_on() {
    let mut table = table(5, config());
    table.elect(1, &[2, 3, 4, 5]);
    table.beat(1, &[2, 3], 5 * SECOND);
    assert!(table.node(n(1)).is_leader());
    let mut alone = crate::paper::table(1, config());
    alone.elect(1, &[]);
    alone.beat(1, &[], 5 * SECOND);
    assert!(alone.node(n(1)).is_leader(), "one node is its own majority");
}

#[test]
fn thesis_6_2_old_words_of_followers_do_not_count() {
    let mut table = table(3, config());
    table.elect(1, &[2, 3]);
    table.wires.clear();
    let stale = Message::Appended {
        term: Term::new(0),
        round: raft::Round::ZERO,
        outcome: raft::Appended::Stale,
        by: raft::Identity::default(),
    };
    while table.node(n(1)).is_leader() && table.clock() < cluster::Timestamp::from_millis(5_000) {
        table.tick(n(1));
        table.wires.clear();
        table.inject(n(2), n(1), stale.clone());
    }
    assert!(!table.node(n(1)).is_leader());
}

/// Complaint 7 (hr#503, hr#683): the leader's disk hangs, its heartbeats go on, and nobody is
/// elected who could commit.
pub(crate) fn a_leader_whose_disk_hangs_steps_down(config: Config<Journal>) {
    let mut table = table(3, config.with_disk_patience(2));
    table.elect(1, &[2, 3]);
    table.instant_disks = false;
    table.write(n(1), 10);
    // The others answer, and their disks work.
    let end = table.clock() + 700 * MILLI;
    while table.clock() < end && table.node(n(1)).is_leader() {
        table.tick(n(1));
        for _ in 0..4 {
            table.sync(n(2));
            table.sync(n(3));
            while let Some(place) = (0..table.wires.len()).next() {
                table.deliver(place);
            }
        }
    }
    assert!(!table.node(n(1)).is_leader(), "it leads on");
    // It does not stand while the disk hangs, though its log is as good as any.
    for _ in 0..5 {
        table.tick(n(1));
        assert!(table.wires.is_empty(), "{:?}", table.wires);
    }
    // It may when the disk moves again.
    table.sync(n(1));
    table.tick(n(1));
    assert!(!table.wires.is_empty());
}

#[test]
fn hr_503_a_leader_whose_disk_hangs_steps_down() {
    a_leader_whose_disk_hangs_steps_down(config());
}

#[test]
fn hr_683_a_cluster_serves_on_when_the_leaders_disk_hangs() {
    for seed in 0..20 {
        let mut bed = Bed::with(3, config(), Options::seeded(seed));
        bed.write(1);
        let first = bed.await_leader();
        let disk = DiskFault { stalled: true, ..DiskFault::default() };
        bed.inject(&Fault::Disk { node: first, disk });
        bed.submit(first, 2);
        bed.wait("another leader", 4 * SECOND, |bed| {
            bed.members().iter().any(|&id| id != first && bed.node(id).is_leader())
        });
        bed.run(SECOND);
        assert!(!bed.node(first).is_leader(), "seed {seed}");
        bed.write(3);
        bed.inject(&Fault::Disk { node: first, disk: DiskFault::default() });
        bed.run(SECOND);
        bed.write(4);
        let journal = bed.await_convergence();
        assert!(journal.starts_with(&[1]) && journal.ends_with(&[4]), "{journal:?}");
    }
}

/// What a toy gets wrong, 7: a follower whose disk was slow has not heard a silent leader.
pub(crate) fn a_slow_disk_is_no_silence(config: Config<Journal>) {
    let mut table = table(3, config);
    table.instant_disks = false;
    table.inject(n(2), n(1), append(1, at(0, 0), &[(1, 0)], 0));
    table.pass(140 * MILLI);
    table.sync(n(1));
    let left = table.deadline(n(1)).since(table.clock());
    assert!(left >= 150 * MILLI, "{left:?} until it stands");
}

#[test]
fn election_timers_start_again_after_slow_io() {
    a_slow_disk_is_no_silence(config());
}

#[test]
fn priorities_decide_who_stands_first() {
    for seed in 0..50 {
        let rank = |id: cluster::NodeId| u32::from(id != n(3)) * 2;
        let mut bed = Bed::with(5, config().with_rank(rank), Options::seeded(seed));
        assert_eq!(bed.await_leader(), n(3), "seed {seed}");
        // Without it, another does.
        bed.crash(n(3));
        bed.await_leader();
        bed.write(1);
        // It takes the lead from nobody when it returns.
        let leader = bed.await_leader();
        bed.restart(n(3));
        bed.run(3 * SECOND);
        assert_eq!(bed.await_leader(), leader);
    }
}

#[test]
fn a_disrupted_node_rejoins_without_a_word() {
    for seed in 0..30 {
        let mut bed = Bed::new(5, seed);
        // The first election may be a race of several.
        bed.run(SECOND);
        let leader = bed.await_leader();
        let term = bed.node(leader).term();
        let away = bed.members().into_iter().find(|&id| id != leader).unwrap();
        bed.cut_off(&[away]);
        bed.run(5 * SECOND);
        bed.write(1);
        assert_eq!(bed.node(away).term(), term, "it only asked");
        bed.cut_off(&[]);
        bed.run(SECOND);
        bed.write(2);
        assert_eq!(bed.await_convergence(), [1, 2]);
        assert_eq!((bed.await_leader(), bed.node(leader).term()), (leader, term));
    }
}

/// What the deposed leader could not finish is known to be unknown, within a timeout and a
/// heartbeat, and nobody waits for ever.
#[test]
fn requests_at_a_leader_that_is_cut_off_end() {
    for seed in 0..30 {
        let mut bed = Bed::new(5, seed);
        let leader = bed.await_leader();
        bed.cut_off(&[leader]);
        let limit = 400 * MILLI;
        let write = bed.ask(leader, Request::Write(1), limit);
        assert!(matches!(write, Some(Ok(Err(Error::Deposed)))), "seed {seed}: {write:?}");
        let read = bed.ask(leader, Request::Read(()), limit);
        assert!(matches!(read, Some(Ok(Err(Error::NotLeader { leader: None })))), "{read:?}");
    }
}
