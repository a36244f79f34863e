//! How much of everything there may be.

use std::time::Duration;

use crate::InvalidConfig;

/// How much of everything a server, or a client, holds at most: whoever connects to it cannot make it
/// hold more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The longest body of a frame, in bytes: of a message, a request or a response. The default is
    /// 16 MiB, four times what a Raft leader sends at a time unless told otherwise.
    pub frame_max: usize,
    /// How many bytes may wait on all connections together, as they go over the wire: parts of frames,
    /// what the node has not been handed, requests that it has not answered, what was not written
    /// yet. The default is 256 MiB. What is decoded takes more, by a factor of its types.
    pub memory_max: usize,
    /// How many bytes may wait to be written to one peer; messages beyond that are dropped. The default
    /// is 64 MiB.
    pub link_max: usize,
    /// How many requests of one client may be under way; more are turned away, with nothing done. The
    /// default is 16 384.
    pub requests_max: usize,
    /// How many clients may be connected; more are refused. The default is 8192.
    pub clients_max: usize,
    /// How many connections may be open that have not said who they are, or were refused and have not
    /// been closed by the other side yet. The one that has been so for longest makes room for a newer
    /// one. The default is 10 240: mind the limit of open files of the process.
    pub strangers_max: usize,
    /// For how long they may be so, and how long a node may take to answer a greeting. The default is 5 s.
    pub greeting_timeout: Duration,
    /// How long it may take to connect. Over a link that was cut it is tried again and again, and the
    /// system tries more and more rarely by itself. The default is 2 s.
    pub connect_timeout: Duration,
    /// For how long what was sent may stay unacknowledged by the other machine, and how long a connection
    /// may be quiet before it is asked whether it is still there. The default is 3 s.
    pub patience: Duration,
    /// How long to wait, after a connection was lost, before it is made anew; doubled each time. The
    /// default is 20 ms.
    pub rest_min: Duration,
    /// The longest such wait. The default is 500 ms.
    pub rest_max: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            frame_max: 16 << 20,
            memory_max: 256 << 20,
            link_max: 64 << 20,
            requests_max: 16_384,
            clients_max: 8192,
            strangers_max: 10_240,
            greeting_timeout: Duration::from_secs(5),
            connect_timeout: Duration::from_secs(2),
            patience: Duration::from_secs(3),
            rest_min: Duration::from_millis(20),
            rest_max: Duration::from_millis(500),
        }
    }
}

impl Limits {
    pub(super) fn validate(&self) -> Result<(), InvalidConfig> {
        let counts = [
            ("frame_max", self.frame_max),
            ("memory_max", self.memory_max),
            ("link_max", self.link_max),
            ("requests_max", self.requests_max),
            ("clients_max", self.clients_max),
            ("strangers_max", self.strangers_max),
        ];
        if let Some((field, _)) = counts.into_iter().find(|(_, count)| *count == 0) {
            return Err(InvalidConfig::new(field, 0, "at least 1"));
        }
        if self.frame_max > u32::MAX as usize {
            return Err(InvalidConfig::new("frame_max", self.frame_max, "below 4 GiB"));
        }
        let spans = [
            ("greeting_timeout", self.greeting_timeout),
            ("connect_timeout", self.connect_timeout),
            ("patience", self.patience),
            ("rest_min", self.rest_min),
            ("rest_max", self.rest_max),
        ];
        let day = Duration::from_secs(24 * 3600);
        let millisecond = Duration::from_millis(1);
        match spans.into_iter().find(|(_, span)| !(millisecond..=day).contains(span)) {
            Some((field, span)) => {
                Err(InvalidConfig::new(field, format_args!("{span:?}"), "from 1 ms to 24 h"))
            }
            None => Ok(()),
        }
    }
}
