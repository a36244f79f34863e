//! One run: one implementation, one case.

mod recovery;

use std::time::Duration;

use cluster::sim::TraceEvent;
use cluster::{Completion, InvalidConfig, Rng, Timestamp, Unsupported};
use serde::Serialize;

use crate::case::Case;
use crate::client::{Client, Context, Elector, Locker, Operator, Reader, Resources, Worker};
use crate::director::Director;
use crate::guarantee::{Guarantee, Violation};
use crate::history::History;
use crate::implementation::{Implementation, Workload, World};
use crate::judge;
use crate::moves::Move;
use crate::scenario::{Needs, Scenario};
use crate::sometimes::Marks;
use crate::subject::Subject;
use crate::vocabulary::Answer;

pub use crate::case::Options;

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
    /// An event for everything that happened, if that was wanted and the world can.
    #[serde(skip)]
    pub trace: Vec<TraceEvent>,
    /// The rare states that such runs should now and then be in, and which of them this one was in.
    #[serde(skip)]
    pub sometimes: (&'static [&'static str], Marks),
    /// What clients saw, if a trace was wanted.
    #[serde(skip)]
    pub history: History,
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
    /// The scenario makes no sense for this implementation.
    #[error("{implementation} cannot change its voters")]
    FixedVoters {
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

/// How long just enough nodes must serve, once they are repaired and have had their grace.
const CORE_SERVES: Duration = Duration::from_secs(1);
/// How many lines of what each node has said are shown beside what it broke.
const LINES_SAID: usize = 8;

/// Makes the run of `scenario` that `options` choose.
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
    let case = Case::draw(implementation, scenario, options);
    if case.faults_min == 0 && scenario.faults_min > 0 {
        return Err(NoRun::TooFewNodes { scenario: scenario.name, nodes: case.nodes });
    }
    run_case(implementation, &case, options.trace)
}

