//! Where Redis clients come in.

use std::net::{SocketAddr, TcpListener};

use socket2::SockRef;

use super::{Failure, Serving};
use crate::net::BACKLOG;

/// Where a node listens for Redis clients, if it does, and how many it takes.
#[derive(Clone, Copy, Debug, clap::Args)]
pub struct Redis {
    /// Where it listens for Redis clients
    #[arg(long, value_name = "ADDRESS")]
    redis: Option<SocketAddr>,
    /// How many Redis clients may be connected
    #[arg(long, value_name = "COUNT", default_value_t = 1024, value_parser = clap::value_parser!(u32).range(1..))]
    redis_clients_max: u32,
}

impl Redis {
    /// Listens, if it is to, as the rest of its command line allows; nothing is accepted yet.
    ///
    /// # Errors
    /// [`Failure::Invalid`] if other machines may connect there and nobody has said that they may, and
    /// [`Failure::System`] if the address cannot be had. Both name the option.
    pub fn open(&self, serving: &Serving) -> Result<Option<TcpListener>, Failure> {
        let listen = |address| {
            serving.check_front("redis", address)?;
            let attempt = format!("listen at {address} (--redis)");
            let door = TcpListener::bind(address).map_err(Failure::system(attempt))?;
            // Clients come back all at once when their node does. If it cannot be, there are fewer.
            let _ = SockRef::from(&door).listen(BACKLOG);
            Ok(door)
        };
        self.redis.map(listen).transpose()
    }

    /// How many clients may be connected.
    pub fn clients_max(&self) -> usize {
        self.redis_clients_max as usize
    }
}
