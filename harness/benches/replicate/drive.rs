//! The two loops that drive every library alike.

use std::collections::VecDeque;
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use crossbeam_channel::{Receiver, Sender, TryRecvError, unbounded};
use rustix::time::{ClockId, clock_gettime};

/// How many replicas there are.
pub(crate) const REPLICAS: usize = 3;
/// How many bytes a command has.
pub(crate) const COMMAND: usize = 256;
/// How often a loop ticks its replicas.
const TICK: Duration = Duration::from_millis(10);

/// One replica, by its library's own interface.
pub(crate) trait Replica: Send + 'static {
    type Message: Send + 'static;
    const NAME: &'static str;

    /// The replica at `place` of [`REPLICAS`].
    fn new(place: usize) -> Self;
    /// Whether it takes commands.
    fn leads(&self) -> bool;
    /// Appends `command` to the log. Only called where it leads.
    fn propose(&mut self, command: Bytes);
    fn receive(&mut self, from: usize, message: Self::Message);
    /// [`TICK`] has passed.
    fn tick(&mut self);
    /// Ends a batch: hands every message that is to be sent to `send`, with the place of its
    /// receiver, and returns how many commands that were proposed here have been applied since the
    /// last call.
    fn flush(&mut self, send: &mut dyn FnMut(usize, Self::Message)) -> usize;
}

/// What a run measured.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Measured {
    /// Commands acknowledged a second.
    pub(crate) rate: f64,
    /// From the proposal to the acknowledgement: of each thousand, 500, 990 and 999 took no longer.
    pub(crate) p50: Duration,
    pub(crate) p99: Duration,
    pub(crate) p999: Duration,
    /// Processor time of the whole process a command, the client's included.
    pub(crate) cpu: Duration,
}

impl Measured {
    /// From how many commands `took` how long, acknowledged in `elapsed` with `cpu`.
    pub(crate) fn of(took: &mut [(Duration, usize)], elapsed: Duration, cpu: Duration) -> Self {
        took.sort_unstable();
        let done: usize = took.iter().map(|&(_, count)| count).sum();
        let quantile = |of_thousand: usize| {
            let mut left = (done * of_thousand).div_ceil(1_000);
            let reached = took.iter().find(|&&(_, count)| {
                left = left.saturating_sub(count);
                left == 0
            });
            reached.map_or(Duration::ZERO, |&(took, _)| took)
        };
        Self {
            rate: done as f64 / elapsed.as_secs_f64(),
            p50: quantile(500),
            p99: quantile(990),
            p999: quantile(999),
            cpu: cpu.div_f64(done.max(1) as f64),
        }
    }
}

/// The processor time that this process has used.
pub(crate) fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    let nanos = time.tv_sec * 1_000_000_000 + time.tv_nsec;
    Duration::from_nanos(u64::try_from(nanos).expect("it starts at zero"))
}

/// A client that keeps commands outstanding, and times them. They are answered in order.
pub(crate) struct Client {
    outstanding: usize,
    /// When those that are outstanding were proposed: this many at a time.
    asked: VecDeque<(Instant, usize)>,
    open: usize,
    /// How many took how long.
    took: Vec<(Duration, usize)>,
    pattern: u8,
    /// When what counts began: the first tenth of the time does not.
    begun: Instant,
    warm_at: Option<(Instant, Duration)>,
    span: Duration,
}

impl Client {
    /// Its time begins now.
    pub(crate) fn new(outstanding: usize, span: Duration) -> Self {
        Self {
            outstanding,
            asked: VecDeque::new(),
            open: 0,
            took: Vec::new(),
            pattern: 0,
            begun: Instant::now(),
            warm_at: None,
            span,
        }
    }

    /// How many commands may be proposed now; they count as proposed.
    pub(crate) fn top_up(&mut self, now: Instant) -> usize {
        let count = self.outstanding - self.open;
        if count > 0 {
            self.asked.push_back((now, count));
            self.open += count;
        }
        count
    }

    /// Whether anything is proposed and not answered.
    pub(crate) fn is_waiting(&self) -> bool {
        self.open > 0
    }

    pub(crate) fn command(&mut self) -> Bytes {
        self.pattern = self.pattern.wrapping_add(1);
        Bytes::from(vec![self.pattern; COMMAND])
    }

    pub(crate) fn answered(&mut self, now: Instant, mut count: usize) {
        self.open -= count;
        while count > 0 {
            let (asked, left) = self.asked.front_mut().expect("only what was asked is answered");
            let part = count.min(*left);
            self.took.push((now - *asked, part));
            *left -= part;
            count -= part;
            if *left == 0 {
                self.asked.pop_front();
            }
        }
    }

    /// What was measured, once the time is over.
    pub(crate) fn over(&mut self, now: Instant) -> Option<Measured> {
        if self.warm_at.is_none() && now - self.begun >= self.span / 10 {
            self.warm_at = Some((now, cpu_time()));
            self.took.clear();
        }
        let (warm_at, cpu) = self.warm_at?;
        (now - self.begun >= self.span)
            .then(|| Measured::of(&mut self.took, now - warm_at, cpu_time() - cpu))
    }
}