/// Makes the run that `case` describes; with `trace`, keeps everything that happens.
///
/// # Errors
/// [`NoRun`], when nothing could be shown.
pub fn run_case(
    implementation: &Implementation,
    case: &Case,
    trace: bool,
) -> Result<Report, NoRun> {
    if case.operator && !implementation.reconfigures {
        return Err(NoRun::FixedVoters { implementation: implementation.name });
    }
    let mut subject = (implementation.start)(&case.setting())?;
    if trace {
        subject.start_trace();
    }
    let mut run = Run::new(implementation, subject, case);
    run.advance(Timestamp::ZERO + case.warm_up);
    let start = run.subject.now();
    for step in &case.steps {
        run.advance(start + step.at);
        run.make(&step.what)?;
    }
    run.advance(start + case.span);
    if case.core_first {
        run.make(&Move::HealCore)?;
        let until = run.subject.now() + implementation.grace + CORE_SERVES;
        run.advance(until);
    }
    if case.recovery {
        run.heal()?;
        run.recover(case.world);
    } else {
        run.stop();
    }
    Ok(run.report(case, trace))
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
    fn new(implementation: &'a Implementation, subject: Box<dyn Subject>, case: &Case) -> Self {
        let mut rng = case.rng();
        let members = subject.members().to_vec();
        // One may be out, and another be put in its place: this many hold a majority of both.
        let spared = usize::from(case.operator);
        let needs = ((implementation.service_needs)(case.nodes) + spared).min(case.nodes);
        let director = Director::new(&members, needs, implementation.grace, rng.fork(1));
        let mut clients = clients(implementation, case.clients, &mut rng);
        if case.operator {
            let operator = Operator::new(implementation.witness);
            let operator = Worker::new(case.clients, operator, rng.fork(2));
            clients.push(Box::new(operator));
        }
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
            Move::CrashClient { holding } => {
                if let Some(index) = self.await_client(*holding) {
                    self.with_client(index, |client, context| client.crash(context));
                    self.director.note_client_fault(self.subject.now());
                }
                Ok(())
            }
            Move::PauseClient { holding, pause } => {
                if let Some(index) = self.await_client(*holding) {
                    let until = self.subject.now() + *pause;
                    self.clients[index].pause(until);
                    self.director.note_client_fault(self.subject.now());
                }
                Ok(())
            }
            wanted => self.director.make(&mut *self.subject, wanted),
        }
    }

    /// A client that holds a lock, or has a call under way, as soon as there is one.
    fn await_client(&mut self, holding: bool) -> Option<usize> {
        let give_up = self.subject.now() + Duration::from_secs(1);
        while self.subject.now() < give_up {
            let fits = |client: &dyn Client| if holding { client.holds() } else { client.calls() };
            let all = 0..self.clients.len();
            let fitting: Vec<usize> = all.filter(|&index| fits(&*self.clients[index])).collect();
            if let Some(&index) = self.rng.pick(&fitting) {
                return Some(index);
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

    /// Ends the run as it is: nobody learns how the calls under way would have ended.
    fn stop(&mut self) {
        self.director.look(&mut *self.subject);
        for index in 0..self.clients.len() {
            self.with_client(index, |client, context| client.crash(context));
        }
    }

    fn report(mut self, case: &Case, keep: bool) -> Report {
        let faults = self.director.fired();
        let refused = self.director.refused().next();
        let now = self.subject.now();
        let elapsed = now.since(Timestamp::ZERO);
        self.history.windows = match case.world {
            World::Sim => self.director.windows(self.history.healed.unwrap_or(now)),
            // In real time a late answer is the machine's doing as often as the cluster's.
            World::Threads | World::Net => Vec::new(),
        };
        if let Some(node) = refused {
            let what = format!("{node} refused to start, though nothing had damaged its disk");
            self.violations.push(Violation::new(Guarantee::Availability, what));
        }
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
        if !violations.is_empty() {
            let said = testimony(&self.subject.said());
            violations.iter_mut().for_each(|violation| violation.what.push_str(&said));
        }
        let served = self.history.calls.iter().filter(|call| call.served()).count();
        let Case { served_min, faults_min, .. } = *case;
        let vacuous = if served < served_min {
            Some(format!("only {served} calls were served, expected at least {served_min}"))
        } else if faults < faults_min {
            Some(format!("only {faults} faults were injected, expected at least {faults_min}"))
        } else {
            undecided.or(self.undecided)
        };
        let vacuous = vacuous.map(|why| why + &testimony(&self.subject.said()));
        Report {
            seed: case.seed,
            digest: self.subject.digest(),
            events: self.subject.events(),
            elapsed,
            calls: self.history.calls.len(),
            served,
            faults,
            violations,
            vacuous,
            sometimes: self.subject.sometimes(),
            trace: self.subject.take_trace(),
            history: if keep { self.history } else { History::default() },
        }
    }
}

/// The last lines that nodes have said on their outputs, if they have said anything.
fn testimony(said: &[(cluster::NodeId, String)]) -> String {
    let mut text = String::new();
    for (node, said) in said {
        let lines: Vec<&str> = said.lines().collect();
        for line in &lines[lines.len().saturating_sub(LINES_SAID)..] {
            text.push_str(&format!("\n{node} said: {line}"));
        }
    }
    text
}

fn clients(implementation: &Implementation, count: u32, rng: &mut Rng) -> Vec<Box<dyn Client>> {
    let mut make = |client: &dyn Fn(u32, Rng) -> Box<dyn Client>| {
        (0..count).map(|index| client(index, rng.fork(u64::from(index) + 10))).collect()
    };
    match implementation.workload {
        Workload::Elections => {
            make(&|index, rng| Box::new(Worker::new(index, Elector::default(), rng)))
        }
        Workload::Registers => {
            // Every other one, so that both ways of writing meet.
            let in_sessions = implementation.claims.contains(&Guarantee::ExactlyOnce);
            make(&|index, rng| {
                let reader = Reader::new(in_sessions && index % 2 == 0, implementation.reads);
                Box::new(Worker::new(index, reader, rng))
            })
        }
        Workload::Locks => {
            make(&|index, rng| Box::new(Worker::new(index, Locker::new(index), rng)))
        }
    }
}
