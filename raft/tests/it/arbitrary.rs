//! Three nodes by hand, every message delivered, dropped, doubled or kept back at will, crashes and
//! restarts at will, and a look at figure 3 after every step.

use std::time::Duration;

use proptest::prelude::*;

use crate::bed::{config, plain};
use crate::table::{Table, n};

#[derive(Clone, Debug)]
enum Step {
    /// A node's deadline comes.
    Tick(u32),
    /// A client writes at a node, leader or not.
    Write(u32),
    /// One of the messages that lie there arrives: the oldest of few, or any.
    Deliver(prop::sample::Index),
    /// Many of them arrive, oldest first.
    DeliverMany(u8),
    /// One arrives, and stays to arrive again.
    Repeat(prop::sample::Index),
    /// One is lost.
    Drop(prop::sample::Index),
    /// A node's disk syncs.
    Sync(u32),
    /// A node dies; so many of its unsynced records survive.
    Crash(u32, usize),
    /// A node starts again.
    Restart(u32),
    /// A node dies, and starts again with an empty disk.
    Wipe(u32),
}

fn step(nodes: u32) -> impl Strategy<Value = Step> {
    let node = 1..=nodes;
    prop_oneof![
        2 => node.clone().prop_map(Step::Tick),
        4 => node.clone().prop_map(Step::Write),
        6 => any::<prop::sample::Index>().prop_map(Step::Deliver),
        4 => (1..30u8).prop_map(Step::DeliverMany),
        2 => any::<prop::sample::Index>().prop_map(Step::Repeat),
        2 => any::<prop::sample::Index>().prop_map(Step::Drop),
        6 => node.clone().prop_map(Step::Sync),
        1 => (node.clone(), 0..3usize).prop_map(|(node, lucky)| Step::Crash(node, lucky)),
        2 => node.prop_map(Step::Restart),
    ]
}

