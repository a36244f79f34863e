//! Threads: requests and their answers.

use std::time::{Duration, Instant};

use cluster::threads::{CallError, Client, Options, Threads};
use cluster::{Cluster, Fault, NoAnswer, NodeState, Role};

use crate::scribe::{Answer, Ask, Config, News, Scribe, eventually, members, n};

/// Longer than anything takes here.
pub(crate) const LONG: Duration = Duration::from_secs(20);
/// Long enough for a wait that is to end in vain.
const SHORT: Duration = Duration::from_millis(50);

pub(crate) fn start(nodes: usize, config: Config) -> Threads<Scribe> {
    Threads::start(config, members(nodes), Options::default()).expect("a valid configuration")
}

pub(crate) fn inject(cluster: &mut Threads<Scribe>, fault: Fault) {
    cluster.inject(&fault).expect("taken");
}

pub(crate) fn gauge(cluster: &Threads<Scribe>, node: u32, name: &str) -> u64 {
    let gauges = cluster.gauges(n(node)).expect("it runs");
    gauges.into_iter().find(|(it, _)| *it == name).expect("a gauge of the scribe's").1
}

#[test]
fn requests_are_answered() {
    let mut cluster = start(3, Config::default());
    let mut asked: Vec<_> =
        (0..300).map(|value| cluster.submit(n(1 + value as u32 % 3), Ask::Append(value))).collect();
    let mut ended = Vec::new();
    while ended.len() < asked.len() {
        let end = cluster.poll(cluster.now() + LONG).expect("an answer");
        assert_eq!(end.outcome, Ok(Answer::Done));
        assert!(end.at <= cluster.now());
        ended.push(end.request);
    }
    asked.sort_unstable();
    ended.sort_unstable();
    assert_eq!(asked, ended);
    let mut client = cluster.client();
    for node in [1, 2, 3] {
        assert_eq!(client.call(n(node), Ask::Count, LONG), Ok(Answer::Count(100)));
    }
    assert_eq!(client.members(), [n(1), n(2), n(3)]);
    cluster.shutdown();
}

#[test]
fn poll_waits_until_then_and_no_longer() {
    let mut cluster = start(1, Config::default());
    let until = cluster.now() + SHORT;
    assert!(cluster.poll(until).is_none());
    assert!(cluster.now() >= until);
    assert!(cluster.poll(cluster::Timestamp::ZERO).is_none(), "at once, for what has passed");
    cluster.shutdown();
}

#[test]
fn only_the_first_answer_counts() {
    let mut cluster = start(1, Config::default());
    let mut client = cluster.client();
    assert_eq!(client.call(n(1), Ask::Twice, LONG), Ok(Answer::Done));
    assert_eq!(client.call(n(1), Ask::Count, LONG), Ok(Answer::Count(0)));
    let id = cluster.submit(n(1), Ask::Twice);
    assert_eq!(cluster.poll(cluster.now() + LONG).expect("an answer").request, id);
    assert!(cluster.poll(cluster.now() + SHORT).is_none());
    cluster.shutdown();
}

/// What waits in the inbox is one batch and one flush, up to the most that a batch may hold.
#[test]
fn a_batch_is_flushed_once() {
    for (batch_max, flushes) in [(1024, 1..=10), (1, 100..=110)] {
        let options = Options { batch_max, ..Options::default() };
        let mut cluster =
            Threads::<Scribe>::start(Config::default(), members(2), options).expect("valid");
        // n1 is stopped, but not its inbox: what is held is handed over in one turn.
        if batch_max > 1 {
            inject(&mut cluster, Fault::Pause { node: n(1) });
        }
        let before = if batch_max > 1 { 0 } else { gauge(&cluster, 1, "flushes") };
        for _ in 0..100 {
            cluster.submit(n(1), Ask::Count);
        }
        inject(&mut cluster, Fault::Resume { node: n(1) });
        for _ in 0..100 {
            assert!(cluster.poll(cluster.now() + LONG).is_some());
        }
        let after = gauge(&cluster, 1, "flushes");
        assert!(flushes.contains(&(after - before)), "{before} to {after} at {batch_max}");
        cluster.shutdown();
    }
    // What a node sends itself in one turn is in its inbox by the next.
    let cluster = start(1, Config::default());
    let before = gauge(&cluster, 1, "flushes");
    let flood = Ask::Flood { to: n(1), count: 500 };
    assert_eq!(cluster.client().call(n(1), flood, LONG), Ok(Answer::Done));
    let heard = gauge(&cluster, 1, "heard");
    let after = gauge(&cluster, 1, "flushes");
    assert!(heard == 500 && after - before < 10, "{heard} heard, {before} to {after}");
    cluster.shutdown();
    let options = Options { batch_max: 0, ..Options::default() };
    let refusal = Threads::<Scribe>::start(Config::default(), members(1), options).err();
    assert_eq!(refusal.expect("invalid").to_string(), "batch_max is 0, expected at least 1");
    let bad = Config { invalid: true, ..Config::default() };
    let refusal = Threads::<Scribe>::start(bad, members(1), Options::default()).err();
    assert_eq!(refusal.expect("invalid").to_string(), "invalid is true, expected false");
}

