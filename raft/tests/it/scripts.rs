//! The interaction scripts of etcd-io/raft (Apache-2.0), replayed on this core.
//!
//! A script is a list of commands, each followed by `----` and by what etcd's library then printed.
//! Here the commands are carried out, and of what was printed, what is said of any Raft is compared
//! with what these nodes came to: who was granted what, the terms, who leads, how far the log is
//! committed. Log indexes are shifted, because etcd's nodes start from a snapshot, and ours from
//! nothing.
//!
//! Left out, because it is that library's own: the texts of its log (`log-level`), what its `Ready`
//! batches hold (`process-ready` lets a node's messages go), its heartbeats apart from appends, and
//! its progress states (`status`).

use std::collections::BTreeMap;
use std::path::PathBuf;

use raft::Request;

use crate::bed::{config, plain};
use crate::table::{Table, Wire, n};

fn script(name: &str) -> Option<String> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/raft-scripts");
    let path = folder.join(name);
    let text = std::fs::read_to_string(&path).ok();
    if text.is_none() {
        println!("skipped: {} is not there", path.display());
    }
    text
}

/// A command, the lines below it, and what was printed.
pub(crate) struct Command<'a> {
    pub(crate) line: &'a str,
    pub(crate) arguments: String,
    pub(crate) printed: Vec<&'a str>,
}

pub(crate) fn commands(text: &str) -> Vec<Command<'_>> {
    let mut commands = Vec::new();
    let mut lines = text.lines().filter(|line| !line.starts_with('#')).peekable();
    while let Some(line) = lines.next() {
        if line.trim().is_empty() {
            continue;
        }
        let below: Vec<&str> = lines.by_ref().take_while(|&line| line != "----").collect();
        let arguments = below.join(" ");
        let mut printed = Vec::new();
        while let Some(next) = lines.next_if(|next| !next.trim().is_empty()) {
            printed.push(next.trim());
        }
        commands.push(Command { line, arguments, printed });
    }
    commands
}

/// What each node is last said to be in the text that was printed.
#[derive(Default, Debug, PartialEq, Eq, Clone)]
struct Said {
    term: Option<u64>,
    vote: Option<u64>,
    commit: Option<u64>,
}

struct Replay {
    table: Table,
    /// How far etcd's indexes are ahead of ours, which begin with no entry.
    base: u64,
    /// The values of the commands that were proposed, by their text.
    values: BTreeMap<String, u64>,
    said: BTreeMap<u32, Said>,
    leader: Option<u32>,
    compared: usize,
    /// Messages that their senders have not let go.
    kept: Vec<Wire>,
    /// Messages under way, in order.
    held: Vec<Wire>,
    nodes: Vec<u32>,
}

impl Replay {
    fn numbers(text: &str) -> Vec<u32> {
        text.split(|c: char| !c.is_ascii_digit()).filter_map(|part| part.parse().ok()).collect()
    }

    fn new(line: &str) -> Self {
        let mut words = line.split_whitespace().skip(1);
        let count: u32 = words.next().unwrap().parse().unwrap();
        let value = |name: &str| line.split(name).nth(1).map(|rest| Self::numbers(rest)[0]);
        let base = u64::from(value("index=").unwrap_or(0));
        // Their check of the quorum, on which their loyalty hangs, is off in these scripts.
        let config = if line.contains("prevote=true") {
            config().with_stickiness(false).with_check_quorum(false)
        } else {
            plain()
        };
        let table = Table::new(count as usize, config, 3);
        let nodes = (1..=count).collect();
        Self {
            table,
            base,
            values: BTreeMap::new(),
            said: BTreeMap::new(),
            leader: None,
            compared: 0,
            kept: Vec::new(),
            held: Vec::new(),
            nodes,
        }
    }

    /// What was just sent stays with its sender.
    fn keep(&mut self) {
        self.kept.append(&mut self.table.wires);
    }

