//! One call: ask a node, follow where it points, try others, give up in time.

use std::time::Duration;

use cluster::{Completion, NoAnswer, NodeId, RequestId, Rng, Timestamp};

use crate::history::{Call, End};
use crate::vocabulary::{Answer, Op, Outcome, ReadPath, Refusal};

use super::Context;

/// How long a client waits for one node.
const PATIENCE: Duration = Duration::from_millis(300);
/// How long a client keeps trying in all: short enough that a call which fails while service is due
/// fails within that time, and is seen.
const DEADLINE: Duration = Duration::from_millis(600);
/// How much longer when nodes must have the log first.
const CATCH_UP: Duration = Duration::from_secs(1);
/// How long it waits before it asks around again.
const BACKOFF: std::ops::RangeInclusive<Duration> =
    Duration::from_millis(5)..=Duration::from_millis(40);

/// Makes calls, one at a time.
///
/// It asks again only when the last answer (or the nature of the question) leaves no doubt that
/// nothing was done, or that doing it twice is doing it once.
#[derive(Debug)]
pub(super) struct Caller {
    process: u32,
    /// The node that served last.
    preferred: Option<NodeId>,
    pending: Option<Pending>,
}

#[derive(Debug)]
struct Pending {
    op: Op,
    invoked: Timestamp,
    deadline: Timestamp,
    node: NodeId,
    stage: Stage,
    /// The last refusal, if the call ends for want of time.
    refusal: Refusal,
    /// Whether some node may yet act on it.
    loose: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Stage {
    Asked { request: RequestId, until: Timestamp },
    Resting { until: Timestamp },
}

impl Caller {
    pub(super) fn new(process: u32) -> Self {
        Self { process, preferred: None, pending: None }
    }

    pub(super) fn is_idle(&self) -> bool {
        self.pending.is_none()
    }

    pub(super) fn awaits(&self, request: RequestId) -> bool {
        matches!(
            &self.pending,
            Some(Pending { stage: Stage::Asked { request: asked, .. }, .. }) if *asked == request
        )
    }

    pub(super) fn wake(&self) -> Option<Timestamp> {
        self.pending.as_ref().map(|pending| match pending.stage {
            Stage::Asked { until, .. } | Stage::Resting { until } => until,
        })
    }

    /// Forgets the call under way, if any: whoever made it is dead. What it asked for may happen.
    pub(super) fn abandon(&mut self, now: Timestamp) -> Option<Call> {
        let pending = self.pending.take()?;
        Some(self.end(pending, now, End::Unknown))
    }

    /// Calls `op` at the node that served last, or at any.
    pub(super) fn call(&mut self, context: &mut Context<'_>, rng: &mut Rng, op: Op) {
        let any = *rng.pick(context.members).expect("a cluster has members");
        // Now and then somewhere else, so that every node is asked.
        let stays = |_: &NodeId| !anywhere(&op) && !rng.chance(100_000);
        let node = self.preferred.filter(stays).unwrap_or(any);
        let now = context.now();
        let deadline = now + DEADLINE + waits_for(&op);
        let mut pending = Pending {
            op,
            invoked: now,
            deadline,
            node,
            stage: Stage::Resting { until: now },
            refusal: Refusal::Unavailable,
            loose: false,
        };
        pending.ask(context, node);
        self.pending = Some(pending);
    }

    /// Patience or rest is over.
    pub(super) fn tick(&mut self, context: &mut Context<'_>, rng: &mut Rng) -> Option<Call> {
        let now = context.now();
        let mut pending = self.pending.take()?;
        let (Stage::Asked { until, .. } | Stage::Resting { until }) = pending.stage;
        if now < until {
            self.pending = Some(pending);
            return None;
        }
        if let Stage::Asked { .. } = pending.stage {
            self.preferred = None;
            if !repeatable(&pending.op) {
                return Some(self.end(pending, now, End::Unknown));
            }
            pending.loose = true;
        }
        if now >= pending.deadline {
            let end = pending.give_up();
            return Some(self.end(pending, now, end));
        }
        let next = other(context.members, pending.node, rng);
        pending.ask(context, next);
        self.pending = Some(pending);
        None
    }

