//! The arithmetic of majorities, against the cases of etcd's data-driven tests.

use std::path::Path;

use raft::LogIndex;
use raft::quorum::{Tally, reached_by_majority, tally};

/// Columns: source, kind, members, joint members, what is known, expected.
#[test]
fn etcd_quorum_cases() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../shared/data/raft-scripts/quorum_cases.tsv");
    let Ok(cases) = std::fs::read_to_string(&path) else {
        println!("skipped: {} is not there", path.display());
        return;
    };
    let mut checked = 0;
    for line in cases.lines().skip(1) {
        let columns: Vec<&str> = line.split('\t').collect();
        let [_, kind, members, "-", known, expected] = columns[..] else { continue };
        let members: Vec<&str> = members.split(',').filter(|member| !member.is_empty()).collect();
        let known = |member: &str| {
            known.split(',').find_map(|pair| {
                let (id, what) = pair.split_once(':')?;
                (id == member).then_some(what)
            })
        };
        match kind {
            "committed" => check_committed(&members, known, expected),
            "vote" => check_vote(&members, known, expected),
            other => panic!("a case of kind {other}"),
        }
        checked += 1;
    }
    assert!(checked >= 30, "only {checked} cases found");
}

#[track_caller]
fn check_committed<'a>(members: &[&str], known: impl Fn(&str) -> Option<&'a str>, expected: &str) {
    let mut reached: Vec<LogIndex> = members
        .iter()
        .map(|member| LogIndex::new(known(member).map_or(0, |index| index.parse().unwrap())))
        .collect();
    let expected = expected.parse().ok().map(LogIndex::new);
    assert_eq!(reached_by_majority(&mut reached), expected, "{members:?}");
}

#[track_caller]
fn check_vote<'a>(members: &[&str], known: impl Fn(&str) -> Option<&'a str>, expected: &str) {
    if members.is_empty() {
        // By etcd's convention an empty configuration elects anyone; ours is never empty.
        return;
    }
    let votes: Vec<Option<bool>> =
        members.iter().map(|member| known(member).map(|vote| vote == "y")).collect();
    let expected = match expected {
        "VoteWon" => Tally::Won,
        "VoteLost" => Tally::Lost,
        "VotePending" => Tally::Pending,
        other => panic!("an expected vote of {other}"),
    };
    assert_eq!(tally(&votes), expected, "{members:?}");
}