    /// `nodes` let go what they keep.
    fn release(&mut self, nodes: &[u32]) {
        let mine = |wire: &Wire| nodes.contains(&wire.from.get());
        let (gone, kept): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.kept).into_iter().partition(mine);
        self.held.extend(gone);
        self.kept = kept;
    }

    /// Delivers what is for `nodes`, who let go all they send, until nothing is left.
    fn stabilize(&mut self, nodes: &[u32]) {
        for _ in 0..1_000 {
            self.release(nodes);
            let place = self.held.iter().position(|wire| nodes.contains(&wire.to.get()));
            let Some(place) = place else { return };
            let Wire { from, to, message } = self.held.remove(place);
            self.table.inject(from, to, message);
            self.keep();
        }
        panic!("messages without end");
    }

    fn carry_out(&mut self, line: &str) {
        let mut words = line.split_whitespace();
        let command = words.next().unwrap();
        let rest = words.collect::<Vec<_>>().join(" ");
        let named = Self::numbers(&rest);
        match command {
            "log-level" | "status" | "raft-log" | "raft-state" => {}
            "process-ready" => self.release(&named),
            "campaign" => {
                self.table.tick(n(named[0]));
                self.keep();
            }
            "propose" => {
                let (id, text) = rest.split_once(' ').unwrap();
                let value = 100 + self.values.len() as u64;
                self.values.insert(text.to_owned(), value);
                self.table.ask(n(id.parse().unwrap()), Request::Write(value));
                self.keep();
            }
            "deliver-msgs" => {
                let (keep, drop) = rest.split_once("drop=").unwrap_or((&rest, ""));
                let (keep, drop) = (Self::numbers(keep), Self::numbers(drop));
                self.held.retain(|wire| !drop.contains(&wire.to.get()));
                let (now, later): (Vec<_>, Vec<_>) = std::mem::take(&mut self.held)
                    .into_iter()
                    .partition(|wire| keep.contains(&wire.to.get()));
                self.held = later;
                for Wire { from, to, message } in now {
                    self.table.inject(from, to, message);
                    self.keep();
                }
            }
            "stabilize" => {
                let nodes = if named.is_empty() { self.nodes.clone() } else { named };
                self.stabilize(&nodes);
                // There, a commit is told at once; here, by the next append.
                let leader = self.nodes.iter().copied().find(|&id| self.leads(id));
                if let Some(leader) = leader.filter(|leader| nodes.contains(leader)) {
                    self.table.tick(n(leader));
                    self.keep();
                    self.stabilize(&nodes);
                }
            }
            "tick-heartbeat" => {
                self.table.tick(n(named[0]));
                self.keep();
            }
            other => panic!("a command {other:?}"),
        }
    }

    fn leads(&self, id: u32) -> bool {
        self.table.node(n(id)).is_leader()
    }

    /// Takes over what is printed that is true of any Raft.
    fn listen(&mut self, printed: &[&str]) {
        let mut at = None;
        for line in printed {
            if let Some(rest) = line.strip_prefix("> ") {
                at = Self::numbers(rest).first().copied();
            }
            if let Some(rest) = line.strip_prefix("HardState ") {
                let fields = Self::numbers(rest);
                let id = at.unwrap_or(1);
                let said = self.said.entry(id).or_default();
                said.term = Some(u64::from(fields[0]));
                said.vote = rest.contains("Vote:").then(|| u64::from(fields[1]));
                let commit = rest.split("Commit:").nth(1);
                said.commit = commit.map(|commit| commit.parse().unwrap());
            }
            if let Some(rest) = line.strip_prefix("INFO ")
                && rest.contains("became")
            {
                let fields = Self::numbers(rest);
                let (id, term) = (fields[0], u64::from(fields[1]));
                self.said.entry(id).or_default().term = Some(term);
                if rest.contains("became leader") {
                    self.leader = Some(id);
                }
            }
        }
    }

    /// Compares every node with what is said of it.
    #[track_caller]
    fn compare(&mut self, line: &str) {
        for (&id, said) in &self.said {
            let node = self.table.node(n(id));
            if let Some(term) = said.term.filter(|&term| term > 0) {
                assert_eq!(node.term().get(), term, "the term of n{id} after {line:?}");
            }
            if let Some(vote) = said.vote {
                let own = node.vote().map_or(0, |vote| u64::from(vote.get()));
                assert_eq!(own, vote, "the vote of n{id} after {line:?}");
            }
            // What they have committed from their snapshot, ours have not before an election.
            if let Some(commit) = said.commit.filter(|&commit| commit > self.base) {
                let own = node.commit_index().get();
                assert_eq!(own, commit - self.base, "the commit of n{id} after {line:?}");
            }
            self.compared += 1;
        }
        if let Some(leader) = self.leader {
            assert!(self.leads(leader), "n{leader} leads after {line:?}");
            let others = self.nodes.iter().filter(|&&id| id != leader);
            for &id in others {
                let older = self.table.node(n(id)).term() < self.table.node(n(leader)).term();
                assert!(!self.leads(id) || older, "n{id} leads too after {line:?}");
            }
        }
        self.table.assert_safe();
    }

    /// Compares a node's log with what is printed of it: `term/index EntryNormal "text"`.
    #[track_caller]
    fn compare_log(&mut self, id: u32, printed: &[&str]) {
        let log = self.table.log(id);
        let expected: Vec<(u64, u64)> = printed
            .iter()
            .map(|line| {
                let term = u64::from(Self::numbers(line)[0]);
                let text = line.split('"').nth(1).unwrap();
                (term, self.values.get(text).copied().unwrap_or(0))
            })
            .collect();
        assert_eq!(log, expected, "the log of n{id}");
        self.compared += 1;
    }
}

