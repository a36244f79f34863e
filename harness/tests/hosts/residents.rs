//! Our own patterns as processes: what they are told to do to themselves happens, and what is kept is
//! kept.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use cluster::{ClockFault, Completion, Damage, DiskFault, Fault, NodeId, NodeState};
use harness::case::{Case, Options};
use harness::implementation::{Implementation, Setting, World};
use harness::implementations;
use harness::moves::{Move, Step, Whom};
use harness::run::{Report, run_case};
use harness::scenario::Scenario;
use harness::subject::Subject;
use harness::vocabulary::{Answer, Op, Outcome};

use crate::{PATIENCE, n, until};

/// The implementation of that name, whose processes are those of this crate.
#[track_caller]
fn resident(name: &str) -> Implementation {
    let known = implementations::named(name).expect("it is one of ours");
    let start = Arc::clone(&known.start);
    let program = PathBuf::from(env!("CARGO_BIN_EXE_harness-node"));
    let start = move |setting: &Setting| {
        start(&Setting { program: Some(program.clone()), ..setting.clone() })
    };
    Implementation { start: Arc::new(start), ..known }
}

#[track_caller]
fn three(name: &str) -> Box<dyn Subject> {
    (resident(name).start)(&Setting::new(World::Net, 3, 1)).expect("it starts")
}

fn disk(node: NodeId, disk: DiskFault) -> Fault {
    Fault::Disk { node, disk }
}

/// Who leads.
#[track_caller]
fn leader(subject: &mut dyn Subject) -> NodeId {
    until("somebody leads", || [n(1), n(2), n(3)].into_iter().find(|&id| subject.state(id).leads()))
}

/// Asks one node after the other until one has done it.
#[track_caller]
fn write(subject: &mut dyn Subject, value: u64) {
    let mut turns = [n(1), n(2), n(3)].into_iter().cycle();
    until("it is written", || {
        let node = turns.next()?;
        let request = subject.submit(node, Op::Write { key: 1, value, ticket: None });
        let give_up = subject.now() + Duration::from_millis(300);
        let Completion { request: answered, outcome, .. } = subject.poll(give_up)?;
        let written: Result<Answer, _> = outcome;
        (answered == request && written == Ok(Ok(Outcome::Written))).then_some(())
    });
}

#[test]
fn a_node_dies_after_so_many_effects_and_its_process_with_it() {
    let mut subject = three("raft");
    let node = leader(&mut *subject);
    subject.inject(&Fault::CrashAfter { node, effects: 2 }).expect("it is armed");
    until("it dies", || (subject.state(node) == NodeState::Down).then_some(()));
    subject.inject(&Fault::Restart { node }).expect("it can be started");
    assert!(matches!(subject.state(node), NodeState::Up(_)));
    write(&mut *subject, 7);
}

#[test]
fn a_restart_calls_off_a_death_to_come() {
    let mut subject = three("quorum");
    let node = n(1);
    subject.inject(&Fault::CrashAfter { node, effects: 200 }).expect("it is armed");
    subject.inject(&Fault::Restart { node }).expect("it is called off");
    // Each takes some of them.
    for value in 1..=200 {
        write(&mut *subject, value);
    }
    assert!(matches!(subject.state(node), NodeState::Up(_)));
}

/// A leader whose disk hangs is deposed; it follows when its disk goes on. A restart does not cure it.
#[test]
fn a_disk_that_hangs_hangs_its_node() {
    let mut subject = three("raft");
    let node = leader(&mut *subject);
    let stalled = DiskFault { stalled: true, ..DiskFault::default() };
    subject.inject(&disk(node, stalled)).expect("it hangs");
    // It notices when it writes.
    subject.submit(node, Op::Write { key: 1, value: 1, ticket: None });
    let others: Vec<NodeId> = [n(1), n(2), n(3)].into_iter().filter(|&id| id != node).collect();
    until("another leads", || others.iter().find(|&&id| subject.state(id).leads()).map(drop));
    for fault in [Fault::Crash { node }, Fault::Restart { node }] {
        subject.inject(&fault).expect("it can be done");
    }
    let hangs = |subject: &mut dyn Subject| {
        let standing = subject.state(node).standing();
        standing.is_none_or(|standing| standing.leader.is_none())
    };
    assert!(hangs(&mut *subject));
    subject.inject(&disk(node, DiskFault::default())).expect("it goes on");
    until("it follows", || (!hangs(&mut *subject)).then_some(()));
}

/// What is damaged on a disk keeps its node down, and the log says why.
#[test]
fn a_node_whose_disk_has_rotted_does_not_start() {
    let mut subject = three("raft");
    for value in 1..=10 {
        write(&mut *subject, value);
    }
    let node = n(2);
    for fault in [
        Fault::Rot { node, at_ppm: 0, damage: Damage::Flip },
        Fault::Crash { node },
        Fault::Restart { node },
    ] {
        subject.inject(&fault).expect("it can be done");
    }
    assert_eq!(subject.state(node), NodeState::Down);
    let said = subject.said().into_iter().find(|(id, _)| *id == node).expect("it is a member").1;
    assert!(said.contains("segment-"), "{said}");
    write(&mut *subject, 11);
}

