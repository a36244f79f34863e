//! One run: one implementation, one scenario, one world, one seed.

use std::time::Duration;

use cluster::{Completion, InvalidConfig, NodeState, Rng, Timestamp, Unsupported};
use serde::Serialize;

use crate::client::{Client, Context, Elector, Locker, Reader, Resources, Worker};
use crate::director::Director;
use crate::guarantee::{Guarantee, Violation};
use crate::history::History;
use crate::implementation::{Implementation, Setting, Workload, World};
use crate::judge;
use crate::scenario::{Move, Needs, Scenario};
use crate::subject::Subject;
use crate::vocabulary::{Answer, Op, Outcome};

/// How a run is made.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where.
    pub world: World,
    /// Decides everything, in worlds that replay.
    pub seed: u64,
    /// How many nodes; the implementation's own number if none.
    pub nodes: Option<usize>,
    /// How long faults last.
    pub span: Duration,
    /// Whether to keep a line for everything that happens.
    pub trace: bool,
}

/// What came of a run.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The seed.
    pub seed: u64,
    /// A hash over everything that happened, in worlds that replay.
    pub digest: Option<u64>,
    /// Inputs that nodes handled, in worlds that count them.
    pub events: u64,
    /// How long it took in the cluster's own time.
    pub elapsed: Duration,
    /// Calls that clients made.
    pub calls: usize,
    /// Calls that the cluster served.
    pub served: usize,
    /// Faults that were injected.
    pub faults: u32,
    /// What did not hold, claimed or not; at most one of each guarantee.
    pub violations: Vec<Violation>,
    /// Why the run proves nothing, if it does not: too few calls or faults, a checker out of time.
    pub vacuous: Option<String>,
    /// A line for everything that happened, if that was wanted and the world can.
    #[serde(skip)]
    pub trace: Vec<String>,
}

/// Why there was no run.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum NoRun {
    /// The implementation cannot take a fault of this scenario.
    #[error(transparent)]
    Unsupported(#[from] Unsupported),
    /// The scenario makes no sense for this implementation.
    #[error("{implementation} has no lock holders")]
    NoLocks {
        /// Which implementation.
        implementation: &'static str,
    },
    /// The scenario finds nothing to break in a cluster so small.
    #[error("{scenario} needs more than {nodes} nodes")]
    TooFewNodes {
        /// Which scenario.
        scenario: &'static str,
        /// How many there are.
        nodes: usize,
    },
    /// The implementation cannot be configured so.
    #[error(transparent)]
    Config(#[from] InvalidConfig),
}

/// How long clients work before faults begin.
const WARM_UP: Duration = Duration::from_millis(800);
/// How long a node may take to tell what it has committed.
const LOG_PATIENCE: Duration = Duration::from_secs(30);
/// How often the end of a phase is looked for.
const GLANCE: Duration = Duration::from_millis(20);
/// Keeps the suite's choices apart from those of the world, which are drawn from the same seed.
const SUITE_STREAM: u64 = 0x5CE7_A410_0000_0001;
/// A run with fewer served calls proves nothing.
const SERVED_MIN: usize = 10;

/// How long recovery may take. Real time is given much more than it needs: a slow machine breaks no
/// promise.
fn patience(world: World) -> Duration {
    match world {
        World::Sim => Duration::from_secs(5),
        World::Threads | World::Processes => Duration::from_secs(30),
    }
}

/// Makes a run.
///
/// # Errors
/// [`NoRun`], when nothing could be shown.
pub fn run(
    implementation: &Implementation,
    scenario: &Scenario,
    options: &Options,
) -> Result<Report, NoRun> {
    if scenario.needs == Needs::Locks && implementation.workload != Workload::Locks {
        return Err(NoRun::NoLocks { implementation: implementation.name });
    }
    let nodes = options.nodes.unwrap_or(implementation.nodes);
    let mut subject = (implementation.start)(&Setting::new(options.world, nodes, options.seed))?;
    if options.trace {
        subject.start_trace();
    }
    let mut rng = Rng::from_seed(options.seed ^ SUITE_STREAM);
    let moves = scenario.moves(nodes, options.span, &mut rng);
    let harms: usize = moves.iter().map(|(_, wanted)| wanted.harm(nodes)).sum();
    let faults_min = scenario.faults_min.min(u32::try_from(harms).unwrap_or(u32::MAX));
    if faults_min == 0 && scenario.faults_min > 0 {
        return Err(NoRun::TooFewNodes { scenario: scenario.name, nodes });
    }
    let mut run = Run::new(implementation, subject, nodes, rng);
    run.advance(Timestamp::ZERO + WARM_UP);
    let start = run.subject.now();
    for (at, wanted) in moves {
        run.advance(start + at);
        run.make(&wanted)?;
    }
    run.advance(start + options.span);
    run.heal()?;
    run.recover(options.world);
    Ok(run.report(faults_min, options))
}

/// A run under way.
struct Run<'a> {
    implementation: &'a Implementation,
    subject: Box<dyn Subject>,
    director: Director,
    clients: Vec<Box<dyn Client>>,
    history: History,
    resources: Resources,
    numbers: u64,
    members: Vec<cluster::NodeId>,
    rng: Rng,
    /// What did not hold at the end.
    violations: Vec<Violation>,
    /// What could not be judged at the end, and why.
    undecided: Option<String>,
}

