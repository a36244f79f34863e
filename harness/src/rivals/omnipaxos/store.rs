//! The library's storage, whose writes are records.

use std::hash::{Hash, Hasher};
use std::sync::mpsc::Sender;

use ::omnipaxos::ballot_leader_election::Ballot;
use ::omnipaxos::storage::{Entry, NoSnapshot, StopSign, Storage, StorageOp, StorageResult};
use cluster::NodeId;

use crate::rivals::registers::Ask;

/// What the log holds.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Command {
    /// Its name, by which the node that proposed it knows it again.
    pub id: CommandId,
    /// A read or a write.
    pub ask: Ask,
}

/// The name of a command, unique among all.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct CommandId {
    /// Who proposed it.
    pub node: NodeId,
    /// In which of its lives.
    pub life: u64,
    /// How many it had proposed in that life by then.
    pub count: u64,
}

impl Entry for Command {
    type Snapshot = NoSnapshot;
}

/// A write to the storage.
#[derive(Clone, PartialEq, Debug)]
pub enum Operation {
    /// The log goes on with these.
    Append(Vec<Command>),
    /// From this place on, the log is these.
    AppendOnPrefix(usize, Vec<Command>),
    /// This ballot was promised.
    Promise(Ballot),
    /// So many entries are decided.
    Decided(usize),
    /// The log was accepted in this ballot.
    Accepted(Ballot),
}

/// Operations that are on the disk together or not at all.
#[derive(Clone, PartialEq, Debug)]
pub struct Record(pub Vec<Operation>);

impl Record {
    /// Whether nothing is lost with it but the knowledge of what is decided, which the accepted
    /// entries of a majority hold as well.
    pub fn is_hint(&self) -> bool {
        self.0.iter().all(|operation| matches!(operation, Operation::Decided(_)))
    }
}

impl Hash for Record {
    fn hash<H: Hasher>(&self, state: &mut H) {
        // Ballots cannot be hashed.
        format!("{self:?}").hash(state);
    }
}

/// What the storage holds.
#[derive(Clone, Debug, Default)]
pub(super) struct State {
    promise: Option<Ballot>,
    accepted: Option<Ballot>,
    decided: usize,
    log: Vec<Command>,
}

impl State {
    /// What `records` make, or which of them makes no sense, and why.
    pub(super) fn recover(records: Vec<Record>) -> Result<Self, (usize, String)> {
        let mut state = Self::default();
        for (position, Record(operations)) in records.into_iter().enumerate() {
            for operation in operations {
                state.apply(operation).map_err(|problem| (position, problem))?;
            }
            let (decided, len) = (state.decided, state.log.len());
            if decided > len {
                return Err((position, format!("{decided} decided of {len} entries")));
            }
        }
        Ok(state)
    }

    fn apply(&mut self, operation: Operation) -> Result<(), String> {
        match operation {
            Operation::Append(entries) => self.log.extend(entries),
            Operation::AppendOnPrefix(from, entries) => {
                if from > self.log.len() {
                    return Err(format!("entries from {from} on after {}", self.log.len()));
                }
                self.log.truncate(from);
                self.log.extend(entries);
            }
            Operation::Promise(ballot) => self.promise = Some(ballot),
            Operation::Decided(count) => self.decided = count,
            Operation::Accepted(ballot) => self.accepted = Some(ballot),
        }
        Ok(())
    }
}

/// The storage that the library owns.
pub(super) struct Store {
    state: State,
    /// To the node, which turns it into effects in the same step.
    written: Sender<Record>,
}

impl Store {
    pub(super) fn new(state: State, written: Sender<Record>) -> Self {
        Self { state, written }
    }

    fn write(&mut self, operations: Vec<Operation>) -> StorageResult<()> {
        for operation in &operations {
            self.state.apply(operation.clone())?;
        }
        Ok(self.written.send(Record(operations))?)
    }
}

