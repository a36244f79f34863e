//! Many groups in one process: apart in what they hold, together in what they cost.

use std::time::{Duration, Instant};

use cluster::many::{GroupId, Many, Tagged};
use cluster::sim::{Options, Sim};
use cluster::{Cluster as _, Fault, Members, Node as _, NodeId, Role};
use raft::{
    Append, CallError, Config, Entries, Entry, Error, Group, GroupsBuilder, Handle, Kind, LogIndex,
    Message, Payload, Position, Raft, Request, Round, Term,
};

use crate::bed::{SECOND, config};
use crate::journal::Journal;

pub(crate) type Node = Many<Raft<Journal>>;

const LIMIT: Duration = Duration::from_secs(20);

fn groups(nodes: usize, count: u32, config: Config<Journal>) -> GroupsBuilder<Journal> {
    let builder = Group::builder(Journal::default()).nodes(nodes);
    builder.config(|_| config).timeout(LIMIT).groups(GroupId::first(count))
}

fn sim(nodes: usize, groups: GroupsBuilder<Journal>) -> Sim<Node> {
    let members = Members::first(nodes).expect("some");
    Sim::new(groups.configuration(), members, Options::seeded(1)).expect("valid")
}

pub(crate) fn of(sim: &Sim<Node>, node: NodeId, group: GroupId) -> Option<&Raft<Journal>> {
    sim.node(node).map(|node| node.group(group).expect("it is configured"))
}

/// The leader of the latest term.
pub(crate) fn leader(sim: &Sim<Node>, group: GroupId) -> Option<NodeId> {
    let leads = |&id: &NodeId| of(sim, id, group).is_some_and(Raft::is_leader);
    let leaders = sim.members().iter().copied().filter(leads);
    leaders.max_by_key(|&id| of(sim, id, group).map(Raft::term))
}

fn pass(sim: &mut Sim<Node>, span: Duration) {
    let until = sim.now() + span;
    while sim.poll(until).is_some() {}
}

/// How many messages a thousand groups of three nodes that are asked nothing send in each interval of
/// heartbeats, if they share deadlines by `tick`.
fn idle_cost(tick: Duration) -> u64 {
    let count = 1000;
    let builder = groups(3, count, config()).share(|config| config.with_tick(tick));
    let mut sim = sim(3, builder);
    pass(&mut sim, 2 * SECOND);
    assert!(GroupId::first(count).all(|group| leader(&sim, group).is_some()));
    let (before, heartbeats) = (sim.messages().0, 10);
    let told = |sim: &Sim<Node>| -> u64 {
        let gauges = |&id: &NodeId| sim.node(id).expect("up").gauges();
        let all = sim.members().iter().flat_map(gauges);
        all.filter(|it| it.0 == "messages bundled").map(|it| it.1).sum()
    };
    let told_before = told(&sim);
    pass(&mut sim, heartbeats * Duration::from_millis(50));
    // Two heartbeats and two answers of each group: they are alive.
    let each = (told(&sim) - told_before) / u64::from(heartbeats);
    assert!((3_900..4_100).contains(&each), "{each} messages of groups a heartbeat");
    (sim.messages().0 - before) / u64::from(heartbeats)
}

/// Alone they would send four thousand: two heartbeats each, and two answers.
#[test]
fn a_thousand_idle_groups_cost_few_messages() {
    // Ten ticks an interval; at each, any of the nodes may have something to say to any other, and to
    // answer it.
    let shared = idle_cost(Duration::from_millis(5));
    assert!(shared <= 10 * 6 * 2 + 20, "{shared} messages a heartbeat");
    let apart = idle_cost(Duration::ZERO);
    assert!(apart > 10 * shared, "{apart} where each deadline is kept as it is");
}

/// What an append or a part of a snapshot is counted as, where several messages are put into one.
#[test]
fn a_message_is_as_large_as_what_it_carries() {
    let size = Raft::<Journal>::message_size;
    let entry = |index| {
        let (term, index) = (Term::new(1), LogIndex::new(index));
        Entry { term, index, payload: Payload::Command(index.get()) }
    };
    let append = |count| {
        let entries = Entries::from((1..=count).map(entry).collect::<Vec<_>>());
        let (term, prev, round) = (Term::new(1), Position::default(), Round::default());
        let commit = LogIndex::ZERO;
        Message::Append(Append { term, prev, entries, commit, round, kind: Kind::Full })
    };
    let (empty, one, many) = (size(&append(0)), size(&append(1)), size(&append(100)));
    assert!(one >= empty + 8 && many - empty == 100 * (one - empty), "{empty}, {one}, {many}");
}

/// Of nine groups on three nodes each node leads three; and who leads anew is spread too.
#[test]
fn leaders_are_spread_over_the_nodes() {
    let mut sim = sim(3, groups(3, 9, config()));
    pass(&mut sim, 2 * SECOND);
    for group in GroupId::first(9) {
        let preferred = sim.members()[group.get() as usize % 3];
        assert_eq!(leader(&sim, group), Some(preferred), "{group}");
    }
    let dead = sim.members()[0];
    sim.inject(&Fault::Crash { node: dead }).expect("taken");
    pass(&mut sim, 3 * SECOND);
    for group in GroupId::first(9) {
        let next = sim.members()[(group.get() as usize % 3).max(1)];
        assert_eq!(leader(&sim, group), Some(next), "{group}");
    }
}

