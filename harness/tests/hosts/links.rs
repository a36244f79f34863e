//! What becomes of what nodes send each other.

use std::time::{Duration, Instant};

use cluster::{Cluster as _, Fault, LinkFault, NodeId};
use harness::hosts::{Cluster, Kind};
use harness::vocabulary::{Op, Outcome};

use crate::probe::{Line, Probe};
use crate::{ask, kinds, n, namespaces, start, until};

/// What has not come for so long does not come.
const QUIET: Duration = Duration::from_millis(600);

/// What `node` answers to `words`.
#[track_caller]
fn say(cluster: &Cluster<Probe>, node: NodeId, words: &str) -> String {
    let seat = cluster.seats().iter().find(|seat| seat.id == node).expect("it is a member");
    let line = Line(seat.clients);
    let said = cluster.visit(|| line.say(words)).expect("clients are where nodes are");
    said.unwrap_or_else(|error| panic!("{words}: {error}"))
}

/// Lets `from` tell `to` a word.
#[track_caller]
fn tell(cluster: &Cluster<Probe>, from: u32, to: u32, word: &str) {
    assert_eq!(say(cluster, n(from), &format!("tell n{to} {word}")), "told", "{from} to {to}");
}

/// Whether `node` has heard `word`.
fn has_heard(cluster: &Cluster<Probe>, node: u32, word: &str) -> bool {
    say(cluster, n(node), "words").contains(&format!("\"{word}\""))
}

#[track_caller]
fn hears(cluster: &Cluster<Probe>, node: u32, word: &str) {
    until(&format!("{node} hears {word}"), || has_heard(cluster, node, word).then_some(()));
}

