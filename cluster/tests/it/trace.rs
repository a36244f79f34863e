//! A trace tells what happened, in order.

use std::time::Duration;

use cluster::sim::{Handled, MessageNumber, Options, Sim, TraceEvent, Traced};
use cluster::{Cluster, Damage, Fault, LinkFault, NodeState, PersistCount};

use crate::scribe::{Ask, Config, Scribe, configured, done, n, pass};

fn instant(micros: u64) -> std::ops::RangeInclusive<Duration> {
    let it = Duration::from_micros(micros);
    it..=it
}

/// Two nodes, and a network without chance.
fn traced() -> Sim<Scribe> {
    let options = Options {
        latency: instant(100),
        client_latency: instant(10),
        sync: instant(50),
        ..Options::seeded(1)
    };
    let mut sim = configured(2, Config::default(), options);
    sim.start_trace();
    sim
}

fn lines(trace: &[TraceEvent]) -> Vec<String> {
    trace.iter().map(ToString::to_string).collect()
}

#[test]
fn a_trace_reads_like_a_transcript() {
    let mut sim = traced();
    assert_eq!(
        lines(&sim.take_trace()),
        [
            "0.000000ms n1 boots",
            "0.000000ms n2 boots",
            "0.000000ms n1 is Replica in e0, written 0, heard 0, ended 0, rings 0, flushes 1, inputs 0",
            "0.000000ms n2 is Replica in e0, written 0, heard 0, ended 0, rings 0, flushes 1, inputs 0",
        ]
    );
    done(&mut sim, 1, Ask::Append(7));
    assert_eq!(
        lines(&sim.take_trace()),
        [
            "0.010000ms n1 <- r0.1 Append(7)",
            "0.010000ms n1 wrote 1 records so far",
            "0.010000ms n1 -> n2 m1 Soon(7)",
            "0.010000ms n1 is Replica in e0, written 1, heard 0, ended 0, rings 0, flushes 2, inputs 1",
            "0.060000ms n1 has 1 records durable",
            "0.060000ms n1 <- durable 1",
            "0.060000ms n1 -> n2 m2 Safe(7)",
            "0.060000ms n1 is Replica in e0, written 1, heard 0, ended 0, rings 0, flushes 3, inputs 2",
            "0.070000ms client <- r0.1 Ok(Done)",
        ]
    );
    sim.inject(&Fault::Crash { node: n(1) }).expect("taken");
    pass(&mut sim, 1);
    assert_eq!(
        lines(&sim.take_trace()),
        [
            "0.070000ms fault Crash { node: n1 }",
            "0.070000ms n1 dies",
            "0.070000ms n1 is down",
            "0.110000ms n2 <- m1 from n1 Soon(7)",
            "0.110000ms n2 is Replica in e0, written 0, heard 1, ended 0, rings 0, flushes 2, inputs 1",
            "0.160000ms n2 <- m2 from n1 Safe(7)",
            "0.160000ms n2 is Replica in e0, written 0, heard 2, ended 0, rings 0, flushes 3, inputs 2",
        ]
    );
}

#[test]
fn every_message_that_is_handled_was_sent_to_arrive_then() {
    let mut sim = traced();
    let links = LinkFault {
        loss_ppm: 300_000,
        duplicate_ppm: 300_000,
        delay_ppm: 300_000,
        delay_max: Duration::from_millis(3),
    };
    sim.inject(&Fault::Links(links)).expect("taken");
    for _ in 0..20 {
        done(&mut sim, 1, Ask::Flood { to: n(2), count: 5 });
    }
    pass(&mut sim, 50);
    let trace = sim.take_trace();
    let mut arrivals = Vec::new();
    let mut handled = Vec::new();
    let (mut lost, mut doubled) = (0, 0);
    for event in &trace {
        match &event.what {
            Traced::Sent { message, from, to, arrivals: when, .. } => {
                lost += u32::from(when.is_empty());
                doubled += u32::from(when.len() == 2);
                arrivals.extend(when.iter().map(|&at| (at, *message, *from, *to)));
            }
            Traced::Handled { node, input: Handled::Message { message, from }, .. } => {
                handled.push((event.at, *message, *from, *node));
            }
            _ => {}
        }
    }
    arrivals.sort_unstable();
    handled.sort_unstable();
    assert_eq!(arrivals, handled);
    assert!(lost > 10 && doubled > 10, "{lost} lost, {doubled} doubled");
}

/// Messages that were under way when the trace began are told of as sent then.
#[test]
fn a_trace_may_begin_at_any_time() {
    let mut sim =
        configured(2, Config::default(), Options { latency: instant(900), ..Options::seeded(1) });
    done(&mut sim, 1, Ask::Flood { to: n(2), count: 2 });
    sim.start_trace();
    let begun = sim.now();
    pass(&mut sim, 5);
    let trace = sim.take_trace();
    let sent = |number: u64| {
        trace.iter().any(|event| {
            event.at == begun
                && matches!(&event.what, Traced::Sent { message, .. } if message.0 == number)
        })
    };
    let handled = |number: u64| {
        let message = MessageNumber(number);
        let input = Handled::Message { message, from: n(1) };
        trace
            .iter()
            .any(|event| matches!(&event.what, Traced::Handled { input: it, .. } if *it == input))
    };
    assert!((1..=2).all(|number| sent(number) && handled(number)), "{trace:#?}");
    assert!(!trace.iter().any(|event| matches!(event.what, Traced::Booted { .. })));
    sim.start_trace();
    assert!(sim.take_trace().is_empty(), "it has begun already");
}

#[test]
fn armed_deaths_and_refusals_are_told() {
    let mut sim = traced();
    done(&mut sim, 1, Ask::Append(1));
    done(&mut sim, 1, Ask::Append(2));
    sim.take_trace();
    let node = n(1);
    sim.inject(&Fault::Rot { node, at_ppm: 0, damage: Damage::Flip }).expect("taken");
    sim.inject(&Fault::CrashAfter { node, effects: 1 }).expect("taken");
    sim.submit(node, Ask::Append(3));
    pass(&mut sim, 1);
    sim.inject(&Fault::Restart { node }).expect("taken");
    let trace = sim.take_trace();
    let kinds: Vec<_> = trace.iter().map(|event| event.what.clone()).collect();
    let why = sim.refusal(node).expect("refused").to_string();
    for wanted in [
        Traced::Persisted { node, records: 3 },
        Traced::Died { node },
        Traced::State { node, state: NodeState::Down, gauges: Vec::new() },
        Traced::Refused { node, why },
    ] {
        assert!(kinds.contains(&wanted), "no {wanted:?} in {trace:#?}");
    }
    assert!(!kinds.iter().any(|it| matches!(it, Traced::Booted { .. } | Traced::Sent { .. })));
}

#[test]
fn a_trace_is_data() {
    let mut sim = traced();
    sim.take_trace();
    done(&mut sim, 1, Ask::Append(7));
    let json = serde_json::to_string(&sim.take_trace()[..3]).expect("plain data");
    assert_eq!(
        json,
        concat!(
            r#"[{"at":10000,"what":{"kind":"handled","node":1,"input":{"request":1},"text":"Append(7)"}},"#,
            r#"{"at":10000,"what":{"kind":"persisted","node":1,"records":1}},"#,
            r#"{"at":10000,"what":{"kind":"sent","message":1,"from":1,"to":2,"text":"Soon(7)","arrivals":[110000]}}]"#
        )
    );
    let durable = Handled::Durable(PersistCount(3));
    assert_eq!(serde_json::to_string(&durable).expect("plain data"), r#"{"durable":3}"#);
}
