//! Which cluster is meant.

use std::net::{SocketAddr, ToSocketAddrs};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::Failure;
use crate::NodeId;
use crate::call::Caller;
use crate::net::{ClusterId, Remote, Spoken, Tls};

/// A cluster, where its nodes are, and the certificates to meet them with.
#[derive(Clone, Debug, clap::Args)]
pub struct Peers {
    /// The cluster's name: nodes and clients of another are refused
    #[arg(long, value_name = "NAME")]
    pub cluster: ClusterId,
    /// All nodes, and where each is reached; names are looked up once, at the start
    #[arg(long, required = true, value_delimiter = ',', value_name = "ID=HOST:PORT,…")]
    nodes: Vec<Named>,
    /// The own certificate (PEM), with those between it and the authority: a node's is for nID.NAME
    #[arg(long, value_name = "FILE", requires_all = ["tls_key", "tls_ca"])]
    tls_cert: Option<PathBuf>,
    /// Its key (PEM)
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// The certificate of the authority that signs for this cluster (PEM)
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_ca: Option<PathBuf>,
}

/// A cluster that is asked something, and how long to try.
#[derive(Clone, Debug, clap::Args)]
pub struct Whom {
    /// Which cluster.
    #[command(flatten)]
    pub peers: Peers,
    /// How long to try
    #[arg(long, value_name = "SPAN", default_value = "5s", value_parser = span)]
    pub timeout: Duration,
}

impl Whom {
    /// Who asks its nodes.
    ///
    /// # Errors
    /// As [`Peers::connect`].
    pub fn caller<N: Spoken>(&self) -> Result<Caller<N>, Failure> {
        Ok(Caller::over(self.peers.connect()?))
    }
}

/// A node, and where it is: `1=127.0.0.1:7001`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Named {
    /// Which.
    pub id: NodeId,
    /// Where.
    pub address: SocketAddr,
}

impl Peers {
    /// The nodes, and where each is.
    pub fn nodes(&self) -> impl Iterator<Item = (NodeId, SocketAddr)> + '_ {
        self.nodes.iter().map(|named| (named.id, named.address))
    }

    /// A way to them from outside.
    ///
    /// # Errors
    /// [`Failure::Tls`] and [`Failure::Start`].
    pub fn connect<N: Spoken>(&self) -> Result<Arc<Remote<N>>, Failure> {
        let remote = Remote::builder(self.cluster.clone(), self.nodes());
        let remote = match self.tls()? {
            Some(tls) => remote.tls(tls),
            None => remote,
        };
        Ok(remote.connect()?)
    }

    pub(super) fn tls(&self) -> Result<Option<Tls>, Failure> {
        match (&self.tls_ca, &self.tls_cert, &self.tls_key) {
            (Some(ca), Some(cert), Some(key)) => Ok(Some(Tls::from_pem_files(ca, cert, key)?)),
            // They are given together: `requires` says so.
            _ => Ok(None),
        }
    }
}

impl std::str::FromStr for Named {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (id, place) =
            text.split_once('=').ok_or("expected ID=HOST:PORT, such as 1=10.0.0.1:7001")?;
        let id = node(id)?;
        let mut found = place.to_socket_addrs().map_err(|error| format!("{place}: {error}"))?;
        let address = found.next().ok_or_else(|| format!("{place}: no address has that name"))?;
        Ok(Self { id, address })
    }
}

/// The node with this number: `1`, or `n1` as logs call it.
///
/// # Errors
/// Says what was expected.
pub fn node(text: &str) -> Result<NodeId, String> {
    let number = text.strip_prefix('n').unwrap_or(text);
    let number = number.parse().map_err(|_| "expected a node's number, such as 1")?;
    Ok(NodeId::new(number))
}

/// A span of time: `150ms`, `10s`, `1m 30s`.
///
/// # Errors
/// Says what is wrong with it.
pub fn span(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text).map_err(|error| format!("{error}, such as 150ms or 10s"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_named_with_its_place() {
        let named: Named = "n3=127.0.0.1:70".parse().expect("it is one");
        let address = "127.0.0.1:70".parse().expect("an address");
        assert_eq!(named, Named { id: NodeId::new(3), address });
        for text in
            ["", "3", "3=", "=127.0.0.1:70", "3=127.0.0.1", "-3=127.0.0.1:70", "3=127.0.0.1:70000"]
        {
            assert!(text.parse::<Named>().is_err(), "{text:?}");
        }
    }
}
