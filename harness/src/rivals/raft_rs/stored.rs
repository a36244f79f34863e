//! Protobuf messages of the library, as messages and records of ours.

use std::hash::{Hash, Hasher};

use tikv_raft::eraftpb::{Entry, HardState, Message};

/// What nodes tell each other: a message of the library.
#[derive(Clone, PartialEq, Debug)]
pub struct Wire(pub Message);

impl Hash for Wire {
    fn hash<H: Hasher>(&self, state: &mut H) {
        hash_bytes(&self.0, state);
    }
}

/// What one ready wants stored. One record, because a commit index must never be on the disk
/// without the entries that it names.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Saved {
    /// Term, vote and commit index, if they have changed.
    pub hard: Option<HardState>,
    /// From the index of the first of these on, the log is these.
    pub entries: Vec<Entry>,
}

impl Hash for Saved {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.hard.is_some().hash(state);
        if let Some(hard) = &self.hard {
            hash_bytes(hard, state);
        }
        self.entries.len().hash(state);
        for entry in &self.entries {
            hash_bytes(entry, state);
        }
    }
}

fn hash_bytes<H: Hasher>(message: &impl protobuf::Message, state: &mut H) {
    let bytes = message.write_to_bytes().expect("messages of this library have no required fields");
    bytes.hash(state);
}
