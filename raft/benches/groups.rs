//! What many groups on the same three threads cost and bring: commands of 256 bytes that are dropped
//! when they are applied, memory for disks, 1024 outstanding in all, from one thread.
//!
//! - `one`: a [`Group`], for comparison.
//! - `1`, `16`, `256`: so many [`Groups`], asked in turn.
//! - `1 beside 999`: one of a thousand groups is asked, and the others are idle.

use std::collections::VecDeque;
use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use raft::{Call, Group, GroupId, Groups, Handle, Image, LogIndex, StateMachine};
use serde::{Deserialize, Serialize};

const OUTSTANDING: usize = 1024;

/// Drops what it is given.
#[derive(Clone, Serialize, Deserialize)]
struct Drain;

impl StateMachine for Drain {
    type Command = Arc<[u8]>;
    type Output = ();
    type Query = ();
    type Answer = ();
    type Snapshot = Image<Self>;

    fn apply(&mut self, _: LogIndex, command: &Arc<[u8]>) {
        black_box(command);
    }

    fn query(&self, (): &()) {}

    fn size_of(command: &Arc<[u8]>) -> usize {
        command.len()
    }
}

/// How long `count` commands take, given to `handles` in turn.
fn pump(handles: &[Handle<Drain>], count: u64) -> Duration {
    let command: Arc<[u8]> = vec![7; 256].into();
    let mut under_way: VecDeque<Call<()>> = VecDeque::with_capacity(OUTSTANDING);
    let begun = Instant::now();
    for handle in handles.iter().cycle().take(count as usize) {
        if under_way.len() == OUTSTANDING {
            let oldest = under_way.pop_front().expect("it is full");
            oldest.wait().expect("it serves");
        }
        under_way.push_back(handle.write_sessionless(Arc::clone(&command)));
    }
    for call in under_way {
        call.wait().expect("it serves");
    }
    begun.elapsed()
}

fn start(groups: u32) -> Groups<Drain> {
    let groups = Group::builder(Drain).groups(GroupId::first(groups));
    groups.start().expect("valid")
}

/// Handles on the first `count` groups, which have leaders by now.
fn handles(groups: &Groups<Drain>, count: usize) -> Vec<Handle<Drain>> {
    let handles = groups.ids().map(|id| groups.handle(id).expect("it is there"));
    let handles: Vec<_> = handles.take(count).collect();
    pump(&handles, 4 * handles.len() as u64);
    handles
}

fn throughput(criterion: &mut Criterion) {
    let mut bench = criterion.benchmark_group("groups");
    bench.throughput(Throughput::Elements(1)).sample_size(10);
    let mut measure = |name: &str, handles: &[Handle<Drain>]| {
        bench.bench_function(name, |it| it.iter_custom(|count| pump(handles, count)));
    };
    {
        let group = Group::builder(Drain).start().expect("valid");
        let handle = [group.handle()];
        pump(&handle, 4);
        measure("one", &handle);
    }
    for count in [1, 16, 256] {
        let groups = start(count);
        measure(&count.to_string(), &handles(&groups, count as usize));
    }
    let groups = start(1000);
    measure("1 beside 999", &handles(&groups, 1));
}

criterion_group!(benches, throughput);
criterion_main!(benches);
