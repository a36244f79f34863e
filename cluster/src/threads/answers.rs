//! The way back to clients: one send a batch for each of them, however many answers it carries.

use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, TryRecvError};

use crate::{Completion, NoAnswer, RequestId, Timestamp};

/// What a client is told at once.
pub(crate) struct Answers<P> {
    pub(super) at: Timestamp,
    pub(super) list: Vec<(RequestId, Result<P, NoAnswer>)>,
}

impl<P> Answers<P> {
    pub(super) fn completions(self) -> impl Iterator<Item = Completion<P>> {
        let Self { at, list } = self;
        list.into_iter().map(move |(request, outcome)| Completion { request, at, outcome })
    }
}

/// All clients that a host knows, and what it has for them.
pub(super) struct Outbox<P> {
    /// By client number: these are given out from zero, and again.
    clients: Vec<Option<Client<P>>>,
    /// The numbers of those that something waits for.
    waiting: Vec<u32>,
}

struct Client<P> {
    sender: Sender<Answers<P>>,
    waiting: Vec<(RequestId, Result<P, NoAnswer>)>,
}

impl<P> Outbox<P> {
    pub(super) fn new() -> Self {
        Self { clients: Vec::new(), waiting: Vec::new() }
    }

    pub(super) fn register(&mut self, client: u32, sender: Sender<Answers<P>>) {
        let place = client as usize;
        if self.clients.len() <= place {
            self.clients.resize_with(place + 1, || None);
        }
        self.clients[place] = Some(Client { sender, waiting: Vec::new() });
    }

    /// What still waits for that client goes nowhere.
    pub(super) fn unregister(&mut self, client: u32) {
        if let Some(place) = self.clients.get_mut(client as usize) {
            *place = None;
        }
    }

    /// Puts an answer aside for the next [`deliver`](Self::deliver). A client that is gone wants none.
    pub(super) fn put(&mut self, request: RequestId, outcome: Result<P, NoAnswer>) {
        let number = request.client();
        if let Some(Some(client)) = self.clients.get_mut(number as usize) {
            if client.waiting.is_empty() {
                self.waiting.push(number);
            }
            client.waiting.push((request, outcome));
        }
    }

    /// Sends all that was put aside.
    pub(super) fn deliver(&mut self, now: impl Fn() -> Timestamp) {
        if self.waiting.is_empty() {
            return;
        }
        let at = now();
        for number in self.waiting.drain(..) {
            if let Some(Some(client)) = self.clients.get_mut(number as usize) {
                // The next batch will be about as large.
                let room = Vec::with_capacity(client.waiting.len());
                let list = std::mem::replace(&mut client.waiting, room);
                let _ = client.sender.send(Answers { at, list });
            }
        }
    }
}

/// Waits for what comes next until then, or for ever. Before it sleeps it looks again for so many
/// times, and lets others run in between: to wake a sleeper takes longer than most answers do.
pub(super) fn next<T>(
    inbox: &Receiver<T>,
    spins: u32,
    until: Option<Instant>,
) -> Result<T, RecvTimeoutError> {
    match inbox.try_recv() {
        Ok(found) => return Ok(found),
        Err(TryRecvError::Disconnected) => return Err(RecvTimeoutError::Disconnected),
        Err(TryRecvError::Empty) => {}
    }
    let left = until.map(|until| until.saturating_duration_since(Instant::now()));
    // A channel looks again by itself, for microseconds, even if the time is over.
    if left == Some(Duration::ZERO) {
        return Err(RecvTimeoutError::Timeout);
    }
    if left.is_none_or(|left| left > SPINNING_MAX) {
        for _ in 0..spins {
            std::thread::yield_now();
            if let Ok(found) = inbox.try_recv() {
                return Ok(found);
            }
        }
    }
    match until {
        Some(until) => inbox.recv_deadline(until),
        None => inbox.recv().map_err(|_| RecvTimeoutError::Disconnected),
    }
}

/// Longer than spinning takes on a machine that is not overloaded. Who has to wake sooner sleeps at
/// once.
const SPINNING_MAX: Duration = Duration::from_millis(1);
