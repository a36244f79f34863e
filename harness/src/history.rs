//! What was seen in one run from outside.

use cluster::{NodeId, Timestamp};
use serde::Serialize;

use crate::vocabulary::{Op, Outcome, Refusal};

/// One run, as its clients and the director saw it. Times are true times.
#[derive(Clone, Default, Debug)]
pub struct History {
    /// Finished calls, in the order in which they ended.
    pub calls: Vec<Call>,
    /// What clients believed of locks.
    pub holds: Vec<Hold>,
    /// What clients did to fenced resources, in order.
    pub accesses: Vec<Access>,
    /// When service was due, in order.
    pub windows: Vec<Window>,
    /// When faults stopped for good.
    pub healed: Option<Timestamp>,
}

/// One call of one client, retries and redirections included.
#[derive(Clone, Debug)]
pub struct Call {
    /// Who called. A client whose call ended unknown goes on under a new number.
    pub process: u32,
    /// What was asked.
    pub op: Op,
    /// Which node was asked last.
    pub node: NodeId,
    /// When the client called.
    pub invoked: Timestamp,
    /// When the client had the answer, or gave up.
    pub returned: Timestamp,
    /// How it ended.
    pub end: End,
}

/// How a call ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum End {
    /// It took effect.
    Done(Outcome),
    /// It had no effect and never will.
    Refused(Refusal),
    /// Nobody knows.
    Unknown,
}

impl Call {
    /// Whether the cluster served it: it was done, or refused for what the client asked and not for
    /// want of nodes.
    pub fn served(&self) -> bool {
        match &self.end {
            End::Done(_) | End::Refused(Refusal::Busy | Refusal::NotHolder) => true,
            End::Refused(Refusal::NotLeader(_) | Refusal::Unavailable | Refusal::Unknown)
            | End::Unknown => false,
        }
    }
}

/// One client's time with one lock.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct Hold {
    /// Which lock.
    pub lock: u32,
    /// Which client.
    pub owner: u32,
    /// Its fencing token.
    pub token: u64,
    /// Where the request came in the order in which the cluster received requests.
    pub arrival: u64,
    /// When the client asked for it.
    pub asked: Timestamp,
    /// When the grant reached the client.
    pub granted: Timestamp,
    /// Until when the client's lease was valid by its own reckoning, drift allowed for.
    pub lease_until: Timestamp,
    /// Until when the client, if it never looked at a clock, believed to hold it: until it gave it
    /// back, was told that it had lost it, or died.
    pub believed_until: Timestamp,
    /// Whether the client was willing to wait for it.
    pub waited: bool,
}

/// One client's write to the resource behind a lock.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct Access {
    /// When.
    pub at: Timestamp,
    /// Behind which lock.
    pub lock: u32,
    /// Which client.
    pub owner: u32,
    /// The token it showed.
    pub token: u64,
    /// Whether the resource took it.
    pub accepted: bool,
    /// Whether the client's lease was valid at that moment.
    pub lease_valid: bool,
}

/// A time in which enough nodes were up and connected, long enough after the last fault.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Window {
    /// Its begin: the last fault plus the grace that the implementation asks for.
    pub from: Timestamp,
    /// Its end: the next fault.
    pub until: Timestamp,
    /// The nodes of which it was due.
    pub serving: Vec<NodeId>,
}
