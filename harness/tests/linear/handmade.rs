//! Small histories made by hand: each verdict can be seen with the naked eye.

use std::time::Duration;

use harness::linear::{
    At, Exhausted, Explanation, FencedLock, FencedOp, Kv, KvAction, KvOp, Limits, Lock, LockOp,
    Log, LogOp, Model, Operation, PerKey, Prefix, Register, RegisterOp, Verdict, check,
};

use crate::support::{operation, unanswered};

const NIL: RegisterOp<u64> = RegisterOp::Read(None);

fn read(value: u64) -> RegisterOp<u64> {
    RegisterOp::Read(Some(value))
}

fn write(value: u64) -> RegisterOp<u64> {
    RegisterOp::Write(value)
}

fn cas(from: u64, to: u64, done: bool) -> RegisterOp<u64> {
    RegisterOp::Cas { from: Some(from), to, done }
}

#[track_caller]
fn holds<M: Model>(model: &M, history: &[Operation<M::Op>]) {
    assert_eq!(check(model, history, Limits::default()), Verdict::Holds);
}

#[track_caller]
fn broken<M: Model>(model: &M, history: &[Operation<M::Op>], stuck: usize) -> Explanation {
    match check(model, history, Limits::default()) {
        Verdict::Broken(explanation) => {
            assert_eq!(explanation.stuck, stuck, "{explanation}");
            explanation
        }
        other => panic!("{other}"),
    }
}

#[test]
fn nothing_at_all_holds() {
    holds(&Register::<u64>::default(), &[]);
}

#[test]
fn a_read_sees_the_last_write() {
    let history = [
        operation(1, NIL, 0, 1),
        operation(1, write(1), 2, 3),
        operation(2, read(1), 4, 5),
        operation(1, write(2), 6, 7),
        operation(2, read(2), 8, 9),
    ];
    holds(&Register::default(), &history);
    holds(&Register::default(), &{
        let mut backwards = history;
        backwards.reverse();
        backwards
    });
}

#[test]
fn a_stale_read_is_broken() {
    let history =
        [operation(1, write(1), 0, 1), operation(1, write(2), 2, 3), operation(2, read(1), 4, 5)];
    let why = broken(&Register::default(), &history, 2);
    assert_eq!(why.order, [0, 1]);
    assert_eq!(why.states, ["2"]);
    assert!(why.beside.is_empty(), "{:?}", why.beside);
    assert_eq!(why.key, None);
    let told = why.to_string();
    for part in ["p2 read → 1 [4–5]", "p1 write 1 [0–1] · p1 write 2 [2–3]", "state then: 2"]
    {
        assert!(told.contains(part), "{told}");
    }
}

#[test]
fn a_read_beside_a_write_sees_either_but_not_the_new_value_and_then_the_old() {
    let long_write = operation(1, write(2), 2, 20);
    let first = operation(1, write(1), 0, 1);
    for (early, late) in [(1, 1), (1, 2), (2, 2)] {
        let reads = [operation(2, read(early), 3, 4), operation(3, read(late), 5, 6)];
        let [early, late] = reads;
        holds(&Register::default(), &[first.clone(), long_write.clone(), early, late]);
    }
    let history = [first, long_write, operation(2, read(2), 3, 4), operation(3, read(1), 5, 6)];
    broken(&Register::default(), &history, 3);
}

#[test]
fn an_answer_and_a_call_at_one_time_are_concurrent() {
    let history = [operation(1, write(1), 0, 5), operation(2, NIL, 5, 6)];
    holds(&Register::default(), &history);
    let history = [operation(1, write(1), 0, 5), operation(2, NIL, 6, 7)];
    broken(&Register::default(), &history, 1);
}

#[test]
fn a_lost_update_is_broken() {
    let history = [
        operation(0, write(0), 0, 1),
        operation(1, cas(0, 1, true), 2, 5),
        operation(2, cas(0, 2, true), 3, 6),
    ];
    let why = broken(&Register::default(), &history, 2);
    assert_eq!(why.states, ["1"]);
    let history = [
        operation(0, write(0), 0, 1),
        operation(1, cas(0, 1, true), 2, 5),
        operation(2, cas(0, 2, false), 3, 6),
        operation(2, cas(1, 2, true), 7, 8),
        operation(2, read(2), 9, 10),
    ];
    holds(&Register::default(), &history);
}

