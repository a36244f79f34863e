//! What was acknowledged is on the disk, whenever the lights go out.

use std::time::Duration;

use cluster::sim::{Options, Sim, Stepped};
use cluster::{Cluster, Fault, NoAnswer, NodeState, Timestamp};

use crate::scribe::{Answer, Ask, Config, Note, Scribe, configured, done, members, n, pass, sim};

/// What a run acknowledged that its disks do not hold, after a `fault` at the boundary after step
/// number `boundary`; none if the run has no such boundary.
fn broken_promises(config: Config, seed: u64, boundary: u64, fault: &Fault) -> Option<Vec<String>> {
    let mut sim = configured(2, config, Options::seeded(seed));
    let mut asked = Vec::new();
    for value in 0..6 {
        let node = n(1 + value as u32 % 2);
        asked.push((sim.submit(node, Ask::Append(value)), node, value));
    }
    for _ in 0..boundary {
        if sim.step(Timestamp::MAX) == Stepped::Idle {
            return None;
        }
    }
    sim.inject(fault).expect("taken");
    let completions = pass(&mut sim, 20);
    let mut broken = Vec::new();
    for completion in &completions {
        let &(_, node, value) =
            asked.iter().find(|(id, ..)| *id == completion.request).expect("it was asked");
        if completion.outcome.is_ok() && !sim.durable(node).contains(&value) {
            broken.push(format!("{node} acknowledged {value} to its client"));
        }
    }
    for node in sim.members().to_vec() {
        sim.inject(&Fault::Restart { node }).expect("taken");
    }
    for teller in sim.members() {
        for hearer in sim.members() {
            for (from, note) in &sim.node(*hearer).expect("it boots").heard {
                if let Note::Safe(value) = note
                    && from == teller
                    && !sim.durable(*teller).contains(value)
                {
                    broken.push(format!("{teller} told {hearer} that {value} is safe"));
                }
            }
        }
    }
    Some(broken)
}

/// Runs every boundary of `seeds` with each `fault`; returns the boundaries tried, and what broke.
fn try_all(config: &Config, seeds: u64, faults: &[Fault]) -> (u64, Vec<String>) {
    let (mut tried, mut broken) = (0, Vec::new());
    for seed in 0..seeds {
        for fault in faults {
            for boundary in 0.. {
                match broken_promises(config.clone(), seed, boundary, fault) {
                    Some(these) => broken.extend(these),
                    None => break,
                }
                tried += 1;
            }
        }
    }
    (tried, broken)
}

#[test]
fn what_was_acknowledged_survives_a_crash_at_every_boundary() {
    let faults = [Fault::Crash { node: n(1) }, Fault::Crash { node: n(2) }, Fault::PowerLoss];
    let (tried, broken) = try_all(&Config::default(), 40, &faults);
    assert_eq!(broken, Vec::<String>::new());
    assert!(tried > 3_000, "only {tried} boundaries");
}

/// The test above is able to fail: a node that answers without waiting is caught by it.
#[test]
fn an_eager_node_is_caught() {
    let eager = Config { eager: true, ..Config::default() };
    let (_, broken) = try_all(&eager, 3, &[Fault::PowerLoss]);
    assert!(broken.iter().any(|it| it.contains("to its client")), "{broken:?}");
}

/// Steps until `node` has written a record that is not durable yet.
fn until_dirty(sim: &mut Sim<Scribe>, node: u32) {
    loop {
        assert_ne!(sim.step(Timestamp::MAX), Stepped::Idle, "nothing was ever written");
        if sim.node(n(node)).is_some_and(|it| it.written.len() > sim.durable(n(node)).len()) {
            return;
        }
    }
}

#[test]
fn power_loss_takes_what_was_not_synced_and_nothing_else() {
    for seed in 0..100 {
        let mut sim = sim(1, seed);
        done(&mut sim, 1, Ask::Append(1));
        let lost = sim.submit(n(1), Ask::Append(2));
        until_dirty(&mut sim, 1);
        sim.inject(&Fault::PowerLoss).expect("taken");
        let ends = pass(&mut sim, 10);
        assert_eq!(ends.len(), 1);
        assert_eq!((ends[0].request, &ends[0].outcome), (lost, &Err(NoAnswer::Lost)));
        sim.inject(&Fault::Restart { node: n(1) }).expect("taken");
        assert_eq!(sim.node(n(1)).expect("up").written, [1], "seed {seed}");
    }
}

#[test]
fn a_killed_process_loses_any_tail_of_what_was_not_synced() {
    let mut kept = [0; 4];
    for seed in 0..200 {
        let options =
            Options { client_latency: Duration::ZERO..=Duration::ZERO, ..Options::seeded(seed) };
        let mut sim = configured(1, Config::default(), options);
        for value in 0..3 {
            sim.submit(n(1), Ask::Append(value));
        }
        until_dirty(&mut sim, 1);
        assert_eq!(sim.node(n(1)).expect("up").written.len(), 3, "one batch");
        sim.inject(&Fault::Crash { node: n(1) }).expect("taken");
        sim.inject(&Fault::Restart { node: n(1) }).expect("taken");
        let written = sim.node(n(1)).expect("up").written.clone();
        assert_eq!(written, (0..written.len() as u64).collect::<Vec<_>>(), "a first part");
        kept[written.len()] += 1;
    }
    assert!(kept.iter().all(|&times| times > 20), "{kept:?}");
}

