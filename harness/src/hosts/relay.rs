//! The part of the path between hosts that is ours: what is sent into it comes out later.
//!
//! The kernel has no device that delays. So the packets that it picks ([`rules`](super::rules)) are
//! routed to a device that ends in this thread, which holds each of them for a while, drawn anew for
//! each, and hands it back to be forwarded. Those with less of a while overtake.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use cluster::Rng;
use tun_rs::{DeviceBuilder, InterruptEvent, SyncDevice};

use super::rules::RELAY;
use super::space::Space;

/// As long as a packet can be.
const PACKET_MAX: usize = 65_536;
/// How many packets are held; more are lost, as in any queue.
const HELD_MAX: usize = 16_384;

/// A thread that holds packets back. It ends with this.
pub(super) struct Relay {
    delay_max_nanos: Arc<AtomicU64>,
    stop: Arc<InterruptEvent>,
    thread: Option<JoinHandle<()>>,
}

impl Relay {
    /// A relay in `hub`, which is to route packets to the device [`RELAY`].
    pub(super) fn new(hub: &Space, mut rng: Rng) -> io::Result<Self> {
        let device =
            hub.inside(|| DeviceBuilder::new().name(RELAY).enable(true).build_sync())??;
        let stop = Arc::new(InterruptEvent::new()?);
        let delay_max_nanos = Arc::new(AtomicU64::new(0));
        let (most, end) = (Arc::clone(&delay_max_nanos), Arc::clone(&stop));
        device.set_nonblocking(true)?;
        let delay = move || Duration::from_nanos(rng.within(0..=most.load(Ordering::Relaxed)));
        let thread = std::thread::spawn(move || hold(&device, &end, delay));
        Ok(Self { delay_max_nanos, stop, thread: Some(thread) })
    }

    /// Holds what comes from now on for up to `most`.
    pub(super) fn hold_for(&self, most: Duration) {
        let nanos = u64::try_from(most.as_nanos()).unwrap_or(u64::MAX - 1);
        self.delay_max_nanos.store(nanos.min(u64::MAX - 1), Ordering::Relaxed);
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        // Without a reader the thread would wait for ever; then it is better left than waited for.
        if self.stop.trigger().is_ok()
            && let Some(thread) = self.thread.take()
        {
            let _ = thread.join();
        }
    }
}

fn hold(device: &SyncDevice, stop: &InterruptEvent, mut delay: impl FnMut() -> Duration) {
    let mut held: BTreeMap<(Instant, u64), Vec<u8>> = BTreeMap::new();
    let mut packet = vec![0; PACKET_MAX];
    for number in 0.. {
        let now = Instant::now();
        while let Some(first) = held.first_entry().filter(|first| first.key().0 <= now) {
            // What the kernel has no room for is lost.
            let _ = device.send(&first.remove());
        }
        let wait = held.first_key_value().map(|(key, _)| key.0.saturating_duration_since(now));
        match device.recv_intr_timeout(&mut packet, stop, wait) {
            Ok(len) if held.len() < HELD_MAX => {
                held.insert((Instant::now() + delay(), number), packet[..len].to_vec());
            }
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::TimedOut => {}
            // It is told to stop, or the device is gone.
            Err(_) => return,
        }
    }
}
