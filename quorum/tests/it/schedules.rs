//! Schedules that random load would hardly find, each as a script.

use std::time::Duration;

use quorum::{Config, Error, Guarantee, Message, Repair, Reply, Request, Version};

use crate::rig::{Fate, Letter, Rig, Seen, all, among, n};

const TIMEOUT: Duration = Duration::from_millis(500);

fn is_store(letter: &Letter) -> bool {
    matches!(letter.message, Message::Store { .. })
}

/// A write that reaches its coordinator's disk and no other: n1 has "new", n2 and n3 have "old".
fn stuck_write(config: Config) -> Rig {
    // Without hints: they would carry the write on, and with that end the story.
    let mut rig = Rig::new(config.with_hints_max(0), 3);
    rig.done(n(1), Request::put("key", "old"));
    let stuck = rig.request(n(1), Request::put("key", "new"));
    rig.run(TIMEOUT, |letter| if is_store(letter) { Fate::Drop } else { Fate::Deliver });
    assert_eq!(rig.answer(stuck), Some(&Err(Error::Unknown { acked: 1, needed: 2 })));
    rig
}

/// Reads where the stuck write is seen, then where it is not.
fn two_reads(repair: Repair) -> (Seen, Seen) {
    let mut rig = stuck_write(Config::default().with_repair(repair));
    let first = rig.read(n(2), "key", among(&[n(1), n(2)]));
    let second = rig.read(n(3), "key", among(&[n(2), n(3)]));
    assert_eq!(rig.violation, None);
    (first, second)
}

/// Attiya, Bar-Noy and Dolev 1995: the reader's second phase is what makes a register atomic.
#[test]
fn write_back_keeps_reads_from_going_back() {
    let (first, second) = two_reads(Repair::WriteBack);
    assert_eq!(first, "new");
    assert_eq!(second, "new");
}

#[test]
fn without_write_back_a_read_goes_back() {
    for repair in [Repair::Background, Repair::Off] {
        let (first, second) = two_reads(repair);
        assert_eq!(first, "new", "{repair:?}");
        assert_eq!(second, "old", "{repair:?}: no counterexample, so why not claim more?");
        assert_eq!(Config::default().with_repair(repair).guarantee(), Guarantee::Regular);
    }
}

/// A read waits for its write-back, and says so if that fails: answering would promise too much.
#[test]
fn a_read_without_its_write_back_times_out() {
    let mut rig = stuck_write(Config::default());
    // n2's own disk would be the second copy.
    rig.set_sync(crate::rig::Sync::Never);
    let read = rig.request(n(2), Request::get("key"));
    rig.deliver(among(&[n(1), n(2)]));
    assert_eq!(rig.answer(read), None);
    rig.pass(TIMEOUT);
    assert_eq!(rig.answer(read), Some(&Err(Error::TimedOut { replied: 1, needed: 2 })));
}

#[test]
fn a_read_skips_the_write_back_when_a_write_quorum_has_it() {
    let mut rig = Rig::new(Config::default(), 3);
    rig.done(n(1), Request::put("key", "value"));
    assert_eq!(rig.read(n(2), "key", all), "value");
    assert_eq!(rig.gauge(n(2), "write-backs"), 0);
}

#[test]
fn a_write_completes_at_a_quorum_and_the_straggler_is_written_all_the_same() {
    let mut rig = Rig::new(Config::default(), 3);
    let write = rig.request(n(1), Request::put("key", "value"));
    let slow = |letter: &Letter| {
        if letter.to == n(3) && is_store(letter) { Fate::Keep } else { Fate::Deliver }
    };
    rig.deliver(slow);
    assert!(matches!(rig.answer(write), Some(Ok(Reply::Written { .. }))));
    assert_eq!(rig.entry(n(3), "key").version, Version::ZERO);
    rig.deliver(all);
    assert_eq!(rig.entry(n(3), "key"), rig.entry(n(1), "key"));
    assert_eq!(rig.gauge(n(1), "operations"), 0);
}

