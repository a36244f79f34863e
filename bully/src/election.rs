//! An election as an application asks about it: waited for or awaited, from any thread.

use std::time::Duration;

use cluster::call::{CallError, Caller, Heard, Question};
use cluster::{Epoch, NodeId};

use crate::{Answer, Bully, Error, Request, Response};

/// How long a node may be silent before another is asked who leads.
const SILENCE_MAX: Duration = Duration::from_secs(1);

/// A call about an election that is under way: see [`cluster::call::Call`].
pub type Call<T> = cluster::call::Call<Result<T, ElectionError>>;

/// A client of an election, on the nodes that a [`Caller`] reaches: for any thread, for many calls at once,
/// and cheap to clone.
///
/// Each method asks at once and returns a [`Call`]: `wait()` for it, or `.await` it in any runtime.
#[derive(Clone, Debug)]
pub struct Election {
    caller: Caller<Bully>,
    timeout: Duration,
}

/// Who leads, as that node itself has said.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Leader {
    /// Who.
    pub node: NodeId,
    /// In which epoch: the fencing token.
    pub epoch: Epoch,
}

/// What a node believes, which may be out of date.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Belief {
    /// Who leads, if it knows a leader.
    pub leader: Option<NodeId>,
    /// The epoch of that leader; without one, the last epoch that the node has promised away.
    pub epoch: Epoch,
}

/// Why a call failed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ElectionError {
    /// The node refused, and says why. Nothing was done.
    #[error(transparent)]
    Refused(#[from] Error),
    /// No node answered. Effect: as that error says.
    #[error(transparent)]
    NoAnswer(#[from] CallError),
    /// The node answered another question than it was asked: it is broken, or of another version.
    #[error("the node answered another question; the effect of the request is unknown")]
    Mismatch,
}

impl Election {
    /// Of the nodes that `caller` reaches; each call tries for at most `timeout`.
    pub fn new(caller: Caller<Bully>, timeout: Duration) -> Self {
        Self { caller, timeout }
    }

    /// The nodes.
    pub fn members(&self) -> &[NodeId] {
        self.caller.members()
    }

    /// Who leads. It is found by asking around until a node says that it acts as leader; while there is
    /// none, and from nodes that are silent, it goes on to the next, until the call's deadline.
    pub fn leader(&self) -> Call<Leader> {
        let question = Question {
            request: Request::Lead,
            timeout: self.timeout,
            silence_max: Some(SILENCE_MAX),
            heard: Heard::by_redirection::<Bully>,
        };
        let caller = self.caller.clone();
        Call::run(async move {
            let found = caller.find(question).await;
            let epoch = answered(found.outcome, leading)?;
            Ok(Leader { node: found.node, epoch })
        })
    }

    /// Has `node` act as leader now, and returns its epoch: what the leader asks of itself before each act
    /// that matters. [`ElectionError::Refused`] says who leads, if the node knows.
    pub fn lead(&self, node: NodeId) -> Call<Epoch> {
        self.by(node, Request::Lead, leading)
    }

    /// Whom `node` takes for the leader.
    pub fn belief(&self, node: NodeId) -> Call<Belief> {
        self.by(node, Request::Leader, |answer| match answer {
            Answer::Leader { leader, epoch } => Some(Belief { leader, epoch }),
            Answer::Leading { .. } | Answer::Resigned => None,
        })
    }

    /// Has `node` lead no more, and leave it to others for [`REST_TIMEOUTS`](crate::REST_TIMEOUTS)
    /// timeouts.
    pub fn resign(&self, node: NodeId) -> Call<()> {
        self.by(node, Request::Resign, |answer| match answer {
            Answer::Resigned => Some(()),
            Answer::Leader { .. } | Answer::Leading { .. } => None,
        })
    }

    fn by<T: Send + 'static>(
        &self,
        node: NodeId,
        request: Request,
        read: fn(Answer) -> Option<T>,
    ) -> Call<T> {
        self.caller.call_with(node, request, self.timeout, move |outcome| answered(outcome, read))
    }
}

fn answered<T>(
    outcome: Result<Response, CallError>,
    read: fn(Answer) -> Option<T>,
) -> Result<T, ElectionError> {
    read(outcome??).ok_or(ElectionError::Mismatch)
}

fn leading(answer: Answer) -> Option<Epoch> {
    match answer {
        Answer::Leading { epoch } => Some(epoch),
        Answer::Leader { .. } | Answer::Resigned => None,
    }
}
