//! Nodes that are processes, and handles on them from elsewhere: [`cluster::net`] for this pattern.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use cluster::NodeId;
use cluster::call::Courier;
use cluster::net::{ClusterId, Remote, Server, Spoken, StartError};

use crate::client::Desk;
use crate::observe::{self, Meter};
use crate::{Event, Handle, Raft, StateMachine};

/// How long a leader that retires tries to hand over.
const HAND_OVER: Duration = Duration::from_secs(2);

impl<S: StateMachine> Handle<S>
where
    Raft<S>: Spoken,
{
    /// A handle on the nodes of `cluster` at these addresses, with the settings of
    /// [`over`](Handle::over); it does not wait until they are reached. Whoever wants TLS or other limits
    /// makes a [`Remote`], and a handle [`over`](Handle::over) that.
    ///
    /// # Errors
    /// As [`RemoteBuilder::connect`](cluster::net::RemoteBuilder::connect).
    ///
    /// # Panics
    /// When the system can start no more threads.
    pub fn connect(
        cluster: ClusterId,
        nodes: impl IntoIterator<Item = (NodeId, SocketAddr)>,
    ) -> Result<Self, StartError> {
        Ok(Self::over(Remote::builder(cluster, nodes).connect()?))
    }
}

/// What a server does before it [retires](Server::retire): if its node leads, the lead goes to the follower
/// that has come furthest. If that does not come about in two seconds, the others elect one when this one
/// is gone.
pub fn hand_over<S: StateMachine>(server: &Server<Raft<S>>)
where
    Raft<S>: Spoken,
{
    if server.state().leads()
        && let Ok(port) = server.port()
    {
        // Whether it did or not: what is left to do is the same.
        let _ = Handle::over(port).with_timeout(HAND_OVER).transfer(None).wait();
    }
}

/// Tells what becomes of a server's node by the facades `metrics` and `tracing`, as a
/// [`Group`](crate::Group) tells of its own: on a thread that ends with the server.
///
/// # Errors
/// [`StartError::System`] if the system has no more threads or files.
///
/// # Panics
/// When the system can start no more threads.
pub fn observe<S: StateMachine>(server: &Server<Raft<S>>) -> Result<(), StartError>
where
    Raft<S>: Spoken<Event = Event>,
{
    // Its own questions are nobody's business.
    let courier = Arc::new(Courier::start());
    let desk = Desk::new(server.port()?, courier, Meter::silent(), Handle::<S>::OUTSTANDING_MAX);
    let handle = Handle::new(desk, HAND_OVER);
    let group = Arc::from("raft");
    let watch = observe::watch(&group, server.subscribe(), &[server.id()], &handle);
    let failed = |source| StartError::System { attempt: "watch the node", source };
    watch.map(drop).map_err(failed)
}