/// The numbers that reach `to`, in order of arrival, of so many datagrams that `from` sends: until
/// there are `enough`, or nothing more comes.
#[track_caller]
fn burst(cluster: &Cluster<Probe>, from: u32, to: u32, count: u32, enough: usize) -> Vec<u32> {
    let mut numbers: Vec<u32> = Vec::new();
    let mut collect = || {
        let text = say(cluster, n(to), "datagrams");
        let new: Vec<u32> = serde_json::from_str(&text).expect("a list of numbers");
        numbers.extend(&new);
        (numbers.len(), new.is_empty())
    };
    // Not more at once than a socket holds.
    for first in (0..count).step_by(100) {
        let end = count.min(first + 100);
        assert_eq!(say(cluster, n(from), &format!("burst n{to} {first} {end}")), "sent");
        collect();
    }
    let mut last = Instant::now();
    while last.elapsed() < QUIET {
        let (all, quiet) = collect();
        if all >= enough {
            break;
        }
        if !quiet {
            last = Instant::now();
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    numbers
}

#[track_caller]
fn inject(cluster: &mut Cluster<Probe>, fault: &Fault) {
    cluster.inject(fault).expect("it can be done");
}

/// Every link of three nodes is tried both ways, under every fault that cuts.
#[test]
fn what_is_cut_is_cut_and_what_is_not_is_not() {
    let Some(kind) = namespaces() else { return };
    let mut cluster = start(kind, 3, false);
    let cut = |from: &[u32], to: &[u32]| Fault::Cut {
        from: from.iter().copied().map(n).collect(),
        to: to.iter().copied().map(n).collect(),
    };
    let split = Fault::Partition { groups: vec![vec![n(1)], vec![n(2), n(3)]] };
    let whole: &[(u32, u32)] = &[];
    for (fault, silent) in [
        (Fault::Heal, whole),
        (cut(&[1], &[2, 3]), &[(1, 2), (1, 3)]),
        (split, &[(1, 2), (1, 3), (2, 1), (3, 1)]),
        (Fault::Heal, whole),
        (cut(&[2, 3], &[1]), &[(2, 1), (3, 1)]),
        (Fault::Heal, whole),
    ] {
        inject(&mut cluster, &fault);
        for from in 1..=3 {
            for to in (1..=3).filter(|&to| to != from) {
                let came = burst(&cluster, from, to, 5, 5).len();
                let due = if silent.contains(&(from, to)) { 0 } else { 5 };
                assert_eq!(came, due, "{from} to {to} after {fault:?}");
            }
        }
    }
}

/// What is sent over a connection while its way is cut arrives when it is not, and not before.
#[test]
fn what_is_sent_into_a_cut_arrives_after_it() {
    for kind in kinds() {
        let mut cluster = start(kind, 2, false);
        // So that both have a connection.
        for (from, to) in [(1, 2), (2, 1)] {
            tell(&cluster, from, to, "before");
            hears(&cluster, to, "before");
        }
        inject(&mut cluster, &Fault::Cut { from: vec![n(1)], to: vec![n(2)] });
        tell(&cluster, 1, 2, "into");
        tell(&cluster, 2, 1, "back");
        hears(&cluster, 1, "back");
        assert!(!has_heard(&cluster, 2, "into"), "{kind}");
        // Clients are not touched.
        let read = ask(&mut cluster, n(2), Op::read(1), crate::PATIENCE);
        assert_eq!(read.map(|it| it.outcome), Some(Ok(Ok(Outcome::Value(None)))), "{kind}");
        inject(&mut cluster, &Fault::Heal);
        hears(&cluster, 2, "into");
    }
}

#[test]
fn loss_takes_its_share_of_packets() {
    let Some(kind) = namespaces() else { return };
    let mut cluster = start(kind, 2, false);
    let links = LinkFault { loss_ppm: 300_000, ..LinkFault::default() };
    inject(&mut cluster, &Fault::Links(links));
    let came = burst(&cluster, 1, 2, 2_000, usize::MAX).len();
    // Seven standard deviations to either side.
    assert!((1_255..=1_545).contains(&came), "{came} of 2000 came, where 3 in 10 are lost");
    inject(&mut cluster, &Fault::Links(LinkFault::default()));
    assert_eq!(burst(&cluster, 1, 2, 100, 100).len(), 100);
}

/// Where every packet is lost, one in twenty calls is refused all the same; the others are not heard.
#[test]
fn loss_resets_connections_now_and_then() {
    let Some(kind) = namespaces() else { return };
    let mut cluster = start(kind, 2, false);
    let links = LinkFault { loss_ppm: 1_000_000, ..LinkFault::default() };
    inject(&mut cluster, &Fault::Links(links));
    until("a call is refused", || {
        let said = say(&cluster, n(1), "call n2");
        assert!(["ConnectionRefused", "TimedOut"].contains(&said.as_str()), "{said}");
        (said == "ConnectionRefused").then_some(())
    });
}

#[test]
fn duplicates_come_twice_the_second_late() {
    let Some(kind) = namespaces() else { return };
    let mut cluster = start(kind, 2, false);
    let delay_max = Duration::from_millis(40);
    let links = LinkFault { duplicate_ppm: 300_000, delay_max, ..LinkFault::default() };
    inject(&mut cluster, &Fault::Links(links));
    let came = burst(&cluster, 1, 2, 2_000, usize::MAX);
    assert!(
        (2_455..=2_745).contains(&came.len()),
        "{} came, where 3 in 10 are doubled",
        came.len()
    );
    let first = |number: u32| came.iter().position(|&it| it == number).expect("none is lost");
    let late = (0..1_990).filter(|&number| {
        let again = came.iter().rposition(|&it| it == number).expect("none is lost");
        again > first(number + 5)
    });
    assert!(late.count() > 100, "copies come late");
}

#[test]
fn held_packets_are_overtaken_and_none_is_lost() {
    let Some(kind) = namespaces() else { return };
    let mut cluster = start(kind, 2, false);
    assert!(burst(&cluster, 1, 2, 500, 500).is_sorted(), "sound links keep the order");
    let delay_max = Duration::from_millis(60);
    let links = LinkFault { delay_ppm: 330_000, delay_max, ..LinkFault::default() };
    inject(&mut cluster, &Fault::Links(links));
    let mut came = burst(&cluster, 1, 2, 1_000, usize::MAX);
    let overtaken = came.windows(2).filter(|pair| pair[0] > pair[1]).count();
    assert!(overtaken > 100, "{overtaken} of 1000 were overtaken, where one in three is held");
    came.sort_unstable();
    assert_eq!(came, Vec::from_iter(0..1_000));
    inject(&mut cluster, &Fault::Links(LinkFault::default()));
    assert!(burst(&cluster, 1, 2, 500, 500).is_sorted(), "sound links keep the order");
}

#[test]
fn a_narrow_link_is_slow() {
    let Some(kind) = namespaces() else { return };
    let cluster = start(kind, 2, false);
    let millis = || say(&cluster, n(1), "bytes n2 400000").parse::<u64>().expect("it came");
    millis();
    // 3.2 megabits take 0.8 s, but for a burst.
    cluster.narrow(Some(4_000)).expect("the kernel has tbf");
    let narrow = millis();
    assert!((600..=5_000).contains(&narrow), "{narrow} ms");
    cluster.narrow(None).expect("the kernel has tbf");
    let wide = millis();
    assert!(wide * 2 < narrow, "{wide} ms, {narrow} ms when narrow");
}

/// Delays work on loopback, too: pieces come late, in order.
#[test]
fn relays_delay_and_keep_the_order() {
    let mut cluster = start(Kind::Loopback, 2, false);
    let delay_max = Duration::from_millis(50);
    let links = LinkFault { delay_ppm: 1_000_000, delay_max, ..LinkFault::default() };
    tell(&cluster, 1, 2, "w");
    hears(&cluster, 2, "w");
    inject(&mut cluster, &Fault::Links(links));
    let begin = Instant::now();
    // Each waits for the one before it, so all of them for half a second on average.
    for number in 0..20 {
        tell(&cluster, 1, 2, &format!("w{number}"));
        hears(&cluster, 2, &format!("w{number}"));
    }
    assert!(begin.elapsed() > Duration::from_millis(150), "{:?}", begin.elapsed());
    let words: Vec<String> = serde_json::from_str(&say(&cluster, n(2), "words")).expect("a list");
    let sent = std::iter::once("w".to_owned()).chain((0..20).map(|number| format!("w{number}")));
    assert_eq!(words, Vec::from_iter(sent));
}

/// What a relay of connections cannot do it does not pretend to do.
#[test]
fn relays_refuse_loss_and_duplicates() {
    let mut cluster = start(Kind::Loopback, 2, false);
    let loss = LinkFault { loss_ppm: 1, ..LinkFault::default() };
    let twice = LinkFault { duplicate_ppm: 1, ..LinkFault::default() };
    for links in [loss, twice] {
        let refused = cluster.inject(&Fault::Links(links)).expect_err("it cannot");
        assert!(refused.reason.contains("relay"), "{refused}");
    }
}
