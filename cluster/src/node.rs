//! What a protocol is: a state machine that takes inputs and returns an ordered list of effects.

use std::fmt::Debug;
use std::hash::Hash;

use serde::Serialize;

use crate::{Epoch, InvalidConfig, Members, NodeId, Now, RequestId, Role, Timestamp};

/// One node of a protocol, as a pure state machine.
///
/// **Whoever owns a node calls, for each batch of inputs: [`handle`](Node::handle) once for every
/// input, [`flush`](Node::flush) once, then carries out the effects in their order, then asks for
/// the next [`deadline`](Node::deadline).** A node reads no clock, draws no randomness of its own
/// (its seed comes with [`Boot`]), spawns nothing, locks nothing and does no I/O: everything it
/// knows came in, everything it wants goes out.
pub trait Node: Sized + Send + 'static {
    /// What all nodes of one cluster are configured with alike.
    type Config: Clone + Debug + Send + 'static;
    /// What clients ask.
    type Request: Clone + Debug + Hash + Send + 'static;
    /// What clients are answered.
    type Response: Clone + Debug + Send + 'static;
    /// What nodes tell each other.
    type Message: Clone + Debug + Hash + Send + 'static;
    /// What a node writes to its disk, one appended record at a time.
    type Record: Clone + Debug + Hash + Send + 'static;
    /// What an application that embeds the node is told of as it happens.
    type Event: Clone + Debug + Send + 'static;

    /// Whether `config` makes sense for a cluster of `members`; worlds ask before they start.
    ///
    /// # Errors
    /// Names the field, what it held and what was expected.
    fn validate(config: &Self::Config, members: &Members) -> Result<(), InvalidConfig>;

    /// The node as it comes up, for the first time or after a crash, from what its disk held.
    ///
    /// # Errors
    /// When the records contradict each other: the node stays down rather than guess.
    fn boot(
        config: &Self::Config,
        boot: Boot<Self::Record>,
        out: &mut EffectsOf<Self>,
    ) -> Result<Self, CorruptRecords>;

    /// Takes one input. Effects are appended to `out`.
    fn handle(&mut self, now: Now, input: InputOf<Self>, out: &mut EffectsOf<Self>);

    /// Ends a batch of inputs: emits what was held back to be sent together. `now` is no earlier than
    /// the arrival of any of them. Also called once after
    /// boot, and once after each [`Input::Durable`].
    fn flush(&mut self, _now: Now, _out: &mut EffectsOf<Self>) {}

    /// When to hand in [`Input::Timer`] next, on the node's own monotonic clock.
    ///
    /// The node may be called earlier and later than that; it decides by `now` alone. None, or
    /// [`Timestamp::MAX`], is never. One that has passed means as soon as may be.
    fn deadline(&self) -> Option<Timestamp>;

    /// How the node sees itself at `now`. Cheap: worlds may ask after every step.
    fn standing(&self, now: Now) -> Standing;

    /// Figures for people, by name: entries, keys, hints, what this pattern counts.
    fn gauges(&self) -> Vec<(&'static str, u64)> {
        Vec::new()
    }

    /// About how many bytes `message` takes on a wire: for whoever puts several into one, and limits
    /// that. By default what it takes without what it points to: messages that own memory should count
    /// that.
    fn message_size(message: &Self::Message) -> usize {
        size_of_val(message)
    }

    /// If `response` says "not here, and nothing was done", where to try instead.
    fn redirect(_response: &Self::Response) -> Option<Redirect> {
        None
    }
}

/// The inputs of a node type.
pub type InputOf<N> = Input<<N as Node>::Message, <N as Node>::Request>;
/// The effect list of a node type.
pub type EffectsOf<N> =
    Effects<<N as Node>::Message, <N as Node>::Record, <N as Node>::Response, <N as Node>::Event>;
/// One effect of a node type.
pub type EffectOf<N> =
    Effect<<N as Node>::Message, <N as Node>::Record, <N as Node>::Response, <N as Node>::Event>;

/// What a node is born with.
#[derive(Clone, Debug)]
pub struct Boot<R> {
    /// Its name, one of `members`.
    pub id: NodeId,
    /// The cluster.
    pub members: Members,
    /// The clocks at birth. The monotonic one starts anywhere.
    pub now: Now,
    /// All the randomness it gets; another one at each boot.
    pub seed: u64,
    /// What its disk kept, in the order of writing: all that was durable, and perhaps some that was
    /// not yet; less a first part, if the node let it go ([`Effect::Forget`]). Empty on the first
    /// boot.
    pub records: Vec<R>,
}

/// One thing that happens to a node.
#[derive(Clone, Debug, Hash)]
pub enum Input<M, Q> {
    /// A client asks. The node owes one [`Effect::Respond`] with this `id`, now or later.
    Request {
        /// To be named in the response.
        id: RequestId,
        /// What is asked.
        body: Q,
    },
    /// Another node speaks. It may arrive late, twice, out of order, or from before a restart.
    Message {
        /// Who sent it.
        from: NodeId,
        /// What it said.
        body: M,
    },
    /// The [`deadline`](Node::deadline) has come, or passed.
    Timer,
    /// The first so many records persisted since boot will survive any crash. To persist more in
    /// answer to every one of these never ends, where a disk needs no time.
    Durable(PersistCount),
    /// The process of this node has ended, as its machine tells: nobody listens there any more. A hint,
    /// for who wants to be quicker than timeouts: it may come late, when the node is back already, and
    /// where a machine or its network fails, it never comes.
    Ended {
        /// Which.
        node: NodeId,
    },
}

