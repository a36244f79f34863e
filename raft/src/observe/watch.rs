//! The thread that looks after a group's nodes.

use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use cluster::threads::Threads;
use cluster::{Emitted, NodeId};
use crossbeam_channel::Receiver;

use super::{ON, figures, news};
use crate::{Event, Handle, Raft, StateMachine};

/// How often each node is asked how it is doing, and how long it may take to say.
const EVERY: Duration = Duration::from_secs(1);

/// Hears what the nodes of a group say, until they are gone. Dropping it waits for that.
pub(crate) struct Watch(Option<JoinHandle<()>>);

impl Watch {
    /// Watches `cluster`, if anybody can look, by calls of `handle`.
    ///
    /// # Panics
    /// When the system can start no more threads.
    pub(crate) fn start<S: StateMachine>(
        group: &Arc<str>,
        cluster: &Threads<Raft<S>>,
        handle: &Handle<S>,
    ) -> Self {
        let start = || watch(group, cluster.subscribe(), handle.members(), handle);
        Self(ON.then(|| start().expect("a thread can be started")))
    }
}

/// Hears `events` of these nodes until there are no more, and asks how they are by calls of `handle`, on
/// a thread of its own.
pub(crate) fn watch<S: StateMachine>(
    group: &Arc<str>,
    events: Receiver<Emitted<Event>>,
    nodes: &[NodeId],
    handle: &Handle<S>,
) -> io::Result<JoinHandle<()>> {
    let mut watcher = Watcher {
        group: Arc::clone(group),
        nodes: nodes.iter().map(|&id| Watched::new(group, id)).collect(),
        handle: handle.with_timeout(EVERY),
    };
    let watch = move || {
        let mut next = Instant::now();
        loop {
            match events.recv_deadline(next) {
                Ok(emitted) => watcher.heard(emitted.node, &emitted.event),
                Err(error) if error.is_timeout() => {
                    watcher.sample();
                    next = Instant::now() + EVERY;
                }
                // The nodes are gone.
                Err(_) => return,
            }
        }
    };
    std::thread::Builder::new().name("raft watch".to_owned()).spawn(watch)
}

impl Drop for Watch {
    fn drop(&mut self) {
        if let Some(thread) = self.0.take() {
            // If somebody's recorder panicked, it has been told on that thread.
            let _ = thread.join();
        }
    }
}

struct Watcher<S: StateMachine> {
    group: Arc<str>,
    nodes: Vec<Watched>,
    handle: Handle<S>,
}

struct Watched {
    id: NodeId,
    figures: figures::Node,
    up: bool,
}

impl Watched {
    fn new(group: &str, id: NodeId) -> Self {
        Self { id, figures: figures::Node::new(group, id), up: true }
    }
}

impl<S: StateMachine> Watcher<S> {
    fn heard(&self, node: NodeId, event: &Event) {
        news::heard(&self.group, node, event);
        if let Some(watched) = self.nodes.iter().find(|watched| watched.id == node) {
            watched.figures.heard(event);
        }
    }

    fn sample(&mut self) {
        let calls: Vec<_> = self.nodes.iter().map(|node| self.handle.status(node.id)).collect();
        for (watched, call) in self.nodes.iter_mut().zip(calls) {
            let status = call.wait().ok();
            watched.figures.sampled(status.as_ref());
            if watched.up != status.is_some() {
                watched.up = status.is_some();
                news::turned(&self.group, watched.id, watched.up);
            }
        }
    }
}
