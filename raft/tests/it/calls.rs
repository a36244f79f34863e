//! Calls, turn by turn: what is asked of whom, and what the caller is told.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};

use cluster::NoAnswer;
use raft::{CallError, Error, Reply, Request, Sequence, SessionId};

use crate::stage::{LONG, Stage};
use crate::table::n;

const SHORT: Duration = Duration::from_millis(60);

fn not_leader(leader: Option<u32>) -> Error {
    Error::NotLeader { leader: leader.map(n) }
}

#[track_caller]
fn unknown<T: std::fmt::Debug>(result: Result<T, CallError>) {
    match result {
        Err(error @ CallError::Unknown { .. }) => assert!(!error.nothing_done()),
        other => panic!("expected unknown, got {other:?}"),
    }
}

#[track_caller]
fn unavailable<T: std::fmt::Debug>(result: Result<T, CallError>) {
    match result {
        Err(error @ CallError::Unavailable { .. }) => assert!(error.nothing_done()),
        other => panic!("expected unavailable, got {other:?}"),
    }
}

/// A redirection is followed; whoever served is asked first from then on.
#[test]
fn the_leader_is_found_and_remembered() {
    let stage = Stage::new();
    let call = stage.handle.write_sessionless(5);
    let first = stage.next();
    assert_eq!(first.node, n(1));
    first.refuse(not_leader(Some(3)));
    let second = stage.next();
    assert_eq!(second.node, n(3));
    second.written(4);
    assert_eq!(call.wait(), Ok(4));
    let call = stage.handle.read(());
    let third = stage.next();
    assert_eq!(third.node, n(3));
    third.answer(Ok(Reply::Answer(8)));
    assert_eq!(call.wait(), Ok(8));
}

/// While there is no leader it asks around, and rests in between; so do nodes that are down.
#[test]
fn without_a_leader_it_asks_around() {
    let stage = Stage::new();
    let call = stage.handle.write_sessionless(5);
    for turn in 0..7 {
        let asked = stage.next();
        assert_eq!(asked.node, n(1 + turn % 3));
        match turn % 2 {
            0 => asked.refuse(not_leader(None)),
            _ => asked.fail(NoAnswer::Unreachable),
        }
    }
    stage.next().written(1);
    assert_eq!(call.wait(), Ok(1));
}

/// Two nodes that take each other for the leader do not keep a call running.
#[test]
fn it_rests_between_nodes_that_name_each_other() {
    let stage = Stage::new();
    let begun = Instant::now();
    let call = stage.handle.write_sessionless(5);
    for _ in 0..16 {
        let asked = stage.next();
        let other = if asked.node == n(1) { 2 } else { 1 };
        asked.refuse(not_leader(Some(other)));
    }
    assert!(begun.elapsed() >= Duration::from_millis(2 + 4 + 8), "four at once, then a rest");
    drop(call);
}

/// A write in a session is sent again after its leader was deposed, died, or lost it without a word
/// (complaint 13: openraft#1810, #1816, #1761; braft#531), under the same number each time.
#[test]
fn complaint_13_a_write_whose_answer_is_lost_is_sent_again() {
    let stage = Stage::with_session();
    let call = stage.handle.write(5);
    let number = stage.next();
    let submission = number.submission();
    assert_eq!(submission, (SessionId::new(7), Sequence::new(2), Sequence::new(2), 5));
    number.refuse(Error::Deposed);
    let second = stage.next();
    assert_eq!(second.submission(), submission);
    second.fail(NoAnswer::Lost);
    let third = stage.next();
    assert_eq!(third.submission(), submission);
    drop(third);
    let fourth = stage.next();
    assert_eq!(fourth.submission(), submission);
    fourth.written(3);
    assert_eq!(call.wait(), Ok(3));
}

/// Without a session it is not: that could apply it twice. Nor is a transfer.
#[test]
fn what_may_have_happened_outside_a_session_is_unknown() {
    let stage = Stage::new();
    for how in 0..3 {
        let call = stage.handle.write_sessionless(5);
        let asked = stage.next();
        match how {
            0 => asked.refuse(Error::Deposed),
            1 => asked.fail(NoAnswer::Lost),
            _ => drop(asked),
        }
        unknown(call.wait());
    }
    let call = stage.handle.transfer(None);
    stage.next().refuse(Error::NotTransferred);
    unknown(call.wait());
    stage.nothing_asked();
}

