//! The node of these tests: it writes down what it is given and what it hears.

use std::fmt::Debug;
use std::sync::Arc;
use std::time::{Duration, Instant};

use cluster::sim::{Options, Sim};
use cluster::{
    Boot, Cluster, Completion, CorruptRecords, EffectsOf, Epoch, Input, InputOf, InvalidConfig,
    Members, Node, NodeId, Now, PersistCount, Redirect, RequestId, Role, Standing, Timestamp,
};
use serde::{Deserialize, Serialize};

pub(crate) struct Scribe {
    pub(crate) config: Config,
    id: NodeId,
    members: Members,
    pub(crate) born: Now,
    pub(crate) seed: u64,
    /// All that is on its disk, as far as it knows.
    pub(crate) written: Vec<u64>,
    pub(crate) heard: Vec<(NodeId, Note)>,
    /// Of whose ends it was told.
    pub(crate) ended: Vec<NodeId>,
    pub(crate) durable: PersistCount,
    pub(crate) flushes: u64,
    pub(crate) inputs: u64,
    pub(crate) due: Option<Timestamp>,
    /// For each ring: when it had been due, and when it came, on its own clock.
    pub(crate) rings: Vec<(Timestamp, Timestamp)>,
    rings_left: u32,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Config {
    /// Acknowledges before its record is durable: the bug that gates are there to prevent.
    pub(crate) eager: bool,
    /// Who takes [`Ask::Lead`]; the others send there.
    pub(crate) leader: Option<NodeId>,
    /// Each node takes another for the leader.
    pub(crate) confused: bool,
    /// Each node holds a clone as long as it, or its host, lives.
    pub(crate) witness: Arc<()>,
    /// A record that boot refuses.
    pub(crate) poison: Option<u64>,
    /// Not a configuration.
    pub(crate) invalid: bool,
}

#[derive(Clone, Debug, Hash, Serialize, Deserialize)]
pub(crate) enum Ask {
    /// Write it, tell the others at once and again when it is durable, and answer then.
    Append(u64),
    /// How many records there are.
    Count,
    /// Never answered.
    Ignore,
    /// Answered twice.
    Twice,
    /// Send `count` numbered notes to `to`.
    Flood {
        to: NodeId,
        count: u64,
    },
    /// Ring after so long; none for the latest time there is.
    RingIn(Option<Duration>),
    /// Ring so often, each time as soon as may be.
    RingAtOnce(u32),
    /// What is older than the record that was so many since the boot may go.
    Forget(u64),
    /// Only for the leader.
    Lead,
    /// The numbers heard so far, in order.
    Heard,
    Panic,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Answer {
    Done,
    Count(u64),
    Heard(Vec<u64>),
    NotHere(Option<NodeId>),
}

#[derive(Clone, Copy, Debug, Hash, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Note {
    /// It will be durable.
    Soon(u64),
    /// It is durable.
    Safe(u64),
    Numbered(u64),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum News {
    Booted {
        records: usize,
    },
    Wrote(u64),
    /// A numbered note has come.
    Heard(u64),
}

impl Scribe {
    /// The numbers it has heard, in order.
    pub(crate) fn numbers(&self) -> Vec<u64> {
        let number = |note: &Note| match note {
            Note::Numbered(number) => Some(*number),
            Note::Soon(_) | Note::Safe(_) => None,
        };
        self.heard.iter().filter_map(|(_, note)| number(note)).collect()
    }

    fn ask(&mut self, now: Now, id: RequestId, ask: Ask, out: &mut EffectsOf<Self>) {
        match ask {
            Ask::Append(value) => {
                self.written.push(value);
                out.persist(value);
                for peer in self.members.others(self.id) {
                    out.send(peer, Note::Safe(value));
                    out.send_now(peer, Note::Soon(value));
                }
                if self.config.eager {
                    out.respond_now(id, Answer::Done);
                } else {
                    out.respond(id, Answer::Done);
                }
                out.emit(News::Wrote(value));
            }
            Ask::Count => out.respond_now(id, Answer::Count(self.written.len() as u64)),
            Ask::Ignore => {}
            Ask::Twice => {
                out.respond(id, Answer::Done);
                out.respond(id, Answer::Count(2));
            }
            Ask::Flood { to, count } => {
                (0..count).for_each(|number| out.send(to, Note::Numbered(number)));
                out.respond(id, Answer::Done);
            }
            Ask::RingIn(span) => {
                self.due = Some(span.map_or(Timestamp::MAX, |span| now.monotonic + span));
                self.rings_left = 1;
                out.respond(id, Answer::Done);
            }
            Ask::RingAtOnce(times) => {
                self.due = Some(Timestamp::ZERO);
                self.rings_left = times;
                out.respond(id, Answer::Done);
            }
            Ask::Forget(before) => {
                out.forget(PersistCount(before));
                out.respond(id, Answer::Done);
            }
            Ask::Lead if self.config.leader == Some(self.id) => out.respond(id, Answer::Done),
            Ask::Lead if self.config.confused => {
                let other = self.members.others(self.id).next();
                out.respond(id, Answer::NotHere(other));
            }
            Ask::Lead => out.respond(id, Answer::NotHere(self.config.leader)),
            Ask::Heard => out.respond(id, Answer::Heard(self.numbers())),
            Ask::Panic => panic!("the scribe was told to"),
        }
    }
}

impl Node for Scribe {
    type Config = Config;
    type Request = Ask;
    type Response = Answer;
    type Message = Note;
    type Record = u64;
    type Event = News;

