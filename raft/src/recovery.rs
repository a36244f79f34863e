//! When a majority is lost for good: going on with those that are left. By hand, and offline.
//!
//! No protocol can do this: who is left cannot tell that the others are lost from being cut off from
//! them. It takes somebody who knows, and who answers for it, as with etcd's `--force-new-cluster`,
//! Consul's `peers.json` and TiKV's `unsafe-recover`. What he does:
//!
//! 1. Stop every node that is left, and see to it that the lost ones do not run: as long as a majority
//!    of the old configuration runs *and hears none of the survivors*, it serves on, and what it
//!    acknowledges is lost later.
//! 2. [`open`](Survivor::open) each one's store and read its [`Survey`]. Choose the one whose
//!    [`last`](Survey::last) is greatest, as an election would: by term, then by index (§5.4.1). A
//!    [witness](crate::Kind::Witness) cannot be chosen; one whose log goes further than that of the chosen
//!    shows that something is lost, and is best wiped and renewed.
//! 3. On that one alone, call [`go_on_with`](Survivor::go_on_with), naming all that are to go on, itself
//!    among them. Start those nodes as ever.
//! 4. The lost ones, should they turn up, are best wiped, and then [added](crate::Change::AddVoter) as
//!    new voters. With their old disks they disturb nobody once they hear of a survivor: see below.
//!
//! # What may be lost, and what may come
//! Everything that is in the chosen log is kept, and becomes committed: also what no majority ever held,
//! and no client was told is done. What is in no survivor's log is lost, though clients were told that it
//! was done: of five nodes of which three are lost, whatever only those three held. The less the survivors
//! lagged behind, the less that is; nobody can say what it was.
//!
//! # Why the others are out of it
//! The call appends one entry: the configuration of the survivors, with their disks, in the first term
//! of a new [generation](crate::Term::generation). Terms of a generation come after all those of
//! earlier ones, and nobody stands in a generation of which its log holds no entry. So a leader of the
//! old configuration is deposed by the first word from a survivor, and never elected again; nor are its
//! votes missed, for the new configuration names none of them.

use std::path::Path;
use std::sync::Arc;

use cluster::store::{Journal, OpenError, Store, StoreError};
use cluster::{Boot, CorruptRecords, Members, NodeId, Now, Timestamp, WallTime};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::message::{Entry, Payload, Record};
use crate::{Config, Configuration, Disk, LogIndex, Position, Raft, StateMachine, Term};

/// What one store holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Survey {
    /// Whose it is.
    pub node: NodeId,
    /// Its disk; [`Disk::UNNAMED`] where disks are trusted.
    pub disk: Disk,
    /// The last term that the node knew of.
    pub term: Term,
    /// Where its log ends: the greatest of all survivors' knows most.
    pub last: Position,
    /// What is committed for certain: what its snapshot covers. More may be; that is not written down.
    pub committed: LogIndex,
    /// The latest configuration in its log.
    pub configuration: Configuration,
    /// Where that stands.
    pub configured_at: LogIndex,
}

