//! Clients that lock, stall, retry and misbehave, under faults chosen by seed, and what must hold of
//! what they were told.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use cluster::{Cluster, Fault, LinkFault, NoAnswer, NodeId, RequestId, Rng, Timestamp};
use dlock::{AttemptId, Config, Error, FencingToken, Grant, Owner, Reply, Request, Resource};

use crate::support::{
    Verdict, World, cancel, expect, ms, release, release_hold, renew, take, wait_for,
};

const RESOURCES: [&str; 2] = ["door", "room"];
const TTL_MAX: u64 = 800;
const SLICE: Duration = Duration::from_millis(5);

/// Runs the swarm of `seed` on a service of `config`.
#[cfg(feature = "mutants")]
pub(crate) fn swarm(config: &Config, seed: u64) -> Verdict {
    Swarm::new(config, seed).run().map(|_| ())
}

#[test]
fn what_clients_are_told_holds_under_faults() {
    let mut grants = 0;
    for seed in 0..60 {
        let run = Swarm::new(&Config::default(), seed).run();
        grants += run.unwrap_or_else(|problem| panic!("seed {seed}: {problem}")).grants;
    }
    // Faults do not bring the service to a halt, or this test would see nothing.
    assert!(grants > 60 * 10, "only {grants} grants");
}

#[test]
fn one_seed_is_one_run() {
    let run = |seed| Swarm::new(&Config::default(), seed).run().expect("holds");
    assert_eq!(run(3).digest, run(3).digest);
    assert_ne!(run(3).digest, run(4).digest);
}

struct Ran {
    grants: usize,
    digest: u64,
}

struct Swarm {
    world: World,
    rng: Rng,
    clients: Vec<Client>,
    judge: Judge,
    down: Option<NodeId>,
    paused: Option<NodeId>,
}

impl Swarm {
    fn new(config: &Config, seed: u64) -> Self {
        let nodes = [3, 5][(seed % 2) as usize];
        let world = World::new(config, nodes, seed);
        let node = world.sim.members()[0];
        Self {
            world,
            rng: Rng::from_seed(seed ^ 0x5eed),
            clients: (0..5).map(|number| Client::new(number, node)).collect(),
            judge: Judge::default(),
            down: None,
            paused: None,
        }
    }

    fn run(mut self) -> Result<Ran, String> {
        let mut fault_at = Timestamp::from_millis(600);
        while self.world.now() < Timestamp::from_millis(6_000) {
            self.world.run_for(SLICE)?;
            if self.world.now() > fault_at {
                self.fault();
                fault_at += ms(self.rng.within(50..=700));
            }
            self.turn()?;
        }
        self.heal();
        for _ in 0..200 {
            self.world.run_for(SLICE)?;
            self.turn()?;
        }
        self.judge.exclusion()?;
        self.quiet()?;
        Ok(Ran { grants: self.judge.grants.len(), digest: self.world.sim.digest() })
    }

    fn turn(&mut self) -> Verdict {
        for number in 0..self.clients.len() {
            self.listen(number)?;
            self.act(number);
        }
        Ok(())
    }

    /// All is well again and nobody asks for anything: every lock comes free, without anyone
    /// asking, every replica agrees, and the service serves.
    fn quiet(&mut self) -> Verdict {
        // The longest wait, the longest TTL, an election, and as much time again as may not count.
        self.world.run_for(ms(2 * (1_500 + TTL_MAX) + 1_000))?;
        let mut seen = BTreeSet::new();
        for &id in self.world.sim.members() {
            let node = self.world.sim.node(id).ok_or_else(|| format!("{id} is down"))?;
            let table = node.table();
            expect(table.held_count() == 0, || format!("{id}: {:?}", table.list(table.time())))?;
            seen.insert((node.raft().applied_index(), table.time()));
        }
        expect(seen.len() == 1, || format!("replicas differ: {seen:?}"))?;
        for resource in RESOURCES {
            let grant = self.world.grant(take(resource, "last", 1, 500))?;
            let newest = self.judge.newest();
            expect(newest < grant.token, || format!("{} after {newest}", grant.token))?;
            self.world.ask(release(resource, "last", grant.token))?.map_err(|e| e.to_string())?;
        }
        Ok(())
    }
}

// What goes wrong.
impl Swarm {
    fn any_node(&mut self) -> NodeId {
        any(&mut self.rng, self.world.sim.members())
    }