/// A node that is silent: the write goes on to the next one after a while, and after a longer one to
/// the third. If the first answers after all, that is an answer too.
#[test]
fn a_silent_node_is_left_and_its_late_answer_taken() {
    let stage = Stage::with_session();
    std::thread::scope(|scope| {
        let call = stage.handle.write(5);
        let waiting = scope.spawn(|| call.wait());
        let (first, begun) = (stage.next(), Instant::now());
        let (second, left) = (stage.next(), Instant::now());
        let third = stage.next();
        assert!(left.elapsed() > (left - begun).mul_f64(1.2), "a cluster that is slow is spared");
        let asked = [&first, &second, &third].map(|asked| (asked.node, asked.submission()));
        assert_eq!(asked.map(|(node, _)| node), [n(1), n(2), n(3)]);
        assert!(asked.iter().all(|(_, submission)| *submission == asked[0].1));
        first.written(9);
        assert_eq!(waiting.join().unwrap(), Ok(9));
        // What the others say then, nobody waits for.
        second.written(77);
        third.refuse(Error::Deposed);
    });
    stage.nothing_asked();
}

/// Deadlines: of a write that a node has taken the end is unknown; of one that nobody took, and of a
/// read, it is known that nothing was done.
#[test]
fn deadlines_are_kept_and_honest() {
    let stage = Stage::with_session();
    let hasty = stage.handle.with_timeout(SHORT);
    let begun = Instant::now();
    let write = hasty.write(5);
    let taken = stage.next();
    unknown(write.wait());
    assert!(begun.elapsed() >= SHORT && begun.elapsed() < LONG);
    taken.written(0);
    let read = hasty.read(());
    let taken = stage.next();
    unavailable(read.wait());
    drop(taken);
    let (waits, turns_away) = (hasty.write(6), &stage);
    std::thread::scope(|scope| {
        let result = scope.spawn(|| waits.wait());
        while !result.is_finished() {
            if let Some(asked) = turns_away.try_next() {
                asked.refuse(not_leader(None));
            }
            std::thread::yield_now();
        }
        unavailable(result.join().unwrap());
    });
}

/// A session that ended before the first attempt got anywhere is replaced; one that ended after an
/// attempt that may have taken effect leaves that unknown (thesis §6.3).
#[test]
fn thesis_6_3_an_expired_session_is_replaced_or_tells_the_truth() {
    let stage = Stage::with_session();
    let call = stage.handle.write(5);
    stage.next().refuse(Error::SessionExpired);
    stage.open(11);
    let again = stage.next();
    assert_eq!(again.submission(), (SessionId::new(11), Sequence::new(1), Sequence::new(1), 5));
    again.written(1);
    assert_eq!(call.wait(), Ok(1));
    let call = stage.handle.write(6);
    stage.next().refuse(Error::Deposed);
    stage.next().refuse(Error::SessionExpired);
    unknown(call.wait());
    stage.nothing_asked();
}

/// The leader is told from where on answers are awaited: the lowest number that has none, whatever
/// order they come in, and be it that one is given up.
#[test]
fn unanswered_is_the_lowest_that_is() {
    let stage = Stage::with_session();
    let calls = [stage.handle.write(1), stage.handle.write(2), stage.handle.write(3)];
    let asked = [stage.next(), stage.next(), stage.next()];
    let numbers = asked.each_ref().map(|it| it.submission().1.get());
    assert_eq!(numbers, [2, 3, 4]);
    let unanswered = || {
        let call = stage.handle.write(9);
        let asked = stage.next();
        let unanswered = asked.submission().2.get();
        asked.written(0);
        call.wait().unwrap();
        unanswered
    };
    let [first, second, third] = asked;
    let [one, two, three] = calls;
    second.written(0);
    two.wait().unwrap();
    assert_eq!(unanswered(), 2);
    first.written(0);
    one.wait().unwrap();
    assert_eq!(unanswered(), 4);
    drop(three);
    assert_eq!(unanswered(), 7);
    drop(third);
    stage.nothing_asked();
}

/// One session for all who wait for one, and for all clones; another handle has its own.
#[test]
fn clones_share_a_session() {
    let stage = Stage::new();
    let clone = stage.handle.clone();
    let calls = [stage.handle.write(1), clone.write(2), stage.handle.write(3)];
    stage.open(5);
    let mut sent: Vec<_> = (0..3)
        .map(|_| {
            let asked = stage.next();
            let (session, sequence, _, command) = asked.submission();
            asked.written(command as usize);
            (session.get(), sequence.get())
        })
        .collect();
    sent.sort_unstable();
    assert_eq!(sent, [(5, 1), (5, 2), (5, 3)]);
    assert_eq!(calls.map(|call| call.wait()), [Ok(1), Ok(2), Ok(3)]);
}

