//! Configurations as pure functions: the scripts of etcd-io/raft (Apache-2.0), replayed, and what
//! must hold of every step from one configuration to the next.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use raft::quorum::{Tally, joint_tally};
use raft::{Change, Configuration, Error, Misstep, Step};

use crate::scripts::{Command, commands};
use crate::table::n;

/// The text of each script of changes that is there.
fn scripts() -> Vec<(PathBuf, String)> {
    let folder =
        PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/raft-scripts/confchange");
    let Ok(files) = std::fs::read_dir(&folder) else {
        println!("skipped: {} is not there", folder.display());
        return Vec::new();
    };
    let paths = files.map(|file| file.expect("a readable folder").path());
    let texts = paths.filter(|path| path.extension().is_some_and(|ext| ext == "txt"));
    texts.map(|path| (path.clone(), std::fs::read_to_string(&path).expect("a text"))).collect()
}

/// What etcd's library says where ours gives this reason.
fn in_their_words(misstep: Misstep, command: &str) -> &'static str {
    match misstep {
        Misstep::NoVoters => "removed all voters",
        Misstep::ManyVoters => "more than one voter changed without entering joint config",
        Misstep::IsJoint if command == "simple" => {
            "can't apply simple config change in joint config"
        }
        Misstep::IsJoint => "config is already joint",
        Misstep::IsNotJoint => "can't leave a non-joint config",
        Misstep::WasEmpty => "can't make a zero-voter config joint",
        Misstep::FullReplica { .. } => unreachable!("no script has witnesses"),
    }
}

/// `v1 l2 r3 u4`, some of which may name nobody (zero), and change nothing, as `u` does.
fn steps(words: &str) -> Vec<Step> {
    let step = |word: &str| {
        let (kind, id) = word.split_at(1);
        let node = match id.parse().expect("a number") {
            0 => return None,
            id => n(id),
        };
        match kind {
            "v" => Some(Step::Voter(node)),
            "l" => Some(Step::Learner(node)),
            "r" => Some(Step::Remove(node)),
            "u" => None,
            other => panic!("a change {other:?}"),
        }
    };
    words.split_whitespace().filter_map(step).collect()
}

/// A configuration that follows a script, and where the log of whoever is in it began.
#[derive(Default)]
struct Changer {
    configuration: Configuration,
    next: BTreeMap<u32, u64>,
    commands: u64,
}

impl Changer {
    /// Carries a command out, and prints what came of it as etcd does.
    fn carry_out(&mut self, line: &str, arguments: &str) -> String {
        let mut words = line.split_whitespace();
        let command = words.next().expect("a command");
        let auto_leave =
            words.next().is_some_and(|word| ["autoleave=true", "autoleave=1"].contains(&word));
        let steps = steps(arguments);
        let next = match command {
            "simple" => self.configuration.simple(&steps),
            "enter-joint" => self.configuration.enter_joint(auto_leave, &steps),
            "leave-joint" if !steps.is_empty() => return "this command takes no input".to_owned(),
            "leave-joint" => self.configuration.leave_joint(),
            other => panic!("a command {other:?}"),
        };
        let began = self.commands.max(1);
        self.commands += 1;
        match next {
            Ok(next) => self.configuration = next,
            Err(misstep) => return in_their_words(misstep, command).to_owned(),
        }
        self.print(began)
    }

    fn print(&mut self, began: u64) -> String {
        let mut lines = vec![self.configuration.to_string()];
        let nodes = self.configuration.nodes();
        self.next.retain(|&id, _| nodes.contains(&n(id)));
        for node in nodes {
            let next = *self.next.entry(node.get()).or_insert(began);
            let learns = self.configuration.learners().contains(&node);
            let learner = if learns { " learner" } else { "" };
            lines.push(format!("{}: StateProbe match=0 next={next}{learner}", node.get()));
        }
        lines.join("\n")
    }
}

/// Replays a script, and counts its commands.
#[track_caller]
fn replay(name: &str, text: &str) -> usize {
    let mut changer = Changer::default();
    let commands = commands(text);
    for Command { line, arguments, printed } in &commands {
        let ours = changer.carry_out(line, arguments);
        assert_eq!(ours, printed.join("\n"), "{name}: {line} {arguments}");
    }
    commands.len()
}

#[test]
fn etcd_changes() {
    for (path, text) in scripts() {
        let replayed = replay(&path.display().to_string(), &text);
        assert!(replayed > 0, "{} is empty", path.display());
        println!("{}: {replayed} commands", path.display());
    }
}

