//! The checker against one that tries every order.

use std::fmt::Debug;

use harness::linear::{
    FencedLock, FencedOp, Kv, KvAction, KvOp, Limits, Lock, LockOp, Log, LogOp, Model, Operation,
    Prefix, Register, RegisterOp, Text, Verdict, check,
};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::support::naive;

/// Both must agree; and what an explanation says must be so.
fn agree<M: Model>(model: &M, history: &[Operation<M::Op>]) -> Result<(), TestCaseError> {
    let expected = naive(model, &history.iter().collect::<Vec<_>>());
    match check(model, history, Limits::default()) {
        Verdict::Holds => prop_assert!(expected, "no order exists, but it holds"),
        Verdict::Broken(why) => {
            prop_assert!(!expected, "there is an order, but: {why}");
            let replayed = why
                .order
                .iter()
                .try_fold(model.init(), |state, &index| model.step(&state, &history[index].op));
            prop_assert!(replayed.is_some(), "the order does not explain its outcomes: {why}");
            for (place, &index) in why.order.iter().enumerate() {
                let is_late = |&other: &usize| {
                    history[other].ret.is_some_and(|ret| ret < history[index].call)
                };
                prop_assert!(!why.order[place..].iter().any(is_late), "out of order: {why}");
            }
            prop_assert!(!why.order.contains(&why.stuck));
            prop_assert!(!why.beside.contains(&why.stuck));
            prop_assert!(!why.states.is_empty());
        }
        Verdict::Unknown(why) => prop_assert!(false, "{why}"),
    }
    Ok(())
}

/// The history up to a moment: what was answered later was not answered yet.
fn until<Op: Clone>(history: &[Operation<Op>], end: u64) -> Vec<Operation<Op>> {
    let cut =
        |it: &Operation<Op>| Operation { ret: it.ret.filter(|&ret| ret <= end), ..it.clone() };
    history.iter().filter(|it| it.call <= end).map(cut).collect()
}

/// With the answer of the stuck operation the history is broken, and just before it is not.
fn is_stuck_there<M: Model<Op: Clone + Debug>>(
    model: &M,
    history: &[Operation<M::Op>],
) -> Result<(), TestCaseError> {
    let Verdict::Broken(why) = check(model, history, Limits::default()) else { return Ok(()) };
    let end = history[why.stuck].ret.expect("only an answer can be inexplicable");
    for (end, expected) in [(end, false), (end - 1, true)] {
        let prefix = until(history, end);
        let found = naive(model, &prefix.iter().collect::<Vec<_>>());
        prop_assert_eq!(found, expected, "until {}: {}", end, &why);
    }
    Ok(())
}

/// Up to `most` operations at times that often coincide.
fn with_ties<Op: Debug + Clone>(
    op: impl Strategy<Value = Op>,
    most: usize,
) -> impl Strategy<Value = Vec<Operation<Op>>> {
    let one = (0..4u64, op, 0..12u64, proptest::option::weighted(0.8, 0..7u64)).prop_map(
        |(process, op, call, span)| Operation { process, op, call, ret: span.map(|it| call + it) },
    );
    vec(one, 0..=most)
}

/// Up to `most` operations, no two of whose events coincide.
fn without_ties<Op: Debug + Clone>(
    op: impl Strategy<Value = Op>,
    most: usize,
) -> impl Strategy<Value = Vec<Operation<Op>>> {
    with_ties(op, most).prop_map(|mut history| {
        let mut events: Vec<(u64, usize, bool)> = Vec::new();
        for (index, operation) in history.iter().enumerate() {
            events.push((operation.call, index, false));
            events.extend(operation.ret.map(|ret| (ret, index, true)));
        }
        // The call of one operation before its own return, and otherwise as the indexes have it.
        events.sort_unstable();
        for (time, (_, index, is_return)) in (1..).zip(events) {
            match is_return {
                false => history[index].call = time,
                true => history[index].ret = Some(time),
            }
        }
        history
    })
}

fn register_op() -> impl Strategy<Value = RegisterOp<u8>> {
    let value = || proptest::option::weighted(0.8, 0..3u8);
    prop_oneof![
        3 => value().prop_map(RegisterOp::Read),
        2 => (0..3u8).prop_map(RegisterOp::Write),
        2 => (value(), 0..3u8, any::<bool>())
            .prop_map(|(from, to, done)| RegisterOp::Cas { from, to, done }),
    ]
}

