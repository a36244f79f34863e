//! Calls, turn by turn and over the worlds: what is asked of whom, and what the caller is told.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};

use cluster::call::{Call, CallError, Caller, Found, Heard, Question};
use cluster::threads::{Options, Threads};
use cluster::{Cluster, Fault, Members, NoAnswer, NodeId, Port, ReplyTo};

use crate::scribe::{Answer, Ask, Config, Scribe, n};

const LONG: Duration = Duration::from_secs(20);
const SHORT: Duration = Duration::from_millis(60);

/// What reaches a node.
struct Asked {
    node: NodeId,
    reply: ReplyTo<Answer>,
}

/// Three nodes, played by the test.
struct Stage {
    caller: Caller<Scribe>,
    asked: Receiver<Asked>,
}

struct Wings {
    members: [NodeId; 3],
    asked: Sender<Asked>,
}

impl Port<Scribe> for Wings {
    fn members(&self) -> &[NodeId] {
        &self.members
    }

    fn submit(&self, node: NodeId, _: Ask, reply: ReplyTo<Answer>) {
        // Once the play is over, whatever is asked is lost.
        let _ = self.asked.send(Asked { node, reply });
    }
}

impl Stage {
    fn new() -> Self {
        let (sender, asked) = channel();
        let members = [n(1), n(2), n(3)];
        Self { caller: Caller::over(Arc::new(Wings { members, asked: sender })), asked }
    }

    /// What reaches a node next, which must be this one.
    #[track_caller]
    fn next(&self, node: u32) -> ReplyTo<Answer> {
        let asked = self.asked.recv_timeout(LONG).expect("something is asked");
        assert_eq!(asked.node, n(node));
        asked.reply
    }

    #[track_caller]
    fn nothing_asked(&self) {
        assert!(self.asked.try_recv().is_err(), "more is asked");
    }

    /// A question that may be asked of the next one when one has been silent for a moment.
    fn find(&self, timeout: Duration) -> Call<Found<Answer>> {
        let caller = self.caller.clone();
        let (silence_max, heard) = (Some(SHORT), Heard::by_redirection::<Scribe>);
        let question = Question { request: Ask::Count, timeout, silence_max, heard };
        Call::run(async move { caller.find(question).await })
    }
}

fn elsewhere(reply: ReplyTo<Answer>, to: Option<u32>) {
    reply.complete(Ok(Answer::NotHere(to.map(n))));
}

#[track_caller]
fn unknown<T: std::fmt::Debug>(outcome: Result<T, CallError>) {
    assert!(matches!(outcome, Err(CallError::Unknown { .. })), "{outcome:?}");
}

#[track_caller]
fn unavailable<T: std::fmt::Debug>(outcome: Result<T, CallError>) {
    assert!(matches!(outcome, Err(CallError::Unavailable { .. })), "{outcome:?}");
}

#[test]
fn who_serves_is_found_and_remembered() {
    let stage = Stage::new();
    let call = stage.caller.ask(Ask::Lead, LONG);
    elsewhere(stage.next(1), Some(3));
    elsewhere(stage.next(3), None);
    stage.next(1).complete(Err(NoAnswer::Unreachable));
    stage.next(2).complete(Ok(Answer::Done));
    assert_eq!(call.wait(), Ok(Answer::Done));
    let again = stage.caller.clone().ask(Ask::Lead, LONG);
    stage.next(2).complete(Ok(Answer::Count(2)));
    assert_eq!(again.wait(), Ok(Answer::Count(2)));
}

/// What may have been done is asked again only where that does no harm.
#[test]
fn what_may_have_been_done_is_not_asked_again_unless_it_may_be() {
    let stage = Stage::new();
    let call = stage.caller.ask(Ask::Append(1), LONG);
    stage.next(1).complete(Err(NoAnswer::Lost));
    unknown(call.wait());
    stage.nothing_asked();
    let call = stage.find(LONG);
    drop(stage.next(1));
    stage.next(2).complete(Ok(Answer::Count(1)));
    let found = call.wait();
    assert_eq!((found.outcome, found.node, found.doubtful), (Ok(Answer::Count(1)), n(2), true));
}

/// It goes on to the next when one is silent, though nobody looks at it; its late answer is nobody's.
#[test]
fn a_call_goes_on_by_itself() {
    let stage = Stage::new();
    let call = stage.find(LONG);
    let silent = stage.next(1);
    let second = stage.next(2);
    silent.complete(Ok(Answer::Count(1)));
    second.complete(Ok(Answer::Count(2)));
    assert_eq!(call.wait().outcome, Ok(Answer::Count(2)));
    stage.nothing_asked();
}

#[test]
fn deadlines_are_kept_and_honest() {
    let stage = Stage::new();
    let begun = Instant::now();
    let call = stage.caller.ask(Ask::Append(1), SHORT);
    let silent = stage.next(1);
    unknown(call.wait());
    assert!(begun.elapsed() >= SHORT && begun.elapsed() < LONG);
    silent.complete(Ok(Answer::Done));
    let call = stage.caller.ask(Ask::Append(2), SHORT);
    let waits = std::thread::spawn(|| call.wait());
    while !waits.is_finished() {
        if let Ok(asked) = stage.asked.try_recv() {
            elsewhere(asked.reply, None);
        }
        std::thread::yield_now();
    }
    unavailable(waits.join().expect("no panic"));
    unknown(stage.caller.call(n(3), Ask::Count, Duration::ZERO).wait());
}

