//! What operators see: a recorder of figures and a subscriber to news, and what reaches them.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, Once};
use std::time::Duration;

use cluster::{Cluster, Fault};
use metrics::{
    Counter, Gauge, Histogram, HistogramFn, Key, KeyName, Metadata, Recorder, SharedString, Unit,
};
use raft::{CallError, Group};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Subscriber};

use crate::handles::{await_leader, crash_all, eventually};
use crate::journal::Journal;
use crate::table::n;

/// Remembers every figure, by its name and labels.
#[derive(Clone, Default)]
struct Figures(Arc<Mutex<BTreeMap<String, Arc<AtomicU64>>>>);

/// Counts what is recorded.
struct Count(Arc<AtomicU64>);

impl HistogramFn for Count {
    fn record(&self, seconds: f64) {
        assert!((0.0..60.0).contains(&seconds), "{seconds}");
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

impl Figures {
    fn of(&self, key: &Key) -> Arc<AtomicU64> {
        let labels: Vec<_> =
            key.labels().map(|it| format!("{}={}", it.key(), it.value())).collect();
        let name = format!("{} {}", key.name(), labels.join(" "));
        Arc::clone(self.0.lock().unwrap().entry(name).or_default())
    }

    /// The sum of those whose name and labels begin with `name`, as they are stored.
    fn raw(&self, name: &str) -> Vec<u64> {
        let figures = self.0.lock().unwrap();
        let named = figures.iter().filter(|(key, _)| key.starts_with(name));
        let values: Vec<_> = named.map(|(_, value)| value.load(Ordering::SeqCst)).collect();
        assert!(!values.is_empty(), "no figure {name}");
        values
    }

    fn count(&self, name: &str) -> u64 {
        self.raw(name).into_iter().sum()
    }

    fn gauges(&self, name: &str) -> Vec<f64> {
        self.raw(name).into_iter().map(f64::from_bits).collect()
    }
}

impl Recorder for Figures {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        Counter::from_arc(self.of(key))
    }

    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::from_arc(self.of(key))
    }

    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::from_arc(Arc::new(Count(self.of(key))))
    }
}

/// Remembers every event, as a line of its level and fields.
struct News;

static LINES: Mutex<Vec<String>> = Mutex::new(Vec::new());

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0.push_str(&format!(" {field}={value:?}"));
    }
}

impl Subscriber for News {
    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        metadata.target() == "raft"
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut line = Line(event.metadata().level().to_string());
        event.record(&mut line);
        LINES.lock().unwrap().push(line.0);
    }

    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

/// Whether something was told of the group of this name that holds all of these.
fn told(group: &str, parts: &[&str]) -> Option<()> {
    let group = format!(" group={group:?}");
    let lines = LINES.lock().unwrap();
    let all = |line: &&String| line.contains(&group) && parts.iter().all(|it| line.contains(it));
    lines.iter().find(all).map(|_| ())
}

/// A group of that name, whose figures and news are kept.
fn start(name: &str, outstanding_max: usize) -> (Group<Journal>, Figures) {
    static SUBSCRIBED: Once = Once::new();
    SUBSCRIBED.call_once(|| tracing::subscriber::set_global_default(News).unwrap());
    let figures = Figures::default();
    let builder = Group::builder(Journal::default()).name(name).outstanding_max(outstanding_max);
    let builder = builder.config(|config| config.with_snapshot_every(20).with_keep_behind(0));
    let group = metrics::with_local_recorder(&figures, || builder.start().unwrap());
    (group, figures)
}

/// Calls are counted by how they end, and those that are answered are timed.
#[test]
fn calls_are_counted_and_timed() {
    let (mut group, figures) = start("calls", 1);
    let handle = group.handle();
    for value in 0..5 {
        handle.write(value).wait().unwrap();
    }
    handle.read(()).wait().unwrap();
    assert_eq!(handle.transfer(Some(n(9))).wait(), Err(CallError::NoSuchMember));
    let ended = |call: &str, outcome: &str| {
        figures.count(&format!("raft_calls_total group=calls call={call} outcome={outcome}"))
    };
    assert_eq!((ended("write", "answered"), ended("read", "answered")), (5, 1));
    assert_eq!(figures.count("raft_call_seconds group=calls call=write"), 5);
    assert_eq!((ended("session", "answered"), ended("transfer", "refused")), (1, 1));
    assert_eq!(ended("status", ""), 0, "the watch's own calls are nobody's business");
    assert!(told("calls", &["WARN", "call=transfer", "call refused"]).is_some());
    crash_all(&mut group);
    let held = handle.write(9);
    assert_eq!(handle.write(9).wait(), Err(CallError::Overloaded));
    drop(held);
    assert_eq!(ended("write", "overloaded"), 1);
    assert!(told("calls", &["DEBUG", "call=write", "call refused"]).is_some());
    let hasty = handle.with_timeout(Duration::from_millis(100));
    assert!(hasty.write(9).wait().is_err());
    assert_eq!(ended("write", "unavailable") + ended("write", "unknown"), 1);
    assert!(figures.count("raft_call_retries_total group=calls call=write") > 0);
    assert!(told("calls", &["WARN", "call=write", "call failed"]).is_some());
}

/// Elections, snapshots and nodes that come and go are told of, by node.
#[test]
fn nodes_are_watched() {
    let (mut group, figures) = start("nodes", 100);
    let handle = group.handle();
    for value in 0..50 {
        handle.write(value).wait().unwrap();
    }
    let leader = await_leader(&handle);
    let node = format!("node={}", leader.node);
    eventually("the election is told", || told("nodes", &["INFO", &node, "elected leader"]));
    eventually("snapshots are told", || {
        told("nodes", &["DEBUG", &node, "snapshot taken", "upto=40"])
    });
    let changes = || figures.count("raft_leader_changes_total group=nodes");
    assert!(changes() >= 1 && figures.count("raft_snapshots_taken_total group=nodes") >= 1);
    eventually("all nodes are seen to be up and to apply", || {
        let applied = figures.gauges("raft_applied_index group=nodes");
        let up = figures.gauges("raft_up group=nodes");
        (up == [1.0; 3] && applied.iter().all(|&index| index >= 50.0)).then_some(())
    });
    let before = changes();
    group.cluster().inject(&Fault::Crash { node: leader.node }).unwrap();
    eventually("another leads", || (changes() > before).then_some(()));
    let of_leader = |figure: &str| figures.gauges(&format!("{figure} group=nodes {node}"));
    eventually("the dead node is missed", || (of_leader("raft_up") == [0.0]).then_some(()));
    eventually("and that is told", || told("nodes", &["WARN", &node, "does not answer"]));
    group.cluster().inject(&Fault::Restart { node: leader.node }).unwrap();
    eventually("it is back", || told("nodes", &["INFO", &node, "message=up"]));
    eventually("its term is seen", || {
        (of_leader("raft_term")[0] > leader.term.get() as f64).then_some(())
    });
    eventually("elections are counted", || {
        (figures.count("raft_elections_total group=nodes") >= 2).then_some(())
    });
}
