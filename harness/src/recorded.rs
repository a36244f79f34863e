//! Histories that others recorded, and what the judge makes of them.
//!
//! Three formats, told apart by how a file begins:
//!
//! ```text
//! jepsen-log   INFO  jepsen.util - 3   :invoke  :cas   [1 2]      one event a line
//! kv-map       {:process 3, :type :ok, :f :get, :key "7", :value "x 0 1 y"}
//! edn          [{:process 3, :type :info, :f :write, :value 4} …] one vector or list of maps
//! ```
//!
//! The order of events is the order in the file; times in it are not looked at. `:fail` says that
//! the operation did not happen, except for a compare-and-set in a log, where it says that the
//! comparison was false. An operation that ends in `:info`, or not at all, may take effect at any
//! time from its call on, or never; after `:info` its process may call again. What the nemesis does
//! is passed over.
//!
//! ```
//! use harness::linear::{Limits, Verdict};
//! use harness::recorded::{ModelName, judge};
//!
//! let history = r#"
//!     {:process 0, :type :invoke, :f :append, :key "k", :value "a"}
//!     {:process 0, :type :ok,     :f :append, :key "k", :value "a"}
//!     {:process 1, :type :invoke, :f :get,    :key "k", :value nil}
//!     {:process 1, :type :ok,     :f :get,    :key "k", :value "a"}
//! "#;
//! let judgement = judge(history.as_bytes(), None, ModelName::Kv, Limits::default())?;
//! assert_eq!(judgement.verdict, Verdict::Holds);
//! # Ok::<_, harness::recorded::RecordedError>(())
//! ```

mod calls;
mod edn;
mod events;
mod operations;

use std::fmt;
use std::time::{Duration, Instant};

use crate::linear::{self, FencedLock, Kv, Limits, Model, Operation, PerKey, Register, Verdict};

/// How a history is written down.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Format {
    /// A log of Jepsen's: one event a line, after `INFO jepsen.util -`. The register holds nil at
    /// first.
    JepsenLog,
    /// One map a line, with a `:key`. Every operation is completed, by `:info` if nobody knows how.
    KvMap,
    /// EDN maps, in one vector or list or one after the other. The register holds 0 at first, and a
    /// read that was answered nil saw nothing we know of.
    Edn,
}

impl Format {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::JepsenLog, Self::KvMap, Self::Edn];

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::JepsenLog => "jepsen-log",
            Self::KvMap => "kv-map",
            Self::Edn => "edn",
        }
    }

    /// The format of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|format| format.name() == name)
    }
}

/// What object a history is of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ModelName {
    /// One register, with read and write.
    Register,
    /// One register, with read, write and compare-and-set.
    CasRegister,
    /// A string for each key, at first empty, with get, put and append.
    Kv,
    /// A lock, with acquire and release; for each key, if there are some. It does not matter who gives
    /// it back. Where an answer to acquire holds a number, that is a fencing token, and must grow.
    Mutex,
}

impl ModelName {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Register, Self::CasRegister, Self::Kv, Self::Mutex];

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Register => "register",
            Self::CasRegister => "cas-register",
            Self::Kv => "kv",
            Self::Mutex => "mutex",
        }
    }

    /// The model of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|model| model.name() == name)
    }
}

/// Why a recorded history could not be judged. There is no verdict then.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum RecordedError {
    /// It is not text.
    #[error("line {line}: found bytes that are not UTF-8, expected text")]
    NotText {
        /// Where.
        line: usize,
    },
    /// No client does anything in it.
    #[error("found no event of a client, expected at least one: nothing to judge")]
    Empty,
    /// Something in it is not what it should be there.
    #[error("line {line}: found {found}, expected {expected}")]
    Malformed {
        /// Where.
        line: usize,
        /// What is there.
        found: String,
        /// What would be right.
        expected: String,
    },
    /// A process called while its last call was open.
    #[error(
        "line {line}: found a call of process {process}, expected the completion of its call in \
         line {open} first"
    )]
    DoubleInvocation {
        /// Where.
        line: usize,
        /// Whose.
        process: u64,
        /// Where its open call is.
        open: usize,
    },
    /// A process was answered that had not called.
    #[error("line {line}: found a completion of process {process}, expected a call of it before")]
    NotInvoked {
        /// Where.
        line: usize,
        /// Whose.
        process: u64,
    },
    /// A process was answered for something that it had not asked.
    #[error(
        "line {line}: found the completion of {found} by process {process}, expected that of \
         {invoked}, its call in line {open}"
    )]
    Mismatch {
        /// Where.
        line: usize,
        /// Whose.
        process: u64,
        /// What was completed.
        found: String,
        /// Where its open call is.
        open: usize,
        /// What it called there.
        invoked: String,
    },
    /// A call was not answered, in a format in which every call is.
    #[error(
        "line {line}: found no answer to this call of process {process}, expected one (:info if \
         nobody knows what became of it): the file may have been cut off"
    )]
    Unfinished {
        /// Where the call is.
        line: usize,
        /// Whose.
        process: u64,
    },
}