/// A call that is dropped is not asked again, wherever it is: on its way, and at rest.
#[test]
fn a_dropped_call_is_given_up() {
    let stage = Stage::new();
    let call = stage.find(LONG);
    let asked = stage.next(1);
    drop(call);
    elsewhere(asked, Some(2));
    let call = stage.find(LONG);
    elsewhere(stage.next(1), None);
    drop(call);
    let call = stage.caller.call(n(3), Ask::Count, LONG);
    stage.next(3).complete(Ok(Answer::Count(0)));
    assert_eq!(call.wait(), Ok(Answer::Count(0)));
    stage.nothing_asked();
}

struct Wakes(AtomicUsize);

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

fn poll<R>(call: &mut Call<R>, waker: &Waker) -> Poll<R> {
    std::pin::Pin::new(call).poll(&mut Context::from_waker(waker))
}

/// A call that moves from one task to another wakes the one that polled it last, once.
#[test]
fn the_last_to_poll_is_woken() {
    let stage = Stage::new();
    let mut call = stage.caller.ask(Ask::Count, LONG);
    let asked = stage.next(1);
    let wakes = [Arc::new(Wakes(AtomicUsize::new(0))), Arc::new(Wakes(AtomicUsize::new(0)))];
    for wakes in &wakes {
        assert!(poll(&mut call, &Waker::from(Arc::clone(wakes))).is_pending());
    }
    asked.complete(Ok(Answer::Count(3)));
    assert_eq!(wakes.each_ref().map(|it| it.0.load(Ordering::SeqCst)), [0, 1]);
    assert_eq!(poll(&mut call, Waker::noop()), Poll::Ready(Ok(Answer::Count(3))));
}

struct Dropped(Arc<AtomicUsize>);

impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// What a call came to is dropped with it when nobody takes it, and otherwise not before.
#[test]
fn what_nobody_takes_is_dropped_with_the_call() {
    let dropped = Arc::new(AtomicUsize::new(0));
    let start = || {
        let result = Dropped(Arc::clone(&dropped));
        Call::run_then(async move { result }, Some)
    };
    let (taken, left) = (start().wait(), start());
    assert_eq!(dropped.load(Ordering::SeqCst), 0);
    drop(left);
    assert_eq!(dropped.load(Ordering::SeqCst), 1);
    drop(taken);
    assert_eq!(dropped.load(Ordering::SeqCst), 2);
}

/// Whoever wakes it while it is polled has it polled once more: no wake-up is lost.
#[test]
fn a_future_that_wakes_itself_goes_on() {
    let mut left = 1000;
    let call = Call::run(std::future::poll_fn(move |context| {
        context.waker().wake_by_ref();
        left -= 1;
        if left == 0 { Poll::Ready("over") } else { Poll::Pending }
    }));
    assert_eq!(call.wait(), "over");
}

/// The leader dies while somebody awaits it: another is found, and what is not known is said.
async fn survives_the_leader(caller: &Caller<Scribe>, kill: impl FnOnce()) {
    assert_eq!(caller.ask(Ask::Append(1), LONG).await, Ok(Answer::Done));
    let lost = caller.call(n(1), Ask::Ignore, LONG);
    // It was taken before this is answered.
    assert_eq!(caller.call(n(1), Ask::Count, LONG).await, Ok(Answer::Count(1)));
    kill();
    unknown(lost.await);
    // Its last words may come before its connection ends.
    let begun = Instant::now();
    while let Err(CallError::Unknown { .. }) = caller.call(n(1), Ask::Count, LONG).await {
        assert!(begun.elapsed() < LONG, "it is not gone");
    }
    unavailable(caller.call(n(1), Ask::Count, LONG).await);
    assert_eq!(caller.ask(Ask::Append(2), LONG).await, Ok(Answer::Done), "at another");
}

#[test]
fn over_threads_a_call_survives_the_leader() {
    let members = Members::first(3).expect("three nodes");
    let mut cluster =
        Threads::<Scribe>::start(Config::default(), members, Options::default()).expect("valid");
    let caller = cluster.caller();
    pollster::block_on(survives_the_leader(&caller, || {
        cluster.inject(&Fault::Crash { node: n(1) }).expect("threads can be stopped");
    }));
    cluster.shutdown();
    unavailable(caller.ask(Ask::Count, SHORT).wait());
}

#[cfg(feature = "tls")]
#[test]
fn over_the_net_a_call_survives_the_leader() {
    let (mut servers, nodes) = crate::net::servers(3);
    let caller = Caller::over(crate::net::remote(&nodes));
    pollster::block_on(survives_the_leader(&caller, || drop(servers.remove(0))));
}

#[cfg(feature = "tls")]
#[test]
fn over_tls_a_call_survives_the_leader() {
    let (_authority, mut servers, port) = crate::net_tls::servers(3);
    pollster::block_on(survives_the_leader(&Caller::over(port), || drop(servers.remove(0))));
}
