//! All schedules of one cluster, as a space to search.

mod choosing;
mod opening;

use std::sync::Arc;

use crate::{Input, NodeId, Timestamp};

use super::fingerprint::{Fingerprint, Frame, Naming};
use super::host::{Host, Said, request_id};
use super::property::{Ended, Happened, Property, Step, View};
use super::search::{Broken, Space};
use super::turns::{Cue, Parcel, Turn, Turns, salted};
use super::{Clocks, Disk, Explorable, Links, Model};

/// The schedules of a model's cluster, each judged by a copy of `property`.
pub(super) struct World<'a, N: Explorable, P> {
    model: &'a Model<N>,
    property: P,
    namings: Vec<Naming>,
    turns: Turns<N>,
}

/// A parcel, and how often time has passed since it was sent.
type Flying<N> = (Arc<Parcel<N>>, u8);

/// How much of what is bounded is left.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Left {
    firings: u8,
    crashes: u8,
    wipes: u8,
    losses: u8,
    duplicates: u8,
}

/// Everything, at one moment.
pub(super) struct State<N: Explorable, P> {
    hosts: Vec<Arc<Host<N>>>,
    /// In the order of sending.
    flight: Vec<Flying<N>>,
    /// What all clocks show, if they run alike.
    now: Timestamp,
    ticks: u8,
    /// Requests that were asked, and those that have ended: one bit each.
    asked: u32,
    ended: u32,
    left: Left,
    property: P,
}

impl<N: Explorable, P: Clone> Clone for State<N, P> {
    fn clone(&self) -> Self {
        Self {
            hosts: self.hosts.clone(),
            flight: self.flight.clone(),
            property: self.property.clone(),
            ..*self
        }
    }
}

/// One way on. Hosts and requests by place, parcels by place in the flight.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Choice {
    Deliver(usize),
    /// A copy arrives, and it is still under way.
    Duplicate(usize),
    Lose(usize),
    Sync(usize),
    Fire(usize),
    Ask {
        request: usize,
        host: usize,
    },
    /// So many records that were not durable are on the disk all the same.
    Crash {
        host: usize,
        lucky: usize,
    },
    /// It crashes, and nothing is on its disk any more.
    Wipe(usize),
    Restart(usize),
    Tick,
}

/// What a step brought about, besides the state after it.
struct Outcome<N: Explorable> {
    step: Step,
    /// Of the host that it happened to, if to any.
    turn: Option<Arc<Turn<N>>>,
}

impl<'a, N: Explorable, P: Property<N>> World<'a, N, P> {
    pub(super) fn new(model: &'a Model<N>, property: P, turns: Turns<N>) -> Self {
        let namings = if model.is_symmetric() {
            Naming::all(&model.members)
        } else {
            vec![Naming::plain(&model.members)]
        };
        Self { model, property, namings, turns }
    }

    fn id(&self, place: usize) -> NodeId {
        self.model.members.as_slice()[place]
    }

    fn is_timed(&self) -> bool {
        match self.model.bounds.clocks {
            Clocks::Free { .. } => false,
            Clocks::Alike { .. } => true,
        }
    }

    /// Whether how often each timer has fired is bounded, so that it is part of the state.
    fn counts_firings(&self) -> bool {
        match self.model.bounds.clocks {
            Clocks::Free { firings, firings_each } => firings_each < firings,
            Clocks::Alike { .. } => false,
        }
    }

    fn disk(&self) -> Disk {
        self.model.bounds.disk
    }

    fn seal(&self, mut host: Host<N>) -> Arc<Host<N>> {
        host.seal(&self.namings, self.is_timed(), self.counts_firings());
        Arc::new(host)
    }

