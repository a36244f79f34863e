//! Threads: the way for clients that are called back.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use cluster::threads::{CallError, Client};
use cluster::{Fault, NoAnswer, Port, ReplyTo, Sink};

use crate::scribe::{Answer, Ask, Config, Scribe, n};
use crate::threads_calls::{LONG, inject, start};

type Outcome = Result<Answer, NoAnswer>;

struct Told(Mutex<Sender<(u64, Outcome)>>);

impl Sink<Answer> for Told {
    fn complete(self: Arc<Self>, tag: u64, outcome: Outcome) {
        let _ = self.0.lock().unwrap().send((tag, outcome));
    }
}

fn told() -> (Arc<Told>, Receiver<(u64, Outcome)>) {
    let (sender, receiver) = channel();
    (Arc::new(Told(Mutex::new(sender))), receiver)
}

fn ask(port: &Arc<dyn Port<Scribe>>, node: u32, tag: u64, sink: &Arc<Told>) {
    let sink = Arc::clone(sink) as Arc<dyn Sink<Answer>>;
    port.submit(n(node), Ask::Append(tag), ReplyTo::new(sink, tag));
}

/// From many threads at once, each request is told one end.
#[test]
fn each_request_is_called_back_once() {
    let cluster = start(3, Config::default());
    let port = cluster.port();
    let (sink, ends) = told();
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let (port, sink) = (&port, &sink);
            scope.spawn(move || {
                for number in 0..100 {
                    let tag = thread * 100 + number;
                    ask(port, 1 + (tag % 3) as u32, tag, sink);
                }
            });
        }
    });
    let mut tags: Vec<u64> = (0..400)
        .map(|_| {
            let (tag, outcome) = ends.recv_timeout(LONG).expect("an end");
            assert_eq!(outcome, Ok(Answer::Done));
            tag
        })
        .collect();
    tags.sort_unstable();
    assert_eq!(tags, (0..400).collect::<Vec<_>>());
    cluster.shutdown();
    assert!(ends.try_recv().is_err(), "and no second one");
}

/// Whatever keeps a node from answering, the client is told: it is down, it goes down, there is no
/// such node, there are no nodes any more.
#[test]
fn who_cannot_be_answered_is_told_so() {
    let mut cluster = start(3, Config::default());
    let port = cluster.port();
    let (sink, ends) = told();
    let end = || ends.recv_timeout(LONG).expect("an end");
    inject(&mut cluster, Fault::Crash { node: n(1) });
    ask(&port, 1, 1, &sink);
    assert_eq!(end(), (1, Err(NoAnswer::Unreachable)));
    ask(&port, 9, 2, &sink);
    assert_eq!(end(), (2, Err(NoAnswer::Unreachable)));
    inject(&mut cluster, Fault::Pause { node: n(2) });
    ask(&port, 2, 3, &sink);
    inject(&mut cluster, Fault::Crash { node: n(2) });
    assert_eq!(end(), (3, Err(NoAnswer::Lost)));
    cluster.shutdown();
    ask(&port, 3, 4, &sink);
    assert_eq!(end(), (4, Err(NoAnswer::Unreachable)));
}

/// Whoever loses a request without a word has told its client all the same.
#[test]
fn a_dropped_reply_is_a_lost_one() {
    let (sink, ends) = told();
    drop(ReplyTo::new(sink as Arc<dyn Sink<Answer>>, 7));
    assert_eq!(ends.recv_timeout(LONG), Ok((7, Err(NoAnswer::Lost))));
}

/// A client over a port does what one of the threads does: it is answered, told what was not done, and
/// goes on to whoever is up; a late answer to a call that was given up is not taken for that of the next.
#[test]
fn a_client_goes_by_any_port() {
    let mut cluster = start(3, Config::default());
    let mut client = Client::over(cluster.port());
    assert_eq!(client.members(), [n(1), n(2), n(3)]);
    assert_eq!(client.call(n(2), Ask::Append(1), LONG), Ok(Answer::Done));
    inject(&mut cluster, Fault::Pause { node: n(2) });
    let given_up = client.call(n(2), Ask::Count, Duration::ZERO);
    assert!(matches!(given_up, Err(CallError::Unknown { .. })), "{given_up:?}");
    inject(&mut cluster, Fault::Resume { node: n(2) });
    assert_eq!(client.call(n(2), Ask::Append(2), LONG), Ok(Answer::Done));
    inject(&mut cluster, Fault::Crash { node: n(1) });
    let refused = client.call(n(1), Ask::Append(3), LONG);
    assert!(matches!(refused, Err(CallError::Unavailable { .. })), "{refused:?}");
    assert_eq!(client.clone().ask(Ask::Append(4), LONG), Ok(Answer::Done), "at another");
}