#[test]
fn a_doubled_message_counts_once() {
    let mut rig = Rig::new(Config::default().with_quorums(3, 3, 3), 3);
    let not_n3 = |letter: &Letter| if letter.to == n(3) { Fate::Drop } else { Fate::Twice };
    for request in [Request::put("key", "value"), Request::get("key")] {
        let id = rig.request(n(1), request);
        rig.deliver(not_n3);
        assert_eq!(rig.answer(id), None);
        rig.run(TIMEOUT / 2, all);
        assert!(rig.answer(id).is_some_and(Result::is_ok));
    }
}

#[test]
fn what_is_lost_is_sent_again() {
    let mut rig = Rig::new(Config::default().with_quorums(3, 3, 3), 3);
    for request in [Request::put("key", "value"), Request::get("key")] {
        let id = rig.request(n(1), request);
        for _ in 0..2 {
            // Each round loses what is on its way, and the next sends it again.
            rig.deliver(|_| Fate::Drop);
            rig.pass(Config::default().resend_interval());
        }
        rig.run(TIMEOUT / 2, all);
        assert!(rig.answer(id).is_some_and(Result::is_ok));
        assert!(rig.gauge(n(1), "resends") > 0);
    }
}

#[test]
fn a_late_reply_is_still_used_for_repair() {
    for repair in [Repair::WriteBack, Repair::Background, Repair::Off] {
        let mut rig = Rig::new(Config::default().with_repair(repair).with_hints_max(0), 3);
        rig.request(n(1), Request::put("key", "value"));
        let not_n3 = |letter: &Letter| {
            if letter.to == n(3) && is_store(letter) { Fate::Drop } else { Fate::Deliver }
        };
        rig.run(TIMEOUT, not_n3);
        assert_eq!(rig.entry(n(3), "key").version, Version::ZERO);
        // n1 and n2 make the quorum; n3 says only later that it has nothing.
        let late = |letter: &Letter| if letter.from == n(3) { Fate::Keep } else { Fate::Deliver };
        assert_eq!(rig.read(n(1), "key", late), "value", "{repair:?}");
        rig.deliver(all);
        let repaired = rig.entry(n(3), "key") == rig.entry(n(1), "key");
        assert_eq!(repaired, repair != Repair::Off, "{repair:?}");
        assert_eq!(rig.gauge(n(1), "repairs"), u64::from(repair != Repair::Off));
    }
}

/// R + W ≤ N is accepted, claims less, and a stale read shows why.
#[test]
fn quorums_that_need_not_meet_read_stale() {
    let config = Config::default().with_quorums(3, 1, 1);
    assert_eq!(config.guarantee(), Guarantee::Convergent);
    let mut rig = Rig::new(config, 3);
    let written = rig.request(n(1), Request::put("key", "value"));
    rig.deliver(|_| Fate::Drop);
    let Some(Ok(Reply::Written { guarantee, .. })) = rig.answer(written) else {
        panic!("W = 1 is its coordinator's own disk")
    };
    assert_eq!(*guarantee, Guarantee::Convergent);
    assert_eq!(rig.read(n(2), "key", |_| Fate::Drop), Seen(None));
}

/// Lynch and Shvartsman 1997: the writer's first phase puts it after every write that is complete.
#[test]
fn a_writer_asks_for_the_largest_version_first() {
    let mut rig = Rig::new(Config::default(), 3);
    for value in ["1", "2", "3"] {
        rig.done(n(1), Request::put("key", value));
    }
    let Reply::Written { version, .. } = rig.done(n(2), Request::put("key", "last")) else {
        panic!("a write")
    };
    assert_eq!((version.counter(), version.writer()), (4, n(2)));
    assert_eq!(rig.read(n(3), "key", all), "last");
}

