//! The four tests of the study guide's "Leader Election Demo", on real threads, in both modes.
//!
//! Exits non-zero if anything goes otherwise than it says.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use bully::{Answer, Bully, Config, Error, Event, Mode, Request};
use cluster::sim::Emitted;
use cluster::threads::{Client, Options, Threads};
use cluster::{Cluster, Epoch, Fault, Members, NodeId, NodeState, Role};

/// How long to wait for what must come. It comes much sooner.
const PATIENCE: Duration = Duration::from_secs(10);
const TIMEOUT: Duration = Duration::from_millis(150);

fn main() -> Result<()> {
    println!("=== Leader Election Demo: five nodes, each a thread ===");
    walk(Mode::Textbook)?;
    walk(Mode::Guarded)?;
    println!("\nAll as expected.");
    Ok(())
}

fn walk(mode: Mode) -> Result<()> {
    println!("\n##### {mode:?} mode #####");
    let mut demo = Demo::start(mode)?;
    demo.initial_election()?;
    demo.leader_failure()?;
    demo.multiple_failures()?;
    demo.node_states()?;
    demo.return_of_the_highest()?;
    demo.cluster.shutdown();
    Ok(())
}

struct Demo {
    mode: Mode,
    cluster: Threads<Bully>,
    client: Client<Bully>,
    told: Box<dyn Iterator<Item = Emitted<Event>>>,
    last_epoch: Epoch,
}

impl Demo {
    fn start(mode: Mode) -> Result<Self> {
        let config = Config::default()
            .with_mode(mode)
            .with_heartbeat(Duration::from_millis(25))
            .with_timeout(TIMEOUT)
            .with_answer_wait(Duration::from_millis(40))
            .with_settle(TIMEOUT);
        let cluster = Threads::start(config, Members::first(5)?, Options::default())?;
        let events = cluster.subscribe();
        let told = Box::new(std::iter::from_fn(move || events.try_recv().ok()));
        let client = cluster.client();
        Ok(Self { mode, cluster, client, told, last_epoch: Epoch::ZERO })
    }

    fn initial_election(&mut self) -> Result<()> {
        println!("\n--- Test 1: Initial Election ---");
        println!("Every node asks those above it. n5 has nobody above it.");
        self.expect_leader(5, 1..=5)?;
        println!("Node 1 state: {}", self.state(1));
        println!("Node 5 state: {}", self.state(5));
        ensure!(self.role(1) == Some(Role::Follower), "n1 follows");
        ensure!(self.role(5) == Some(Role::Leader), "n5 leads");
        Ok(())
    }

    fn leader_failure(&mut self) -> Result<()> {
        println!("\n--- Test 2: Leader Failure ---");
        self.fail(5)?;
        println!(
            "Its heartbeats stop; after {TIMEOUT:?} the others miss it, and n4 is the highest."
        );
        self.expect_leader(4, 1..=4)
    }

    fn multiple_failures(&mut self) -> Result<()> {
        println!("\n--- Test 3: Multiple Failures ---");
        self.fail(4)?;
        self.fail(3)?;
        println!("Two of five are left.");
        match self.mode {
            Mode::Textbook => {
                println!("n2 hears nothing from above, takes silence for death, and leads.");
                self.expect_leader(2, 1..=2)?;
                println!(
                    "That is right if the three are dead, as they are here. If they were only"
                );
                println!("cut off, they would have a leader of their own by now: a split brain.");
            }
            Mode::Guarded => {
                println!("n2 wants to lead and may not: that takes the word of 3 of 5.");
                self.expect_no_leader(1..=2)?;
                println!("The two cannot know whether the three are dead or cut off. If they were");
                println!(
                    "only cut off, they could have a leader of their own; so these have none."
                );
            }
        }
        Ok(())
    }

    fn node_states(&mut self) -> Result<()> {
        println!("\n--- Test 4: Node States ---");
        for node in 1..=5 {
            println!("Node {node}: {}", self.state(node));
        }
        for node in 3..=5 {
            ensure!(self.cluster.state(id(node)) == NodeState::Down, "n{node} is down");
        }
        let leads = self.role(2) == Some(Role::Leader);
        ensure!(leads == (self.mode == Mode::Textbook), "n2 leads in textbook mode only");
        ensure!(self.role(1) != Some(Role::Leader), "n1 does not lead");
        Ok(())
    }