/// How many records a node has persisted since it booted, up to some point of its effects.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize)]
#[serde(transparent)]
pub struct PersistCount(pub u64);

/// One thing that a node wants done.
#[derive(Clone, Debug)]
pub enum Effect<M, R, P, E> {
    /// Append this record to the disk, after all earlier ones.
    Persist(R),
    /// Try to deliver this message. To a node that is no member, it is dropped.
    Send {
        /// To whom.
        to: NodeId,
        /// What.
        message: M,
        /// What it waits for.
        gate: Gate,
    },
    /// Answer a client. Only the first answer to a request that this life of the node was asked
    /// counts; others are dropped.
    Respond {
        /// Which request.
        request: RequestId,
        /// With what.
        response: P,
        /// What it waits for.
        gate: Gate,
    },
    /// Tell the embedding application, without waiting for the disk.
    Emit(E),
    /// The disk may drop every record older than the one that made this count, those from before
    /// the boot among them: that record and the later ones are all that a boot needs.
    ///
    /// A node says so only after [`Input::Durable`] has told it that the record is safe. A world may
    /// drop none of them, all, or a first part, now or later, and a crash may bring dropped ones
    /// back, as long as what it hands to a boot has no gap: so whoever recovers must come to the same
    /// state whether older records are there or not.
    Forget {
        /// The oldest record that is needed, counted as by [`Effects::persist`]; at least 1.
        before: PersistCount,
    },
}

/// What an effect waits for before it may leave the node.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Gate {
    /// Until everything that the node persisted before it, in this batch or an earlier one, is
    /// durable. The safe choice, and the usual one.
    Durable,
    /// Nothing. Only for what promises nothing that is not durable yet, such as a leader's entries,
    /// which it may send while it writes them itself.
    Open,
}

/// The ordered list that a node appends its effects to.
#[derive(Debug)]
pub struct Effects<M, R, P, E> {
    list: Vec<Effect<M, R, P, E>>,
    persisted: PersistCount,
}

impl<M, R, P, E> Effects<M, R, P, E> {
    /// An empty list for a node that has just booted.
    pub fn new() -> Self {
        Self::after(PersistCount(0))
    }

    /// An empty list for a node that has persisted so much since it booted.
    pub(crate) fn after(persisted: PersistCount) -> Self {
        Self { list: Vec::new(), persisted }
    }

    /// Appends `record` to the disk. The count returned comes back in [`Input::Durable`] (it, or a
    /// greater one) once the record is safe.
    pub fn persist(&mut self, record: R) -> PersistCount {
        self.list.push(Effect::Persist(record));
        self.persisted.0 += 1;
        self.persisted
    }

    /// Sends `message` once all that was persisted so far is durable.
    pub fn send(&mut self, to: NodeId, message: M) {
        self.list.push(Effect::Send { to, message, gate: Gate::Durable });
    }

    /// Sends `message` without waiting for the disk; see [`Gate::Open`].
    pub fn send_now(&mut self, to: NodeId, message: M) {
        self.list.push(Effect::Send { to, message, gate: Gate::Open });
    }

    /// Answers `request` once all that was persisted so far is durable.
    pub fn respond(&mut self, request: RequestId, response: P) {
        self.list.push(Effect::Respond { request, response, gate: Gate::Durable });
    }

    /// Answers `request` without waiting for the disk; see [`Gate::Open`].
    pub fn respond_now(&mut self, request: RequestId, response: P) {
        self.list.push(Effect::Respond { request, response, gate: Gate::Open });
    }

    /// Tells the embedding application of `event`, at once: it does not wait for the disk.
    pub fn emit(&mut self, event: E) {
        self.list.push(Effect::Emit(event));
    }

    /// Records older than the one that made the count `before` are needed no more; see
    /// [`Effect::Forget`].
    pub fn forget(&mut self, before: PersistCount) {
        self.list.push(Effect::Forget { before });
    }

    /// How many records were persisted since boot.
    pub fn persisted(&self) -> PersistCount {
        self.persisted
    }

    /// Takes out all effects, in order.
    pub fn drain(&mut self) -> std::vec::Drain<'_, Effect<M, R, P, E>> {
        self.list.drain(..)
    }

    /// Takes out all effects, in order, and keeps the memory of `emptied` for those to come.
    pub(crate) fn swap(&mut self, emptied: &mut Vec<Effect<M, R, P, E>>) {
        debug_assert!(emptied.is_empty());
        std::mem::swap(&mut self.list, emptied);
    }

    /// The effects so far, in order.
    pub fn as_slice(&self) -> &[Effect<M, R, P, E>] {
        &self.list
    }
}

impl<M, R, P, E> Default for Effects<M, R, P, E> {
    fn default() -> Self {
        Self::new()
    }
}

/// How a node sees itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Standing {
    /// Its part. [`Role::Leader`] only while it would act as one at this very moment.
    pub role: Role,
    /// The epoch (term, ballot) it is in; zero where the pattern has none.
    pub epoch: Epoch,
    /// Who leads in that epoch, as far as it knows.
    pub leader: Option<NodeId>,
}

/// "Not here": nothing was done, and the request may be sent elsewhere without risk.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Redirect {
    /// Where to go, if the node knows.
    pub to: Option<NodeId>,
}

/// Records that no run of this node can have written in this order.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("record {position} on the disk of {node}: {problem}")]
pub struct CorruptRecords {
    /// Whose disk.
    pub node: NodeId,
    /// Which record, counted from zero.
    pub position: usize,
    /// What is wrong with it, and what was expected.
    pub problem: String,
}
