//! The words: what nodes tell each other, what they write down, what clients ask and hear.

use std::fmt;

use cluster::{Epoch, NodeId};
use serde::{Deserialize, Serialize};

use crate::Error;

/// Ties a reply to the very sending that it replies to. Prints as `#17`.
///
/// A node numbers everything it sends upwards, from a start that its boot seed decides, so that a
/// reply to an earlier life names a round that this life never sent.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Round(u64);

impl Round {
    /// The round numbered `number`.
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// Its number.
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The one after it.
    pub(crate) const fn next(self) -> Self {
        Self(self.0.wrapping_add(1))
    }
}

impl fmt::Debug for Round {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{}", self.0)
    }
}

/// What nodes tell each other. Every message carries an epoch; each variant says what answers it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, Serialize, Deserialize)]
pub enum Message {
    /// "I want to lead; is anyone higher alive?" Goes to higher nodes. Answered by
    /// [`Answer`](Message::Answer), by a leader with [`Coordinator`](Message::Coordinator), by a
    /// node that has resigned with silence.
    Election {
        /// The highest epoch that the sender has heard of.
        epoch: Epoch,
        /// To be repeated in the answer.
        round: Round,
    },
    /// "I am alive, and higher: stand back." Answers an election.
    Answer {
        /// The highest epoch that the sender has heard of.
        epoch: Epoch,
        /// Of the election.
        round: Round,
    },
    /// "I lead." The first word of a new leader, and its answer to a candidate. Answered, in
    /// guarded mode, by [`Ack`](Message::Ack); if it is out of date, by
    /// [`Refuse`](Message::Refuse).
    Coordinator {
        /// The epoch that the sender leads.
        epoch: Epoch,
        /// To be repeated in the acknowledgement.
        round: Round,
    },
    /// "I still lead." Answered as a Coordinator is.
    Heartbeat {
        /// The epoch that the sender leads.
        epoch: Epoch,
        /// To be repeated in the acknowledgement.
        round: Round,
    },
    /// Guarded: "I follow you, and vote for nobody else for a timeout from now."
    Ack {
        /// The leader's epoch.
        epoch: Epoch,
        /// Of the Coordinator or heartbeat.
        round: Round,
    },
    /// "Too late: I have gone on to this epoch." Answers a Coordinator, heartbeat or ballot.
    Refuse {
        /// The epoch that the sender has promised away, not lower than the one refused.
        epoch: Epoch,
        /// Of what is refused.
        round: Round,
    },
    /// Guarded: "Would you vote for me?" Binds nobody. Answered by
    /// [`Canvassed`](Message::Canvassed).
    Canvass {
        /// The highest epoch that the sender has heard of.
        epoch: Epoch,
        /// To be repeated in the answer.
        round: Round,
    },
    /// Guarded: how things look from here. Answers a canvass.
    Canvassed {
        /// The highest epoch that the sender has heard of.
        epoch: Epoch,
        /// Of the canvass.
        round: Round,
        /// How things look.
        view: View,
    },
    /// Guarded: "I am higher than you and a majority hears me: let me lead." Goes to a leader.
    /// Answered by [`Release`](Message::Release).
    Challenge {
        /// The epoch that the receiver leads.
        epoch: Epoch,
        /// Names the attempt in traces; the release names the epoch instead.
        round: Round,
    },
    /// Guarded: "Promise me this epoch." Answered by [`Grant`](Message::Grant), by
    /// [`Refuse`](Message::Refuse) if the epoch is taken, with silence by a voter that is bound.
    Ballot {
        /// The epoch asked for.
        epoch: Epoch,
        /// To be repeated in the grant.
        round: Round,
        /// An epoch whose leader has told the sender that it leads no more. Bonds to it end.
        released: Option<Epoch>,
    },
    /// Guarded: "This epoch is promised to you for ever, and I vote for nobody else for a timeout
    /// from now."
    Grant {
        /// The epoch asked for.
        epoch: Epoch,
        /// Of the ballot.
        round: Round,
    },
    /// "I do not lead this epoch, and never will again." Ends the bonds to its sender. Needs no
    /// answer.
    Release {
        /// The epoch let go.
        epoch: Epoch,
        /// For whom the sender made way, if for anybody.
        successor: Option<NodeId>,
    },
}

impl Message {
    /// The epoch that it carries.
    pub fn epoch(&self) -> Epoch {
        match self {
            Self::Election { epoch, .. }
            | Self::Answer { epoch, .. }
            | Self::Coordinator { epoch, .. }
            | Self::Heartbeat { epoch, .. }
            | Self::Ack { epoch, .. }
            | Self::Refuse { epoch, .. }
            | Self::Canvass { epoch, .. }
            | Self::Canvassed { epoch, .. }
            | Self::Challenge { epoch, .. }
            | Self::Ballot { epoch, .. }
            | Self::Grant { epoch, .. }
            | Self::Release { epoch, .. } => *epoch,
        }
    }
}

/// How things look to a node that was canvassed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, Serialize, Deserialize)]
pub enum View {
    /// It would vote for the asker.
    Free,
    /// It would rather see a higher candidate, whom it has heard of a moment ago.
    Prefers,
    /// It is bound to this node.
    Bound {
        /// To whom.
        to: NodeId,
        /// In which epoch.
        epoch: Epoch,
    },
    /// It has just booted and cannot know whether it is bound.
    Booted,
    /// It leads.
    Leads {
        /// In which epoch.
        epoch: Epoch,
    },
}

/// What a node writes to its disk.
///
/// One record an epoch; epochs strictly ascend.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, Serialize, Deserialize)]
pub enum Record {
    /// The epoch belongs to that node, as far as the writer has a say: it has granted it to no
    /// other, and goes back to no earlier one.
    Promise {
        /// Which epoch.
        epoch: Epoch,
        /// Whose.
        to: NodeId,
    },
}

/// What clients ask of a node.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, Serialize, Deserialize)]
pub enum Request {
    /// Who leads?
    Leader,
    /// Act as leader, now, or say who does.
    Lead,
    /// Stop leading, and leave it to others for [`REST_TIMEOUTS`](crate::REST_TIMEOUTS) timeouts.
    Resign,
}

/// What a node did.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, Serialize, Deserialize)]
pub enum Answer {
    /// To [`Request::Leader`]: what this node believes. It may be out of date.
    Leader {
        /// Who leads, if it knows a leader.
        leader: Option<NodeId>,
        /// The epoch of that leader; without one, the last epoch that this node has promised away.
        epoch: Epoch,
    },
    /// To [`Request::Lead`]: this node acted as leader when it answered.
    Leading {
        /// Its epoch: the fencing token. A resource that has seen a higher one must refuse it.
        epoch: Epoch,
    },
    /// To [`Request::Resign`]: this node leads no more.
    Resigned,
}

/// What a node answers.
pub type Response = Result<Answer, Error>;

/// What an application that embeds a node is told.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, Serialize, Deserialize)]
pub enum Event {
    /// This node leads, from now on.
    Elected {
        /// The fencing token.
        epoch: Epoch,
    },
    /// This node leads no more. It may learn so later than it ceased to: see
    /// [`Node::standing`](cluster::Node::standing), which goes by the lease.
    SteppedDown {
        /// The epoch that it led.
        epoch: Epoch,
    },
    /// This node follows another.
    Follows {
        /// Whom.
        leader: NodeId,
        /// In which epoch.
        epoch: Epoch,
    },
}