impl<'a> Run<'a> {
    fn new(
        implementation: &'a Implementation,
        subject: Box<dyn Subject>,
        nodes: usize,
        mut rng: Rng,
    ) -> Self {
        let members = subject.members().to_vec();
        let needs = (implementation.service_needs)(nodes);
        let director = Director::new(&members, needs, implementation.grace, rng.fork(1));
        let clients = clients(implementation.workload, &mut rng);
        Self {
            implementation,
            subject,
            director,
            clients,
            history: History::default(),
            resources: Resources::default(),
            numbers: 0,
            members,
            rng,
            violations: Vec::new(),
            undecided: None,
        }
    }

    /// Lets time pass until `until`: answers reach clients, clients act.
    fn advance(&mut self, until: Timestamp) {
        loop {
            let wake = self.clients.iter().filter_map(|client| client.wake()).min();
            let next = wake.map_or(until, |wake| wake.min(until));
            if let Some(completion) = self.subject.poll(next) {
                self.deliver(completion);
                continue;
            }
            let now = self.subject.now();
            self.wake_clients(now);
            if now >= until {
                return;
            }
        }
    }

    fn deliver(&mut self, completion: Completion<Answer>) {
        // An answer that nobody awaits any more came too late.
        let mut clients = self.clients.iter();
        if let Some(index) = clients.position(|client| client.awaits(completion.request)) {
            self.with_client(index, |client, context| client.answered(context, completion));
        }
    }

    fn wake_clients(&mut self, now: Timestamp) {
        for index in 0..self.clients.len() {
            if self.clients[index].wake().is_some_and(|wake| wake <= now) {
                self.with_client(index, |client, context| client.act(context));
            }
        }
    }

