//! Booting from what a disk held, and refusing what no run can have written.

use cluster::{Boot, InvalidConfig, Members, Node, NodeId, Now, Timestamp, WallTime};
use raft::{Config, Disk, Entry, Identity, Life, LogIndex, Papers, Payload, Raft, Record, Term};

use crate::bed::config;
use crate::journal::Journal;
use crate::paper::entries;
use crate::table::n;

fn ballot(term: u64, vote: Option<u32>) -> Record<u64> {
    Record::Ballot { term: Term::new(term), vote: vote.map(NodeId::new) }
}

fn list(prev: u64, terms: &[u64]) -> Record<u64> {
    let list: Vec<(u64, u64)> = terms.iter().map(|&term| (term, 7)).collect();
    Record::Entries(entries(prev, &list))
}

fn papers(disk: u64, boot: u32) -> Record<u64> {
    let own = Identity { disk: Disk::new(disk), life: Life { boot, nonce: 1 } };
    Record::Papers(Papers { own, ..Papers::default() })
}

/// Boots from `records`; `expected` is the term, the terms of the log, and the vote, or a part of
/// what is said against it.
#[track_caller]
fn check(records: Vec<Record<u64>>, expected: Result<(u64, &[u64], Option<u32>), &str>) {
    let now = Now { monotonic: Timestamp::from_millis(5), wall: WallTime::from_nanos(0) };
    let members = Members::first(3).unwrap();
    let boot = Boot { id: n(1), members, now, seed: 1, records };
    match (Raft::boot_core(&config(), boot), expected) {
        (Ok(node), Ok((term, terms, vote))) => {
            let log = node.entries(LogIndex::new(1), usize::MAX);
            let found: Vec<u64> = log.map(|entry| entry.term.get()).collect();
            assert_eq!((node.term().get(), &found[..]), (term, terms));
            assert_eq!(node.vote(), vote.map(NodeId::new));
            assert_eq!(node.commit_index(), LogIndex::ZERO, "commit is not remembered");
            assert!(!node.is_leader());
        }
        (Err(refusal), Err(part)) => {
            assert!(refusal.to_string().contains(part), "{refusal}");
        }
        (booted, expected) => panic!("{:?}, not {expected:?}", booted.map(|node| node.term())),
    }
}

#[test]
fn boots_from_what_a_run_can_have_written() {
    check(vec![], Ok((0, &[], None)));
    check(vec![ballot(1, Some(2)), list(0, &[1, 1])], Ok((1, &[1, 1], Some(2))));
    check(vec![ballot(3, None), ballot(3, Some(1))], Ok((3, &[], Some(1))));
    check(vec![papers(7, 1), ballot(2, None), papers(7, 2)], Ok((2, &[], None)));
    // A tail was replaced.
    let records = vec![ballot(1, None), list(0, &[1, 1, 1]), ballot(2, Some(3)), list(1, &[2])];
    check(records, Ok((2, &[1, 2], Some(3))));
}

#[test]
fn refuses_what_no_run_can_have_written() {
    check(vec![ballot(2, None), ballot(1, None)], Err("t1 after t2"));
    check(vec![ballot(2, Some(1)), ballot(2, Some(3))], Err("two votes in t2"));
    check(vec![ballot(2, Some(1)), ballot(2, None)], Err("two votes in t2"));
    check(vec![ballot(1, None), list(1, &[1])], Err("entries from i2 on after i0"));
    check(vec![list(0, &[1])], Err("entries that do not follow"));
    check(vec![ballot(3, None), list(0, &[2, 1])], Err("entries that do not follow"));
    check(vec![ballot(3, None), list(0, &[])], Err("no entries"));
    check(vec![papers(7, 1), papers(8, 2)], Err("a disk called"));
    check(vec![papers(7, 3), papers(7, 2)], Err("a disk called"));
    let entry = Entry { term: Term::new(1), index: LogIndex::ZERO, payload: Payload::Noop };
    let zero = Record::Entries(vec![entry].into());
    check(vec![ballot(3, None), zero], Err("entries from i0"));
}

#[track_caller]
fn check_config(config: Config<Journal>, field: Option<&str>) {
    let result = Raft::validate(&config, &Members::first(3).unwrap());
    assert_eq!(result.err().map(|InvalidConfig { field, .. }| field), field);
}

#[test]
fn a_configuration_that_makes_no_sense_is_refused() {
    use std::time::Duration;
    let millis = Duration::from_millis;
    check_config(config(), None);
    check_config(config().with_heartbeat(Duration::ZERO), Some("heartbeat"));
    check_config(config().with_heartbeat(millis(150)), Some("election_timeout"));
    check_config(
        config().with_election_timeout(millis(200)..=millis(200)),
        Some("election_timeout"),
    );
    check_config(
        config().with_election_timeout(millis(300)..=millis(200)),
        Some("election_timeout"),
    );
    check_config(config().with_entries_max(0), Some("entries_max"));
    check_config(config().with_inflight_max(0), Some("inflight_max"));
    check_config(config().with_pending_max(0), Some("pending_max"));
}