pub(crate) fn on_one_thread<R: Replica>(outstanding: usize, span: Duration) -> Measured {
    let mut replicas: Vec<R> = (0..REPLICAS).map(R::new).collect();
    let mut inboxes: Vec<VecDeque<(usize, R::Message)>> =
        (0..REPLICAS).map(|_| VecDeque::new()).collect();
    let mut client = None;
    let mut ticked = Instant::now();
    // Who has something to do that is in no inbox.
    let mut stirred = [true; REPLICAS];
    loop {
        let now = Instant::now();
        let leader = replicas.iter().position(R::leads);
        // Until there is a leader, time is virtual: ticks as fast as they come.
        if leader.is_none() || now - ticked >= TICK {
            ticked = now;
            replicas.iter_mut().for_each(R::tick);
            stirred = [true; REPLICAS];
        }
        if let Some(leader) = leader {
            let client = client.get_or_insert_with(|| Client::new(outstanding, span));
            if let Some(measured) = client.over(now) {
                return measured;
            }
            for _ in 0..client.top_up(now) {
                replicas[leader].propose(client.command());
                stirred[leader] = true;
            }
        }
        for place in 0..REPLICAS {
            if !std::mem::take(&mut stirred[place]) && inboxes[place].is_empty() {
                continue;
            }
            for (from, message) in inboxes[place].drain(..) {
                replicas[place].receive(from, message);
            }
            let mut send = |to: usize, message| inboxes[to].push_back((place, message));
            let done = replicas[place].flush(&mut send);
            if let Some(client) = &mut client
                && done > 0
            {
                client.answered(Instant::now(), done);
            }
        }
    }
}

/// What a replica's thread takes in.
enum Input<M> {
    Message(usize, M),
    Command(Bytes),
    Stop,
}

/// What the client hears.
enum Heard {
    /// The replica at that place leads.
    Leads(usize),
    Answered(usize),
}

pub(crate) fn on_threads<R: Replica>(outstanding: usize, span: Duration) -> Measured {
    let (senders, inboxes): (Vec<_>, Vec<_>) = (0..REPLICAS).map(|_| unbounded()).unzip();
    let (tell, heard) = unbounded();
    let threads: Vec<_> = inboxes
        .into_iter()
        .enumerate()
        .map(|(place, inbox)| {
            let (senders, tell) = (senders.clone(), tell.clone());
            thread::spawn(move || serve::<R>(place, &inbox, &senders, &tell))
        })
        .collect();
    let measured = ask(outstanding, span, &senders, &heard);
    for sender in &senders {
        sender.send(Input::Stop).expect("the thread runs until it is told to stop");
    }
    for thread in threads {
        thread.join().expect("no replica panics");
    }
    measured
}

/// How often a thread looks for more before it sleeps: the same for all.
const SPINS: usize = 64;

/// What is there, waiting up to `until` for the first.
fn next<T>(inbox: &Receiver<T>, until: Instant) -> Option<T> {
    for _ in 0..SPINS {
        match inbox.try_recv() {
            Ok(input) => return Some(input),
            Err(TryRecvError::Empty) => thread::yield_now(),
            Err(TryRecvError::Disconnected) => return None,
        }
    }
    inbox.recv_deadline(until).ok()
}

fn serve<R: Replica>(
    place: usize,
    inbox: &Receiver<Input<R::Message>>,
    peers: &[Sender<Input<R::Message>>],
    client: &Sender<Heard>,
) {
    let mut replica = R::new(place);
    let mut tick_at = Instant::now() + TICK;
    let mut led = false;
    loop {
        let first = next(inbox, tick_at);
        for input in first.into_iter().chain(std::iter::from_fn(|| inbox.try_recv().ok())) {
            match input {
                Input::Message(from, message) => replica.receive(from, message),
                Input::Command(command) => replica.propose(command),
                Input::Stop => return,
            }
        }
        let now = Instant::now();
        if now >= tick_at {
            tick_at = now + TICK;
            replica.tick();
        }
        // A peer that has stopped wants nothing.
        let mut send = |to: usize, message| {
            let _ = peers[to].send(Input::Message(place, message));
        };
        let done = replica.flush(&mut send);
        if replica.leads() != led {
            led = !led;
            if led {
                let _ = client.send(Heard::Leads(place));
            }
        }
        if done > 0 {
            let _ = client.send(Heard::Answered(done));
        }
    }
}

/// The client's thread: this one.
fn ask<M>(
    outstanding: usize,
    span: Duration,
    replicas: &[Sender<Input<M>>],
    heard: &Receiver<Heard>,
) -> Measured {
    let patience = Duration::from_secs(30);
    let leader = match heard.recv_timeout(patience) {
        Ok(Heard::Leads(leader)) => leader,
        Ok(Heard::Answered(_)) => unreachable!("nothing was asked"),
        Err(_) => panic!("no leader within {patience:?}"),
    };
    let mut client = Client::new(outstanding, span);
    loop {
        let now = Instant::now();
        if let Some(measured) = client.over(now) {
            return measured;
        }
        for _ in 0..client.top_up(now) {
            let command = Input::Command(client.command());
            assert!(replicas[leader].send(command).is_ok(), "the leader has stopped");
        }
        let first = next(heard, now + patience).expect("commands are answered");
        for heard in std::iter::once(first).chain(heard.try_iter()) {
            match heard {
                Heard::Answered(count) => client.answered(Instant::now(), count),
                Heard::Leads(other) => panic!("{other} leads now: the run is void"),
            }
        }
    }
}
