//! Watching the other nodes, and handing them what they missed.

use cluster::NodeId;

use crate::hints::Kept;
use crate::message::{Event, Message, Record};
use crate::node::{Out, Replica};
use crate::version::{Entry, Key, Version};

impl Replica {
    pub(crate) fn note_answer(&mut self, from: NodeId, out: &mut Out) {
        if self.peers.answered(from) {
            out.emit(Event::Recovered { node: from });
        }
    }

    pub(crate) fn probe(&mut self, out: &mut Out) {
        for (node, is_newly_suspected) in self.peers.probe() {
            if is_newly_suspected {
                out.emit(Event::Suspected { node });
            }
            out.send_now(node, Message::Ping);
        }
        self.replay_hints(out);
    }

    /// Sends each node that is believed live its next few hints. They are forgotten when it
    /// acknowledges them, and sent again in the next interval if it does not.
    fn replay_hints(&mut self, out: &mut Out) {
        if self.hints.count() == 0 {
            return;
        }
        for node in self.members.others(self.id) {
            if self.peers.is_live(node) {
                for (key, entry) in self.hints.batch(node, self.config.hint_replay_batch()) {
                    out.send_now(node, Message::Hint { key, entry });
                }
            }
        }
    }

    pub(crate) fn on_hint_stored(
        &mut self,
        from: NodeId,
        key: &Key,
        version: Version,
        out: &mut Out,
    ) {
        if self.forget_hint(from, key, version, out) {
            self.counts.hints_replayed += 1;
            if !self.hints.any_for(from) {
                out.emit(Event::HintsDrained { node: from });
            }
        } else {
            self.counts.late += 1;
        }
    }

    /// Keeps `entry` for a replica that has not acknowledged it.
    pub(crate) fn hint(&mut self, to: NodeId, key: &Key, entry: &Entry, out: &mut Out) {
        match self.hints.keep(to, key, entry) {
            Kept::Yes => {
                out.persist(Record::Hinted { to, key: key.clone(), entry: entry.clone() });
            }
            Kept::Already => {}
            Kept::NoRoom => {
                self.counts.hints_dropped += 1;
                out.emit(Event::HintDropped { node: to, key: key.clone() });
            }
        }
    }

    /// Forgets a hint that a replica has acknowledged. True if there was one.
    pub(crate) fn forget_hint(
        &mut self,
        to: NodeId,
        key: &Key,
        version: Version,
        out: &mut Out,
    ) -> bool {
        let done = self.hints.done(to, key, version);
        if done {
            out.persist(Record::HintDone { to, key: key.clone() });
        }
        done
    }
}
