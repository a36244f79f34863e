//! Of what each node leaves out of its fingerprint, nothing shows: states that were merged go on
//! alike.

use cluster::explore::{Audit, Limits, Verdict};
use harness::exhaustive::runs;

/// Compares merged states of a run, side by side at random.
#[track_caller]
fn check(pattern: &str, name: &str) {
    let audit = Audit { one_in: 8, pairs: 600, steps: 10 };
    let limits = Limits { states: 40_000, audit: Some(audit), ..Limits::default() };
    let mut runs = runs().filter(|run| run.pattern == pattern && run.name == name);
    let report = runs.next().expect("a run of that name").explore(&limits);
    match report.verdict {
        Verdict::Exhausted | Verdict::Stopped => {}
        Verdict::Broken(broken) => panic!("{pattern} {name}: {broken}"),
        Verdict::Unsound(why) => panic!("{pattern} {name}: {why}"),
    }
    assert!(report.audited >= 300, "{pattern} {name}: only {} pairs", report.audited);
}

#[test]
fn raft_with_free_clocks() {
    check("raft", "replication");
    check("raft", "reads");
    check("raft", "figure 8");
    check("raft", "election");
    check("raft", "failover");
}

#[test]
fn raft_beyond_the_paper() {
    check("raft", "pre-vote");
    check("raft", "transfer");
    check("raft", "reads, follower");
    check("raft", "compaction");
    check("raft", "install");
    check("raft", "calm, guarded");
}

#[test]
fn raft_while_who_takes_part_changes() {
    check("raft", "joint consensus");
    check("raft", "replacement");
    check("raft", "removal");
}

#[test]
fn raft_with_clocks_alike() {
    check("raft", "calm");
}

#[test]
fn bully_with_free_clocks() {
    check("bully", "crash");
    check("bully", "ballots");
}

#[test]
fn bully_with_clocks_alike() {
    check("bully", "late");
    check("bully", "returned");
}

#[test]
fn dlock() {
    check("dlock", "service, failover");
    check("dlock", "service, reads");
}

#[test]
fn quorum() {
    check("quorum", "reborn");
    check("quorum", "twice");
    check("quorum", "hinted");
}
