//! Links: order, loss, duplicates, cuts.

use std::time::Duration;

use cluster::sim::{Options, Sim, Stepped};
use cluster::{Cluster, Fault, LinkFault, Timestamp};

use crate::scribe::{Ask, Config, Scribe, configured, done, n, numbers, pass, sim};

/// Floods `to` from `from` with `count` notes, and returns the numbers that `to` heard of them.
#[track_caller]
fn flood(sim: &mut Sim<Scribe>, from: u32, to: u32, count: u64) -> Vec<u64> {
    let before = numbers(sim, to).len();
    done(sim, from, Ask::Flood { to: n(to), count });
    pass(sim, 100);
    numbers(sim, to).split_off(before)
}

fn links(sim: &mut Sim<Scribe>, links: LinkFault) {
    sim.inject(&Fault::Links(links)).expect("taken");
}

const NONE: [u64; 0] = [];

fn all(count: u64) -> Vec<u64> {
    (0..count).collect()
}

#[test]
fn links_keep_their_order_while_nothing_is_wrong() {
    for seed in 0..100 {
        let mut sim = sim(2, seed);
        // Two floods one after the other, the second while the first is under way.
        sim.submit(n(1), Ask::Flood { to: n(2), count: 50 });
        sim.submit(n(1), Ask::Flood { to: n(2), count: 50 });
        pass(&mut sim, 10);
        assert_eq!(numbers(&sim, 2), [all(50), all(50)].concat(), "seed {seed}");
        assert_eq!(sim.messages(), (100, 0));
    }
}

#[test]
fn latency_is_within_its_range() {
    let (low, high) = (Duration::from_millis(3), Duration::from_millis(4));
    let zero = Duration::ZERO..=Duration::ZERO;
    for seed in 0..50 {
        let options =
            Options { latency: low..=high, client_latency: zero.clone(), ..Options::seeded(seed) };
        let mut sim = configured(2, Config::default(), options);
        sim.submit(n(1), Ask::Flood { to: n(2), count: 1 });
        while numbers(&sim, 2).is_empty() {
            assert_ne!(sim.step(Timestamp::MAX), Stepped::Idle);
        }
        let took = sim.now().since(Timestamp::ZERO);
        assert!((low..=high).contains(&took), "{took:?}");
    }
}

#[test]
fn delayed_messages_are_overtaken_and_none_is_lost() {
    let mut disordered = 0;
    for seed in 0..50 {
        let mut sim = sim(2, seed);
        let delay_max = Duration::from_millis(10);
        links(&mut sim, LinkFault { delay_ppm: 200_000, delay_max, ..LinkFault::default() });
        let mut heard = flood(&mut sim, 1, 2, 50);
        disordered += u32::from(!heard.is_sorted());
        heard.sort_unstable();
        assert_eq!(heard, all(50), "seed {seed}");
        links(&mut sim, LinkFault::default());
        assert_eq!(flood(&mut sim, 1, 2, 50), all(50), "seed {seed}, in order again");
    }
    assert!(disordered > 40, "{disordered} of 50");
}

#[test]
fn lost_messages_are_counted() {
    let mut sim = sim(2, 1);
    links(&mut sim, LinkFault { loss_ppm: 250_000, ..LinkFault::default() });
    let heard = flood(&mut sim, 1, 2, 10_000).len() as u64;
    let (sent, lost) = sim.messages();
    assert_eq!((sent, heard), (10_000, 10_000 - lost));
    assert!((2_200..2_800).contains(&lost), "{lost}");
    links(&mut sim, LinkFault { loss_ppm: 1_000_000, ..LinkFault::default() });
    assert_eq!(flood(&mut sim, 1, 2, 100), NONE);
    links(&mut sim, LinkFault::default());
    assert_eq!(flood(&mut sim, 1, 2, 100), all(100));
}

#[test]
fn doubled_messages_arrive_twice_and_no_more() {
    for (duplicate_ppm, range) in [(1_000_000, 2_000..=2_000), (100_000, 1_050..=1_150)] {
        let mut sim = sim(2, 1);
        links(&mut sim, LinkFault { duplicate_ppm, ..LinkFault::default() });
        let heard = flood(&mut sim, 1, 2, 1_000);
        assert!(range.contains(&heard.len()), "{} at {duplicate_ppm}", heard.len());
        for number in 0..1_000 {
            let times = heard.iter().filter(|&&it| it == number).count();
            assert!((1..=2).contains(&times), "{number} {times} times");
        }
    }
}

