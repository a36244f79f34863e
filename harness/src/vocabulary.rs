//! The language in which the suite speaks to every implementation.
//!
//! A scenario is written once, so it asks once: for a leader, a register, a lock. Each
//! implementation translates; what it has no word for, its workload does not ask.

use std::time::Duration;

use cluster::{Epoch, NodeId};

/// What a client of the suite asks of a node.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Op {
    /// Elections: act as leader, now, or say who does.
    Lead,
    /// Registers: what does `key` hold?
    Read {
        /// Which register.
        key: u32,
        /// In which way, if there are several.
        path: ReadPath,
    },
    /// Registers: let `key` hold `value`. No two writes of a run carry the same value.
    Write {
        /// Which register.
        key: u32,
        /// What it is to hold.
        value: u64,
        /// In which session, if in one: then it takes effect once, however often it is asked.
        ticket: Option<Ticket>,
    },
    /// Registers: open a session. Only asked of who claims exactly-once.
    Open,
    /// Logs: what has this node committed?
    Committed,
    /// Logs: change who votes. Only asked of what can change its members.
    Change(Membership),
    /// Locks: take it if it is free, else wait for it.
    Acquire {
        /// Which lock.
        lock: u32,
        /// For whom.
        owner: u32,
        /// The same for every retry of one acquisition, and for no other of this owner.
        attempt: u64,
        /// For how long it is held unless renewed.
        ttl: Duration,
        /// For how long to wait; zero for not at all.
        wait: Duration,
    },
    /// Locks: hold it for another `ttl` from now.
    Renew {
        /// Which lock.
        lock: u32,
        /// The holder.
        owner: u32,
        /// What the holder was granted.
        token: u64,
        /// For how long from now.
        ttl: Duration,
    },
    /// Locks: who holds it?
    Inspect {
        /// Which lock.
        lock: u32,
    },
    /// Locks: give it back.
    Release {
        /// Which lock.
        lock: u32,
        /// The holder.
        owner: u32,
        /// What the holder was granted.
        token: u64,
    },
}

/// A change of who votes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Membership {
    /// These vote, and no others. Ascending.
    Voters(Vec<NodeId>),
    /// This voter, which may have lost its disk, votes on the one that it has now.
    Renewed(NodeId),
}

/// The ways to a linearizable read.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum ReadPath {
    /// The usual one.
    Usual,
    /// At a leader that holds a lease, which clocks keep their promise about.
    Lease,
    /// At any node.
    Follower,
}

impl Op {
    /// A read of `key`, the usual way.
    pub const fn read(key: u32) -> Self {
        Self::Read { key, path: ReadPath::Usual }
    }
}

/// Which command of which session a write is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Ticket {
    /// The session, as it was named when it was opened.
    pub session: u64,
    /// The command's number in it, one more than that of the last command, which is over.
    pub sequence: u64,
}

/// What a node answers.
pub type Answer = Result<Outcome, Refusal>;

/// What a node did.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// To [`Op::Lead`]: it acts as leader of this epoch, now.
    Leading(Epoch),
    /// To [`Op::Read`].
    Value(Option<u64>),
    /// To [`Op::Write`].
    Written,
    /// To [`Op::Open`].
    Opened {
        /// The session's name.
        session: u64,
    },
    /// To [`Op::Change`].
    Changed,
    /// To [`Op::Committed`]: a digest of each committed entry, in order from the first.
    Log(Vec<u64>),
    /// To [`Op::Acquire`].
    Acquired {
        /// The fencing token.
        token: u64,
        /// Where the request came in the order in which the cluster received requests.
        arrival: u64,
        /// How long the lease lasts at least, from the moment the request was sent.
        valid_for: Duration,
    },
    /// To [`Op::Renew`].
    Renewed {
        /// How long the lease lasts at least, from the moment the request was sent.
        valid_for: Duration,
    },
    /// To [`Op::Release`].
    Released {
        /// How many holds the owner has left of it.
        holds_left: u32,
    },
    /// To [`Op::Inspect`].
    Holder {
        /// The holder's token; none if the lock is free.
        token: Option<u64>,
    },
}

/// Why a node did nothing, or does not know what it did.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refusal {
    /// It does not serve; perhaps another node does. Nothing was done.
    NotLeader(Option<NodeId>),
    /// Too few nodes can be reached. Nothing was done.
    Unavailable,
    /// The lock is held, and stayed so for as long as the client would wait. Nothing was done.
    Busy,
    /// The client is not the holder, or no longer. Nothing was done.
    NotHolder,
    /// It cannot tell: the request may have had an effect, or may have one yet.
    Unknown,
}
