//! Each planted bug is found by a script that the right protocol passes.

use std::time::Duration;

use quorum::{Config, Message, Mutant, Reply, Request};

use crate::rig::{Fate, Letter, Rig, Sync, all, among, n};

const SETTLED: Duration = Duration::from_millis(600);

/// `script` finds nothing wrong with the right protocol, and something with `mutant`.
#[track_caller]
fn check(mutant: Mutant, script: impl Fn(Config) -> Result<(), String>) {
    script(Config::default()).unwrap_or_else(|what| panic!("a false alarm: {what}"));
    let found = script(Config::default().plant(mutant));
    assert!(found.is_err(), "{mutant:?} is not found");
}

fn is_store(letter: &Letter) -> bool {
    matches!(letter.message, Message::Store { .. })
}

/// What an acknowledged write must be: on the disks of a write quorum of the key's replicas.
fn check_quorum(rig: &Rig, config: &Config, key: &str, written: bool) -> Result<(), String> {
    let replicas = &rig.preference(key)[..config.replication()];
    let have = replicas.iter().filter(|&&id| !rig.entry(id, key).version.is_zero()).count();
    if written && have < config.write_quorum() {
        return Err(format!("acknowledged, and {have} replicas have it"));
    }
    Ok(())
}

fn check_monitor(rig: &Rig) -> Result<(), String> {
    rig.violation.as_ref().map_or(Ok(()), |violation| Err(violation.to_string()))
}

#[test]
fn duplicate_acks() {
    check(Mutant::DuplicateAcks, |config| {
        let config = config.with_quorums(3, 1, 3);
        let mut rig = Rig::new(config.clone(), 3);
        let write = rig.request(n(1), Request::put("key", "value"));
        rig.deliver(|letter| match letter.to == n(3) {
            true => Fate::Drop,
            false => Fate::Twice,
        });
        check_quorum(&rig, &config, "key", rig.answer(write).is_some())
    });
}

#[test]
fn no_write_back() {
    check(Mutant::NoWriteBack, |config| {
        let mut rig = Rig::new(config.with_hints_max(0), 3);
        rig.done(n(1), Request::put("key", "old"));
        rig.request(n(1), Request::put("key", "new"));
        rig.deliver(|letter| if is_store(letter) { Fate::Drop } else { Fate::Deliver });
        let first = rig.read(n(2), "key", among(&[n(1), n(2)]));
        let second = rig.read(n(3), "key", among(&[n(2), n(3)]));
        match first == second {
            true => Ok(()),
            false => Err(format!("{first:?}, then {second:?}")),
        }
    });
}

#[test]
fn ties_unbroken() {
    check(Mutant::TiesUnbroken, |config| {
        let mut rig = Rig::new(config, 3);
        rig.request(n(1), Request::put("key", "one"));
        rig.request(n(2), Request::put("key", "two"));
        rig.deliver(all);
        for node in [1, 2, 3] {
            rig.read(n(node), "key", all);
        }
        quorum::invariants::converged(rig.nodes())
    });
}

#[test]
fn outsiders_count() {
    check(Mutant::OutsidersCount, |config| {
        let mut rig = Rig::new(config.clone(), 4);
        let nodes = rig.preference("key");
        let write = rig.request(nodes[0], Request::put("key", "value"));
        let reached = |letter: &Letter| {
            let to_others = is_store(letter) && [nodes[1], nodes[2]].contains(&letter.to);
            if to_others { Fate::Drop } else { Fate::Deliver }
        };
        rig.deliver(reached);
        check_quorum(&rig, &config, "key", rig.answer(write).is_some())
    });
}

#[test]
fn hints_overwrite() {
    check(Mutant::HintsOverwrite, |config| {
        let mut rig = Rig::new(config, 3);
        rig.request(n(1), Request::put("key", "old"));
        rig.run(SETTLED, |letter| match letter.to == n(3) {
            true => Fate::Drop,
            false => Fate::Deliver,
        });
        rig.done(n(2), Request::put("key", "new"));
        rig.run(SETTLED, all);
        check_monitor(&rig)
    });
}