impl RecordedError {
    /// The line it concerns, counted from one, if it concerns one more than others.
    pub fn line(&self) -> Option<usize> {
        match *self {
            Self::Empty => None,
            Self::NotText { line }
            | Self::Malformed { line, .. }
            | Self::DoubleInvocation { line, .. }
            | Self::NotInvoked { line, .. }
            | Self::Mismatch { line, .. }
            | Self::Unfinished { line, .. } => Some(line),
        }
    }
}

/// What came of judging a recorded history.
#[derive(Clone, Debug)]
pub struct Judgement {
    /// The verdict. Its explanation names times: lines of the file, or events counted from one where
    /// a line holds several.
    pub verdict: Verdict,
    /// What the history was judged as.
    pub model: ModelName,
    /// How it was written down.
    pub format: Format,
    /// Calls that were judged.
    pub operations: usize,
    /// Those of them that were never answered.
    pub unanswered: usize,
    /// Calls that say nothing, and were left out: those that did not happen, and reads without a
    /// known result.
    pub left_out: usize,
    /// How long it all took.
    pub elapsed: Duration,
}

impl fmt::Display for Judgement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.verdict)?;
        write!(
            f,
            "{}, {}: judged {} operations ({} never answered), left out {}, in {:.1} ms",
            self.model.name(),
            self.format.name(),
            self.operations,
            self.unanswered,
            self.left_out,
            self.elapsed.as_secs_f64() * 1e3,
        )
    }
}

/// Judges a recorded history, whose format is told by how it begins unless it is given.
///
/// # Errors
/// When `bytes` are no history, or not one of that model; the error says in which line. There is no
/// verdict then.
pub fn judge(
    bytes: &[u8],
    format: Option<Format>,
    model: ModelName,
    limits: Limits,
) -> Result<Judgement, RecordedError> {
    let start = Instant::now();
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text.strip_prefix('\u{feff}').unwrap_or(text),
        Err(error) => {
            let before = &bytes[..error.valid_up_to()];
            let line = 1 + before.iter().filter(|&&byte| byte == b'\n').count();
            return Err(RecordedError::NotText { line });
        }
    };
    let format = match format {
        Some(format) => format,
        None => events::detect(text)?,
    };
    let events = events::read(text, format)?;
    if events.is_empty() {
        return Err(RecordedError::Empty);
    }
    let calls = calls::pair(events, format)?;
    let (verdict, operations, unanswered) = match model {
        ModelName::Register | ModelName::CasRegister => {
            let init = match format {
                Format::JepsenLog => None,
                Format::Edn | Format::KvMap => Some(0),
            };
            let operations = operations::of_register(&calls, format, model)?;
            decide(&Register { init }, &operations, limits)
        }
        ModelName::Kv => decide(&Kv, &operations::of_kv(&calls, format)?, limits),
        ModelName::Mutex => {
            decide(&PerKey::new(FencedLock::default()), &operations::of_mutex(&calls)?, limits)
        }
    };
    let left_out = calls.len() - operations;
    let elapsed = start.elapsed();
    Ok(Judgement { verdict, model, format, operations, unanswered, left_out, elapsed })
}

/// The verdict, and how many operations there are and how many of them were never answered.
fn decide<M: Model>(
    model: &M,
    operations: &[Operation<M::Op>],
    limits: Limits,
) -> (Verdict, usize, usize) {
    let unanswered = operations.iter().filter(|operation| operation.ret.is_none()).count();
    (linear::check(model, operations, limits), operations.len(), unanswered)
}