#[test]
fn a_refused_cas_says_that_the_value_was_another() {
    let history = [operation(0, write(0), 0, 1), operation(1, cas(0, 1, false), 2, 3)];
    broken(&Register::default(), &history, 1);
    holds(&Register { init: Some(7) }, &[operation(1, cas(0, 1, false), 2, 3)]);
}

#[test]
fn an_unanswered_write_may_be_seen_at_any_later_time() {
    let history = [
        operation(1, write(1), 0, 1),
        unanswered(2, write(2), 2),
        operation(1, read(1), 10, 11),
        operation(1, write(3), 12, 13),
        operation(1, read(3), 14, 15),
        operation(1, read(2), 16, 17),
    ];
    holds(&Register::default(), &history);
}

#[test]
fn an_unanswered_write_may_never_be_seen() {
    let history = [
        unanswered(2, write(2), 0),
        operation(1, write(1), 1, 2),
        operation(1, read(1), 3, 4),
        operation(1, read(1), 5, 6),
    ];
    holds(&Register::default(), &history);
}

#[test]
fn an_unanswered_write_takes_effect_once() {
    let history = [
        unanswered(2, write(2), 0),
        operation(1, read(2), 1, 2),
        operation(1, write(1), 3, 4),
        operation(1, read(2), 5, 6),
    ];
    broken(&Register::default(), &history, 3);
    // Two of them do so twice.
    let mut twice = history.to_vec();
    twice.push(unanswered(3, write(2), 0));
    holds(&Register::default(), &twice);
}

#[test]
fn an_unanswered_write_is_not_seen_before_its_call() {
    let history = [operation(1, read(2), 0, 1), unanswered(2, write(2), 2)];
    let why = broken(&Register::default(), &history, 0);
    assert!(why.beside.is_empty(), "{:?}", why.beside);
}

#[test]
fn an_unanswered_read_and_an_unanswered_refusal_ask_for_nothing() {
    let history = [
        unanswered(1, read(7), 0),
        unanswered(2, cas(1, 2, false), 0),
        operation(3, write(1), 1, 2),
        operation(3, read(1), 3, 4),
    ];
    holds(&Register::default(), &history);
}

#[test]
fn a_history_of_unanswered_operations_alone_holds() {
    holds(&Register::default(), &[unanswered(1, write(1), 0), unanswered(2, cas(5, 6, true), 3)]);
}

fn at(key: &str, action: KvAction) -> KvOp {
    KvOp { key: key.into(), action }
}

fn get(key: &str, seen: &str) -> KvOp {
    at(key, KvAction::Get(seen.into()))
}

fn put(key: &str, text: &str) -> KvOp {
    at(key, KvAction::Put(text.into()))
}

fn append(key: &str, piece: &str) -> KvOp {
    at(key, KvAction::Append(piece.into()))
}

#[test]
fn keys_of_a_map_are_independent_and_at_first_empty() {
    let history = [
        operation(1, append("a", "x"), 0, 10),
        operation(2, append("a", "y"), 1, 11),
        operation(3, at("b", KvAction::Put("z".into())), 2, 3),
        operation(3, get("c", ""), 4, 5),
        operation(3, get("b", "z"), 12, 13),
        operation(3, get("a", "yx"), 14, 15),
        operation(3, append("a", "w"), 16, 17),
        operation(3, get("a", "yxw"), 18, 19),
    ];
    holds(&Kv, &history);
    let why = broken(&Kv, &[&history[..7], &[operation(3, get("a", "yx"), 18, 19)]].concat(), 7);
    assert_eq!(why.key.as_deref(), Some("\"a\""));
    assert_eq!(why.states, ["\"yxw\""]);
    assert!(why.order.iter().all(|&index| ![2, 3, 4].contains(&index)), "{why}");
}

