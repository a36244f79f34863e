//! Long histories with many clients: those that come from one object hold, and what is then made
//! wrong in them is seen.

use cluster::Rng;
use harness::linear::{
    At, Kv, KvAction, KvOp, Limits, Model, Operation, Register, RegisterOp, Verdict, check,
};

use crate::generated::{RegisterOperation, Registers, maps, registers, schedule, stale};

/// A bound that a search gone wild reaches long before a test would be called slow.
const LIMITS: Limits = Limits { time: None, states: 500_000, steps: 5_000_000 };

#[track_caller]
fn check_both<M: Model>(
    model: &M,
    history: &[Operation<M::Op>],
    spoil: impl Fn(&Operation<M::Op>) -> Option<Operation<M::Op>>,
    rng: &mut Rng,
    seed: u64,
) where
    M::Op: Clone,
{
    let verdict = check(model, history, LIMITS);
    assert_eq!(verdict, Verdict::Holds, "seed {seed}: {verdict}");
    let mut shuffled = history.to_vec();
    rng.shuffle(&mut shuffled);
    assert_eq!(check(model, &shuffled, LIMITS), Verdict::Holds, "seed {seed}, shuffled");
    let from = rng.index(shuffled.len());
    let spoiled =
        (from..shuffled.len()).chain(0..from).find_map(|at| Some((at, spoil(&shuffled[at])?)));
    let (at, wrong) = spoiled.expect("there is something to spoil");
    shuffled[at] = wrong;
    let verdict = check(model, &shuffled, LIMITS);
    let Verdict::Broken(why) = &verdict else { panic!("seed {seed}: {verdict}") };
    assert_eq!(check(model, &shuffled, LIMITS), verdict, "seed {seed}: not the same again");
    assert!(shuffled[why.stuck].ret >= shuffled[at].ret, "seed {seed}: {why}");
}

#[test]
fn fifty_clients_on_ten_registers() {
    for seed in 0..10 {
        let mut rng = Rng::from_seed(seed);
        let times = schedule(&mut rng, 50, 10, 5_000, 2_000);
        let history = registers(&mut rng, &times);
        let spoil = |operation: &RegisterOperation| {
            let RegisterOp::Read(Some(_)) = operation.op.op else { return None };
            operation.ret?;
            // A value that nobody wrote.
            let op = At { key: operation.op.key, op: RegisterOp::Read(Some(9)) };
            Some(Operation { op, ..operation.clone() })
        };
        let model = Registers::new(Register::default());
        check_both(&model, &history, spoil, &mut rng, seed);
    }
}

#[test]
fn fifty_clients_on_ten_keys_of_a_map() {
    for seed in 0..10 {
        let mut rng = Rng::from_seed(seed);
        let times = schedule(&mut rng, 50, 10, 3_000, 1_000);
        let history = maps(&mut rng, &times);
        let spoil = |operation: &Operation<KvOp>| {
            let KvAction::Get(seen) = &operation.op.action else { return None };
            operation.ret?;
            let seen = format!("{seen}?").as_str().into();
            let op = KvOp { action: KvAction::Get(seen), ..operation.op.clone() };
            Some(Operation { op, ..operation.clone() })
        };
        check_both(&Kv, &history, spoil, &mut rng, seed);
    }
}

/// Fifty clients, ten keys, ten thousand operations.
#[test]
fn fifty_clients_on_ten_keys_for_long() {
    for (seed, unanswered_ppm) in [(0, 0), (1, 0), (2, 0), (3, 10_000), (4, 10_000), (5, 10_000)] {
        let mut rng = Rng::from_seed(seed);
        let times = schedule(&mut rng, 50, 10, 10_000, unanswered_ppm);
        let history = maps(&mut rng, &times);
        let verdict = check(&Kv, &history, LIMITS);
        assert_eq!(verdict, Verdict::Holds, "seed {seed}: {verdict}");
        if unanswered_ppm == 0 {
            let verdict = check(&Kv, &stale(history, &mut rng), LIMITS);
            assert!(matches!(verdict, Verdict::Broken(_)), "seed {seed}: {verdict}");
        }
    }
}

#[test]
fn one_register_a_hundred_thousand_operations() {
    let mut rng = Rng::from_seed(1);
    let times = schedule(&mut rng, 5, 1, 100_000, 0);
    let history = registers(&mut rng, &times);
    assert_eq!(check(&Registers::new(Register::default()), &history, LIMITS), Verdict::Holds);
}

#[test]
fn more_than_sixty_four_operations_open_at_once() {
    // Each writes its own number while all the others are open; reads then see them in turn.
    let mut history: Vec<Operation<RegisterOp<u64>>> = (0..100)
        .map(|it| Operation {
            process: it,
            op: RegisterOp::Write(it),
            call: it,
            ret: Some(1_000 + it),
        })
        .collect();
    for it in 0..100 {
        let op = RegisterOp::Read(Some(99 - it));
        history.push(Operation { process: 200, op, call: 200 + 2 * it, ret: Some(201 + 2 * it) });
    }
    assert_eq!(check(&Register::default(), &history, LIMITS), Verdict::Holds);
    // One of two values is written by fifty each, and seen sixty times by turns.
    let by_turns = |seen: u64| {
        let write = |it| Operation {
            process: it,
            op: RegisterOp::Write(it % 2),
            call: it,
            ret: Some(1_000 + it),
        };
        let mut history: Vec<_> = (0..100).map(write).collect();
        for it in 0..seen {
            let op = RegisterOp::Read(Some(it % 2));
            history.push(Operation {
                process: 200,
                op,
                call: 200 + 2 * it,
                ret: Some(201 + 2 * it),
            });
        }
        check(&Register::default(), &history, LIMITS)
    };
    assert_eq!(by_turns(100), Verdict::Holds);
    let Verdict::Broken(why) = by_turns(101) else { panic!() };
    assert_eq!((why.stuck, why.states), (200, vec!["1".to_owned()]));
}

#[test]
fn a_hundred_unanswered_writes() {
    let mut history: Vec<Operation<RegisterOp<u64>>> = (0..100)
        .map(|it| Operation { process: it, op: RegisterOp::Write(it), call: it, ret: None })
        .collect();
    for it in 0..100 {
        let op = RegisterOp::Read(Some((it * 7) % 100));
        history.push(Operation { process: 200, op, call: 200 + 2 * it, ret: Some(201 + 2 * it) });
    }
    assert_eq!(check(&Register::default(), &history, LIMITS), Verdict::Holds);
    let op = RegisterOp::Read(Some(0));
    history.push(Operation { process: 200, op, call: 2_000, ret: Some(2_001) });
    assert!(matches!(check(&Register::default(), &history, LIMITS), Verdict::Broken(_)));
}
