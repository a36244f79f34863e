//! What a run measured.

use std::time::{Duration, Instant};

use crate::process;

/// One run.
#[derive(Clone, Debug)]
pub(crate) struct Measured {
    /// Requests answered a second.
    pub(crate) rate: f64,
    /// From the request to its answer: of each thousand, 500, 990 and 999 took no longer.
    pub(crate) p50: Duration,
    pub(crate) p99: Duration,
    pub(crate) p999: Duration,
    /// Processor time of all servers a request.
    pub(crate) cpu_servers: Duration,
    /// That of the clients.
    pub(crate) cpu_clients: Duration,
    /// What the servers hold in memory in the end, in bytes.
    pub(crate) resident: u64,
}

/// Measures a run while it goes on.
pub(crate) struct Stopwatch {
    servers: Vec<u32>,
    begun: Instant,
    span: Duration,
    /// When what counts began, and what processor time servers and clients had used by then.
    warm: Option<(Instant, Duration, Duration)>,
    took: Vec<Duration>,
}

impl Stopwatch {
    /// The time of a run of `span` on the processes `servers` begins now.
    pub(crate) fn start(servers: Vec<u32>, span: Duration) -> Self {
        Self { servers, begun: Instant::now(), span, warm: None, took: Vec::new() }
    }

    /// A request took so long, and was answered just `now`.
    pub(crate) fn answered(&mut self, asked: Instant, now: Instant) {
        if self.warm.is_none() && now - self.begun >= self.span / 5 {
            self.warm = Some((now, process::cpu_of(&self.servers), process::cpu_here()));
        }
        if self.warm.is_some() {
            self.took.push(now - asked);
        }
    }

    /// Whether its time is over.
    pub(crate) fn over(&self, now: Instant) -> bool {
        now - self.begun >= self.span
    }

    /// What came of it.
    pub(crate) fn stop(mut self) -> Measured {
        let now = Instant::now();
        let (since, servers, clients) = self.warm.unwrap_or((now, Duration::ZERO, Duration::ZERO));
        self.took.sort_unstable();
        let done = self.took.len();
        let quantile = |of_thousand: usize| {
            let place = (done * of_thousand).div_ceil(1_000).saturating_sub(1);
            self.took.get(place).copied().unwrap_or_default()
        };
        let each = |cpu: Duration| cpu.div_f64(done.max(1) as f64);
        Measured {
            rate: done as f64 / (now - since).as_secs_f64().max(f64::MIN_POSITIVE),
            p50: quantile(500),
            p99: quantile(990),
            p999: quantile(999),
            cpu_servers: each(process::cpu_of(&self.servers).saturating_sub(servers)),
            cpu_clients: each(process::cpu_here().saturating_sub(clients)),
            resident: self.servers.iter().map(|&id| process::resident(id)).sum(),
        }
    }
}
