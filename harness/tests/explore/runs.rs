//! The named runs come out as they must.

use cluster::explore::{Limits, Report};
use harness::exhaustive::{Run, runs};

fn named(pattern: &str, name: &str) -> Run {
    let mut runs = runs().filter(|run| run.pattern == pattern && run.name == name);
    runs.next().expect("a run of that name")
}

/// Searches, prints what a table would show, and demands what was expected.
#[track_caller]
fn check(run: Run) -> Report {
    let report = run.explore(&Limits::default());
    let (pattern, name, expected) = (run.pattern, run.name, run.expected);
    println!(
        "{pattern} {name}: {} distinct states of {} reached, depth {}, {:.1} s, {:.0} a second",
        report.distinct,
        report.generated,
        report.depth,
        report.elapsed.as_secs_f64(),
        report.rate()
    );
    if let Some(counterexample) = report.counterexample() {
        println!("{counterexample}");
    }
    assert!(run.is_as_expected(&report), "{pattern} {name}: expected {expected:?}");
    report
}

macro_rules! runs {
    ($($test:ident: $pattern:literal, $name:literal;)*) => {
        $(
            #[test]
            fn $test() {
                check(named($pattern, $name));
            }
        )*

        /// No run is left out here.
        #[test]
        fn all_runs_are_tested() {
            let tested = [$(($pattern, $name),)*];
            let more = [("raft", "replication"), ("quorum", "readers, no write-back")];
            for run in runs() {
                let run = (run.pattern, run.name);
                assert!(tested.contains(&run) || more.contains(&run), "{run:?} is not tested");
            }
        }
    };
}

runs! {
    bully_textbook: "bully", "textbook";
    bully_crash: "bully", "crash";
    bully_ballots: "bully", "ballots";
    bully_isolated: "bully", "isolated";
    bully_late: "bully", "late";
    bully_unheard: "bully", "unheard";
    bully_returned: "bully", "returned";
    bully_answered: "bully", "answered";
    bully_bullied: "bully", "bullied";
    raft_election: "raft", "election";
    raft_wiped: "raft", "wiped";
    raft_rivals: "raft", "rivals";
    raft_failover: "raft", "failover";
    raft_compaction: "raft", "compaction";
    raft_install: "raft", "install";
    raft_conflict: "raft", "conflict";
    raft_figure_8: "raft", "figure 8";
    raft_reads: "raft", "reads";
    raft_behind: "raft", "behind";
    raft_overtaken: "raft", "overtaken";
    raft_start: "raft", "start";
    raft_deposed: "raft", "deposed";
    raft_calm: "raft", "calm";
    raft_pre_vote: "raft", "pre-vote";
    raft_loans: "raft", "loans";
    raft_transfer: "raft", "transfer";
    raft_handed_over: "raft", "handed over";
    raft_calm_guarded: "raft", "calm, guarded";
    raft_reads_at_a_follower: "raft", "reads, follower";
    raft_joint_consensus: "raft", "joint consensus";
    raft_replacement: "raft", "replacement";
    raft_removal: "raft", "removal";
    dlock_table_of_three: "dlock", "table, 3 owners";
    dlock_table_of_two: "dlock", "table, 2 owners";
    dlock_failover: "dlock", "service, failover";
    dlock_reads: "dlock", "service, reads";
    dlock_alone: "dlock", "service, alone";
    quorum_readers: "quorum", "readers";
    quorum_writers: "quorum", "writers";
    quorum_crash: "quorum", "crash";
    quorum_reborn: "quorum", "reborn";
    quorum_twice: "quorum", "twice";
    quorum_deletion: "quorum", "deletion";
    quorum_outsider: "quorum", "outsider";
    quorum_hinted: "quorum", "hinted";
}

#[test]
fn raft_replication_has_more_than_a_million_states() {
    let report = check(named("raft", "replication"));
    assert!(report.distinct > 1_000_000, "{} distinct states", report.distinct);
}

/// With write-back no schedule shows a new value and then the old one; without it, ten steps do.
#[test]
fn quorum_reads_without_write_back_see_a_new_value_and_then_the_old_one() {
    let report = check(named("quorum", "readers, no write-back"));
    let counterexample = report.counterexample().expect("it breaks");
    assert_eq!(counterexample.steps.len(), 10, "{counterexample}");
    let answers: Vec<&str> = counterexample
        .steps
        .iter()
        .filter_map(|step| step.split_once("answered Ok("))
        .map(|it| it.1)
        .collect();
    let [new, old] = answers[..] else { panic!("two reads are answered: {counterexample}") };
    assert!(new.contains("Some(\"1\")") && old.contains("None"), "{counterexample}");
}
