//! What is asked of a cluster once everything is repaired.

use std::collections::BTreeMap;
use std::time::Duration;

use cluster::{NodeId, NodeState};

use crate::guarantee::{Guarantee, Violation};
use crate::implementation::{Workload, World};
use crate::vocabulary::{Op, Outcome};

use super::Run;

/// How long a node may take to tell what it has committed.
const LOG_PATIENCE: Duration = Duration::from_secs(30);
/// How often the end of a phase is looked for.
const GLANCE: Duration = Duration::from_millis(20);

/// How long recovery may take. Real time is given much more than it needs: a slow machine breaks no
/// promise.
fn patience(world: World) -> Duration {
    match world {
        World::Sim => Duration::from_secs(5),
        World::Threads | World::Net => Duration::from_secs(30),
    }
}

impl Run<'_> {
    /// After faults: service, agreement, last reads, convergence; each within its bound.
    pub(super) fn recover(&mut self, world: World) {
        if self.director.beyond_repair() {
            // No service is due; what was answered must be right all the same.
            self.stop();
            return;
        }
        let patience = patience(world);
        if !self.wait_for(patience, |run| run.clients.iter().all(|client| client.recovered())) {
            let late = self.clients.iter().filter(|client| !client.recovered()).count();
            let what = format!("{late} clients were not served within {patience:?} of the repair");
            self.violations.push(Violation::new(Guarantee::Availability, what));
        }
        if self.implementation.judges(Guarantee::LeaderAgreement)
            && !self.wait_for(patience, |run| run.disagreement().is_none())
            && let Some(what) = self.disagreement()
        {
            self.violations.push(Violation::new(Guarantee::LeaderAgreement, what));
        }
        if self.implementation.judges(Guarantee::HighestLeads) {
            let highest = self.living().into_iter().max();
            let leads = |run: &mut Self| highest.is_none_or(|node| run.subject.state(node).leads());
            if !self.wait_for(patience, leads) {
                let what = format!("{highest:?} does not lead {patience:?} after the repair");
                self.violations.push(Violation::new(Guarantee::HighestLeads, what));
            }
        }
        let whole = self.director.lost().next().is_none();
        let converges = whole && self.implementation.judges(Guarantee::Convergence);
        if converges {
            self.settle(patience);
        }
        let now = self.subject.now();
        for client in &mut self.clients {
            client.finish(now);
        }
        if !self.wait_for(patience, |run| run.clients.iter().all(|client| client.finished())) {
            let guarantee = match self.implementation.workload {
                Workload::Locks => Guarantee::DeadlockFreedom,
                Workload::Elections | Workload::Registers => Guarantee::Availability,
            };
            let what = format!("clients could not do their last calls within {patience:?}");
            self.violations.push(Violation::new(guarantee, what));
        }
        if converges
            && !self.wait_for(patience, |run| run.subject.converged().is_none_or(|it| it.is_ok()))
            && let Some(Err(what)) = self.subject.converged()
        {
            self.violations.push(Violation::new(Guarantee::Convergence, what));
        }
        if self.implementation.judges(Guarantee::StateMachineSafety)
            && self.implementation.workload == Workload::Registers
        {
            self.compare_logs();
        }
    }

    /// Keeps clients from beginning anything new until nothing is on its way between replicas.
    fn settle(&mut self, patience: Duration) {
        for client in &mut self.clients {
            client.rest();
        }
        if !self.wait_for(patience, |run| run.subject.settled().unwrap_or(true)) {
            let what =
                format!("replicas still had something to send {patience:?} after the repair");
            self.violations.push(Violation::new(Guarantee::Convergence, what));
        }
    }

    /// Lets time pass until `done`, for at most `patience`. Whether it came to that.
    fn wait_for(&mut self, patience: Duration, mut done: impl FnMut(&mut Self) -> bool) -> bool {
        let give_up = self.subject.now() + patience;
        loop {
            if done(self) {
                return true;
            }
            let now = self.subject.now();
            if now >= give_up {
                return false;
            }
            self.advance(now + GLANCE);
        }
    }

    /// The nodes that can be up.
    fn living(&self) -> Vec<NodeId> {
        let lost: Vec<NodeId> = self.director.lost().collect();
        self.members.iter().copied().filter(|node| !lost.contains(node)).collect()
    }

    /// Why the nodes do not agree on a leader, if they do not.
    fn disagreement(&mut self) -> Option<String> {
        let members = self.living();
        let states: Vec<_> = members.iter().map(|&node| self.subject.state(node)).collect();
        let views: Vec<_> = states.iter().filter_map(|state| state.standing()).collect();
        let leader = views.first().and_then(|view| view.leader);
        let leads = leader
            .and_then(|leader| members.iter().position(|&node| node == leader))
            .is_some_and(|place| NodeState::leads(states[place]));
        let agreed =
            leads && views.len() == members.len() && views.iter().all(|view| view.leader == leader);
        (!agreed).then(|| {
            let views: Vec<String> = members
                .iter()
                .zip(&states)
                .map(|(node, state)| match state {
                    NodeState::Up(view) => format!("{node} names {:?}", view.leader),
                    NodeState::Paused => format!("{node} is paused"),
                    NodeState::Down => format!("{node} is down"),
                })
                .collect();
            format!("no agreement on a leader: {}", views.join(", "))
        })
    }

    /// What the node has committed, as it says; asked until it does, within a bound. A node that runs may
    /// be out of a client's reach for a moment: connections to the process that it was before are lost, and
    /// are not made anew at once.
    fn committed(&mut self, node: NodeId) -> Result<Vec<u64>, String> {
        let give_up = self.subject.now() + LOG_PATIENCE;
        loop {
            let request = self.subject.submit(node, Op::Committed);
            let answer = loop {
                match self.subject.poll(give_up) {
                    Some(completion) if completion.request == request => break completion.outcome,
                    Some(_) => {}
                    None => return Err(format!("no answer within {LOG_PATIENCE:?}")),
                }
            };
            if let Ok(Ok(Outcome::Log(log))) = answer {
                return Ok(log);
            }
            let now = self.subject.now();
            if now >= give_up {
                return Err(format!("{answer:?}"));
            }
            self.advance(now + GLANCE);
        }
    }

    /// Asks every node that can tell for what it has committed, and compares.
    fn compare_logs(&mut self) {
        let mut logs: Vec<(NodeId, Vec<u64>)> = Vec::new();
        let mut living = self.living();
        living.retain(|&node| !(self.implementation.witness)(node));
        for node in living {
            match self.committed(node) {
                Ok(log) => logs.push((node, log)),
                Err(why) => {
                    let what = format!("{node} did not tell what it has committed: {why}");
                    self.undecided = Some(what);
                }
            }
        }
        if let Some(what) = logs.iter().find_map(|(node, log)| applied_twice(*node, log)) {
            self.violations.push(Violation::new(Guarantee::ExactlyOnce, what));
        }
        let Some((_, longest)) = logs.iter().max_by_key(|(_, log)| log.len()) else { return };
        for (node, log) in &logs {
            if let Some(at) = log.iter().zip(longest).position(|(own, other)| own != other) {
                let what = format!("{node} has committed another entry at {} than others", at + 1);
                self.violations.push(Violation::new(Guarantee::StateMachineSafety, what));
                return;
            }
        }
    }
}

/// What stands twice in a log, though no two commands of a run are alike.
fn applied_twice(node: NodeId, log: &[u64]) -> Option<String> {
    let mut places = BTreeMap::new();
    let twice = log
        .iter()
        .zip(1..)
        .find_map(|(&entry, place)| places.insert(entry, place).map(|first: u64| (first, place)));
    let (first, second) = twice?;
    Some(format!("{node} has applied its write number {first} again as number {second}"))
}