    fn parcel(&self, from: usize, to: usize, body: N::Message) -> Arc<Parcel<N>> {
        let prints = self.namings.iter().map(|naming| {
            let frame = plain(naming);
            Fingerprint::of(|into| {
                use std::hash::Hasher;
                into.write_u32(naming.place(from));
                into.write_u32(naming.place(to));
                N::fingerprint_message(&body, &frame, into);
            })
        });
        let prints = prints.collect();
        Arc::new(Parcel { from, to, body, prints })
    }

    fn view<'s>(&self, state: &'s State<N, P>) -> View<'s, N> {
        View { hosts: &state.hosts, flying: state.flight.len(), ticks: state.ticks }
    }
}

/// A frame for what knows no time.
fn plain(naming: &Naming) -> Frame<'_> {
    Frame { now: Timestamp::ZERO, written: Default::default(), timed: false, naming }
}

// Stepping.
impl<N: Explorable, P: Property<N>> World<'_, N, P> {
    /// Carries `choice` out, and lets nobody judge it yet.
    fn play(
        &self,
        state: &State<N, P>,
        choice: Choice,
    ) -> Result<(State<N, P>, Outcome<N>), Broken> {
        let mut next = state.clone();
        let (step, acts) = match choice {
            Choice::Deliver(place) => {
                let (parcel, _) = next.flight.remove(place);
                (self.step_of(&parcel), Some(self.receive(state, &parcel)?))
            }
            Choice::Duplicate(place) => {
                let (parcel, _) = &state.flight[place];
                next.left.duplicates -= 1;
                (self.step_of(parcel), Some(self.receive(state, parcel)?))
            }
            Choice::Lose(place) => {
                let (parcel, _) = next.flight.remove(place);
                next.left.losses -= 1;
                let (from, to) = (self.id(parcel.from), self.id(parcel.to));
                (Step::Lost { from, to }, None)
            }
            Choice::Sync(place) => (Step::Synced(self.id(place)), Some(self.sync(state, place)?)),
            Choice::Fire(place) => {
                if !self.is_timed() {
                    next.left.firings -= 1;
                }
                (Step::Fired(self.id(place)), Some(self.fire(state, place)?))
            }
            Choice::Ask { request, host } => {
                next.asked |= 1 << request;
                let node = self.id(host);
                (Step::Asked { request, node }, Some(self.ask(state, request, host)?))
            }
            Choice::Crash { host, lucky } => {
                next.left.crashes -= 1;
                (Step::Crashed(self.id(host)), Some(self.crash(state, host, lucky)?))
            }
            Choice::Wipe(place) => {
                next.left.wipes -= 1;
                (Step::Wiped(self.id(place)), Some(self.wipe(state, place)?))
            }
            Choice::Restart(place) => {
                (Step::Restarted(self.id(place)), Some(self.restart(state, place)?))
            }
            Choice::Tick => {
                self.tick(&mut next);
                (Step::Ticked, None)
            }
        };
        let turn = acts.map(|(place, turn)| {
            next.hosts[place] = Arc::clone(&turn.host);
            // What finds no room is lost.
            let room = self.model.bounds.flight.saturating_sub(next.flight.len());
            let sent = turn.sent.iter().take(room);
            next.flight.extend(sent.map(|parcel| (Arc::clone(parcel), 0)));
            for (request, _) in &turn.ended {
                next.ended |= 1 << request;
            }
            turn
        });
        Ok((next, Outcome { step, turn }))
    }

    fn step_of(&self, parcel: &Parcel<N>) -> Step {
        Step::Delivered { from: self.id(parcel.from), to: self.id(parcel.to) }
    }

    /// Lets host number `place` act, or remembers what came of it. `input` names what it does.
    fn turn(
        &self,
        state: &State<N, P>,
        place: usize,
        input: u128,
        act: impl FnOnce(&mut Host<N>, &mut Said<N>) -> Result<u32, Broken>,
    ) -> Result<Acted<N>, Broken> {
        let before = &state.hosts[place];
        // Hosts that look alike may be of different times; where clocks run alike they must not be
        // taken for each other.
        let time = if self.is_timed() { state.now.as_nanos() } else { 0 };
        let cue = Cue::new(before.prints[0], salted(input, time));
        let turn = self.turns.of(cue, || {
            let (mut host, mut said) = ((**before).clone(), Said::nothing());
            let lost = act(&mut host, &mut said)?;
            let sent = said.sent.into_iter().filter_map(|(to, body)| {
                let to = self.model.members.index_of(to)?;
                Some(self.parcel(place, to, body))
            });
            let sent = sent.collect();
            let answered = said.answered.into_iter();
            let lost = (0..u32::BITS as usize).filter(|at| lost & 1 << at != 0);
            let ended = answered
                .map(|(request, response)| (request, Ended::Answered(response)))
                .chain(lost.map(|request| (request, Ended::Lost)));
            let (ended, events) = (ended.collect(), said.events);
            Ok(Turn { host: self.seal(host), sent, ended, events })
        })?;
        Ok((place, turn))
    }

    fn receive(&self, state: &State<N, P>, parcel: &Parcel<N>) -> Result<Acted<N>, Broken> {
        self.turn(state, parcel.to, parcel.prints[0], |host, said| {
            let (from, body) = (self.id(parcel.from), parcel.body.clone());
            host.take(Input::Message { from, body }, self.disk(), said);
            Ok(0)
        })
    }

    fn sync(&self, state: &State<N, P>, place: usize) -> Result<Acted<N>, Broken> {
        self.turn(state, place, named(1, 0), |host, said| {
            host.sync(self.disk(), said);
            Ok(0)
        })
    }

    fn fire(&self, state: &State<N, P>, place: usize) -> Result<Acted<N>, Broken> {
        self.turn(state, place, named(2, 0), |host, said| {
            host.fire(self.disk(), said);
            if self.counts_firings() {
                host.fired = host.fired.saturating_add(1);
            }
            Ok(0)
        })
    }

    fn ask(&self, state: &State<N, P>, request: usize, at: usize) -> Result<Acted<N>, Broken> {
        self.turn(state, at, named(3, request), |host, said| {
            host.asked |= 1 << request;
            let body = self.model.script[request].request.clone();
            host.take(Input::Request { id: request_id(request), body }, self.disk(), said);
            Ok(0)
        })
    }

    fn crash(&self, state: &State<N, P>, at: usize, lucky: usize) -> Result<Acted<N>, Broken> {
        self.turn(state, at, named(4, lucky), |host, _| Ok(host.crash(lucky)))
    }

    fn wipe(&self, state: &State<N, P>, place: usize) -> Result<Acted<N>, Broken> {
        self.turn(state, place, named(6, 0), |host, _| Ok(host.wipe()))
    }

    fn restart(&self, state: &State<N, P>, place: usize) -> Result<Acted<N>, Broken> {
        self.turn(state, place, named(5, 0), |host, said| {
            let now = self.is_timed().then_some(state.now);
            let (config, members) = (&self.model.config, &self.model.members);
            host.boot(config, members, now, self.disk(), said)?;
            Ok(0)
        })
    }

    /// Time passes until the next timer is due.
    fn tick(&self, state: &mut State<N, P>) {
        let next = state.hosts.iter().filter_map(|host| host.deadline()).min();
        self.advance(state, next.expect("checked by the choice"));
        state.ticks += 1;
        let delay_max = self.delay_max();
        if delay_max == u8::MAX {
            return;
        }
        let State { flight, hosts, .. } = state;
        // Where nobody is there to take them, they cannot wait for ever.
        flight.retain(|(parcel, _)| hosts[parcel.to].node.is_some());
        for (_, age) in flight {
            *age = age.saturating_add(1).min(delay_max);
        }
    }

    /// All clocks show `at`, if that is later.
    fn advance(&self, state: &mut State<N, P>, at: Timestamp) {
        state.now = state.now.max(at);
        for place in 0..state.hosts.len() {
            let mut host = (*state.hosts[place]).clone();
            host.now = state.now;
            state.hosts[place] = self.seal(host);
        }
    }

    /// How often time may pass while a message is under way.
    fn delay_max(&self) -> u8 {
        match self.model.bounds.clocks {
            Clocks::Free { .. } => u8::MAX,
            Clocks::Alike { delay_max, .. } => delay_max,
        }
    }

    /// Lets the property look at what a step led to.
    fn judge(&self, state: &mut State<N, P>, outcome: &Outcome<N>) -> Result<(), Broken> {
        let (ended, events) = match &outcome.turn {
            Some(turn) => (turn.ended.as_slice(), turn.events.as_slice()),
            None => (&[][..], &[][..]),
        };
        let happened = Happened { step: outcome.step, ended, events };
        let view = View { hosts: &state.hosts, flying: state.flight.len(), ticks: state.ticks };
        state.property.observe(&view, &happened)
    }
}