fn kv_op() -> impl Strategy<Value = KvOp> {
    let action = prop_oneof![
        2 => "[ab]{0,3}".prop_map(|seen| KvAction::Get(seen.as_str().into())),
        1 => "[ab]{0,2}".prop_map(|text| KvAction::Put(text.as_str().into())),
        3 => "[ab]{0,1}".prop_map(|piece| KvAction::Append(piece.into())),
    ];
    action.prop_map(|action| KvOp { key: "k".into(), action })
}

fn lock_op() -> impl Strategy<Value = LockOp> {
    (0..3u64, 0..6u8).prop_map(|(owner, which)| match which {
        0 | 1 => LockOp::Acquired { owner },
        2 | 3 => LockOp::Released { owner },
        4 => LockOp::Busy { owner },
        _ => LockOp::NotHolder { owner },
    })
}

fn fenced_op() -> impl Strategy<Value = FencedOp> {
    let said = proptest::option::weighted(0.7, 1..5i64);
    (said, 1..5i64, 0..8u8).prop_map(|(said, token, which)| match which {
        0..=2 => FencedOp::Acquired { token: said },
        3 | 4 => FencedOp::Released { token: said },
        5 => FencedOp::Busy,
        6 => FencedOp::NotHolder { token },
        _ => FencedOp::Inspected(said),
    })
}

fn log_op() -> impl Strategy<Value = LogOp<u8>> {
    let append = (0..3u8, proptest::option::of(1..5u64));
    prop_oneof![
        4 => append.prop_map(|(entry, index)| LogOp::Append { entry, index }),
        2 => vec(0..3u8, 0..4).prop_map(|seen| LogOp::Read(Prefix::of(&seen))),
        1 => (0..4u64).prop_map(LogOp::Len),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3_000))]

    #[test]
    fn registers_are_judged_as_by_every_order(history in with_ties(register_op(), 7)) {
        agree(&Register::default(), &history)?;
    }

    #[test]
    fn maps_are_judged_as_by_every_order(history in with_ties(kv_op(), 6)) {
        agree(&Kv, &history)?;
    }

    #[test]
    fn locks_are_judged_as_by_every_order(history in with_ties(lock_op(), 6)) {
        agree(&Lock, &history)?;
    }

    #[test]
    fn fenced_locks_are_judged_as_by_every_order(
        history in with_ties(fenced_op(), 6),
        leased in any::<bool>(),
    ) {
        agree(&FencedLock { leased }, &history)?;
    }

    #[test]
    fn logs_are_judged_as_by_every_order(history in with_ties(log_op(), 6)) {
        agree(&Log::default(), &history)?;
    }

    #[test]
    fn the_stuck_operation_is_where_the_history_breaks(history in without_ties(register_op(), 7)) {
        is_stuck_there(&Register::default(), &history)?;
    }

    #[test]
    fn the_stuck_get_is_where_the_history_breaks(history in without_ties(kv_op(), 6)) {
        is_stuck_there(&Kv, &history)?;
    }
}

proptest! {
    #[test]
    fn a_text_is_what_its_pieces_make(
        pieces in vec("[abé]{0,3}", 0..80),
        others in vec("[abé]{0,3}", 0..4),
        cut in any::<prop::sample::Index>(),
    ) {
        let build = |pieces: &[String]| {
            let append = |text: Text, piece: &String| text.append(&piece.as_str().into());
            pieces.iter().fold(Text::default(), append)
        };
        let (text, other) = (build(&pieces), build(&others));
        let (whole, other_whole) = (pieces.concat(), others.concat());
        prop_assert_eq!(text.to_string(), &*whole);
        prop_assert_eq!(text.len(), whole.len());
        prop_assert_eq!(&text, &Text::new(&*whole));
        prop_assert_eq!(text == other, whole == other_whole);
        prop_assert_eq!(text.starts_with(&other), whole.starts_with(&other_whole));
        let start = build(&pieces[..cut.index(pieces.len() + 1)]);
        prop_assert!(text.starts_with(&start));
        prop_assert!(!text.starts_with(&text.append(&"a".into())));
    }
}
