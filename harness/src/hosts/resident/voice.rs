//! What the suite's clients say to one node of ours.

use std::io::ErrorKind;
use std::marker::PhantomData;
use std::net::SocketAddr;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use cluster::net::{ClusterId, Remote};
use cluster::{Fault, NoAnswer, NodeId, Port as _, ReplyTo, Sink};

use crate::vocabulary::{Answer, Op, Refusal};

use super::super::inhabitant::{Client, Look, Seat};
use super::orders::{Order, Report, say};
use super::{CLUSTER, Resides};

/// How long a call waits. Whoever makes it gives up much earlier; a process that stands still keeps the
/// call, and answers it when it goes on.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long whoever asks a node how it sees itself waits.
const GLANCE: Duration = Duration::from_millis(300);
/// How long it may take a process to obey, and how often one that does not listen is told again.
const OBEDIENCE: Duration = Duration::from_secs(5);
const BREATH: Duration = Duration::from_millis(5);

/// A client of one node.
pub struct Voice<P: Resides> {
    id: NodeId,
    orders: SocketAddr,
    node: SocketAddr,
    /// Made by whoever asks first, since that is where the node can be reached; none if that failed.
    remote: OnceLock<Option<Arc<Remote<P::Node>>>>,
    pattern: PhantomData<fn() -> P>,
}

impl<P: Resides> Voice<P> {
    /// A client of the node at `seat`.
    pub(super) fn new(seat: &Seat) -> Self {
        let Seat { id, peers, clients, .. } = *seat;
        let (remote, pattern) = (OnceLock::new(), PhantomData);
        Self { id, orders: clients, node: peers, remote, pattern }
    }

    fn remote(&self) -> Option<&Remote<P::Node>> {
        let connect = || {
            let cluster = ClusterId::new(CLUSTER).ok()?;
            Remote::builder(cluster, [(self.id, self.node)]).connect().ok()
        };
        self.remote.get_or_init(connect).as_deref()
    }
}

impl<P: Resides> Client for Voice<P> {
    fn call(&self, op: Op) -> Result<Answer, NoAnswer> {
        let remote = self.remote().ok_or(NoAnswer::Unreachable)?;
        let (sender, outcome) = channel();
        let reply = ReplyTo::new(Arc::new(Waiting(Mutex::new(sender))), 0);
        remote.submit(self.id, P::request(op), reply);
        match outcome.recv_timeout(PATIENCE) {
            Ok(outcome) => outcome.map(P::answer),
            Err(RecvTimeoutError::Timeout) => Ok(Err(Refusal::Unknown)),
            Err(RecvTimeoutError::Disconnected) => Err(NoAnswer::Lost),
        }
    }

    fn look(&self) -> Option<Look> {
        match say(self.orders, &Order::Look, Some(GLANCE)).ok()? {
            Report::Looks(look) => look,
            Report::Done | Report::Refused => None,
        }
    }

    fn order(&self, fault: &Fault, stands_still: bool) -> Result<(), &'static str> {
        let patience = (!stands_still).then_some(OBEDIENCE);
        let order = Order::Take(fault.clone());
        let give_up = Instant::now() + OBEDIENCE;
        let mut said = say(self.orders, &order, patience);
        // One that has just been started does not listen yet.
        while matches!(&said, Err(error) if error.kind() == ErrorKind::ConnectionRefused)
            && Instant::now() < give_up
        {
            std::thread::sleep(BREATH);
            said = say(self.orders, &order, patience);
        }
        match said {
            Ok(Report::Done) => Ok(()),
            Ok(Report::Refused | Report::Looks(_)) => Err("the process cannot do that to itself"),
            Err(_) => Err("the process does not hear of it"),
        }
    }
}

/// Somebody who waits for one answer.
struct Waiting<P>(Mutex<Sender<Result<P, NoAnswer>>>);

impl<P: Send> Sink<P> for Waiting<P> {
    fn complete(self: Arc<Self>, _tag: u64, outcome: Result<P, NoAnswer>) {
        let sender = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Who has given up wants no answer.
        let _ = sender.send(outcome);
    }
}