    /// The node has answered, or the world has for it.
    pub(super) fn answered(
        &mut self,
        context: &mut Context<'_>,
        rng: &mut Rng,
        completion: Completion<Answer>,
    ) -> Option<Call> {
        let mut pending = self.pending.take()?;
        let now = context.now().max(completion.at);
        let refusal = match completion.outcome {
            Ok(Ok(outcome)) => {
                if !anywhere(&pending.op) {
                    self.preferred = Some(pending.node);
                }
                return Some(self.end(pending, now, End::Done(outcome)));
            }
            Ok(Err(refusal @ (Refusal::Busy | Refusal::NotHolder))) => {
                self.preferred = Some(pending.node);
                return Some(self.end(pending, now, End::Refused(refusal)));
            }
            Ok(Err(Refusal::Unknown)) | Err(NoAnswer::Lost) => {
                if !repeatable(&pending.op) {
                    self.preferred = None;
                    return Some(self.end(pending, now, End::Unknown));
                }
                pending.loose = true;
                Refusal::Unavailable
            }
            Ok(Err(refusal @ (Refusal::NotLeader(_) | Refusal::Unavailable))) => refusal,
            Err(NoAnswer::Unreachable) => Refusal::Unavailable,
        };
        self.preferred = None;
        pending.refusal = refusal;
        if now >= pending.deadline {
            let end = pending.give_up();
            return Some(self.end(pending, now, end));
        }
        match refusal {
            Refusal::NotLeader(Some(leader)) if leader != pending.node => {
                pending.ask(context, leader);
            }
            Refusal::NotLeader(_)
            | Refusal::Unavailable
            | Refusal::Busy
            | Refusal::NotHolder
            | Refusal::Unknown => {
                pending.stage = Stage::Resting { until: now + rng.span(BACKOFF) };
            }
        }
        self.pending = Some(pending);
        None
    }

    fn end(&mut self, pending: Pending, returned: Timestamp, end: End) -> Call {
        let Pending { op, invoked, node, .. } = pending;
        let call = Call { process: self.process, op, node, invoked, returned, end };
        if call.end == End::Unknown {
            // The old process is still inside its call, for ever.
            self.process += PROCESS_STEP;
        }
        call
    }
}

/// Processes of different clients differ by less than this.
const PROCESS_STEP: u32 = 1_000;

impl Pending {
    fn ask(&mut self, context: &mut Context<'_>, node: NodeId) {
        let until = context.now() + PATIENCE + waits_for(&self.op);
        self.node = node;
        let request = context.subject.submit(node, self.op.clone());
        self.stage = Stage::Asked { request, until };
    }

    fn give_up(&self) -> End {
        if self.loose { End::Unknown } else { End::Refused(self.refusal) }
    }
}

fn waits_for(op: &Op) -> Duration {
    match op {
        Op::Acquire { wait, .. } => *wait,
        Op::Change(_) => CATCH_UP,
        Op::Lead
        | Op::Read { .. }
        | Op::Write { .. }
        | Op::Open
        | Op::Committed
        | Op::Inspect { .. }
        | Op::Renew { .. }
        | Op::Release { .. } => Duration::ZERO,
    }
}

/// Whether all nodes serve it alike.
fn anywhere(op: &Op) -> bool {
    matches!(op, Op::Read { path: ReadPath::Follower, .. })
}

/// Whether asking twice is the same as asking once.
fn repeatable(op: &Op) -> bool {
    match op {
        // A session that nobody uses is no harm.
        Op::Open => true,
        Op::Write { ticket, .. } => ticket.is_some(),
        Op::Lead
        | Op::Read { .. }
        | Op::Committed
        | Op::Change(_)
        | Op::Inspect { .. }
        | Op::Acquire { .. } => true,
        Op::Renew { .. } | Op::Release { .. } => false,
    }
}

fn other(members: &[NodeId], than: NodeId, rng: &mut Rng) -> NodeId {
    let place = members.iter().position(|&member| member == than).unwrap_or(0);
    let step = 1 + rng.index(members.len().saturating_sub(1));
    members[(place + step) % members.len()]
}

/// What a finished call brought, if it was done.
pub(super) fn done(call: &Call) -> Option<&Outcome> {
    match &call.end {
        End::Done(outcome) => Some(outcome),
        End::Refused(_) | End::Unknown => None,
    }
}
