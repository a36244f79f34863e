//! The arithmetic of majorities, against the cases of etcd's data-driven tests.

use std::path::Path;

use raft::LogIndex;
use raft::quorum::{Tally, joint_tally, reached_by_joint, reached_by_majority, tally};

/// Columns: source, kind, members, joint members, what is known, expected.
#[test]
fn etcd_quorum_cases() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../shared/data/raft-scripts/quorum_cases.tsv");
    let Ok(cases) = std::fs::read_to_string(&path) else {
        println!("skipped: {} is not there", path.display());
        return;
    };
    let checked = check_cases(&cases);
    assert!(checked >= 35, "only {checked} cases found");
}

/// Joint configurations, in the form of etcd's cases: a majority of each is needed, and an empty one
/// asks for nothing.
#[test]
fn joint_configurations() {
    let cases = "source\tkind\tcfg\tcfgj\tknown\texpected\n\
        joint\tcommitted\t1\t2\t1:100,2:20\t20\n\
        joint\tcommitted\t1,2,3\t4,5,6\t1:12,2:12,3:12,4:1,5:2,6:3\t2\n\
        joint\tcommitted\t1,2,3\t2,3,4\t1:9,2:7,3:5\t5\n\
        joint\tcommitted\t1,2,3\t\t1:100,2:101,3:99\t100\n\
        joint\tcommitted\t\t\t\t∞\n\
        joint\tvote\t1\t2\t1:y\tVotePending\n\
        joint\tvote\t1\t2\t1:y,2:n\tVoteLost\n\
        joint\tvote\t1\t2\t1:y,2:y\tVoteWon\n\
        joint\tvote\t1,2\t3,4\t1:y,2:y,3:y\tVotePending\n\
        joint\tvote\t1,2,3\t2,3,4\t2:y,3:y\tVoteWon\n\
        joint\tvote\t1,2,3\t2,3,4\t2:n,3:n\tVoteLost\n\
        joint\tvote\t1,2,3\t\t1:y,2:y\tVoteWon\n";
    assert_eq!(check_cases(cases), 12);
}

/// Checks every case, and counts them.
#[track_caller]
fn check_cases(cases: &str) -> usize {
    let ids = |members: &str| -> Vec<String> {
        let members = members.split(',').filter(|member| !member.is_empty() && *member != "-");
        members.map(str::to_owned).collect()
    };
    let mut checked = 0;
    for line in cases.lines().skip(1) {
        let columns: Vec<&str> = line.split('\t').collect();
        let [_, kind, old, new, known, expected] = columns[..] else { panic!("{line:?}") };
        let known = |member: &String| {
            known.split(',').find_map(|pair| {
                let (id, what) = pair.split_once(':')?;
                (id == member).then_some(what)
            })
        };
        match kind {
            "committed" => check_committed([ids(old), ids(new)], known, expected),
            "vote" => check_vote([ids(old), ids(new)], known, expected),
            other => panic!("a case of kind {other}"),
        }
        checked += 1;
    }
    checked
}

#[track_caller]
fn check_committed<'a>(
    members: [Vec<String>; 2],
    known: impl Fn(&String) -> Option<&'a str>,
    expected: &str,
) {
    let reached = |member: &String| {
        LogIndex::new(known(member).map_or(0, |index| index.parse().expect("an index")))
    };
    let [mut old, mut new] =
        members.clone().map(|members| members.iter().map(reached).collect::<Vec<_>>());
    let expected = expected.parse().ok().map(LogIndex::new);
    assert_eq!(reached_by_joint(&mut old, &mut new), expected, "{members:?}");
    if new.is_empty() {
        assert_eq!(reached_by_majority(&mut old), expected, "{members:?}");
    }
}

#[track_caller]
fn check_vote<'a>(
    members: [Vec<String>; 2],
    known: impl Fn(&String) -> Option<&'a str>,
    expected: &str,
) {
    let vote = |member: &String| known(member).map(|vote| vote == "y");
    let [old, new] = members.clone().map(|members| members.iter().map(vote).collect::<Vec<_>>());
    let expected = match expected {
        "VoteWon" => Tally::Won,
        "VoteLost" => Tally::Lost,
        "VotePending" => Tally::Pending,
        other => panic!("an expected vote of {other}"),
    };
    assert_eq!(joint_tally(&old, &new), expected, "{members:?}");
    if new.is_empty() {
        assert_eq!(tally(&old), expected, "{members:?}");
    }
}
