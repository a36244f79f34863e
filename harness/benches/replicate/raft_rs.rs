//! tikv's `raft`, by its `RawNode`: its own storage in memory, compacted as it grows, and what was
//! proposed in a batch in one message. On a disk, it writes a plain log file.

use bytes::Bytes;
use tikv_raft::eraftpb::{Entry, EntryType, Message, MessageType};
use tikv_raft::storage::MemStorage;
use tikv_raft::{Config, RawNode, Ready, StateRole};

use crate::drive::{REPLICAS, Replica};
use crate::plain::PlainLog;

/// After how many applied entries they are compacted.
const COMPACT: u64 = 65_536;

pub(crate) struct RaftRs {
    place: usize,
    /// Where entries and hard states go before they are acknowledged, if anywhere but memory.
    file: Option<PlainLog>,
    raw: RawNode<MemStorage>,
    proposed: Vec<Entry>,
    compacted: u64,
}

impl Replica for RaftRs {
    type Message = Message;
    const NAME: &'static str = "raft (tikv)";

    fn new(place: usize) -> Self {
        let config = Config {
            id: place as u64 + 1,
            // The first replica stands first.
            election_tick: if place == 0 { 20 } else { 200 },
            heartbeat_tick: 10,
            max_size_per_msg: 1 << 20,
            max_inflight_msgs: 256,
            ..Config::default()
        };
        let storage =
            MemStorage::new_with_conf_state(((1..=REPLICAS as u64).collect::<Vec<_>>(), vec![]));
        let logger = slog::Logger::root(slog::Discard, slog::o!());
        let raw = RawNode::new(&config, storage, &logger).expect("a sound configuration");
        Self { place, file: None, raw, proposed: Vec::new(), compacted: 0 }
    }

    fn leads(&self) -> bool {
        self.raw.raft.state == StateRole::Leader && self.raw.raft.commit_to_current_term()
    }

    fn propose(&mut self, command: Bytes) {
        self.proposed.push(Entry { data: command, ..Entry::default() });
    }

    fn receive(&mut self, _: usize, message: Message) {
        // What comes of an old term is refused, and nothing else is sent here.
        let _ = self.raw.step(message);
    }

    fn tick(&mut self) {
        self.raw.tick();
    }

    fn flush(&mut self, send: &mut dyn FnMut(usize, Message)) -> usize {
        if !self.proposed.is_empty() {
            let mut message = Message { from: self.place as u64 + 1, ..Message::default() };
            message.set_msg_type(MessageType::MsgPropose);
            message.set_entries(std::mem::take(&mut self.proposed).into());
            self.raw.step(message).expect("it leads, with room");
        }
        let mut done = 0;
        while self.raw.has_ready() {
            let mut ready = self.raw.ready();
            let mut post = |messages: Vec<Message>| {
                for message in messages {
                    send(message.to as usize - 1, message);
                }
            };
            post(ready.take_messages());
            done += self.applied(&ready.take_committed_entries());
            {
                let mut storage = self.raw.mut_store().wl();
                storage.append(ready.entries()).expect("a log in memory takes what comes");
                if let Some(hard) = ready.hs() {
                    storage.set_hardstate(hard.clone());
                }
            }
            if let Some(file) = &mut self.file {
                write(file, &ready);
            }
            post(ready.take_persisted_messages());
            let mut light = self.raw.advance(ready);
            post(light.take_messages());
            done += self.applied(&light.take_committed_entries());
            self.raw.advance_apply();
        }
        let applied = self.raw.raft.raft_log.applied;
        if applied > self.compacted + COMPACT {
            self.compacted = applied - COMPACT / 2;
            self.raw.mut_store().wl().compact(self.compacted).expect("it is applied");
        }
        done
    }
}

/// Writes to `file` what must be durable before anything else happens: at once, with one sync.
fn write(file: &mut PlainLog, ready: &Ready) {
    for entry in ready.entries() {
        file.push(&[&entry.term.to_le_bytes(), &entry.index.to_le_bytes(), &entry.data]);
    }
    if let Some(hard) = ready.hs() {
        let [term, vote, commit] = [hard.term, hard.vote, hard.commit].map(u64::to_le_bytes);
        file.push(&[&term, &vote, &commit]);
    }
    if ready.must_sync() {
        file.sync();
    }
}

/// The same on a plain log file.
pub(crate) struct OnFile(RaftRs);

impl Replica for OnFile {
    type Message = Message;
    const NAME: &'static str = "raft (tikv), plain file";

    fn new(place: usize) -> Self {
        Self(RaftRs { file: Some(PlainLog::new()), ..RaftRs::new(place) })
    }

    fn leads(&self) -> bool {
        self.0.leads()
    }

    fn propose(&mut self, command: Bytes) {
        self.0.propose(command);
    }

    fn receive(&mut self, from: usize, message: Message) {
        self.0.receive(from, message);
    }

    fn tick(&mut self) {
        self.0.tick();
    }

    fn flush(&mut self, send: &mut dyn FnMut(usize, Message)) -> usize {
        self.0.flush(send)
    }
}

impl RaftRs {
    /// How many of `entries` are commands that were proposed here.
    fn applied(&mut self, entries: &[Entry]) -> usize {
        if self.raw.raft.state != StateRole::Leader {
            return 0;
        }
        std::hint::black_box(entries)
            .iter()
            .filter(|entry| {
                entry.get_entry_type() == EntryType::EntryNormal && !entry.data.is_empty()
            })
            .count()
    }
}