    fn return_of_the_highest(&mut self) -> Result<()> {
        println!("\n--- And back: n3 returns, then n5 ---");
        self.restart(3)?;
        self.expect_leader(3, 1..=3)?;
        self.restart(5)?;
        match self.mode {
            Mode::Textbook => println!("n5 is higher, and takes the lead at once."),
            Mode::Guarded => {
                println!("n5 is higher; it watches n3 for a while, and then asks it to let go.");
            }
        }
        self.expect_leader(5, [1, 2, 3, 5])
    }

    fn fail(&mut self, node: u32) -> Result<()> {
        println!("Simulating failure of n{node}");
        Ok(self.cluster.inject(&Fault::Crash { node: id(node) })?)
    }

    fn restart(&mut self, node: u32) -> Result<()> {
        println!("n{node} starts again from its disk");
        Ok(self.cluster.inject(&Fault::Restart { node: id(node) })?)
    }

    /// Waits until `leader` acts as one and all `nodes` name it.
    fn expect_leader(
        &mut self,
        leader: u32,
        nodes: impl IntoIterator<Item = u32> + Clone,
    ) -> Result<()> {
        let start = Instant::now();
        loop {
            self.narrate();
            let mut all = nodes.clone().into_iter();
            let named = all.all(|node| self.leader_named_by(node) == Some(id(leader)));
            if named && let Ok(Answer::Leading { epoch }) = self.ask(leader, Request::Lead)? {
                ensure!(
                    self.mode == Mode::Textbook || epoch > self.last_epoch,
                    "the fencing token did not grow: {epoch} after {}",
                    self.last_epoch
                );
                self.last_epoch = epoch;
                self.narrate();
                println!("Current leader: n{leader}, fencing token {epoch}");
                return Ok(());
            }
            if start.elapsed() > PATIENCE {
                bail!("n{leader} does not lead after {PATIENCE:?}");
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// Watches for ten timeouts that nobody leads, once the old lease has run out.
    fn expect_no_leader(&mut self, nodes: impl IntoIterator<Item = u32> + Clone) -> Result<()> {
        let watched_until = Instant::now() + TIMEOUT * 10;
        while Instant::now() < watched_until {
            for node in nodes.clone() {
                let answer = self.ask(node, Request::Lead)?;
                ensure!(
                    matches!(answer, Err(Error::NotLeader { .. })),
                    "n{node} leads a minority: {answer:?}"
                );
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        self.narrate();
        for node in nodes {
            ensure!(self.leader_named_by(node).is_none(), "n{node} names a leader");
        }
        println!("Current leader: none, for ten timeouts");
        Ok(())
    }

    fn ask(&mut self, node: u32, request: Request) -> Result<bully::Response> {
        let asked = self.client.call(id(node), request, PATIENCE);
        asked.with_context(|| format!("asking n{node}: {request:?}"))
    }

    fn leader_named_by(&mut self, node: u32) -> Option<NodeId> {
        self.cluster.state(id(node)).standing().and_then(|standing| standing.leader)
    }

    fn role(&mut self, node: u32) -> Option<Role> {
        self.cluster.state(id(node)).standing().map(|standing| standing.role)
    }

    fn state(&mut self, node: u32) -> String {
        match self.cluster.state(id(node)) {
            NodeState::Up(standing) => format!("{:?}", standing.role).to_uppercase(),
            NodeState::Paused => "PAUSED".into(),
            NodeState::Down => "DOWN".into(),
        }
    }

    /// Prints what the nodes have told their application.
    fn narrate(&mut self) {
        for Emitted { node, event, .. } in &mut self.told {
            match event {
                Event::Elected { epoch } => println!("  {node} became LEADER of {epoch}"),
                Event::SteppedDown { epoch } => println!("  {node} leads {epoch} no more"),
                Event::Follows { leader, epoch } => println!("  {node} follows {leader} ({epoch})"),
            }
        }
    }
}

fn id(node: u32) -> NodeId {
    NodeId::new(node)
}