/// Two writers that ask at the same time get the same counter, never the same version.
#[test]
fn concurrent_writers_are_ordered_alike_everywhere() {
    let mut rig = Rig::new(Config::default(), 3);
    let requests = [
        rig.request(n(1), Request::put("key", "one")),
        rig.request(n(2), Request::put("key", "two")),
        rig.request(n(2), Request::put("key", "two again")),
    ];
    rig.deliver(all);
    let versions = requests.map(|request| match rig.answer(request) {
        Some(Ok(Reply::Written { version, .. })) => *version,
        other => panic!("a write ended as {other:?}"),
    });
    assert!(versions.iter().all(|version| version.counter() == 1), "{versions:?}");
    assert!(versions[0] < versions[1] && versions[1] < versions[2]);
    quorum::invariants::converged(rig.nodes()).expect("equal replicas");
    assert_eq!(rig.read(n(3), "key", all), "two again");
}

/// What was deleted stays deleted, whatever still travels.
#[test]
fn an_old_write_that_arrives_late_does_not_undo_a_deletion() {
    let mut rig = Rig::new(Config::default(), 3);
    rig.request(n(1), Request::put("key", "value"));
    let slow = |letter: &Letter| {
        if letter.to == n(3) && is_store(letter) { Fate::Keep } else { Fate::Deliver }
    };
    rig.deliver(slow);
    rig.request(n(2), Request::delete("key"));
    let old = rig.wire.pop_front().expect("the straggler");
    rig.deliver(all);
    rig.hand_over(old);
    assert_eq!(rig.read(n(3), "key", all), Seen(None));
    assert!(rig.entry(n(3), "key").is_tombstone());
    assert_eq!((rig.gauge(n(3), "keys"), rig.gauge(n(3), "tombstones")), (0, 1));
    assert_eq!(rig.violation, None);
}

/// Not-found is an answer with version zero: it counts as one reply, not as absence.
#[test]
fn a_replica_without_the_key_does_not_hide_it() {
    let mut rig = stuck_write(Config::default());
    rig.crash(n(3));
    assert_eq!(rig.read(n(2), "key", all), "new");
}

#[test]
fn requests_may_choose_their_quorums_and_are_told_what_that_is_worth() {
    let mut rig = Rig::new(Config::default(), 3);
    let put = |quorum| Request::Put {
        key: "key".into(),
        value: "value".into(),
        write_quorum: Some(quorum),
    };
    let get = |quorum| Request::Get { key: "key".into(), read_quorum: Some(quorum) };
    let expected =
        [(1, Guarantee::Convergent), (2, Guarantee::Linearizable), (3, Guarantee::Linearizable)];
    for (quorum, promised) in expected {
        let Reply::Written { guarantee, .. } = rig.done(n(1), put(quorum)) else { panic!() };
        assert_eq!(guarantee, promised, "W = {quorum}");
        let Reply::Value { guarantee, .. } = rig.done(n(1), get(quorum)) else { panic!() };
        assert_eq!(guarantee, promised, "R = {quorum}");
    }
    for asked in [0, 4, usize::MAX] {
        for request in [put(asked), get(asked)] {
            let id = rig.request(n(1), request);
            let refused = Err(Error::InvalidQuorum { asked, replication: 3 });
            assert_eq!(rig.answer(id), Some(&refused));
        }
    }
    assert!(rig.wire.is_empty(), "nothing was done");
}

#[test]
fn beyond_the_limit_requests_are_refused() {
    let mut rig = Rig::new(Config::default().with_operations_max(2), 3);
    let requests = [1, 2, 3].map(|_| rig.request(n(1), Request::get("key")));
    assert_eq!(rig.answer(requests[1]), None);
    assert_eq!(rig.answer(requests[2]), Some(&Err(Error::Overloaded { operations: 2 })));
    rig.deliver(all);
    assert!(rig.answer(requests[1]).is_some_and(Result::is_ok));
    rig.done(n(1), Request::get("key"));
}