#[test]
fn appends_are_seen_in_one_order_by_all() {
    let history = [
        operation(1, append("a", "x"), 0, 10),
        operation(2, append("a", "y"), 0, 11),
        operation(3, get("a", "x"), 1, 2),
        operation(4, get("a", "y"), 1, 3),
    ];
    broken(&Kv, &history, 3);
}

#[test]
fn a_text_is_equal_however_it_was_put_together() {
    let mut history = Vec::new();
    let mut whole = String::new();
    for number in 0..200 {
        let time = number * 10;
        history.push(operation(1, append("a", &format!("<{number}>")), time, time + 1));
        whole += &format!("<{number}>");
        history.push(operation(1, get("a", &whole), time + 2, time + 3));
    }
    history.push(operation(2, at("a", KvAction::Put(whole.as_str().into())), 5_000, 5_001));
    history.push(operation(2, append("a", "!"), 5_002, 5_003));
    history.push(operation(2, get("a", &format!("{whole}!")), 5_004, 5_005));
    holds(&Kv, &history);
    history.push(operation(2, get("a", &format!("{whole}?")), 5_006, 5_007));
    let why = broken(&Kv, &history, history.len() - 1);
    assert!(why.states[0].contains("bytes …)"), "a long state is shortened: {why}");
}

#[test]
fn a_lock_has_one_owner_at_a_time() {
    let acquired = |owner| LockOp::Acquired { owner };
    let released = |owner| LockOp::Released { owner };
    let history = [
        operation(1, acquired(1), 0, 1),
        operation(2, acquired(2), 2, 9),
        operation(3, LockOp::Busy { owner: 3 }, 3, 4),
        operation(3, LockOp::NotHolder { owner: 3 }, 5, 6),
        operation(1, released(1), 7, 8),
        operation(2, released(2), 10, 11),
    ];
    holds(&Lock, &history);
    let two_owners = [operation(1, acquired(1), 0, 1), operation(2, acquired(2), 2, 3)];
    assert_eq!(broken(&Lock, &two_owners, 1).states, ["held by 1"]);
    let not_its_own = [operation(1, acquired(1), 0, 1), operation(2, released(2), 2, 3)];
    broken(&Lock, &not_its_own, 1);
    broken(&Lock, &[operation(1, LockOp::Busy { owner: 1 }, 0, 1)], 0);
    let denied =
        [operation(1, acquired(1), 0, 1), operation(1, LockOp::NotHolder { owner: 1 }, 2, 3)];
    broken(&Lock, &denied, 1);
}

/// Many appends at once, and a read that no order of them explains; a put that may yet have happened
/// keeps that from being seen at once.
fn hard(key: &str, count: u64) -> Vec<Operation<KvOp>> {
    let mut history: Vec<_> = (0..count)
        .map(|process| {
            operation(process, append(key, &format!("<{process}>")), process, 1_000 + process)
        })
        .collect();
    history.push(unanswered(98, put(key, "nobody"), 0));
    history.push(operation(99, get(key, "nobody wrote this"), 5_000, 5_001));
    history
}

#[test]
fn a_limit_reached_is_no_verdict() {
    let limits = Limits::default();
    let steps = Limits { steps: 10_000, ..limits };
    assert_eq!(check(&Kv, &hard("a", 20), steps), Verdict::Unknown(Exhausted::Steps));
    let states = Limits { states: 10_000, ..limits };
    assert_eq!(check(&Kv, &hard("a", 20), states), Verdict::Unknown(Exhausted::States));
    let time = Limits { time: Some(Duration::from_millis(5)), ..limits };
    assert_eq!(check(&Kv, &hard("a", 20), time), Verdict::Unknown(Exhausted::Time));
    assert!(matches!(check(&Kv, &hard("a", 5), limits), Verdict::Broken(_)));
}

#[test]
fn everything_open_at_once_is_too_much_memory_and_no_crash() {
    let history: Vec<_> = (0..3_000).map(|it| operation(it, write(it), it, 100_000 - it)).collect();
    let limits = Limits { states: 1_000, ..Limits::default() };
    let verdict = check(&Register::default(), &history, limits);
    assert_eq!(verdict, Verdict::Unknown(Exhausted::States));
}