/// Why a store was not read, or not changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecoveryError {
    /// There is no store, or it is open elsewhere, or damaged. Nothing was done.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// Its records contradict each other. Nothing was done.
    #[error(transparent)]
    Corrupt(#[from] CorruptRecords),
    /// It holds no entry: there is nothing to go on with. Nothing was done.
    #[error("the log of {node} is empty, expected an entry at least")]
    Empty {
        /// Whose.
        node: NodeId,
    },
    /// The node itself is not among those that are to go on. Nothing was done.
    #[error("{node} is not among those to go on with, expected it there")]
    NotKept {
        /// Whose store it is.
        node: NodeId,
    },
    /// One of those that are to go on has no vote in the latest configuration, so that nothing says on
    /// which disk it is; add it when service is back. Nothing was done.
    #[error("{node} has no vote in {configuration}, expected only voters to go on with")]
    NoVoter {
        /// Which.
        node: NodeId,
        /// The latest configuration.
        configuration: Box<Configuration>,
    },
    /// The store is a witness's: what is in its log, only the full replicas know. Nothing was done.
    #[error("{node} is a witness, expected a full replica to go on with")]
    Witness {
        /// Whose.
        node: NodeId,
    },
    /// More than half of those that are to go on are witnesses. Nothing was done.
    #[error("{witnesses} of {voters} to go on with are witnesses, expected at most half")]
    TooManyWitnesses {
        /// How many are.
        witnesses: usize,
        /// Of how many.
        voters: usize,
    },
    /// There are no more generations, which no cluster lives to see. Nothing was done.
    #[error("{term} is of the last generation")]
    LastGeneration {
        /// The last term that the node knew of.
        term: Term,
    },
    /// It was not written, or not synced. What the store holds is seen when it is opened again: either
    /// all of it or nothing that counts.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The store of a node that is left, open, so that no node can start on it.
pub struct Survivor<S: StateMachine, T> {
    node: Raft<S>,
    store: T,
}

impl<S> Survivor<S, Journal<Record<S::Command>>>
where
    S: StateMachine,
    S::Command: Serialize + DeserializeOwned,
{
    /// Opens the journal of `node` in the directory `path`: its own, as
    /// [`Builder::directory`](crate::Builder::directory) says (`…/n1`). `config` and `members` as in the
    /// cluster.
    ///
    /// # Errors
    /// [`RecoveryError::Open`], also if there is no journal or a node has it open, and
    /// [`RecoveryError::Corrupt`]. Nothing was changed, but for what every opening does: what is left of
    /// a write that was never finished is cut off.
    pub fn open(
        path: impl AsRef<Path>,
        node: NodeId,
        members: Members,
        config: &Config<S>,
    ) -> Result<Self, RecoveryError> {
        let (store, records) = Journal::open_existing(path)?;
        Self::on(store, records, node, members, config)
    }
}

impl<S: StateMachine, T: Store<Record<S::Command>>> Survivor<S, T> {
    /// As [`open`](Survivor::open), on any store that is open, and the records that it holds.
    ///
    /// # Errors
    /// [`RecoveryError::Corrupt`].
    pub fn on(
        store: T,
        records: Vec<Record<S::Command>>,
        node: NodeId,
        members: Members,
        config: &Config<S>,
    ) -> Result<Self, RecoveryError> {
        // Only looked at: it runs on no clock, meets nobody, and draws nothing.
        let now = Now { monotonic: Timestamp::ZERO, wall: WallTime::from_nanos(0) };
        let boot = Boot { id: node, members, now, seed: 0, records };
        let node = Raft::boot_core(&config.clone().trusting_disks(), boot)?;
        Ok(Self { node, store })
    }

    /// What it holds.
    pub fn survey(&self) -> Survey {
        Survey {
            node: self.node.id(),
            disk: self.node.identity().disk,
            term: self.node.term(),
            last: self.node.last(),
            committed: self.node.commit_index(),
            configuration: self.node.configuration().clone(),
            configured_at: self.node.configured_at(),
        }
    }

    /// Makes those in `keep` the cluster, on the log that is here, and closes the store. Returns the
    /// configuration with which they go on.
    ///
    /// # Errors
    /// [`RecoveryError::Empty`], [`RecoveryError::NotKept`], [`RecoveryError::NoVoter`],
    /// [`RecoveryError::Witness`], [`RecoveryError::TooManyWitnesses`], [`RecoveryError::LastGeneration`]
    /// and [`RecoveryError::Store`].
    pub fn go_on_with(mut self, keep: &[NodeId]) -> Result<Configuration, RecoveryError> {
        let Survey { node, disk, term, last, configuration, .. } = self.survey();
        if last.index == LogIndex::ZERO {
            return Err(RecoveryError::Empty { node });
        }
        if !keep.contains(&node) {
            return Err(RecoveryError::NotKept { node });
        }
        if let Some(&node) = keep.iter().find(|&&node| !configuration.votes(node)) {
            let configuration = Box::new(configuration);
            return Err(RecoveryError::NoVoter { node, configuration });
        }
        if self.node.is_witness() {
            return Err(RecoveryError::Witness { node });
        }
        let Some(term) = term.next_generation() else {
            return Err(RecoveryError::LastGeneration { term });
        };
        let known = |other: NodeId| match configuration.voters().contains(&other) {
            _ if other == node => disk,
            true => configuration.disk(other),
            false => configuration.outgoing_disk(other),
        };
        let next = Configuration::of(keep.iter().copied()).named(known);
        let next = next.witnessed(configuration.witnesses());
        if let Some((witnesses, voters)) = next.too_many_witnesses() {
            return Err(RecoveryError::TooManyWitnesses { witnesses, voters });
        }
        let payload = Payload::Configuration(Arc::new(next.clone()));
        let entry = Entry { term, index: last.index.next(), payload };
        self.store.append(Record::Ballot { term, vote: None })?;
        self.store.append(Record::Entries(vec![entry].into()))?;
        self.store.sync()?;
        Ok(next)
    }
}