/// Joint configurations, in the form of etcd's scripts.
#[test]
fn joint_changes() {
    let text = "\
        simple\nv1\n----\nvoters=(1)\n1: StateProbe match=0 next=1\n\n\
        leave-joint\n----\ncan't leave a non-joint config\n\n\
        enter-joint autoleave=true\nv2 v3\n----\nvoters=(1 2 3)&&(1) autoleave\n\
        1: StateProbe match=0 next=1\n2: StateProbe match=0 next=2\n3: StateProbe match=0 next=2\n\n\
        enter-joint\nv4\n----\nconfig is already joint\n\n\
        simple\nv4\n----\ncan't apply simple config change in joint config\n\n\
        leave-joint\nv1\n----\nthis command takes no input\n\n\
        leave-joint\n----\nvoters=(1 2 3)\n1: StateProbe match=0 next=1\n\
        2: StateProbe match=0 next=2\n3: StateProbe match=0 next=2\n\n\
        # A voter that is to learn votes until the joint configuration is left.\n\
        enter-joint autoleave=false\nl1 r2 v4 v0 u9\n----\nvoters=(3 4)&&(1 2 3) learners_next=(1)\n\
        1: StateProbe match=0 next=1\n2: StateProbe match=0 next=2\n3: StateProbe match=0 next=2\n\
        4: StateProbe match=0 next=6\n\n\
        leave-joint\n----\nvoters=(3 4) learners=(1)\n1: StateProbe match=0 next=1 learner\n\
        3: StateProbe match=0 next=2\n4: StateProbe match=0 next=6\n\n\
        enter-joint\nr3 r4\n----\nremoved all voters\n";
    assert_eq!(replay("joint", text), 10);
    let nothing = "enter-joint\nv1\n----\ncan't make a zero-voter config joint\n";
    assert_eq!(replay("nothing", nothing), 1);
}

/// All configurations over `count` nodes that can come of others, with those that may come next.
fn all(count: u32) -> BTreeMap<String, (Configuration, Vec<Configuration>)> {
    let steps: Vec<Step> = (1..=count)
        .map(n)
        .flat_map(|id| [Step::Voter(id), Step::Learner(id), Step::Remove(id)])
        .collect();
    // What becomes of each node, or nothing.
    let whole: Vec<Vec<Step>> = (0..4_u32.pow(count))
        .map(|which| {
            let choice = |place: u32| (which / 4_u32.pow(place)) % 4;
            let chosen = (0..count).filter(|&place| choice(place) < 3);
            chosen.map(|place| steps[(place * 3 + choice(place)) as usize]).collect()
        })
        .collect();
    let mut found = BTreeMap::new();
    let mut fresh: Vec<Configuration> = (1..=count).map(|id| Configuration::of([n(id)])).collect();
    while let Some(configuration) = fresh.pop() {
        let name = configuration.to_string();
        if found.contains_key(&name) {
            continue;
        }
        let mut next = Vec::new();
        for steps in &whole {
            next.extend(configuration.simple(steps));
            next.extend(configuration.enter_joint(true, steps));
        }
        next.extend(configuration.leave_joint());
        fresh.extend(next.iter().cloned());
        found.insert(name, (configuration, next));
    }
    found
}

/// Whether the nodes whose bits are set decide for `configuration`.
fn decide(configuration: &Configuration, set: u32) -> bool {
    let votes = |voters: &BTreeSet<_>| -> Vec<Option<bool>> {
        let has = |node: &cluster::NodeId| set & (1 << node.get()) != 0;
        voters.iter().map(|node| has(node).then_some(true)).collect()
    };
    joint_tally(&votes(configuration.voters()), &votes(configuration.outgoing())) == Tally::Won
}

/// "For any configuration change, any majority of the old one overlaps with any majority of the new
/// one" (§4.1 of the thesis), and what the type promises: of every configuration of four nodes, and
/// every one that may follow.
#[test]
fn thesis_4_1_majorities_of_successive_configurations_overlap() {
    let all = all(4);
    let mut pairs = 0;
    for (before, next) in all.values() {
        let next: BTreeMap<String, &Configuration> =
            next.iter().map(|next| (next.to_string(), next)).collect();
        assert!(before.learners().iter().all(|&node| !before.votes(node)), "{before}");
        let will_learn = before.learners_next();
        assert!(will_learn.is_subset(before.outgoing()), "{before}");
        assert!(will_learn.is_disjoint(before.voters()), "{before}");
        for (name, after) in next {
            assert!(after.may_follow(before), "{before} then {name}");
            for set in 0..32 {
                let disjoint = decide(before, set) && decide(after, !set);
                assert!(!disjoint, "{before} then {name}: {set:b} and the others");
            }
            pairs += 1;
        }
    }
    assert!(all.len() > 500 && pairs > 5_000, "{} configurations, {pairs} pairs", all.len());
}