/// A node whose clock is an hour ahead wrote last, whoever else did, and however often it restarts.
#[test]
fn a_wall_clock_that_jumped_decides_who_wrote_last() {
    let mut subject = three("quorum-clock");
    let node = n(1);
    let hour = 3_600_000_000_000;
    let ahead = ClockFault { drift_ppm: 0, jump_nanos: hour };
    for fault in
        [Fault::Clock { node, clock: ahead }, Fault::Crash { node }, Fault::Restart { node }]
    {
        subject.inject(&fault).expect("it can be done");
    }
    let mut ask = |node, op: Op| {
        until("it is answered", || {
            let request = subject.submit(node, op.clone());
            let give_up = subject.now() + PATIENCE;
            let done = subject.poll(give_up).filter(|done| done.request == request)?;
            done.outcome.ok()?.ok()
        })
    };
    ask(node, Op::Write { key: 1, value: 1, ticket: None });
    ask(n(2), Op::Write { key: 1, value: 2, ticket: None });
    assert_eq!(ask(n(3), Op::read(1)), Outcome::Value(Some(1)));
}

/// A run in which each of three nodes is told to stop and started again, under load.
#[track_caller]
fn restarted_one_by_one(name: &str) -> Report {
    let implementation = resident(name);
    let steady = Scenario::named("steady").expect("it is one");
    let span = Duration::from_secs(5);
    let options = Options { world: World::Net, seed: 1, nodes: Some(3), span, trace: true };
    let steps = (1..=3).flat_map(|number| {
        let at = Duration::from_millis(1_500) * (number - 1);
        let retire = Step { at, what: Move::Retire(Whom::Node(n(number))) };
        let at = at + Duration::from_millis(500);
        [retire, Step { at, what: Move::Restart(Whom::All) }]
    });
    let case = Case {
        steps: steps.collect(),
        faults_min: 3,
        ..Case::draw(&implementation, &steady, &options)
    };
    run_case(&implementation, &case, true).expect("it runs")
}

/// The report of such a run, in which no claim broke.
#[track_caller]
fn check_claims(name: &str) -> Report {
    let mut report = restarted_one_by_one(name);
    report.violations.retain(|it| resident(name).claims.contains(&it.guarantee));
    assert_eq!((&report.violations, &report.vacuous), (&Vec::new(), &None));
    report
}

#[track_caller]
fn check_no_request_fails(name: &str) {
    let report = check_claims(name);
    let failed: Vec<_> = report.history.calls.iter().filter(|call| !call.served()).collect();
    assert!(failed.is_empty(), "{} of {}: {failed:?}", failed.len(), report.calls);
}

#[test]
fn no_election_fails_while_nodes_are_restarted_one_by_one() {
    check_no_request_fails("bully");
}

#[test]
fn no_write_or_read_fails_while_nodes_are_restarted_one_by_one() {
    check_no_request_fails("raft");
}

#[test]
fn no_lock_fails_while_nodes_are_restarted_one_by_one() {
    check_no_request_fails("dlock");
}

#[test]
fn no_quorum_fails_while_nodes_are_restarted_one_by_one() {
    check_no_request_fails("quorum");
}

/// A disk that says it has synced what it has not loses, when the power goes, what was acknowledged; and
/// a disk that does not say so does not.
#[cfg(feature = "mutants")]
#[test]
fn mutants_a_disk_that_syncs_too_soon_is_caught() {
    use cluster::sim::Mutant;
    use harness::guarantee::Guarantee;
    use harness::run::run;

    let sound = resident("raft");
    let start = Arc::clone(&sound.start);
    let lying = move |setting: &Setting| {
        let mut setting = setting.clone();
        setting.sim = setting.sim.plant(Mutant::SyncsTooSoon);
        start(&setting)
    };
    let lying = Implementation { start: Arc::new(lying), ..sound.clone() };
    let power_loss = Scenario::named("power-loss").expect("it is one");
    let span = Duration::from_secs(3);
    let options = Options { world: World::Net, seed: 1, nodes: Some(3), span, trace: false };
    let broken = |implementation: &Implementation| {
        run(implementation, &power_loss, &options).expect("it runs").violations
    };
    assert_eq!(broken(&sound), Vec::new());
    let shown = broken(&lying);
    // Who reads first sees it, or whoever looks in the end.
    let lost = [Guarantee::Durability, Guarantee::Linearizability];
    assert!(shown.iter().any(|violation| lost.contains(&violation.guarantee)), "{shown:?}");
}
