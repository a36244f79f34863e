//! What every test of a binary needs: patience, and ports.

use std::net::{Ipv4Addr, TcpListener};
use std::time::{Duration, Instant};

/// Longer than anything takes here.
pub(crate) const LONG: Duration = Duration::from_secs(60);
/// A moment between two looks.
const MOMENT: Duration = Duration::from_millis(5);

/// Looks until there is something to see.
#[track_caller]
pub(crate) fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + LONG;
    loop {
        if let Some(seen) = look() {
            return seen;
        }
        assert!(Instant::now() < deadline, "{what}");
        std::thread::sleep(MOMENT);
    }
}

/// A port, from `from` on, such that those that `dev` needs for three nodes are free. Each test has a
/// hundred of its own.
pub(crate) fn first_port(from: u16) -> u16 {
    let free = |port: u16| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok();
    let all = |&port: &u16| {
        (0..3).all(|place| [0, 10_000, 20_000].iter().all(|stride| free(port + stride + place)))
    };
    (from..from + 100).step_by(3).find(all).expect("some ports are free")
}