/// What overlaps in no way may not follow; nor one joint configuration another.
#[test]
fn what_may_not_follow() {
    let of = |nodes: &[u32]| Configuration::of(nodes.iter().map(|&id| n(id)));
    let joint = of(&[1, 2, 3]).enter_joint(true, &[Step::Voter(n(4))]).unwrap();
    assert!(!of(&[4, 5]).may_follow(&of(&[1, 2, 3])));
    assert!(!of(&[1]).may_follow(&of(&[1, 2, 3])));
    assert!(!joint.may_follow(&of(&[1, 2])));
    assert!(!joint.may_follow(&joint));
    assert!(!of(&[1, 2, 3]).may_follow(&joint));
    assert!(of(&[1, 2, 3, 4]).may_follow(&joint));
}

#[track_caller]
fn check(from: &[Change], change: &Change, expected: Result<&str, Error>) {
    let mut configuration = Configuration::of([n(1), n(2), n(3)]);
    for change in from {
        configuration = change.apply(&configuration).unwrap();
    }
    let next = change.apply(&configuration).map(|next| next.to_string());
    assert_eq!(next, expected.map(str::to_owned), "{change:?} of {configuration}");
}

/// Complaint 12: one call for each thing that an operator wants, each a goal, so that it may be asked
/// for twice.
#[test]
fn complaint_12_one_call_for_each_wish() {
    let voters = |ids: &[u32]| Change::Voters(ids.iter().map(|&id| n(id)).collect());
    check(&[], &Change::AddVoter(n(4)), Ok("voters=(1 2 3 4)"));
    check(&[], &Change::AddVoter(n(3)), Ok("voters=(1 2 3)"));
    check(&[], &Change::AddLearner(n(4)), Ok("voters=(1 2 3) learners=(4)"));
    check(&[], &Change::AddLearner(n(3)), Err(Error::UnfitMember));
    let learner = [Change::AddLearner(n(4))];
    check(&learner, &Change::AddLearner(n(4)), Ok("voters=(1 2 3) learners=(4)"));
    check(&learner, &Change::Promote(n(4)), Ok("voters=(1 2 3 4)"));
    check(&[], &Change::Promote(n(4)), Err(Error::NoSuchMember));
    check(&[], &Change::Demote(n(3)), Ok("voters=(1 2) learners=(3)"));
    check(&[], &Change::Demote(n(4)), Err(Error::NoSuchMember));
    check(&learner, &Change::Remove(n(4)), Ok("voters=(1 2 3)"));
    check(&[], &Change::Remove(n(3)), Ok("voters=(1 2)"));
    check(&[], &Change::Remove(n(4)), Ok("voters=(1 2 3)"));
    let replace = |old, new| Change::Replace { old: n(old), new: n(new) };
    check(&[], &replace(3, 4), Ok("voters=(1 2 4)&&(1 2 3) autoleave"));
    check(&learner, &replace(3, 4), Ok("voters=(1 2 4)&&(1 2 3) autoleave"));
    check(&[], &replace(4, 3), Ok("voters=(1 2 3)"));
    check(&[], &replace(4, 5), Err(Error::UnfitMember));
    check(&[], &replace(3, 3), Err(Error::UnfitMember));
    check(&[], &voters(&[1, 2, 3, 4, 5]), Ok("voters=(1 2 3 4 5)&&(1 2 3) autoleave"));
    check(&[], &voters(&[1, 2]), Ok("voters=(1 2)"));
    check(&learner, &voters(&[2, 4, 5]), Ok("voters=(2 4 5)&&(1 2 3) autoleave"));
    check(&[], &voters(&[]), Err(Error::LastVoter));
    check(&[voters(&[1, 2]), voters(&[1])], &Change::Remove(n(1)), Err(Error::LastVoter));
    check(&[voters(&[1, 2]), voters(&[1])], &Change::Demote(n(1)), Err(Error::LastVoter));
    check(&[replace(3, 4)], &Change::Remove(n(1)), Err(Error::ChangeInProgress));
}