/// A group that cannot commit takes what it may hold, and refuses the rest; the others serve on.
#[test]
fn a_group_that_hangs_holds_up_nobody() {
    let [one, two] = [1, 2].map(NodeId::new);
    let hung = GroupId::new(1);
    let builder = groups(5, 4, config()).config(|group, config| match group == hung {
        // Of these, the first leads; without a check of the quorum it goes on for ever.
        true => config
            .with_voters([one, two])
            .with_rank(move |node| u32::from(node != one))
            .with_check_quorum(false)
            .with_pending_max(100),
        false => config,
    });
    let mut sim = sim(5, builder);
    pass(&mut sim, 2 * SECOND);
    assert_eq!(leader(&sim, hung), Some(one));
    sim.inject(&Fault::Crash { node: two }).expect("taken");
    pass(&mut sim, 2 * SECOND);
    let mut refused = 0;
    for round in 0..50 {
        for value in 0..100 {
            let body = Request::Write(value);
            sim.submit(one, Tagged { group: hung, body });
        }
        let mut open: Vec<_> = GroupId::first(4)
            .filter(|&group| group != hung)
            .map(|group| {
                let leader = leader(&sim, group).expect("they serve on");
                sim.submit(leader, Tagged { group, body: Request::Write(round) })
            })
            .collect();
        let until = sim.now() + Duration::from_millis(40);
        while let Some(completion) = sim.poll(until) {
            match completion.outcome.expect("up").expect("here") {
                Ok(_) => open.retain(|&id| id != completion.request),
                Err(Error::Overloaded) => refused += 1,
                Err(other) => panic!("{other}"),
            }
        }
        assert!(open.is_empty(), "round {round}: {open:?} have no answer");
    }
    assert_eq!(refused, 50 * 100 - 100, "of the hung group's");
}

/// Calls, sessions and reads of one group know nothing of another's.
#[test]
fn groups_have_handles_of_their_own() {
    let groups = groups(3, 5, config()).start().expect("valid");
    assert!(groups.handle(GroupId::new(9)).is_none());
    let handles: Vec<Handle<Journal>> =
        groups.ids().map(|id| groups.handle(id).expect("it is there")).collect();
    let calls: Vec<_> =
        (0..200).map(|value| (value, handles[value as usize % 5].write(value))).collect();
    let mut places = [0; 5];
    for (value, call) in calls {
        call.wait().unwrap_or_else(|error| panic!("{value}: {error}"));
        places[value as usize % 5] += 1;
    }
    for (handle, count) in handles.iter().zip(places) {
        assert_eq!(handle.read(()).wait(), Ok(count));
        let statuses = groups.members().iter().map(|&node| handle.status(node).wait());
        let roles: Vec<Role> = statuses.map(|it| it.expect("up").role).collect();
        assert!(roles.contains(&Role::Leader), "{roles:?}");
    }
    groups.shutdown();
    let over = handles[0].with_timeout(SECOND).write(1).wait();
    assert!(matches!(over, Err(CallError::Unavailable { .. } | CallError::Unknown { .. })));
}

/// On one journal a node: whatever dies, what each group acknowledged is there.
#[test]
fn groups_in_a_directory_outlive_their_process() {
    let directory = tempfile::TempDir::new().expect("a directory");
    let config = || {
        let patient = config().with_election_timeout(LIMIT / 40..=LIMIT / 20);
        patient.with_snapshot_every(16).with_keep_behind(4).with_lag_max(32)
    };
    for life in 0..3_u64 {
        let builder = Group::builder(Journal::default()).directory(directory.path());
        let builder = builder.config(|_| config()).timeout(LIMIT).groups(GroupId::first(4));
        let mut groups = builder.share(|config| config.with_spare(8)).start().expect("valid");
        for round in 0..30 {
            if round % 10 == 5 {
                let node = NodeId::new(1 + round % 3);
                groups.cluster().inject(&Fault::Crash { node }).expect("taken");
                groups.cluster().inject(&Fault::Restart { node }).expect("taken");
            }
            let handles = groups.ids().map(|id| groups.handle(id).expect("there"));
            // The first group is idle, but for one write in each life.
            let handles: Vec<_> = handles.skip(usize::from(round > 0)).collect();
            let begun = Instant::now();
            let calls: Vec<_> = handles.iter().map(|handle| handle.write_sessionless(1)).collect();
            for (handle, call) in handles.iter().zip(calls) {
                match call.wait() {
                    Ok(_) => {}
                    // Its leader died; a session would have had it sent again.
                    Err(CallError::Unknown { .. }) => drop(handle.write(1).wait()),
                    Err(error) => panic!("after {:?}: {error}", begun.elapsed()),
                }
            }
        }
        for (place, id) in groups.ids().enumerate() {
            let count = groups.handle(id).expect("there").read(()).wait().expect("it serves");
            let least = (life + 1) * if place == 0 { 1 } else { 30 };
            assert!(count as u64 >= least, "{id} holds {count} of {least}");
        }
    }
}
