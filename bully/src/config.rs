//! What all nodes of one cluster are told alike.

use std::time::Duration;

use cluster::{InvalidConfig, Members};

use crate::mutants::Planted;

/// Which promises the election makes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum Mode {
    /// Garcia-Molina 1982, appendix: whoever hears nothing from a higher node leads. It takes a
    /// silent node for a dead one, so each side of a partition elects a leader of its own.
    Textbook,
    /// A leader needs the word of a majority, and a lease that a majority renews. The default.
    Guarded,
}

/// How an election runs. The defaults suit a local network.
///
/// | field | default | meaning |
/// |---|---|---|
/// | `mode` | guarded | which promises are made |
/// | `heartbeat` | 50 ms | how often a leader is heard |
/// | `timeout` | 300 ms | how long a silent leader is believed in, and how long a voter is bound |
/// | `answer_wait` | 75 ms | how long a candidate waits for a higher node to answer |
/// | `settle` | 300 ms | how long a higher node watches a lower leader before it challenges |
/// | `drift_ppm_max` | 100 000 | how far a monotonic clock may run from true speed |
///
/// All spans are counted on each node's own monotonic clock.
#[derive(Clone, Debug)]
pub struct Config {
    mode: Mode,
    heartbeat: Duration,
    timeout: Duration,
    answer_wait: Duration,
    settle: Duration,
    drift_ppm_max: u32,
    planted: Planted,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            mode: Mode::Guarded,
            heartbeat: Duration::from_millis(50),
            timeout: Duration::from_millis(300),
            answer_wait: Duration::from_millis(75),
            settle: Duration::from_millis(300),
            drift_ppm_max: 100_000,
            planted: Planted::default(),
        }
    }
}

// Builders. What they are given is checked by `Node::validate`, before anything starts.
impl Config {
    /// The defaults, in [`Mode::Textbook`].
    pub fn textbook() -> Self {
        Self::default().with_mode(Mode::Textbook)
    }

    /// Makes the promises of `mode`.
    pub fn with_mode(self, mode: Mode) -> Self {
        Self { mode, ..self }
    }

    /// Lets a leader be heard this often: more than zero, at most half the lease (see
    /// [`Config::lease`]), so that one lost message does not cost the leadership.
    pub fn with_heartbeat(self, heartbeat: Duration) -> Self {
        Self { heartbeat, ..self }
    }

    /// Believes in a silent leader this long, and binds voters for as long.
    pub fn with_timeout(self, timeout: Duration) -> Self {
        Self { timeout, ..self }
    }

    /// Waits this long for a higher node's answer: more than zero, at most the timeout. Give it more
    /// than a round trip and a write to a slow disk take; else lower nodes stand against higher
    /// ones, and an election takes several tries.
    pub fn with_answer_wait(self, answer_wait: Duration) -> Self {
        Self { answer_wait, ..self }
    }

    /// Lets a higher node watch a lower leader this long before it challenges it (guarded mode).
    /// At most [`Config::SETTLE_TIMEOUTS_MAX`] timeouts.
    pub fn with_settle(self, settle: Duration) -> Self {
        Self { settle, ..self }
    }

    /// Trusts monotonic clocks to run within so many millionths of true speed. Below 500 000. No
    /// split brain is claimed for faster or slower ones.
    pub fn with_drift_ppm_max(self, drift_ppm_max: u32) -> Self {
        Self { drift_ppm_max, ..self }
    }

    /// Plants a bug.
    #[cfg(feature = "mutants")]
    pub fn plant(self, mutant: crate::Mutant) -> Self {
        Self { planted: Planted::of(mutant), ..self }
    }
}

// Readings.
impl Config {
    /// The longest settling time, in timeouts.
    pub const SETTLE_TIMEOUTS_MAX: u32 = 100;
    /// What a lease gives up beyond the drift bound, for clocks that count in coarse ticks.
    const TICK: Duration = Duration::from_micros(1);

    /// Which promises are made.
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// How often a leader is heard.
    pub fn heartbeat(&self) -> Duration {
        self.heartbeat
    }

    /// How long a silent leader is believed in, and a voter bound.
    pub fn timeout(&self) -> Duration {
        self.timeout
    }

    /// How long a candidate waits for a higher node's answer.
    pub fn answer_wait(&self) -> Duration {
        self.answer_wait
    }

    /// How long a higher node watches a lower leader before it challenges it.
    pub fn settle(&self) -> Duration {
        self.settle
    }

    /// How far a monotonic clock may run from true speed, in millionths.
    pub fn drift_ppm_max(&self) -> u32 {
        self.drift_ppm_max
    }

    /// How long a leader acts on the word of a majority, counted on its own clock from the moment
    /// it asked: `timeout × (1 − drift) / (1 + drift)`, less a microsecond.
    ///
    /// A voter whose clock is as fast as allowed is bound for `timeout / (1 + drift)` of true time.
    /// A leader whose clock is as slow as allowed takes `lease / (1 − drift)` of true time for its
    /// lease. The factor makes the two equal, so no lease outlives the bonds that it rests on.
    pub fn lease(&self) -> Duration {
        let drift = if self.planted.is(crate::Mutant::DriftForgotten) {
            0
        } else {
            u128::from(self.drift_ppm_max.min(MILLION))
        };
        let million = u128::from(MILLION);
        let nanos = self.timeout.as_nanos() * (million - drift) / (million + drift);
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX)).saturating_sub(Self::TICK)
    }

    /// How long a candidate keeps up one stage of its campaign before it gives up.
    pub(crate) fn patience(&self) -> Duration {
        self.timeout / 2
    }

    /// How long a voter prefers the highest candidate to those it could do with. Half of what a
    /// candidate has patience for, so that the next one outlasts a favourite that cannot win.
    pub(crate) fn favour(&self) -> Duration {
        self.patience() / 2
    }

    pub(crate) fn is_guarded(&self) -> bool {
        match self.mode {
            Mode::Guarded => true,
            Mode::Textbook => false,
        }
    }

    pub(crate) fn planted(&self) -> &Planted {
        &self.planted
    }

    pub(crate) fn validate(&self, _members: &Members) -> Result<(), InvalidConfig> {
        let fault = |field, value: Duration, expected: String| {
            Err(InvalidConfig::new(field, format!("{value:?}"), expected))
        };
        if self.drift_ppm_max >= MILLION / 2 {
            let expected = format!("below {}", MILLION / 2);
            return Err(InvalidConfig::new("drift_ppm_max", self.drift_ppm_max, expected));
        }
        if self.timeout.is_zero() || self.timeout > TIMEOUT_MAX {
            return fault("timeout", self.timeout, format!("more than 0, at most {TIMEOUT_MAX:?}"));
        }
        let heartbeat_max = self.lease() / 2;
        if self.heartbeat.is_zero() || self.heartbeat > heartbeat_max {
            let expected = format!("more than 0, at most half the lease of {:?}", self.lease());
            return fault("heartbeat", self.heartbeat, expected);
        }
        if self.answer_wait.is_zero() || self.answer_wait > self.timeout {
            let expected = format!("more than 0, at most the timeout of {:?}", self.timeout);
            return fault("answer_wait", self.answer_wait, expected);
        }
        let settle_max = self.timeout * Self::SETTLE_TIMEOUTS_MAX;
        if self.settle > settle_max {
            return fault("settle", self.settle, format!("at most {settle_max:?}"));
        }
        Ok(())
    }
}

const MILLION: u32 = 1_000_000;
/// A day: longer ones are a slip of the unit.
const TIMEOUT_MAX: Duration = Duration::from_secs(24 * 3600);