    fn validate(config: &Config, _: &Members) -> Result<(), InvalidConfig> {
        if config.invalid {
            return Err(InvalidConfig::new("invalid", true, "false"));
        }
        Ok(())
    }

    fn boot(
        config: &Config,
        boot: Boot<u64>,
        out: &mut EffectsOf<Self>,
    ) -> Result<Self, CorruptRecords> {
        if let Some(position) = boot.records.iter().position(|&it| Some(it) == config.poison) {
            let problem = "poison, expected none".to_owned();
            return Err(CorruptRecords { node: boot.id, position, problem });
        }
        out.emit(News::Booted { records: boot.records.len() });
        Ok(Self {
            config: config.clone(),
            id: boot.id,
            members: boot.members,
            born: boot.now,
            seed: boot.seed,
            written: boot.records,
            heard: Vec::new(),
            ended: Vec::new(),
            durable: PersistCount::default(),
            flushes: 0,
            inputs: 0,
            due: None,
            rings: Vec::new(),
            rings_left: 0,
        })
    }

    fn handle(&mut self, now: Now, input: InputOf<Self>, out: &mut EffectsOf<Self>) {
        self.inputs += 1;
        match input {
            Input::Request { id, body } => self.ask(now, id, body, out),
            Input::Message { from, body } => {
                self.heard.push((from, body));
                if let Note::Numbered(number) = body {
                    out.emit(News::Heard(number));
                }
            }
            Input::Ended { node } => self.ended.push(node),
            Input::Timer => {
                if let Some(due) = self.due.filter(|&due| due <= now.monotonic) {
                    self.rings.push((due, now.monotonic));
                    self.rings_left = self.rings_left.saturating_sub(1);
                    self.due = self.due.filter(|_| self.rings_left > 0);
                }
            }
            Input::Durable(count) => {
                assert!(count > self.durable, "{count:?} after {:?}", self.durable);
                assert!(count <= out.persisted(), "{count:?} of {:?}", out.persisted());
                self.durable = count;
            }
        }
    }

    fn flush(&mut self, _: Now, _: &mut EffectsOf<Self>) {
        self.flushes += 1;
    }

    fn deadline(&self) -> Option<Timestamp> {
        self.due
    }

    fn standing(&self, _: Now) -> Standing {
        Standing { role: Role::Replica, epoch: Epoch::ZERO, leader: self.config.leader }
    }

    fn gauges(&self) -> Vec<(&'static str, u64)> {
        vec![
            ("written", self.written.len() as u64),
            ("heard", self.heard.len() as u64),
            ("ended", self.ended.len() as u64),
            ("rings", self.rings.len() as u64),
            ("flushes", self.flushes),
            ("inputs", self.inputs),
        ]
    }

    fn redirect(response: &Answer) -> Option<Redirect> {
        match response {
            Answer::NotHere(to) => Some(Redirect { to: *to }),
            Answer::Done | Answer::Count(_) | Answer::Heard(_) => None,
        }
    }
}

pub(crate) fn n(number: u32) -> NodeId {
    NodeId::new(number)
}

pub(crate) fn members(count: usize) -> Members {
    Members::first(count).expect("a valid cluster")
}

pub(crate) fn sim(nodes: usize, seed: u64) -> Sim<Scribe> {
    configured(nodes, Config::default(), Options::seeded(seed))
}

pub(crate) fn configured(nodes: usize, config: Config, options: Options) -> Sim<Scribe> {
    Sim::new(config, members(nodes), options).expect("a valid configuration")
}

/// Lets `millis` milliseconds pass, and returns what was completed.
pub(crate) fn pass(sim: &mut Sim<Scribe>, millis: u64) -> Vec<Completion<Answer>> {
    let until = sim.now() + Duration::from_millis(millis);
    std::iter::from_fn(|| sim.poll(until)).collect()
}

/// Asks `node`, and lets time pass until the answer is there.
#[track_caller]
pub(crate) fn done(sim: &mut Sim<Scribe>, node: u32, ask: Ask) {
    let id = sim.submit(n(node), ask);
    let completion = sim.poll(sim.now() + Duration::from_secs(1)).expect("an answer");
    assert_eq!((completion.request, completion.outcome), (id, Ok(Answer::Done)));
}

/// The numbers that `node` has heard, in order.
pub(crate) fn numbers(sim: &Sim<Scribe>, node: u32) -> Vec<u64> {
    sim.node(n(node)).expect("it is up").numbers()
}

/// Waits in real time until `condition` holds.
#[track_caller]
pub(crate) fn eventually(what: impl Debug, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !condition() {
        assert!(Instant::now() < deadline, "never: {what:?}");
        std::thread::yield_now();
    }
}
