//! How fast histories are judged: what a run of the suite, or `cargo xtask check`, waits for.
//!
//! All are generated, from fixed seeds: `register`, five clients on one register with few values, where a
//! tenth of the calls is never answered, is like a history of Jepsen's; `map`, fifty clients on ten
//! keys; as they were, and with a wrong read in them.

#[path = "../tests/linear/generated.rs"]
mod generated;

use std::hint::black_box;
use std::time::Duration;

use cluster::Rng;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use harness::linear::{Kv, Limits, Model, Operation, Register, RegisterOp, Verdict, check};

use generated::{RegisterOperation, Registers, maps, registers, schedule, stale};

fn row<M: Model>(
    criterion: &mut Criterion,
    name: &str,
    model: &M,
    history: &[Operation<M::Op>],
    holds: bool,
) {
    let mut group = criterion.benchmark_group("judge");
    group.sample_size(10).measurement_time(Duration::from_secs(3));
    group.throughput(Throughput::Elements(history.len() as u64));
    group.bench_function(name, |bencher| {
        bencher.iter(|| {
            let verdict = check(model, black_box(history), Limits::default());
            assert!(matches!(verdict, Verdict::Holds | Verdict::Broken(_)), "{verdict}");
            assert_eq!(verdict == Verdict::Holds, holds, "{verdict}");
        });
    });
}

/// A late read now sees what nobody had written by then.
fn wrong(mut history: Vec<RegisterOperation>) -> Vec<RegisterOperation> {
    let read = history.iter_mut().rev().find(|operation| {
        matches!(operation.op.op, RegisterOp::Read(Some(_))) && operation.ret.is_some()
    });
    read.expect("there are reads").op.op = RegisterOp::Read(Some(99));
    history
}

fn judge(criterion: &mut Criterion) {
    let register = Registers::new(Register::default());
    let mut rng = Rng::from_seed(7);
    let times = schedule(&mut rng, 5, 1, 170, 100_000);
    let history = registers(&mut rng, &times);
    row(criterion, "register, 170 operations", &register, &history, true);
    row(criterion, "register, 170 operations, broken", &register, &wrong(history), false);
    for (name, unanswered_ppm) in [("map, all answered", 0), ("map, 1 in 100 lost", 10_000)] {
        let times = schedule(&mut rng, 50, 10, 10_000, unanswered_ppm);
        let history = maps(&mut rng, &times);
        row(criterion, name, &Kv, &history, true);
        if unanswered_ppm == 0 {
            row(criterion, &format!("{name}, broken"), &Kv, &stale(history, &mut rng), false);
        }
    }
}

criterion_group!(benches, judge);
criterion_main!(benches);
