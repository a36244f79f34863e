//! omnipaxos, by its state machine: its own storage in memory, trimmed as it grows.

use bytes::Bytes;
use omnipaxos::messages::Message;
use omnipaxos::storage::{Entry, NoSnapshot};
use omnipaxos::util::LogEntry;
use omnipaxos::{ClusterConfig, OmniPaxos, OmniPaxosConfig, ServerConfig};
use omnipaxos_storage::memory_storage::MemoryStorage;

use crate::drive::{REPLICAS, Replica};

#[derive(Clone, Debug)]
pub(crate) struct Command(Bytes);

impl Entry for Command {
    type Snapshot = NoSnapshot;
}

/// After how many decided entries the leader trims them.
const TRIM: usize = 65_536;

pub(crate) struct Omni {
    place: usize,
    paxos: OmniPaxos<Command, MemoryStorage<Command>>,
    applied: usize,
    trimmed: usize,
    messages: Vec<Message<Command>>,
}

impl Replica for Omni {
    type Message = Message<Command>;
    const NAME: &'static str = "omnipaxos";

    fn new(place: usize) -> Self {
        let config = OmniPaxosConfig {
            cluster_config: ClusterConfig {
                configuration_id: 1,
                nodes: (1..=REPLICAS as u64).collect(),
                flexible_quorum: None,
            },
            server_config: ServerConfig {
                pid: place as u64 + 1,
                election_tick_timeout: 10,
                resend_message_tick_timeout: 50,
                // The first replica stands first.
                leader_priority: u32::from(place == 0),
                ..ServerConfig::default()
            },
        };
        let paxos = config.build(MemoryStorage::default()).expect("a sound configuration");
        Self { place, paxos, applied: 0, trimmed: 0, messages: Vec::new() }
    }

    fn leads(&self) -> bool {
        self.paxos.get_current_leader() == Some((self.place as u64 + 1, true))
    }

    fn propose(&mut self, command: Bytes) {
        self.paxos.append(Command(command)).expect("no reconfiguration is under way");
    }

    fn receive(&mut self, _: usize, message: Message<Command>) {
        self.paxos.handle_incoming(message);
    }

    fn tick(&mut self) {
        self.paxos.tick();
    }

    fn flush(&mut self, send: &mut dyn FnMut(usize, Message<Command>)) -> usize {
        self.paxos.take_outgoing_messages(&mut self.messages);
        for message in self.messages.drain(..) {
            send(message.get_receiver() as usize - 1, message);
        }
        let decided = self.paxos.get_decided_idx();
        let fresh = decided - self.applied;
        self.applied = decided;
        // What the machine would be given is read, as it is by whoever applies it.
        if fresh > 0 {
            let entries = self.paxos.read_decided_suffix(decided - fresh).unwrap_or_default();
            assert_eq!(entries.len(), fresh);
            for entry in entries {
                if let LogEntry::Decided(Command(bytes)) = entry {
                    std::hint::black_box(bytes);
                }
            }
        }
        let leads = self.leads();
        if leads && decided - self.trimmed > TRIM {
            // Refused while a follower is behind: then later.
            if self.paxos.trim(Some(decided - TRIM / 2)).is_ok() {
                self.trimmed = decided - TRIM / 2;
            }
        }
        if leads { fresh } else { 0 }
    }
}