#[test]
fn ask_follows_redirections() {
    let cluster = start(5, Config { leader: Some(n(4)), ..Config::default() });
    let mut client = cluster.client();
    assert_eq!(client.ask(Ask::Lead, LONG), Ok(Answer::Done));
    assert_eq!(gauge(&cluster, 1, "inputs"), 1, "asked first");
    assert_eq!(client.ask(Ask::Lead, LONG), Ok(Answer::Done));
    assert_eq!(gauge(&cluster, 1, "inputs"), 1, "but not again");
    assert_eq!(gauge(&cluster, 4, "inputs"), 2);
    cluster.shutdown();
}

#[test]
fn ask_looks_for_a_node_that_is_up() {
    let mut cluster = start(3, Config { leader: Some(n(3)), ..Config::default() });
    let mut client = cluster.client();
    inject(&mut cluster, Fault::Crash { node: n(1) });
    assert_eq!(client.ask(Ask::Lead, LONG), Ok(Answer::Done));
    cluster.shutdown();
}

#[track_caller]
fn unavailable(outcome: Result<Answer, CallError>) {
    assert!(matches!(outcome, Err(CallError::Unavailable { .. })), "{outcome:?}");
}

/// Nobody leads: asked for a leader until some time is over, a client says that nothing was done.
/// Returns how long that took. (On a busy machine a node may be so slow that it has to say that it
/// does not know; then it is asked once more.)
#[track_caller]
fn leaderless(client: &mut Client<Scribe>) -> Duration {
    let start = Instant::now();
    eventually("it is certain that nothing was done", || {
        let outcome = client.ask(Ask::Lead, SHORT);
        assert!(outcome.is_err(), "{outcome:?}");
        matches!(outcome, Err(CallError::Unavailable { .. }))
    });
    start.elapsed()
}

/// How often a client asks at most that has been at it for so long: twice, then it takes a rest of
/// 5 ms.
fn asked_at_most(waited: Duration) -> u64 {
    3 * (2 + waited.as_millis() as u64 / 5)
}

#[track_caller]
fn unknown(outcome: Result<Answer, CallError>) {
    assert!(matches!(outcome, Err(CallError::Unknown { .. })), "{outcome:?}");
}

#[test]
fn nobody_took_it_or_nobody_can_say() {
    let mut cluster = start(3, Config { leader: Some(n(3)), ..Config::default() });
    let mut client = cluster.client();
    unknown(client.call(n(1), Ask::Ignore, SHORT));
    inject(&mut cluster, Fault::Pause { node: n(3) });
    unknown(client.call(n(3), Ask::Count, SHORT));
    unknown(client.ask(Ask::Lead, SHORT));
    inject(&mut cluster, Fault::Crash { node: n(3) });
    unavailable(client.call(n(3), Ask::Count, LONG));
    unavailable(client.call(n(9), Ask::Count, LONG));
    leaderless(&mut client);
    inject(&mut cluster, Fault::Restart { node: n(3) });
    assert_eq!(client.ask(Ask::Lead, LONG), Ok(Answer::Done));
    // No time at all, and all the time there is.
    unknown(client.call(n(1), Ask::Ignore, Duration::ZERO));
    assert_eq!(client.ask(Ask::Lead, Duration::MAX), Ok(Answer::Done));
    cluster.shutdown();
}

#[test]
fn a_leader_that_is_not_known_or_is_nobody_is_waited_for() {
    for leader in [None, Some(n(9))] {
        let cluster = start(2, Config { leader, ..Config::default() });
        let waited = leaderless(&mut cluster.client());
        let inputs = gauge(&cluster, 1, "inputs") + gauge(&cluster, 2, "inputs");
        assert!((1..=asked_at_most(waited)).contains(&inputs), "{inputs} in {waited:?}");
        cluster.shutdown();
    }
}

/// Two nodes that take each other for the leader do not make a client run in circles.
#[test]
fn a_client_sent_to_and_fro_takes_its_time() {
    let cluster = start(2, Config { confused: true, ..Config::default() });
    let waited = leaderless(&mut cluster.client());
    let inputs = gauge(&cluster, 1, "inputs") + gauge(&cluster, 2, "inputs");
    assert!((1..=asked_at_most(waited)).contains(&inputs), "{inputs} in {waited:?}");
    cluster.shutdown();
}

/// An answer to a call that was given up is not taken for another's, be it the same client's or
/// that of one who took its seat.
#[test]
fn late_answers_reach_nobody() {
    let mut cluster = start(1, Config::default());
    for clients in 0..50 {
        let mut first = cluster.client();
        inject(&mut cluster, Fault::Pause { node: n(1) });
        unknown(first.call(n(1), Ask::Heard, Duration::ZERO));
        let mut second = if clients % 2 == 0 {
            drop(first);
            cluster.client()
        } else {
            first
        };
        inject(&mut cluster, Fault::Resume { node: n(1) });
        assert_eq!(second.call(n(1), Ask::Count, LONG), Ok(Answer::Count(0)));
    }
    cluster.shutdown();
}