/// A sync under way when its process dies does not reach into the life after.
#[test]
fn a_sync_dies_with_its_process() {
    for seed in 0..200 {
        let mut sim = sim(1, seed);
        sim.submit(n(1), Ask::Append(1));
        until_dirty(&mut sim, 1);
        sim.inject(&Fault::PowerLoss).expect("taken");
        if seed % 2 == 0 {
            // The sync would have ended while the process is down …
            pass(&mut sim, 5);
            assert!(sim.durable(n(1)).is_empty());
        }
        sim.inject(&Fault::Restart { node: n(1) }).expect("taken");
        sim.submit(n(1), Ask::Append(2));
        until_dirty(&mut sim, 1);
        // … or in its next life, before that one's own sync.
        assert!(sim.durable(n(1)).is_empty(), "seed {seed}");
        let ends = pass(&mut sim, 5);
        assert!(ends.iter().any(|it| it.outcome == Ok(Answer::Done)));
        assert_eq!(sim.durable(n(1)), [2]);
    }
}

#[test]
fn what_waits_for_nothing_overtakes_what_waits_for_the_disk() {
    let mut before_durable = 0;
    for seed in 0..100 {
        let mut sim = sim(2, seed);
        sim.submit(n(1), Ask::Append(7));
        while sim.node(n(2)).expect("up").heard.is_empty() {
            assert_ne!(sim.step(Timestamp::MAX), Stepped::Idle);
        }
        before_durable += u32::from(sim.durable(n(1)).is_empty());
        pass(&mut sim, 10);
        // Sent second, as the scribe's code shows.
        let expected = [(n(1), Note::Soon(7)), (n(1), Note::Safe(7))];
        assert_eq!(sim.node(n(2)).expect("up").heard, expected, "seed {seed}");
    }
    assert!(before_durable > 0, "no message left before its record was durable");
}

#[test]
fn what_waits_for_the_disk_keeps_its_order() {
    for seed in 0..100 {
        let mut sim = sim(2, seed);
        for value in 0..10 {
            sim.submit(n(1), Ask::Append(value));
        }
        pass(&mut sim, 20);
        let written = sim.durable(n(1)).to_vec();
        let heard = &sim.node(n(2)).expect("up").heard;
        let safe = heard.iter().filter_map(|(_, note)| match note {
            Note::Safe(value) => Some(*value),
            Note::Soon(_) | Note::Numbered(_) => None,
        });
        assert_eq!(safe.collect::<Vec<_>>(), written, "seed {seed}");
        assert_eq!(written.len(), 10);
    }
}

#[test]
fn a_disk_that_needs_no_time_is_done_at_once() {
    let options = Options { sync: Duration::ZERO..=Duration::ZERO, ..Options::seeded(3) };
    let mut sim = configured(2, Config::default(), options);
    let id = sim.submit(n(1), Ask::Append(1));
    while sim.node(n(1)).expect("up").written.is_empty() {
        sim.step(Timestamp::MAX);
    }
    assert_eq!(sim.durable(n(1)), [1]);
    assert_eq!(sim.node(n(1)).expect("up").durable.0, 1, "the node has been told");
    let ends = pass(&mut sim, 5);
    assert_eq!((ends[0].request, &ends[0].outcome), (id, &Ok(Answer::Done)));
    assert_eq!(sim.node(n(2)).expect("up").heard.len(), 2);
}

/// SIGSTOP stops the process, not the disk: the sync ends, and the acknowledgement waits.
#[test]
fn a_paused_process_acknowledges_after_it_goes_on() {
    for seed in 0..50 {
        let mut sim = sim(2, seed);
        sim.submit(n(1), Ask::Append(1));
        until_dirty(&mut sim, 1);
        sim.inject(&Fault::Pause { node: n(1) }).expect("taken");
        assert!(pass(&mut sim, 50).is_empty(), "seed {seed}");
        assert_eq!(sim.durable(n(1)), [1]);
        assert_eq!(sim.state(n(1)), NodeState::Paused);
        sim.inject(&Fault::Resume { node: n(1) }).expect("taken");
        assert_eq!(pass(&mut sim, 5).len(), 1, "seed {seed}");
        // … and it goes on writing.
        done(&mut sim, 1, Ask::Append(2));
        assert_eq!(sim.durable(n(1)), [1, 2]);
    }
}

#[test]
fn a_node_that_finds_poison_on_its_disk_stays_down() {
    let config = Config { poison: Some(13), ..Config::default() };
    let mut sim = Sim::<Scribe>::new(config, members(1), Options::seeded(1)).expect("valid");
    done(&mut sim, 1, Ask::Append(12));
    done(&mut sim, 1, Ask::Append(13));
    assert_eq!(sim.refusal(n(1)), None);
    sim.inject(&Fault::Crash { node: n(1) }).expect("taken");
    sim.inject(&Fault::Restart { node: n(1) }).expect("taken");
    assert_eq!(sim.state(n(1)), NodeState::Down);
    assert!(sim.node(n(1)).is_none());
    let refusal = sim.refusal(n(1)).expect("it refused").to_string();
    assert_eq!(refusal, "record 1 on the disk of n1: poison, expected none");
    sim.submit(n(1), Ask::Count);
    assert_eq!(pass(&mut sim, 5)[0].outcome, Err(NoAnswer::Unreachable));
    assert_eq!(sim.durable(n(1)), [12, 13], "nothing is thrown away");
}