fn take(table: &mut Table, step: &Step, value: &mut u64) {
    let any = |table: &Table, index: &prop::sample::Index| {
        (!table.wires.is_empty()).then(|| index.index(table.wires.len()))
    };
    match step {
        Step::Tick(node) => {
            if table.is_up(n(*node)) {
                table.tick(n(*node));
            }
        }
        Step::Write(node) => {
            *value += 1;
            table.write(n(*node), *value);
        }
        Step::Deliver(index) => {
            if let Some(index) = any(table, index) {
                table.deliver(index);
            }
        }
        Step::DeliverMany(count) => {
            for _ in 0..*count {
                if !table.wires.is_empty() {
                    table.deliver(0);
                }
            }
        }
        Step::Repeat(index) => {
            if let Some(index) = any(table, index) {
                let copy = table.wires[index].clone();
                table.inject(copy.from, copy.to, copy.message);
            }
        }
        Step::Drop(index) => {
            if let Some(index) = any(table, index) {
                table.wires.remove(index);
            }
        }
        Step::Sync(node) => table.sync(n(*node)),
        Step::Crash(node, lucky) => table.crash(n(*node), *lucky),
        Step::Restart(node) => table.restart(n(*node)),
        Step::Wipe(node) => table.replace_disk(n(*node), Vec::new()),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 800, failure_persistence: None, ..Default::default() })]

    /// Log matching and the rest of figure 3 hold after every step, whatever the order of messages;
    /// and when the network and the disks behave again, the cluster serves.
    #[test]
    fn figure_3_holds_whatever_arrives(
        nodes in prop_oneof![3 => Just(3u32), 1 => Just(2), 1 => Just(4), 1 => Just(5)],
        seed in any::<u64>(),
        textbook in any::<bool>(),
        steps in prop::collection::vec(step(5), 1..400),
        window in 1..4usize,
        every in prop_oneof![2 => Just(u64::MAX), 1 => Just(2), 2 => Just(5)],
        keep in 0..3u64,
        chunk in prop_oneof![Just(7usize), Just(1000)],
        drops in prop_oneof![Just(0usize), Just(50), Just(100)],
    ) {
        let elections = if textbook { plain() } else { config() };
        let config = elections.with_inflight_max(window).with_entries_max(window);
        let config = config.with_snapshot_every(every).with_keep_behind(keep).with_lag_max(8);
        let mut table = Table::new(nodes as usize, config.with_chunk_bytes(chunk), seed);
        table.drops_percent = drops;
        table.instant_disks = false;
        let mut value = 0;
        for step in &steps {
            let node_of = |step: &Step| match step {
                Step::Tick(node) | Step::Write(node) | Step::Sync(node) | Step::Restart(node) => *node,
                Step::Crash(node, _) | Step::Wipe(node) => *node,
                Step::Deliver(_) | Step::DeliverMany(_) | Step::Repeat(_) | Step::Drop(_) => 1,
            };
            if node_of(step) <= nodes {
                take(&mut table, step, &mut value);
            }
            prop_assert_eq!(&table.violation, &None);
        }
        heal(&mut table, nodes, value + 1)?;
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, failure_persistence: None, ..Default::default() })]

    /// The same, from before the founders have met, and a minority loses its disks at any moment.
    #[test]
    fn rr_571_figure_3_holds_whatever_disks_are_lost(
        (nodes, lost) in prop_oneof![
            3 => (Just(3u32), prop::collection::vec(Just(2u32), 1..4)),
            2 => (Just(5), prop::collection::vec(2..4u32, 1..5)),
        ],
        seed in any::<u64>(),
        textbook in any::<bool>(),
        mut steps in prop::collection::vec(step(5), 1..400),
        moments in prop::collection::vec(any::<prop::sample::Index>(), 4),
        met in any::<bool>(),
        every in prop_oneof![2 => Just(u64::MAX), 1 => Just(3)],
    ) {
        for (node, moment) in lost.into_iter().zip(moments) {
            steps.insert(moment.index(steps.len()), Step::Wipe(node));
        }
        let elections = if textbook { plain() } else { config() };
        let config = elections.with_snapshot_every(every).with_keep_behind(0).with_lag_max(8);
        let mut table = Table::checked(nodes as usize, config, seed);
        if met {
            table.settle(&(1..=nodes).collect::<Vec<_>>());
        }
        table.instant_disks = false;
        let mut value = 0;
        for step in &steps {
            let node = match step {
                Step::Tick(node) | Step::Write(node) | Step::Sync(node) | Step::Restart(node)
                | Step::Crash(node, _) | Step::Wipe(node) => *node,
                Step::Deliver(_) | Step::DeliverMany(_) | Step::Repeat(_) | Step::Drop(_) => 1,
            };
            if node <= nodes {
                take(&mut table, step, &mut value);
            }
            prop_assert_eq!(&table.violation, &None);
        }
        heal(&mut table, nodes, value + 1)?;
    }
}

/// Everything works from now on: within some elections a write is committed at every node.
fn heal(table: &mut Table, nodes: u32, value: u64) -> Result<(), TestCaseError> {
    let all: Vec<u32> = (1..=nodes).collect();
    table.instant_disks = true;
    for &id in &all {
        table.restart(n(id));
        table.sync(n(id));
    }
    for attempt in 0..20 {
        let leads = |table: &Table, id: u32| table.node(n(id)).is_leader();
        let leader = all.iter().copied().find(|&id| leads(table, id));
        // A leader of an earlier term learns of the later one.
        table.tick(n(leader.unwrap_or(1 + attempt % nodes)));
        table.settle(&all);
        let key = |id: &u32| (table.node(n(*id)).term(), leads(table, *id));
        let highest = all.iter().copied().max_by_key(key).unwrap();
        if !leads(table, highest) {
            continue;
        }
        table.write(n(highest), value);
        table.settle(&all);
        // One heartbeat finds out what is missing, one tells what is committed; and those behind need
        // two for a snapshot of which they lost a part.
        for _ in 0..5 {
            table.tick_after(n(highest), Duration::from_millis(50));
            table.settle(&all);
        }
        prop_assert_eq!(&table.violation, &None);
        if !leads(table, highest) {
            // So long had it not heard a majority that it gave up.
            continue;
        }
        for &id in &all {
            prop_assert_eq!(table.node(n(id)).last(), table.node(n(highest)).last());
            prop_assert_eq!(table.commit(id), table.commit(highest));
            let values = |id: u32| &table.node(n(id)).machine().values;
            prop_assert_eq!(values(id), values(highest));
            prop_assert_eq!(values(id).last(), Some(&value));
        }
        return Ok(());
    }
    Err(TestCaseError::fail("no leader that stays in twenty attempts"))
}