#[test]
fn cuts_add_up_until_healed() {
    let mut sim = sim(3, 1);
    sim.inject(&Fault::Cut { from: vec![n(1)], to: vec![n(2)] }).expect("taken");
    assert_eq!(flood(&mut sim, 1, 2, 3), NONE);
    assert_eq!(flood(&mut sim, 2, 1, 3), all(3), "one way only");
    assert_eq!(flood(&mut sim, 1, 3, 3), all(3));
    sim.inject(&Fault::Partition { groups: vec![vec![n(1), n(2)], vec![n(3)]] }).expect("taken");
    for (from, to) in [(1, 3), (3, 1), (2, 3), (3, 2), (1, 2)] {
        assert_eq!(flood(&mut sim, from, to, 3), NONE, "{from} to {to}");
    }
    assert_eq!(flood(&mut sim, 2, 1, 3), all(3), "within a side");
    sim.inject(&Fault::Heal).expect("taken");
    for (from, to) in [(1, 3), (3, 1), (2, 3), (3, 2), (1, 2), (2, 1)] {
        assert_eq!(flood(&mut sim, from, to, 3), all(3), "{from} to {to}");
    }
}

#[test]
fn what_is_under_way_when_a_link_is_cut_arrives() {
    let options = Options { client_latency: Duration::ZERO..=Duration::ZERO, ..Options::seeded(1) };
    let mut sim = configured(2, Config::default(), options);
    done(&mut sim, 1, Ask::Flood { to: n(2), count: 3 });
    assert!(numbers(&sim, 2).is_empty());
    sim.inject(&Fault::Cut { from: vec![n(1)], to: vec![n(2)] }).expect("taken");
    pass(&mut sim, 10);
    assert_eq!(numbers(&sim, 2), all(3));
}

/// A node speaks with itself over no link.
#[test]
fn nothing_comes_between_a_node_and_itself() {
    let mut sim = sim(2, 1);
    let everyone = vec![n(1), n(2)];
    sim.inject(&Fault::Cut { from: everyone.clone(), to: everyone }).expect("taken");
    let worst = LinkFault {
        loss_ppm: 1_000_000,
        duplicate_ppm: 1_000_000,
        delay_ppm: 1_000_000,
        delay_max: Duration::from_millis(5),
    };
    links(&mut sim, worst);
    assert_eq!(flood(&mut sim, 1, 1, 20), all(20));
    assert_eq!(flood(&mut sim, 1, 2, 20), NONE);
}

#[test]
fn mail_to_a_stranger_is_dropped() {
    let mut sim = sim(1, 1);
    done(&mut sim, 1, Ask::Flood { to: n(9), count: 3 });
    pass(&mut sim, 10);
    assert_eq!(sim.messages(), (0, 0));
}

#[test]
fn a_fault_that_makes_no_sense_is_refused_and_changes_nothing() {
    let node = n(9);
    let stranger = "it names a node that the cluster does not have";
    let faults = [
        (Fault::Crash { node }, stranger),
        (Fault::Restart { node }, stranger),
        (Fault::Pause { node }, stranger),
        (Fault::Resume { node }, stranger),
        (Fault::Clock { node, clock: cluster::ClockFault::default() }, stranger),
        (Fault::Partition { groups: vec![vec![n(1)], vec![n(2), node]] }, stranger),
        (Fault::Cut { from: vec![n(1), n(2)], to: vec![node, n(1), n(2)] }, stranger),
        (Fault::Cut { from: vec![node, n(1)], to: vec![n(2)] }, stranger),
        (
            Fault::Partition { groups: vec![vec![n(1), n(2)], vec![n(2)]] },
            "it puts a node on two sides",
        ),
    ];
    for (fault, reason) in faults {
        let mut sim = sim(2, 1);
        let before = sim.digest();
        let refusal = sim.inject(&fault).expect_err("it makes no sense");
        assert_eq!(refusal.reason, reason, "{fault:?}");
        assert!(refusal.to_string().contains(&format!("{fault:?}")), "{refusal}");
        assert_eq!(sim.digest(), before);
        assert_eq!(flood(&mut sim, 1, 2, 3), all(3), "{fault:?}");
        assert_eq!(flood(&mut sim, 2, 1, 3), all(3), "{fault:?}");
    }
}

/// Where they are told of ends at all, and the network lets it through.
#[test]
fn nodes_are_told_of_each_others_ends() {
    for (tells_ends, heard) in [(false, [0, 0]), (true, [1, 0])] {
        let options = Options { tells_ends, ..Options::seeded(1) };
        let mut sim = configured(3, Config::default(), options);
        sim.inject(&Fault::Cut { from: vec![n(1)], to: vec![n(3)] }).expect("taken");
        sim.inject(&Fault::Crash { node: n(1) }).expect("taken");
        // It is down already.
        sim.inject(&Fault::Crash { node: n(1) }).expect("taken");
        pass(&mut sim, 10);
        let told = [2, 3].map(|node| sim.node(n(node)).expect("it is up").ended.len());
        assert_eq!(told, heard);
    }
}