#[test]
fn deletion_forgets() {
    check(Mutant::DeletionForgets, |config| {
        let mut rig = Rig::new(config, 3);
        rig.request(n(1), Request::put("key", "value"));
        rig.deliver(|letter| match is_store(letter) && letter.to == n(3) {
            true => Fate::Keep,
            false => Fate::Deliver,
        });
        let old = rig.wire.pop_front().expect("the straggler");
        rig.done(n(2), Request::delete("key"));
        rig.hand_over(old);
        let seen = rig.read(n(3), "key", all);
        match seen.0 {
            None => Ok(()),
            Some(value) => Err(format!("deleted, and then read: {value:?}")),
        }
    });
    check(Mutant::DeletionForgets, |config| {
        let mut rig = Rig::new(config, 3);
        rig.done(n(1), Request::put("key", "value"));
        rig.done(n(1), Request::delete("key"));
        check_monitor(&rig)
    });
}

#[test]
fn ack_before_durable() {
    check(Mutant::AckBeforeDurable, |config| {
        let mut rig = Rig::new(config, 3);
        rig.set_sync(Sync::Never);
        let write = rig.request(n(1), Request::put("key", "value"));
        rig.deliver(all);
        let acknowledged = matches!(rig.answer(write), Some(Ok(Reply::Written { .. })));
        rig.set_sync(Sync::AtOnce);
        for node in [1, 2, 3] {
            rig.crash(n(node));
        }
        for node in [1, 2, 3] {
            rig.restart(n(node));
        }
        match acknowledged && rig.read(n(1), "key", all).0.is_none() {
            true => Err("acknowledged, and gone".into()),
            false => Ok(()),
        }
    });
}

#[test]
fn no_tag_query() {
    check(Mutant::NoTagQuery, |config| {
        let mut rig = Rig::new(config, 3);
        for value in ["1", "2", "3"] {
            rig.done(n(1), Request::put("key", value));
        }
        rig.done(n(2), Request::put("key", "last"));
        let seen = rig.read(n(3), "key", all);
        match seen == "last" {
            true => Ok(()),
            false => Err(format!("the last write is lost: {seen:?}")),
        }
    });
}

#[test]
fn incarnation_kept() {
    check(Mutant::IncarnationKept, |config| {
        let mut rig = Rig::new(config.with_hints_max(0), 4);
        let nodes = rig.preference("key");
        let (replicas, coordinator) = (&nodes[..3], nodes[3]);
        rig.request(coordinator, Request::put("key", "before"));
        rig.deliver(|letter| match is_store(letter) && letter.to != replicas[0] {
            true => Fate::Drop,
            false => Fate::Deliver,
        });
        rig.crash(coordinator);
        rig.restart(coordinator);
        rig.request(coordinator, Request::put("key", "after"));
        rig.deliver(among(&[coordinator, replicas[1], replicas[2]]));
        let (one, two) = (rig.entry(replicas[0], "key"), rig.entry(replicas[1], "key"));
        match one.version == two.version {
            true => Err(format!("one version, two values: {one:?} {two:?}")),
            false => check_monitor(&rig),
        }
    });
    check(Mutant::IncarnationKept, |config| {
        let mut rig = Rig::new(config, 3);
        rig.crash(n(1));
        rig.restart(n(1));
        check_monitor(&rig)
    });
}

/// The others need a schedule that chance does not draw in so few runs: see above.
#[test]
fn random_load_finds_these_too() {
    let loud = [
        Mutant::TiesUnbroken,
        Mutant::HintsOverwrite,
        Mutant::DeletionForgets,
        Mutant::NoTagQuery,
        Mutant::IncarnationKept,
    ];
    for mutant in loud {
        let config = Config::default().plant(mutant);
        assert!(crate::random::is_caught(&config, 5, 0..15), "{mutant:?}");
    }
}

#[test]
fn all_are_listed() {
    assert!(Mutant::ALL.len() >= 6);
    for (index, mutant) in Mutant::ALL.iter().enumerate() {
        assert!(!Mutant::ALL[..index].contains(mutant), "{mutant:?} twice");
    }
}
