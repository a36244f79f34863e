//! What an operator sees of a group: figures by the facade `metrics`, news by the facade `tracing`.
//!
//! Nothing of it is in the core. Calls tell a [`Meter`] how they ended; a [`Watch`], one thread a group,
//! hears the events of the nodes and asks each once a second how it is doing. Each facade is a feature;
//! the modules that take the place of one that is off do nothing.
//!
//! Figures are registered when the group or the handle is made: a recorder that is installed later does
//! not see them.

#[cfg(feature = "metrics")]
mod figures;
#[cfg(not(feature = "metrics"))]
#[path = "observe/no_figures.rs"]
mod figures;

#[cfg(feature = "tracing")]
mod news;
#[cfg(not(feature = "tracing"))]
#[path = "observe/no_news.rs"]
mod news;

mod watch;

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use crate::CallError;
pub(crate) use watch::Watch;
#[cfg(feature = "net")]
pub(crate) use watch::watch;

/// Whether anybody can look.
const ON: bool = cfg!(any(feature = "metrics", feature = "tracing"));

/// The kinds of calls that are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Write,
    Read,
    Transfer,
    /// Of who takes part.
    Change,
    Status,
    /// Opening or closing a session.
    Session,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Write => "write",
            Self::Read => "read",
            Self::Transfer => "transfer",
            Self::Change => "change",
            Self::Status => "status",
            Self::Session => "session",
        })
    }
}

/// What the calls on one group come to. Clones count together.
#[derive(Clone)]
pub(crate) struct Meter(Option<Arc<Told>>);

struct Told {
    group: Arc<str>,
    figures: figures::Calls,
}

impl Meter {
    /// For calls on the group of that name.
    pub(crate) fn new(group: &Arc<str>) -> Self {
        let told = || Told { group: Arc::clone(group), figures: figures::Calls::new(group) };
        Self(ON.then(|| Arc::new(told())))
    }

    /// For calls that are nobody's business.
    pub(crate) fn silent() -> Self {
        Self(None)
    }

    /// A call, made at `begun`, has come to its end.
    pub(crate) fn ended(&self, kind: Kind, begun: Instant, error: Option<&CallError>) {
        if let Some(Told { group, figures }) = self.0.as_deref() {
            let elapsed = begun.elapsed();
            figures.ended(kind, error, elapsed);
            news::ended(group, kind, error, elapsed);
        }
    }

    /// A call is sent again.
    pub(crate) fn retried(&self, kind: Kind) {
        if let Some(Told { figures, .. }) = self.0.as_deref() {
            figures.retried(kind);
        }
    }
}