#[test]
fn many_clients_from_many_threads() {
    const THREADS: u64 = 8;
    const CALLS: u64 = 250;
    let cluster = start(3, Config::default());
    let one = cluster.client();
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let mut client = one.clone();
            scope.spawn(move || {
                for call in 0..CALLS {
                    let node = n(1 + (call % 3) as u32);
                    let value = thread * CALLS + call;
                    assert_eq!(client.call(node, Ask::Append(value), LONG), Ok(Answer::Done));
                    if call % 10 == 0 {
                        client = client.clone();
                    }
                }
            });
        }
    });
    let written: u64 = (1..=3).map(|node| gauge(&cluster, node, "written")).sum();
    assert_eq!(written, THREADS * CALLS);
    // Each record was told to both others, twice.
    let heard = || (1..=3).map(|node| gauge(&cluster, node, "heard")).sum::<u64>();
    eventually("all is heard", || heard() == 4 * THREADS * CALLS);
    cluster.shutdown();
}

#[test]
fn nodes_can_be_looked_at() {
    let mut cluster = start(2, Config { leader: Some(n(2)), ..Config::default() });
    let events = cluster.subscribe();
    let standing = cluster.state(n(1)).standing().expect("up");
    assert_eq!((standing.role, standing.leader), (Role::Replica, Some(n(2))));
    assert_eq!(cluster.state(n(9)), NodeState::Down);
    assert!(cluster.gauges(n(9)).is_none());
    assert_eq!(cluster.client().call(n(1), Ask::Append(7), LONG), Ok(Answer::Done));
    let wrote = events
        .iter()
        .find(|it| it.event == News::Wrote(7))
        .expect("the channel is open while the cluster is");
    assert_eq!(wrote.node, n(1));
    assert!(wrote.at <= cluster.now());
    inject(&mut cluster, Fault::Pause { node: n(1) });
    assert_eq!((cluster.state(n(1)), cluster.gauges(n(1))), (NodeState::Paused, None));
    inject(&mut cluster, Fault::Crash { node: n(1) });
    assert_eq!((cluster.state(n(1)), cluster.gauges(n(1))), (NodeState::Down, None));
    drop(events);
    assert_eq!(cluster.client().call(n(2), Ask::Append(8), LONG), Ok(Answer::Done));
    cluster.shutdown();
}

#[test]
fn a_request_to_nobody_is_unreachable() {
    let mut cluster = start(1, Config::default());
    let id = cluster.submit(n(9), Ask::Count);
    let end = cluster.poll(cluster.now()).expect("at once");
    assert_eq!((end.request, end.outcome), (id, Err(NoAnswer::Unreachable)));
    cluster.shutdown();
}

/// A node sleeps until its deadline, and not longer.
#[test]
fn alarms_ring() {
    let cluster = start(1, Config::default());
    let mut client = cluster.client();
    let asked = Instant::now();
    let span = Duration::from_millis(20);
    assert_eq!(client.call(n(1), Ask::RingIn(Some(span)), LONG), Ok(Answer::Done));
    eventually("it rings", || gauge(&cluster, 1, "rings") == 1);
    assert!(asked.elapsed() >= span);
    assert_eq!(client.call(n(1), Ask::RingIn(None), LONG), Ok(Answer::Done));
    assert_eq!(client.call(n(1), Ask::RingAtOnce(1_000), LONG), Ok(Answer::Done));
    eventually("it rings again and again", || gauge(&cluster, 1, "rings") == 1_001);
    cluster.shutdown();
}

/// What is asked at once is one batch, and each request of it ends once.
#[test]
fn many_may_be_asked_at_once() {
    let mut cluster = start(2, Config::default());
    let flushes = gauge(&cluster, 1, "flushes");
    let ids = cluster.submit_all(n(1), (0..5_000).map(Ask::Append));
    for &id in &ids {
        let end = cluster.poll(cluster.now() + LONG).expect("an answer");
        assert_eq!((end.request, end.outcome), (id, Ok(Answer::Done)));
    }
    // One for the batch and one because all of it is durable; and those of the gauges.
    assert!(gauge(&cluster, 1, "flushes") <= flushes + 4);
    assert_eq!(cluster.submit_all(n(1), []), []);
    let nobody = cluster.submit_all(n(9), [Ask::Count, Ask::Count]);
    inject(&mut cluster, Fault::Crash { node: n(1) });
    let down = cluster.submit_all(n(1), [Ask::Count, Ask::Count]);
    let mut ends: Vec<_> = std::iter::from_fn(|| cluster.poll(cluster.now() + LONG))
        .take(4)
        .map(|end| (end.request, end.outcome))
        .collect();
    ends.sort_unstable_by_key(|end| end.0);
    let refused: Vec<_> =
        nobody.into_iter().chain(down).map(|id| (id, Err(NoAnswer::Unreachable))).collect();
    assert_eq!(ends, refused);
    cluster.shutdown();
}