    /// The leader, half of the time.
    fn victim(&mut self) -> NodeId {
        let leader = self.world.leader().filter(|_| self.rng.chance(500_000));
        leader.unwrap_or_else(|| self.any_node())
    }

    fn fault(&mut self) {
        let fault = match self.rng.below(12) {
            0..=2 => match self.down.take() {
                Some(node) => Fault::Restart { node },
                None => {
                    let node = self.victim();
                    self.down = Some(node);
                    Fault::Crash { node }
                }
            },
            3..=5 => match self.paused.take() {
                Some(node) => Fault::Resume { node },
                None => {
                    let node = self.victim();
                    self.paused = Some(node);
                    Fault::Pause { node }
                }
            },
            6 | 7 => {
                let mut nodes = self.world.sim.members().to_vec();
                self.rng.shuffle(&mut nodes);
                let rest = nodes.split_off(nodes.len() / 2);
                Fault::Partition { groups: vec![nodes, rest] }
            }
            8 => Fault::Cut { from: vec![self.any_node()], to: vec![self.any_node()] },
            9 => Fault::Links(LinkFault {
                loss_ppm: 50_000,
                duplicate_ppm: 50_000,
                delay_ppm: 100_000,
                delay_max: ms(100),
            }),
            10 => Fault::Heal,
            _ => {
                self.world.inject(Fault::PowerLoss);
                (self.down, self.paused) = (None, None);
                for node in self.world.sim.members().to_vec() {
                    self.world.inject(Fault::Restart { node });
                }
                Fault::Links(LinkFault::default())
            }
        };
        self.world.inject(fault);
    }

    fn heal(&mut self) {
        self.world.inject(Fault::Heal);
        self.world.inject(Fault::Links(LinkFault::default()));
        for node in self.world.sim.members().to_vec() {
            self.world.inject(Fault::Resume { node });
            self.world.inject(Fault::Restart { node });
        }
    }
}

// What clients do.
impl Swarm {
    fn act(&mut self, number: usize) {
        let now = self.world.now();
        let client = &mut self.clients[number];
        if let Some(asked) = &mut client.asked {
            if now >= asked.again {
                client.node = any(&mut self.rng, self.world.sim.members());
                asked.id = self.world.submit(client.node, asked.request.clone());
                (asked.sent, asked.again) = (now, now + ms(self.rng.within(100..=1_000)));
            }
            return;
        }
        if now < client.next {
            return;
        }
        let Some(request) = client.choose(now, &mut self.rng, &mut self.judge) else { return };
        let id = self.world.submit(client.node, request.clone());
        let again = now + ms(self.rng.within(100..=2_000));
        client.asked = Some(Asked { id, request, first: now, sent: now, again });
    }

    /// Takes the answer, if it is there.
    fn listen(&mut self, number: usize) -> Verdict {
        let now = self.world.now();
        let client = &mut self.clients[number];
        let Some(asked) = &mut client.asked else { return Ok(()) };
        let Some(completion) = self.world.take_answer(asked.id) else { return Ok(()) };
        let elsewhere = match &completion.outcome {
            Ok(Err(Error::NotLeader { leader })) => Some(*leader),
            Err(NoAnswer::Unreachable | NoAnswer::Lost) | Ok(Err(Error::Unknown)) => Some(None),
            Ok(_) => None,
        };
        if let Some(leader) = elsewhere {
            let node = leader.unwrap_or_else(|| any(&mut self.rng, self.world.sim.members()));
            client.node = node;
            asked.again = now + ms(10);
            return Ok(());
        }
        let (Ok(response), Some(asked)) = (completion.outcome, client.asked.take()) else {
            unreachable!("both were just seen");
        };
        client.next = now + ms(self.rng.within(0..=300));
        let Ok(reply) = response else { return Ok(()) };
        self.judge.told(&client.owner, &asked, &reply, completion.at, &self.world.expired)?;
        client.told(&asked.request, &reply);
        Ok(())
    }
}

/// A client does one thing at a time, over and over until it is answered.
struct Client {
    owner: String,
    /// Whom it takes for the leader.
    node: NodeId,
    attempts: u64,
    asked: Option<Asked>,
    /// When it does the next thing.
    next: Timestamp,
    holds: Option<Holds>,
    /// What it had before, and may try to use again.
    had: Option<Holds>,
}

struct Asked {
    id: RequestId,
    request: Request,
    /// When it was sent first.
    first: Timestamp,
    /// When it was sent last.
    sent: Timestamp,
    /// When to send it again, to another node.
    again: Timestamp,
}

