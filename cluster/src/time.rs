//! Time: what a world knows, and what it lets a node know.

use std::fmt;
use std::ops::{Add, AddAssign, Sub};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

/// A point on a clock that never goes back, in nanoseconds since that clock's own zero.
///
/// The standard `Instant` has no zero and cannot be made; this can, so that time can be virtual.
/// Readings of two nodes' clocks have nothing to do with each other: never compare them, never
/// store one on a disk, never send one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(u64);

impl Timestamp {
    /// The clock's zero.
    pub const ZERO: Self = Self(0);
    /// Later than everything: about 584 years.
    pub const MAX: Self = Self(u64::MAX);

    /// `nanos` nanoseconds after zero.
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// `millis` milliseconds after zero; [`Timestamp::MAX`] if that is beyond it.
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis.saturating_mul(1_000_000))
    }

    /// Nanoseconds since zero.
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// The time from `earlier` to `self`; zero if `earlier` is not earlier.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Timestamp {
    type Output = Self;

    /// Stops at [`Timestamp::MAX`].
    fn add(self, span: Duration) -> Self {
        Self(self.0.saturating_add(nanos(span)))
    }
}

impl AddAssign<Duration> for Timestamp {
    fn add_assign(&mut self, span: Duration) {
        *self = *self + span;
    }
}

impl Sub<Duration> for Timestamp {
    type Output = Self;

    /// Stops at [`Timestamp::ZERO`].
    fn sub(self, span: Duration) -> Self {
        Self(self.0.saturating_sub(nanos(span)))
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:06}ms", self.0 / 1_000_000, self.0 % 1_000_000)
    }
}

/// What a wall clock shows, in nanoseconds since 1970. It may be wrong, and it may jump.
///
/// Good for labels and for last-write-wins versions that claim little. No guarantee may rest on it.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct WallTime(u64);

impl WallTime {
    /// `nanos` nanoseconds after 1970 began.
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// Nanoseconds since 1970 began.
    pub const fn as_nanos(self) -> u64 {
        self.0
    }
}

/// Both of a node's clocks, read together.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Now {
    /// Never goes back while the node runs; starts anywhere at each boot; may drift.
    pub monotonic: Timestamp,
    /// May be skewed, and may jump either way at any moment.
    pub wall: WallTime,
}

/// A node's clocks as a function of true time: an offset and a rate.
///
/// Worlds keep one a node and bend it by [`ClockFault`](crate::ClockFault)s.
#[derive(Clone, Debug)]
pub struct Clock {
    /// True time at which the other fields held.
    since: Timestamp,
    monotonic: Timestamp,
    wall: i128,
    drift_ppm: i32,
}

impl Clock {
    /// A perfect clock: it shows `monotonic` and `wall` at true time `at`.
    pub fn new(at: Timestamp, monotonic: Timestamp, wall: WallTime) -> Self {
        Self { since: at, monotonic, wall: i128::from(wall.0), drift_ppm: 0 }
    }

    /// What the node sees at true time `at`. Before the last change, it shows what it did then.
    pub fn read(&self, at: Timestamp) -> Now {
        let passed = self.passed(at);
        let wall = self.wall + i128::from(passed);
        Now {
            monotonic: Timestamp(self.monotonic.0.saturating_add(passed)),
            wall: WallTime(u64::try_from(wall.max(0)).unwrap_or(u64::MAX)),
        }
    }

    /// The first true time at which the monotonic clock shows `reading` or more, at the rate it runs
    /// now; the time of the last change if it showed that already, and [`Timestamp::MAX`] if it
    /// never will.
    pub fn true_time(&self, reading: Timestamp) -> Timestamp {
        let ahead = reading.0.saturating_sub(self.monotonic.0);
        let passed = if self.drift_ppm == 0 {
            ahead
        } else {
            let rate = u128::from(self.rate());
            let passed = (u128::from(ahead) * u128::from(MILLION)).div_ceil(rate);
            u64::try_from(passed).unwrap_or(u64::MAX)
        };
        Timestamp(self.since.0.saturating_add(passed))
    }

    /// From true time `at` on, run `ppm` millionths too fast (or, negative, too slow).
    ///
    /// Held within ±500 000 (half and one and a half times true speed).
    pub fn drift(&mut self, at: Timestamp, ppm: i32) {
        self.rebase(at);
        self.drift_ppm = ppm.clamp(-500_000, 500_000);
    }

    /// At true time `at`, move the wall clock by `nanos`.
    pub fn jump_wall(&mut self, at: Timestamp, nanos: i64) {
        self.rebase(at);
        self.wall += i128::from(nanos);
    }

    /// At true time `at` the machine started again: its monotonic clock shows `monotonic`.
    pub fn reboot(&mut self, at: Timestamp, monotonic: Timestamp) {
        self.rebase(at);
        self.monotonic = monotonic;
    }

    fn rebase(&mut self, at: Timestamp) {
        let passed = self.passed(at);
        self.monotonic = Timestamp(self.monotonic.0.saturating_add(passed));
        self.wall += i128::from(passed);
        self.since = at;
    }

    /// Nanoseconds this clock counts between `self.since` and `at`.
    fn passed(&self, at: Timestamp) -> u64 {
        let passed = at.0.saturating_sub(self.since.0);
        if self.drift_ppm == 0 {
            return passed;
        }
        let scaled = u128::from(passed) * u128::from(self.rate()) / u128::from(MILLION);
        u64::try_from(scaled).unwrap_or(u64::MAX)
    }

    /// Local nanoseconds in a million true ones; at least half a million, see [`Clock::drift`].
    fn rate(&self) -> u64 {
        MILLION.saturating_add_signed(i64::from(self.drift_ppm))
    }
}

const MILLION: u64 = 1_000_000;

fn nanos(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}

/// `span` after `start`, or a year after, if the system's clock cannot hold that.
pub(crate) fn after(start: Instant, span: Duration) -> Instant {
    const YEAR: Duration = Duration::from_secs(365 * 24 * 3600);
    start.checked_add(span).unwrap_or_else(|| start + YEAR)
}
