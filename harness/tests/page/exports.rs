//! What other tools can read.

use std::collections::BTreeMap;

use harness::export;
use harness::guarantee::Guarantee;
use harness::linear::{Limits, Verdict};
use harness::recorded::{self, Format, ModelName, RecordedError};

use crate::fixtures::{Traced, broken, traced};

#[test]
fn a_history_survives_the_way_through_edn() {
    let Traced { report, .. } = broken("quorum-partial", "steady", Guarantee::Linearizability);
    let edn = export::edn(&report.history);
    let judged = recorded::judge(edn.as_bytes(), None, ModelName::Kv, Limits::default());
    let judged = judged.expect("it is read");
    assert_eq!(judged.format, Format::Edn);
    assert!(matches!(judged.verdict, Verdict::Broken(_)), "{judged}");
    assert_eq!(judged.operations + judged.left_out, report.history.calls.len());

    let Traced { report, .. } = traced("raft", "leader-crash");
    let edn = export::edn(&report.history);
    let judged = recorded::judge(edn.as_bytes(), None, ModelName::Kv, Limits::default());
    assert_eq!(judged.expect("it is read").verdict, Verdict::Holds);
}

#[test]
fn one_register_is_read_by_checkers_without_keys() {
    let Traced { report, .. } = broken("quorum-partial", "steady", Guarantee::Linearizability);
    let broken = (0..8).filter(|&key| {
        let edn = export::edn_register(&report.history, key);
        let judged = recorded::judge(edn.as_bytes(), None, ModelName::Register, Limits::default());
        match judged {
            Ok(judged) => matches!(judged.verdict, Verdict::Broken(_)),
            Err(RecordedError::Empty) => false,
            Err(error) => panic!("{error}"),
        }
    });
    assert!(broken.count() > 0, "some register is broken");
}

#[test]
fn elections_and_locks_are_well_formed_edn() {
    for (implementation, scenario, f) in
        [("bully", "leader-crash", ":lead"), ("dlock", "lock-holder-crash", ":acquire")]
    {
        let Traced { report, .. } = traced(implementation, scenario);
        let edn = export::edn(&report.history);
        let judged = recorded::judge(edn.as_bytes(), None, ModelName::Kv, Limits::default());
        // Read whole, and only then found to be of no map: the error names a function, not a form.
        let error = judged.expect_err("no map").to_string();
        assert!(error.contains("found :"), "{error}");
        assert!(edn.contains(f), "{implementation}");
    }
}

/// The clock in a line `n3 {"n1":4,"n3":9}`.
fn clock(line: &str) -> (String, BTreeMap<String, u64>) {
    let (host, clock) = line.split_once(' ').expect("a host and a clock");
    (host.to_owned(), serde_json::from_str(clock).expect("a clock is JSON"))
}

fn dominates(one: &BTreeMap<String, u64>, other: &BTreeMap<String, u64>) -> bool {
    other.iter().all(|(host, count)| one.get(host).is_some_and(|own| own >= count))
}

#[test]
fn shiviz_clocks_count_each_host_one_by_one_and_a_receipt_knows_all_that_its_sender_knew() {
    let Traced { report, .. } = traced("raft", "duplicating-network");
    let log = export::shiviz(&report.trace);
    let mut lines = log.lines();
    assert!(lines.next().is_some_and(|line| line.contains(export::SHIVIZ_PARSER)));
    assert_eq!(lines.next(), Some(""));
    let lines: Vec<&str> = lines.collect();
    let mut last: BTreeMap<String, BTreeMap<String, u64>> = BTreeMap::new();
    let mut sent: BTreeMap<&str, BTreeMap<String, u64>> = BTreeMap::new();
    let mut receipts = 0;
    for pair in lines.chunks(2) {
        let (host, clock) = clock(pair[1]);
        let before = last.insert(host.clone(), clock.clone()).unwrap_or_default();
        assert_eq!(clock[&host], before.get(&host).unwrap_or(&0) + 1, "{pair:?}");
        assert!(dominates(&clock, &before), "{pair:?} after {before:?}");
        let words: Vec<&str> = pair[0].split(' ').collect();
        match words.as_slice() {
            [_, _, "->", _, message, ..] => {
                sent.insert(message.trim_end_matches(','), clock);
            }
            [_, _, "<-", message, "from", ..] => {
                // What was sent before the trace began is not in it.
                if let Some(carried) = sent.get(message) {
                    receipts += 1;
                    assert!(dominates(&clock, carried), "{pair:?} knows less than {carried:?}");
                }
            }
            _ => {}
        }
    }
    assert!(receipts > 1_000, "{receipts}");
}
