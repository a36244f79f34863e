//! Why a process does not go on.

use std::fmt::Display;
use std::io;
use std::process::ExitCode;

use crate::net::{StartError, TlsError};
use crate::threads::Refusal;
use crate::{InvalidConfig, NodeId};

/// Why a command did not do what it was told to.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// A setting makes no sense.
    #[error(transparent)]
    Invalid(#[from] InvalidConfig),
    /// The certificates cannot be used.
    #[error("certificates: {0}")]
    Tls(#[from] TlsError),
    /// Nothing was started, or connected.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The node went down: it did not boot from what its directory holds, or its disk failed.
    #[error("{node} is down: {refusal}")]
    Down {
        /// Which.
        node: NodeId,
        /// Why.
        refusal: Refusal,
    },
    /// The node has panicked, which it has told on standard error.
    #[error("{node} has panicked")]
    Panicked {
        /// Which.
        node: NodeId,
    },
    /// The system failed.
    #[error("cannot {attempt}: {source}")]
    System {
        /// What was tried.
        attempt: String,
        /// What came of it.
        source: io::Error,
    },
}

impl Failure {
    pub(super) fn system(attempt: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::System { attempt: attempt.into(), source }
    }
}

/// What `program` ends with when it is `done`: why it failed, it tells on standard error first.
pub fn end(program: &str, done: Result<(), impl Display>) -> ExitCode {
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{program}: {error:#}");
            ExitCode::FAILURE
        }
    }
}