    fn with_client(&mut self, index: usize, f: impl FnOnce(&mut dyn Client, &mut Context<'_>)) {
        let mut context = Context {
            subject: &mut *self.subject,
            history: &mut self.history,
            resources: &mut self.resources,
            numbers: &mut self.numbers,
            members: &self.members,
        };
        f(&mut *self.clients[index], &mut context);
    }

    fn make(&mut self, wanted: &Move) -> Result<(), Unsupported> {
        match wanted {
            Move::CrashHolder => {
                if let Some(index) = self.await_holder() {
                    self.with_client(index, |client, context| client.crash(context));
                    self.director.note_client_fault();
                }
                Ok(())
            }
            Move::PauseHolder(pause) => {
                if let Some(index) = self.await_holder() {
                    let until = self.subject.now() + *pause;
                    self.clients[index].pause(until);
                    self.director.note_client_fault();
                }
                Ok(())
            }
            wanted => self.director.make(&mut *self.subject, wanted),
        }
    }

    /// A client that holds a lock, as soon as there is one.
    fn await_holder(&mut self) -> Option<usize> {
        let give_up = self.subject.now() + Duration::from_secs(1);
        while self.subject.now() < give_up {
            let holders: Vec<usize> =
                (0..self.clients.len()).filter(|&index| self.clients[index].holds()).collect();
            if let Some(&holder) = self.rng.pick(&holders) {
                return Some(holder);
            }
            let step = self.subject.now() + Duration::from_millis(1);
            self.advance(step);
        }
        None
    }

    fn heal(&mut self) -> Result<(), Unsupported> {
        self.director.repair(&mut *self.subject)?;
        self.history.healed = Some(self.subject.now());
        Ok(())
    }

    /// After faults: service, agreement, last reads, convergence; each within its bound.
    fn recover(&mut self, world: World) {
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
        if self.implementation.judges(Guarantee::Convergence) {
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
        if self.implementation.judges(Guarantee::Convergence)
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

    /// Why the nodes do not agree on a leader, if they do not.
    fn disagreement(&mut self) -> Option<String> {
        let members = self.members.clone();
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

    /// Asks every node for what it has committed, and compares.
    fn compare_logs(&mut self) {
        let mut logs: Vec<(cluster::NodeId, Vec<u64>)> = Vec::new();
        for node in self.members.clone() {
            let request = self.subject.submit(node, Op::Committed);
            let give_up = self.subject.now() + LOG_PATIENCE;
            while let Some(completion) = self.subject.poll(give_up) {
                if completion.request == request {
                    if let Ok(Ok(Outcome::Log(log))) = completion.outcome {
                        logs.push((node, log));
                    }
                    break;
                }
            }
        }
        if logs.len() < self.members.len() {
            let (told, all) = (logs.len(), self.members.len());
            self.undecided = Some(format!("only {told} of {all} nodes told what they committed"));
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

    fn report(mut self, faults_min: u32, options: &Options) -> Report {
        let faults = self.director.fired();
        let elapsed = self.subject.now().since(Timestamp::ZERO);
        self.history.windows = match options.world {
            World::Sim => self.director.windows(self.history.healed.unwrap_or_default()),
            // In real time a late answer is the machine's doing as often as the cluster's.
            World::Threads | World::Processes => Vec::new(),
        };
        let mut violations = self.subject.violations().to_vec();
        violations.append(&mut self.violations);
        let (mut judged, undecided) = judge::judge(&self.history, self.implementation);
        violations.append(&mut judged);
        violations.retain(|violation| self.implementation.judges(violation.guarantee));
        let mut seen = Vec::new();
        violations.retain(|violation| {
            let new = !seen.contains(&violation.guarantee);
            seen.push(violation.guarantee);
            new
        });
        let served = self.history.calls.iter().filter(|call| call.served()).count();
        let vacuous = if served < SERVED_MIN {
            Some(format!("only {served} calls were served, expected at least {SERVED_MIN}"))
        } else if faults < faults_min {
            Some(format!("only {faults} faults were injected, expected at least {faults_min}"))
        } else {
            undecided.or(self.undecided)
        };
        Report {
            seed: options.seed,
            digest: self.subject.digest(),
            events: self.subject.events(),
            elapsed,
            calls: self.history.calls.len(),
            served,
            faults,
            violations,
            vacuous,
            trace: self.subject.take_trace(),
        }
    }
}

fn clients(workload: Workload, rng: &mut Rng) -> Vec<Box<dyn Client>> {
    let mut make = |count: u32, client: fn(u32, Rng) -> Box<dyn Client>| {
        (0..count).map(|index| client(index, rng.fork(u64::from(index) + 10))).collect()
    };
    match workload {
        Workload::Elections => {
            make(3, |index, rng| Box::new(Worker::new(index, Elector::default(), rng)))
        }
        Workload::Registers => {
            make(4, |index, rng| Box::new(Worker::new(index, Reader::default(), rng)))
        }
        Workload::Locks => {
            make(4, |index, rng| Box::new(Worker::new(index, Locker::new(index), rng)))
        }
    }
}