#[derive(Clone)]
struct Holds {
    resource: String,
    token: FencingToken,
    attempts: Vec<u64>,
}

impl Client {
    fn new(number: u32, node: NodeId) -> Self {
        Self {
            owner: format!("client-{number}"),
            node,
            attempts: 0,
            asked: None,
            next: Timestamp::ZERO,
            holds: None,
            had: None,
        }
    }

    fn choose(&mut self, now: Timestamp, rng: &mut Rng, judge: &mut Judge) -> Option<Request> {
        let ttl = rng.within(50..=TTL_MAX);
        let dice = rng.below(100);
        let Some(holds) = &mut self.holds else {
            return Some(self.choose_without(dice, ttl, rng, judge));
        };
        let (resource, token) = (holds.resource.clone(), holds.token);
        match dice {
            // It is gone, and will not be heard of again under this grant.
            0..10 => {
                judge.relies_no_more(token, now);
                self.had = self.holds.take();
                None
            }
            10..30 => Some(renew(&resource, &self.owner, token, ttl)),
            30..45 => {
                self.attempts += 1;
                Some(take(&resource, &self.owner, self.attempts, ttl))
            }
            _ => {
                let attempt = holds.attempts.swap_remove(rng.index(holds.attempts.len()));
                if holds.attempts.is_empty() {
                    judge.relies_no_more(token, now);
                    self.had = self.holds.take();
                }
                Some(release_hold(&resource, &self.owner, token, attempt))
            }
        }
    }

    fn choose_without(&mut self, dice: u64, ttl: u64, rng: &mut Rng, judge: &Judge) -> Request {
        let owner = self.owner.clone();
        let resource = *rng.pick(&RESOURCES).expect("there are some");
        let attempt = self.attempts;
        match (dice, &self.had) {
            // Meddles with what may be another's.
            (0..8, _) => {
                let stolen = Request::Release {
                    resource: resource.into(),
                    owner: owner.as_str().into(),
                    token: judge.newest(),
                    attempt: None,
                };
                if rng.chance(500_000) {
                    renew(resource, &owner, judge.newest(), ttl)
                } else {
                    stolen
                }
            }
            // Uses what it had, as if it still had it.
            (8..14, Some(had)) => renew(&had.resource, &owner, had.token, ttl),
            (14..20, _) => cancel(resource, &owner, attempt),
            (8..50, _) => {
                self.attempts += 1;
                take(resource, &owner, self.attempts, ttl)
            }
            _ => {
                self.attempts += 1;
                wait_for(resource, &owner, self.attempts, ttl, rng.within(0..=1_500))
            }
        }
    }

    fn told(&mut self, request: &Request, reply: &Reply) {
        let (Some((resource, attempt)), Reply::Acquired(grant)) = (wished(request), reply) else {
            return;
        };
        let new = Holds {
            resource: resource.as_str().to_owned(),
            token: grant.token,
            attempts: vec![attempt.get()],
        };
        match &mut self.holds {
            Some(holds) if holds.token == grant.token => holds.attempts.extend(new.attempts),
            holds => self.had = holds.replace(new),
        }
    }
}

/// Which lock an acquire is for, and by which attempt.
fn wished(request: &Request) -> Option<(&Resource, AttemptId)> {
    match request {
        Request::TryAcquire { resource, attempt, .. }
        | Request::Acquire { resource, attempt, .. } => Some((resource, *attempt)),
        Request::Release { .. }
        | Request::Renew { .. }
        | Request::Cancel { .. }
        | Request::IsLocked { .. }
        | Request::Info { .. }
        | Request::List
        | Request::HandOver => None,
    }
}

/// Remembers what clients were told, and finds contradictions.
#[derive(Default)]
struct Judge {
    grants: BTreeMap<FencingToken, Granted>,
    /// When each lock was given back for good.
    released: BTreeMap<FencingToken, Timestamp>,
}

struct Granted {
    resource: Resource,
    owner: Owner,
    attempts: BTreeSet<AttemptId>,
    /// When a client heard of it first.
    from: Timestamp,
    /// Until when its owner relies on it.
    until: Timestamp,
}

impl Judge {
    fn newest(&self) -> FencingToken {
        self.grants.keys().next_back().copied().unwrap_or_default()
    }