/// Whose turn it was, and what came of it.
type Acted<N> = (usize, Arc<Turn<N>>);

/// An input that is no message, as part of a cue.
fn named(kind: u64, detail: usize) -> u128 {
    salted(u128::from(kind), detail as u64 + 1)
}

impl<N: Explorable, P: Property<N>> Space for World<'_, N, P> {
    type State = State<N, P>;
    type Choice = Choice;

    fn start(&self) -> Result<State<N, P>, Broken> {
        let bounds = &self.model.bounds;
        let firings = match bounds.clocks {
            Clocks::Free { firings, .. } => firings,
            Clocks::Alike { .. } => 0,
        };
        let now = Timestamp::from_millis(1_000_000);
        let mut state = State {
            hosts: self.model.members.iter().map(|id| self.seal(Host::new(id))).collect(),
            flight: Vec::new(),
            now,
            ticks: 0,
            asked: 0,
            ended: 0,
            left: Left {
                firings: u8::MAX,
                crashes: u8::MAX,
                wipes: u8::MAX,
                losses: u8::MAX,
                duplicates: u8::MAX,
            },
            property: self.property.clone(),
        };
        for place in 0..state.hosts.len() {
            (state, _) = self.play(&state, Choice::Restart(place))?;
            while state.hosts[place].unsynced() > 0 {
                (state, _) = self.play(&state, Choice::Sync(place))?;
            }
        }
        self.judge(&mut state, &Outcome { step: Step::Start, turn: None })?;
        for play in &self.model.opening {
            self.perform_play(&mut state, *play)?;
        }
        state.left = Left {
            firings,
            crashes: bounds.crashes,
            wipes: bounds.wipes,
            losses: bounds.losses,
            duplicates: bounds.duplicates,
        };
        state.ticks = 0;
        for place in 0..state.hosts.len() {
            let mut host = (*state.hosts[place]).clone();
            host.fired = 0;
            state.hosts[place] = self.seal(host);
        }
        Ok(state)
    }

    fn choices(&self, state: &State<N, P>) -> Vec<Choice> {
        let mut choices = Vec::with_capacity(32);
        let arriving = self.arriving(state);
        let is_up = |&place: &usize| state.hosts[state.flight[place].0.to].node.is_some();
        choices.extend(arriving.iter().copied().filter(is_up).map(Choice::Deliver));
        let unsynced = state.hosts.iter().enumerate().filter(|(_, host)| host.unsynced() > 0);
        let running = unsynced.filter(|(_, host)| host.node.is_some());
        choices.extend(running.map(|(place, _)| Choice::Sync(place)));
        self.fire_choices(state, &mut choices);
        for request in (0..self.model.script.len()).filter(|&it| self.may_ask(state, it)) {
            let at = self.model.script[request].at;
            for (place, host) in state.hosts.iter().enumerate() {
                if host.node.is_some() && at.is_none_or(|node| node == host.id) {
                    choices.push(Choice::Ask { request, host: place });
                }
            }
        }
        self.fault_choices(state, &arriving, &mut choices);
        choices
    }

    fn take(&self, state: &State<N, P>, choice: &Choice) -> Result<State<N, P>, Broken> {
        let (mut next, outcome) = self.play(state, *choice)?;
        self.judge(&mut next, &outcome)?;
        Ok(next)
    }

    fn fingerprint(&self, state: &State<N, P>) -> u128 {
        let prints = self.namings.iter().enumerate().map(|(number, naming)| {
            let rest = Fingerprint::of(|into| {
                use std::hash::Hash;
                (state.left, state.ticks, state.asked, state.ended).hash(into);
                state.property.fingerprint(&plain(naming), into);
            });
            let hosts = state.hosts.iter().map(|host| host.prints[number]);
            // A sum, since neither the order of the hosts nor that of the parcels counts; each
            // part names what it belongs to, and is mixed well already.
            let sum = hosts.fold(rest, u128::wrapping_add);
            let flight = state.flight.iter().enumerate().map(|(place, (parcel, age))| {
                let before = match self.model.bounds.links {
                    Links::Unordered => 0,
                    Links::Ordered => place_on_link(&state.flight[..place], parcel),
                };
                salted(parcel.prints[number], u64::from(*age) << 32 | before as u64)
            });
            flight.fold(sum, u128::wrapping_add)
        });
        prints.min().expect("at least the plain naming")
    }

    fn end(&self, state: &State<N, P>) -> Result<(), Broken> {
        state.property.end(&self.view(state))
    }

    fn describe(&self, state: &State<N, P>, choice: &Choice) -> String {
        let parcel = |place: usize| {
            let (parcel, _) = &state.flight[place];
            let (from, to) = (self.id(parcel.from), self.id(parcel.to));
            format!("{to} ← {from}: {:?}", parcel.body)
        };
        let mut text = match *choice {
            Choice::Deliver(place) => parcel(place),
            Choice::Duplicate(place) => format!("{} (and a copy is under way)", parcel(place)),
            Choice::Lose(place) => format!("lost: {}", parcel(place)),
            Choice::Sync(place) => format!("{}'s disk syncs", self.id(place)),
            Choice::Fire(place) => format!("{} times out", self.id(place)),
            Choice::Ask { request, host } => {
                let body = &self.model.script[request].request;
                format!("client asks {}: {body:?} (r{request})", self.id(host))
            }
            Choice::Crash { host, lucky } => {
                let unsynced = state.hosts[host].unsynced();
                match unsynced {
                    0 => format!("{} crashes", self.id(host)),
                    _ => format!(
                        "{} crashes; of {unsynced} records not synced, {lucky} survive",
                        self.id(host)
                    ),
                }
            }
            Choice::Wipe(place) => format!("{} loses its disk", self.id(place)),
            Choice::Restart(place) => format!("{} restarts", self.id(place)),
            Choice::Tick => "time passes".to_owned(),
        };
        let Ok((next, outcome)) = self.play(state, *choice) else { return text };
        if *choice == Choice::Tick {
            text += &format!(": {:?}", next.now.since(state.now));
        }
        let Some(turn) = outcome.turn else { return text };
        for (node, event) in &turn.events {
            text += &format!("; {node}: {event:?}");
        }
        for (request, ended) in &turn.ended {
            text += &match ended {
                Ended::Answered(response) => format!("; r{request} is answered {response:?}"),
                Ended::Lost => format!("; r{request} is never answered"),
            };
        }
        text
    }
}

/// How many parcels of the same link were sent before `parcel`.
fn place_on_link<N: Explorable>(before: &[Flying<N>], parcel: &Parcel<N>) -> usize {
    before.iter().filter(|(other, _)| (other.from, other.to) == (parcel.from, parcel.to)).count()
}