#[test]
fn one_key_seen_to_be_broken_ends_the_check_though_another_is_hard() {
    for (hard_key, easy_key) in [("a", "b"), ("b", "a")] {
        let mut history = hard(hard_key, 20);
        history.push(operation(0, get(easy_key, "nobody wrote this"), 6_000, 6_001));
        let limits = Limits { steps: 10_000, ..Limits::default() };
        let Verdict::Broken(why) = check(&Kv, &history, limits) else { panic!() };
        assert_eq!(why.key, Some(format!("{easy_key:?}")));
    }
}

#[test]
fn registers_by_key_are_judged_one_by_one() {
    let key = |key: u32, op| At { key, op };
    let model = PerKey::new(Register::default());
    let mut history = vec![
        operation(1, key(1, write(1)), 0, 1),
        operation(2, key(2, NIL), 2, 3),
        operation(1, key(2, write(5)), 4, 5),
        operation(2, key(1, read(1)), 6, 7),
    ];
    holds(&model, &history);
    history.push(operation(3, key(2, NIL), 8, 9));
    assert_eq!(broken(&model, &history, 4).key.as_deref(), Some("2"));
}

#[test]
#[should_panic(expected = "operation 0")]
fn to_return_before_the_call_is_a_bug_of_the_caller() {
    check(&Register::default(), &[operation(1, write(1), 5, 4)], Limits::default());
}

#[test]
fn tokens_must_grow() {
    let acquired = |token| FencedOp::Acquired { token: Some(token) };
    let leased = FencedLock { leased: true };
    let grows = [operation(1, acquired(3), 0, 1), operation(2, acquired(4), 2, 3)];
    holds(&leased, &grows);
    // Nobody gave it back, and no lease ends by itself.
    broken(&FencedLock::default(), &grows, 1);
    for token in [3, 2] {
        let again = [operation(1, acquired(3), 0, 1), operation(2, acquired(token), 2, 3)];
        broken(&leased, &again, 1);
    }
}

#[test]
fn a_stale_token_releases_nothing() {
    let history = [
        operation(1, FencedOp::Acquired { token: Some(1) }, 0, 1),
        operation(2, FencedOp::Acquired { token: Some(2) }, 2, 3),
        operation(1, FencedOp::Released { token: Some(1) }, 4, 5),
    ];
    broken(&FencedLock { leased: true }, &history, 2);
}

/// A grant whose token nobody said has one all the same, which whoever names it later shows.
#[test]
fn an_unsaid_token_is_still_greater() {
    let unsaid = [
        operation(1, FencedOp::Acquired { token: Some(3) }, 0, 1),
        operation(1, FencedOp::Released { token: None }, 2, 3),
        operation(2, FencedOp::Acquired { token: None }, 4, 5),
    ];
    let then = |op| [&unsaid[..], &[operation(2, op, 6, 7)]].concat();
    holds(&FencedLock::default(), &then(FencedOp::Released { token: Some(4) }));
    holds(&FencedLock::default(), &then(FencedOp::Inspected(Some(4))));
    broken(&FencedLock::default(), &then(FencedOp::Released { token: Some(3) }), 3);
    broken(&FencedLock::default(), &then(FencedOp::Acquired { token: None }), 3);
}

#[test]
fn an_append_never_moves() {
    let append = |entry, index| LogOp::Append { entry, index: Some(index) };
    let history = [
        operation(1, append('a', 1), 0, 1),
        operation(2, append('b', 2), 2, 9),
        operation(3, LogOp::Read(Prefix::of(&['a', 'b'])), 3, 4),
        operation(3, LogOp::Len(2), 5, 6),
    ];
    holds(&Log::default(), &history);
    let lost = [&history[..], &[operation(3, LogOp::Read(Prefix::of(&['a'])), 7, 8)]].concat();
    broken(&Log::default(), &lost, 4);
    let twice = [operation(1, append('a', 1), 0, 1), operation(2, append('b', 1), 2, 3)];
    broken(&Log::default(), &twice, 1);
}