    fn relies_no_more(&mut self, token: FencingToken, now: Timestamp) {
        if let Some(grant) = self.grants.get_mut(&token) {
            grant.until = grant.until.min(now);
        }
    }

    /// `owner` was told `reply` at `at`.
    fn told(
        &mut self,
        owner: &str,
        asked: &Asked,
        reply: &Reply,
        at: Timestamp,
        expired: &BTreeMap<FencingToken, Timestamp>,
    ) -> Verdict {
        let owner = Owner::from(owner);
        match (&asked.request, reply) {
            (request, Reply::Acquired(grant)) => {
                let (resource, attempt) = wished(request).ok_or("granted unasked")?;
                self.is_not_over(grant.token, asked.first, expired)?;
                self.granted(resource, &owner, attempt, *grant, asked, at)
            }
            (Request::Release { resource, token, .. }, Reply::Released { remaining_holds }) => {
                self.is_holders(resource, &owner, *token)?;
                self.is_not_over(*token, asked.first, expired)?;
                if *remaining_holds == 0 {
                    self.released.insert(*token, at);
                }
                Ok(())
            }
            (Request::Renew { resource, token, .. }, Reply::Renewed { valid_for, .. }) => {
                self.is_holders(resource, &owner, *token)?;
                self.is_not_over(*token, asked.first, expired)?;
                // Only a client that still relies on it relies on it for longer.
                if let Some(grant) = self.grants.get_mut(token)
                    && grant.until >= at
                {
                    grant.until = grant.until.max(asked.sent + *valid_for);
                }
                Ok(())
            }
            (Request::Cancel { .. }, Reply::Cancelled) => Ok(()),
            (request, reply) => Err(format!("{request:?} was answered {reply:?}")),
        }
    }

    fn granted(
        &mut self,
        resource: &Resource,
        owner: &Owner,
        attempt: AttemptId,
        grant: Grant,
        asked: &Asked,
        at: Timestamp,
    ) -> Verdict {
        let token = grant.token;
        if !self.grants.contains_key(&token) {
            let earlier = self.grants.iter().filter(|(_, known)| known.from <= asked.first);
            let newest = earlier.map(|(&token, _)| token).max().unwrap_or_default();
            expect(newest < token, || format!("{token} was granted after {newest}"))?;
        }
        let until = asked.sent + grant.valid_for;
        let known = self.grants.entry(token).or_insert_with(|| Granted {
            resource: resource.clone(),
            owner: owner.clone(),
            attempts: BTreeSet::new(),
            from: at,
            until,
        });
        known.attempts.insert(attempt);
        known.until = known.until.max(until);
        let holds = known.attempts.len();
        expect(grant.holds as usize <= holds, || format!("{grant:?}, by {holds} attempts"))?;
        self.is_holders(resource, owner, token)
    }

    /// A token is for one resource and one owner.
    fn is_holders(&self, resource: &Resource, owner: &Owner, token: FencingToken) -> Verdict {
        match self.grants.get(&token) {
            Some(known) if (&known.resource, &known.owner) != (resource, owner) => Err(format!(
                "{token} of {} on {} served {owner} on {resource}",
                known.owner, known.resource
            )),
            _ => Ok(()),
        }
    }

    /// What was released, or ran out, before `asked` does not come back.
    fn is_not_over(
        &self,
        token: FencingToken,
        asked: Timestamp,
        expired: &BTreeMap<FencingToken, Timestamp>,
    ) -> Verdict {
        let over = self.released.get(&token).into_iter().chain(expired.get(&token)).min();
        match over.filter(|&&over| over < asked) {
            Some(over) => Err(format!("{token}, over at {over:?}, served at {asked:?}")),
            None => Ok(()),
        }
    }

    /// At no moment do two owners rely on one lock.
    fn exclusion(&self) -> Verdict {
        for resource in RESOURCES {
            let of_it = |granted: &&Granted| granted.resource.as_str() == resource;
            let spans: Vec<&Granted> = self.grants.values().filter(of_it).collect();
            for (place, one) in spans.iter().enumerate() {
                for other in &spans[place + 1..] {
                    let (from, until) = (one.from.max(other.from), one.until.min(other.until));
                    expect(from >= until, || {
                        format!("{} and {} hold {resource}, {from:?}", one.owner, other.owner)
                    })?;
                }
            }
        }
        Ok(())
    }
}

fn any(rng: &mut Rng, nodes: &[NodeId]) -> NodeId {
    *rng.pick(nodes).expect("there are nodes")
}