/// What the leader refuses for good is told as it is.
#[test]
fn refusals_are_told() {
    let stage = Stage::with_session();
    let too_large = Error::TooLarge { bytes: 9, limit: 8 };
    for (error, expected) in [
        (Error::Overloaded, CallError::Overloaded),
        (too_large, CallError::TooLarge { bytes: 9, limit: 8 }),
    ] {
        let call = stage.handle.write(5);
        stage.next().refuse(error);
        assert_eq!(call.wait(), Err(expected));
        assert!(expected.nothing_done());
    }
    let call = stage.handle.transfer(Some(n(9)));
    stage.next().refuse(Error::NoSuchMember);
    assert_eq!(call.wait(), Err(CallError::NoSuchMember));
    // When no session can be opened, nothing was written.
    let other = Stage::new();
    let call = other.handle.write(5);
    other.next().refuse(Error::Overloaded);
    assert_eq!(call.wait(), Err(CallError::Overloaded));
    other.nothing_asked();
}

/// An overloaded leader does not hide what an earlier attempt came to.
#[test]
fn a_doubtful_write_outlasts_an_overload() {
    let stage = Stage::with_session();
    let call = stage.handle.write(5);
    stage.next().refuse(Error::Deposed);
    stage.next().refuse(Error::Overloaded);
    stage.next().written(6);
    assert_eq!(call.wait(), Ok(6));
}

/// A call that is dropped is not sent again, and holds nothing up.
#[test]
fn a_dropped_call_is_given_up() {
    let stage = Stage::with_session();
    let call = stage.handle.write(5);
    let asked = stage.next();
    drop(call);
    asked.refuse(Error::Deposed);
    let resting = stage.handle.write(6);
    stage.next().refuse(not_leader(None));
    drop(resting);
    let next = stage.handle.write(7);
    let asked = stage.next();
    assert_eq!(asked.submission().3, 7, "and not 5 or 6");
    assert_eq!(asked.submission().2, asked.submission().1, "nobody waits for 5 and 6");
    asked.written(1);
    assert_eq!(next.wait(), Ok(1));
}

/// A call to one node goes to no other, and does not wait for one that is down.
#[test]
fn a_call_to_one_node_stays_there() {
    let stage = Stage::new();
    let call = stage.handle.status(n(3));
    let asked = stage.next();
    assert_eq!((asked.node, matches!(asked.request, Request::Status)), (n(3), true));
    asked.fail(NoAnswer::Unreachable);
    unavailable(call.wait());
    let call = stage.handle.read_from(n(2), raft::ReadLevel::Follower, ());
    for _ in 0..3 {
        let asked = stage.next();
        assert_eq!(asked.node, n(2));
        asked.refuse(not_leader(Some(1)));
    }
    stage.next().answer(Ok(Reply::Answer(5)));
    assert_eq!(call.wait(), Ok(5));
}

/// The session is closed when nobody can use it any more: not while a clone or a call is left.
#[test]
fn the_last_to_leave_closes_the_session() {
    let stage = Stage::with_session();
    let (clone, call) = (stage.handle.clone(), stage.handle.write(5));
    let asked = stage.next();
    let stage = stage.without_handle();
    drop(clone);
    stage.nothing_asked();
    asked.written(2);
    assert_eq!(call.wait(), Ok(2));
    let close = stage.next();
    assert!(matches!(close.request, Request::Close(it) if it == SessionId::new(7)));
    close.refuse(Error::NotLeader { leader: Some(n(2)) });
    let close = stage.next();
    assert_eq!(close.node, n(2));
    close.answer(Ok(Reply::Closed));
}

/// A session that is opened for somebody who is gone by then is closed at once.
#[test]
fn a_session_that_comes_too_late_is_closed() {
    let stage = Stage::new();
    drop(stage.handle.write(5));
    let stage = stage.without_handle();
    stage.open(5);
    let close = stage.next();
    assert!(matches!(close.request, Request::Close(it) if it == SessionId::new(5)));
}

struct Wakes(AtomicUsize);

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// A call that moves from one task to another wakes the one that polled it last, once.
#[test]
fn the_last_to_poll_is_woken() {
    let stage = Stage::new();
    let mut call = stage.handle.read(());
    let asked = stage.next();
    let wakes = [Arc::new(Wakes(AtomicUsize::new(0))), Arc::new(Wakes(AtomicUsize::new(0)))];
    for wakes in &wakes {
        let waker = Waker::from(Arc::clone(wakes));
        assert!(Pin::new(&mut call).poll(&mut Context::from_waker(&waker)).is_pending());
    }
    asked.answer(Ok(Reply::Answer(3)));
    assert_eq!(wakes.each_ref().map(|it| it.0.load(Ordering::SeqCst)), [0, 1]);
    let poll = Pin::new(&mut call).poll(&mut Context::from_waker(Waker::noop()));
    assert_eq!(poll, Poll::Ready(Ok(3)));
}

/// A cluster that answers what was not asked does no harm.
#[test]
fn a_reply_to_something_else_is_no_answer() {
    let stage = Stage::new();
    let call = stage.handle.write_sessionless(5);
    stage.next().answer(Ok(Reply::Closed));
    unknown(call.wait());
}
