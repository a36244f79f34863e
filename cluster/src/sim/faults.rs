//! Makes things go wrong, and right again.

use crate::{DiskFault, Fault, NoAnswer, Node, NodeId};

use super::Sim;
use super::host::State;
use super::queue::Event;
use super::trace::Traced;

impl<N: Node> Sim<N> {
    pub(super) fn boot(&mut self, index: usize) {
        let (config, members) = (&self.config, &self.members);
        let booted = self.hosts[index].boot(self.now, config, members);
        if let Some(trace) = &mut self.trace {
            let host = &self.hosts[index];
            trace.booted(self.now, host.id, host.refusal.as_ref());
        }
        if booted {
            self.finish_batch(index);
        }
    }

    pub(super) fn crash(&mut self, index: usize, power_loss: bool) {
        let host = &mut self.hosts[index];
        if host.state == State::Down {
            return;
        }
        let node = host.id;
        let unanswered = host.crash(power_loss);
        self.tell(|| Traced::Died { node });
        self.trace_state(index);
        for request in unanswered {
            self.answer(request, Err(NoAnswer::Lost));
        }
        if self.options.tells_ends {
            self.tell_end(index);
        }
    }

    /// Lets the others hear that the process of host `ended` is no more.
    fn tell_end(&mut self, ended: usize) {
        let node = self.hosts[ended].id;
        for host in (0..self.hosts.len()).filter(|&host| host != ended) {
            if let Some(at) = self.network.carry(self.now, ended, host) {
                self.queue.push(at, Event::Ended { host, node });
            }
        }
    }

    fn resume(&mut self, index: usize) {
        // At once, and not by way of the queue: something may be due at this very instant that was
        // sent later than what was held.
        for event in self.hosts[index].resume() {
            self.deliver(index, event);
        }
        self.finish_batch(index);
    }

    pub(super) fn apply(&mut self, fault: &Fault) {
        match fault {
            Fault::Crash { node } => self.crash(self.index(*node), false),
            Fault::Restart { node } => {
                let index = self.index(*node);
                if self.hosts[index].state == State::Down {
                    self.boot(index);
                } else {
                    self.hosts[index].fuse = None;
                }
            }
            Fault::Pause { node } => {
                let index = self.index(*node);
                let host = &mut self.hosts[index];
                if host.state == State::Up {
                    host.state = State::Paused;
                    self.trace_state(index);
                }
            }
            Fault::Resume { node } => {
                let index = self.index(*node);
                if self.hosts[index].state == State::Paused {
                    self.resume(index);
                }
            }
            Fault::PowerLoss => {
                for index in 0..self.hosts.len() {
                    self.crash(index, true);
                }
            }
            Fault::Partition { .. } | Fault::Cut { .. } | Fault::Heal => {
                self.network.cuts.apply(fault, |node| self.members.index_of(node));
            }
            Fault::Links(links) => self.network.fault = *links,
            Fault::Clock { node, clock } => {
                let index = self.index(*node);
                let host = &mut self.hosts[index];
                host.clock.drift(self.now, clock.drift_ppm);
                host.clock.jump_wall(self.now, clock.jump_nanos);
                self.set_alarm(index);
            }
            Fault::CrashAfter { node, effects } => {
                let index = self.index(*node);
                let host = &mut self.hosts[index];
                if host.state != State::Down {
                    host.fuse = Some(*effects);
                }
            }
            Fault::Disk { node, disk } => self.change_disk(self.index(*node), *disk),
            Fault::Rot { node, at_ppm, damage } => {
                let index = self.index(*node);
                self.hosts[index].disk.rot(*at_ppm, *damage);
            }
            Fault::Wipe { node } => {
                let index = self.index(*node);
                self.crash(index, false);
                self.hosts[index].disk.wipe();
            }
        }
    }

    fn change_disk(&mut self, index: usize, fault: DiskFault) {
        let host = &mut self.hosts[index];
        host.disk.fault = fault;
        if !fault.stalled
            && let Some(upto) = host.stuck.take()
        {
            let boot = host.boots;
            self.queue.push(self.now, Event::Synced { host: index, boot, upto });
        }
    }

    /// The place of a node that [`Fault::check`] has found to be a member.
    fn index(&self, node: NodeId) -> usize {
        self.members.index_of(node).expect("checked by inject")
    }
}
