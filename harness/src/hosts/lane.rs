//! What clients say to one node, on threads of their own.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Instant;

use cluster::{Completion, NoAnswer, RequestId, Timestamp};

use crate::vocabulary::{Answer, Op};

use super::ground::Vantage;
use super::inhabitant::Client;

/// How many requests to one node are under way at once; others wait.
const AT_ONCE: usize = 16;

/// Threads that speak to one node.
pub(super) struct Lane {
    jobs: Option<Sender<(RequestId, Op)>>,
    threads: Vec<JoinHandle<()>>,
}

impl Lane {
    /// Threads at `vantage` that speak through `client`, and tell `done`.
    pub(super) fn new(
        client: &Arc<impl Client>,
        vantage: &Vantage,
        start: Instant,
        done: &Sender<Completion<Answer>>,
    ) -> Self {
        let (jobs, inbox) = channel();
        let inbox = Arc::new(Mutex::new(inbox));
        let thread = |_| {
            let (inbox, client, done) = (Arc::clone(&inbox), Arc::clone(client), done.clone());
            let vantage = vantage.clone();
            std::thread::spawn(move || {
                let there = vantage.enter();
                while let Some((request, op)) = next(&inbox) {
                    // From elsewhere, nobody can be reached.
                    let outcome = match &there {
                        Ok(()) => client.call(op),
                        Err(_) => Err(NoAnswer::Unreachable),
                    };
                    let at = Timestamp::ZERO + start.elapsed();
                    // A cluster that is gone wants no answer.
                    let _ = done.send(Completion { request, at, outcome });
                }
            })
        };
        Self { jobs: Some(jobs), threads: (0..AT_ONCE).map(thread).collect() }
    }

    pub(super) fn submit(&self, request: RequestId, op: Op) {
        if let Some(jobs) = &self.jobs {
            // Its threads live as long as this does.
            let _ = jobs.send((request, op));
        }
    }
}

impl Drop for Lane {
    fn drop(&mut self) {
        self.jobs = None;
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

type Jobs = Mutex<Receiver<(RequestId, Op)>>;

fn next(inbox: &Jobs) -> Option<(RequestId, Op)> {
    inbox.lock().unwrap_or_else(PoisonError::into_inner).recv().ok()
}