/// Replays the script `name`; returns the state at its end. At least `least` comparisons are made.
#[track_caller]
fn check(name: &str, least: usize) -> Option<Replay> {
    let text = script(name)?;
    let mut replay: Option<Replay> = None;
    for Command { line, printed, .. } in commands(&text) {
        if line.starts_with("add-nodes") {
            replay = Some(Replay::new(line));
            continue;
        }
        let Some(replay) = &mut replay else { continue };
        replay.carry_out(line);
        replay.listen(&printed);
        if line.starts_with("raft-log") {
            let id = Replay::numbers(line)[0];
            replay.compare_log(id, &printed);
        }
        if line.starts_with("stabilize") {
            replay.compare(line);
        }
    }
    let replay = replay.expect("a script has nodes");
    assert!(replay.compared >= least, "{name}: only {} comparisons", replay.compared);
    Some(replay)
}

#[test]
fn etcd_campaign() {
    check("campaign.txt", 3);
}

#[test]
fn etcd_single_node() {
    check("single_node.txt", 1);
}

/// A node behind in its log gets no pre-vote; one that is up to date is elected, though a leader is
/// there, since nobody is loyal without a check of the quorum. Ours also lends the first what it
/// lacks; the leader's append comes before that here, and it takes no loan then.
#[test]
fn etcd_prevote() {
    check("prevote.txt", 5);
}

/// What the script complains of does not happen here: a heartbeat is an append, and brings the
/// commit index whatever the leader knows of the follower.
#[test]
fn etcd_lagging_commit() {
    let Some(replay) = check("lagging_commit.txt", 2) else { return };
    for id in 1..=3 {
        assert_eq!(replay.table.commit(id), 3, "n{id}");
    }
}

/// What the replayer itself compares can fail.
#[test]
fn a_replay_notices_what_differs() {
    let text = "add-nodes 3 voters=(1,2,3) index=2\n----\n\ncampaign 1\n----\nok\n\nstabilize\n----\n\
                > 2 handling Ready\nHardState Term:1 Vote:3 Commit:3\n";
    let all = commands(text);
    assert_eq!(all.len(), 3);
    let mut replay = Replay::new(all[0].line);
    for command in &all[1..] {
        replay.carry_out(command.line);
        replay.listen(&command.printed);
    }
    let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| replay.compare("it")));
    assert!(outcome.is_err());
}
