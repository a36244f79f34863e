//! Why connections are refused, and how often they were.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

/// Why a connection was refused, or closed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}: {detail}")]
pub struct Refused {
    /// What kind of reason.
    pub reason: Reason,
    /// What was found and what was expected, for people.
    pub detail: String,
}

impl Refused {
    pub(super) fn new(reason: Reason, detail: impl Into<String>) -> Self {
        Self { reason, detail: detail.into() }
    }
}

/// The kinds of reasons why connections are refused. Their numbers go over the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Reason {
    /// What came is not of this protocol at all.
    Foreign = 1,
    /// It speaks another version of the protocol.
    Version = 2,
    /// It belongs to another cluster.
    Cluster = 3,
    /// It called for another node than the one that is here.
    Address = 4,
    /// It says that it is a node, which is none of this cluster's.
    Stranger = 5,
    /// It is an earlier life of a node that was met in a later one: a copy of its disk, or a process
    /// that was thought to be dead.
    Incarnation = 6,
    /// Its certificate is none that was asked for: see `Tls`.
    Certificate = 7,
    /// It sent what makes no sense: a wrong checksum, an unknown kind of frame or one out of place, a
    /// body that cannot be read.
    Garbled = 8,
    /// It announced a frame that is longer than frames may be.
    TooLong = 9,
    /// It connected, and did not say in time who it is.
    Silent = 10,
    /// There are as many connections as there may be, or as many that have not said who they are.
    Full = 11,
    /// Too much waits to be handled or sent: see [`Limits::memory_max`](super::Limits::memory_max).
    Overloaded = 12,
    /// The same node has connected anew.
    Replaced = 13,
}

impl Reason {
    /// All of them.
    pub const ALL: [Self; 13] = [
        Self::Foreign,
        Self::Version,
        Self::Cluster,
        Self::Address,
        Self::Stranger,
        Self::Incarnation,
        Self::Certificate,
        Self::Garbled,
        Self::TooLong,
        Self::Silent,
        Self::Full,
        Self::Overloaded,
        Self::Replaced,
    ];

    pub(super) fn of(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| *reason as u8 == code)
    }

    /// What it is called in logs and metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Foreign => "foreign",
            Self::Version => "version",
            Self::Cluster => "cluster",
            Self::Address => "address",
            Self::Stranger => "stranger",
            Self::Incarnation => "incarnation",
            Self::Certificate => "certificate",
            Self::Garbled => "garbled",
            Self::TooLong => "too-long",
            Self::Silent => "silent",
            Self::Full => "full",
            Self::Overloaded => "overloaded",
            Self::Replaced => "replaced",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// How often each reason was met, and how many messages were dropped.
#[derive(Debug, Default)]
pub(super) struct Tally {
    refused: [AtomicU64; Reason::ALL.len()],
    /// To a peer: there was no connection, or too much waited for it.
    unsent: AtomicU64,
    /// From a peer: too much waited to be handled.
    unheard: AtomicU64,
}

impl Tally {
    pub(super) fn refused(&self, reason: Reason) {
        self.refused[reason as usize - 1].fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn unsent(&self) {
        self.unsent.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn unheard(&self) {
        self.unheard.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn of(&self, reason: Reason) -> u64 {
        self.refused[reason as usize - 1].load(Ordering::Relaxed)
    }

    /// All of it, by name.
    pub(super) fn figures(&self) -> Vec<(String, u64)> {
        let refused = Reason::ALL.map(|reason| (format!("net-refused-{reason}"), self.of(reason)));
        let dropped = [("net-unsent", &self.unsent), ("net-unheard", &self.unheard)]
            .map(|(name, count)| (name.to_owned(), count.load(Ordering::Relaxed)));
        refused.into_iter().chain(dropped).collect()
    }
}