/// What this adapter never asks for, so that the library never does either.
const UNUSED: &str = "nothing is trimmed, snapshotted or reconfigured here";

impl Storage<Command> for Store {
    fn write_atomically(&mut self, ops: Vec<StorageOp<Command>>) -> StorageResult<()> {
        let operation = |op| match op {
            StorageOp::AppendEntry(entry) => Ok(Operation::Append(vec![entry])),
            StorageOp::AppendEntries(entries) => Ok(Operation::Append(entries)),
            StorageOp::AppendOnPrefix(from, entries) => {
                Ok(Operation::AppendOnPrefix(from, entries))
            }
            StorageOp::SetPromise(ballot) => Ok(Operation::Promise(ballot)),
            StorageOp::SetDecidedIndex(count) => Ok(Operation::Decided(count)),
            StorageOp::SetAcceptedRound(ballot) => Ok(Operation::Accepted(ballot)),
            StorageOp::SetCompactedIdx(_)
            | StorageOp::Trim(_)
            | StorageOp::SetStopsign(_)
            | StorageOp::SetSnapshot(_) => Err(UNUSED),
        };
        let operations = ops.into_iter().map(operation).collect::<Result<_, _>>()?;
        self.write(operations)
    }

    fn append_entry(&mut self, entry: Command) -> StorageResult<()> {
        self.append_entries(vec![entry])
    }

    fn append_entries(&mut self, entries: Vec<Command>) -> StorageResult<()> {
        // The library appends nothing, too, where it flushes an empty batch.
        if entries.is_empty() {
            return Ok(());
        }
        self.write(vec![Operation::Append(entries)])
    }

    fn append_on_prefix(&mut self, from_idx: usize, entries: Vec<Command>) -> StorageResult<()> {
        self.write(vec![Operation::AppendOnPrefix(from_idx, entries)])
    }

    fn set_promise(&mut self, n_prom: Ballot) -> StorageResult<()> {
        self.write(vec![Operation::Promise(n_prom)])
    }

    fn set_decided_idx(&mut self, ld: usize) -> StorageResult<()> {
        self.write(vec![Operation::Decided(ld)])
    }

    fn get_decided_idx(&self) -> StorageResult<usize> {
        Ok(self.state.decided)
    }

    fn set_accepted_round(&mut self, na: Ballot) -> StorageResult<()> {
        self.write(vec![Operation::Accepted(na)])
    }

    fn get_accepted_round(&self) -> StorageResult<Option<Ballot>> {
        Ok(self.state.accepted)
    }

    fn get_entries(&self, from: usize, to: usize) -> StorageResult<Vec<Command>> {
        Ok(self.state.log.get(from..to).unwrap_or_default().to_vec())
    }

    fn get_log_len(&self) -> StorageResult<usize> {
        Ok(self.state.log.len())
    }

    fn get_suffix(&self, from: usize) -> StorageResult<Vec<Command>> {
        Ok(self.state.log.get(from..).unwrap_or_default().to_vec())
    }

    fn get_promise(&self) -> StorageResult<Option<Ballot>> {
        Ok(self.state.promise)
    }

    fn set_stopsign(&mut self, _: Option<StopSign>) -> StorageResult<()> {
        Err(UNUSED.into())
    }

    fn get_stopsign(&self) -> StorageResult<Option<StopSign>> {
        Ok(None)
    }

    fn trim(&mut self, _: usize) -> StorageResult<()> {
        Err(UNUSED.into())
    }

    fn set_compacted_idx(&mut self, _: usize) -> StorageResult<()> {
        Err(UNUSED.into())
    }

    fn get_compacted_idx(&self) -> StorageResult<usize> {
        Ok(0)
    }

    fn set_snapshot(&mut self, _: Option<NoSnapshot>) -> StorageResult<()> {
        Err(UNUSED.into())
    }

    fn get_snapshot(&self) -> StorageResult<Option<NoSnapshot>> {
        Ok(None)
    }
}
