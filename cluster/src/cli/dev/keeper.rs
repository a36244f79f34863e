//! Who looks after one process.

use std::ffi::OsString;
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crossbeam_channel::Sender;

use crate::NodeId;
use crate::cli::Failure;
use crate::cli::serving::spawn;

/// How long to wait before a process is started again that has ended.
const REST: Duration = Duration::from_secs(1);
/// The prefixes of the nodes' lines, in turn: cyan, yellow, magenta, green, blue.
const COLOURS: [u8; 5] = [36, 33, 35, 32, 34];

/// What comes to whoever waits.
pub(super) enum News {
    /// This process is told to end.
    Stop,
    /// A node has ended, and is not started again.
    Ended,
}

/// Which process.
pub(super) struct Task {
    pub(super) id: NodeId,
    pub(super) program: PathBuf,
    pub(super) words: Vec<OsString>,
    /// Whether to start it again when it ends by itself.
    pub(super) restart: bool,
}

/// Starts a process, passes on what it says, and tells how it ended.
pub(super) struct Keeper {
    task: Task,
    voice: Voice,
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    child: Child,
    ending: bool,
}

impl Keeper {
    /// Starts it, and a thread that keeps it; that says [`News::Ended`] at the end.
    pub(super) fn start(
        task: Task,
        voice: Voice,
        news: Sender<News>,
    ) -> Result<Arc<Self>, Failure> {
        let (child, says) = task.begin().map_err(Failure::system(format!("start {}", task.id)))?;
        let state = Mutex::new(State { child, ending: false });
        let keeper = Arc::new(Self { task, voice, state, changed: Condvar::new() });
        let own = Arc::clone(&keeper);
        spawn("keeper", move || {
            own.keep(says);
            let _ = news.send(News::Ended);
        })?;
        Ok(keeper)
    }

    /// Lets it end: its standard input does. It is not started again.
    pub(super) fn let_go(&self) {
        let mut state = self.state();
        state.ending = true;
        state.child.stdin = None;
        self.changed.notify_all();
    }

    /// Ends it by force.
    pub(super) fn kill(&self) {
        // One that has ended cannot be, which is as well.
        let _ = self.state().child.kill();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn keep(&self, mut says: ChildStderr) {
        loop {
            self.pass_on(says);
            // It says nothing more, so this is not for long.
            let ended = self.state().child.wait();
            let ended = ended.map_or_else(|error| error.to_string(), |status| told(&status));
            let state = self.state();
            if state.ending {
                return self.tell(&ended);
            }
            if !self.task.restart {
                return self.tell(&format!("{ended}; start it again by: {}", self.task.command()));
            }
            self.tell(&format!("{ended}; starting it again"));
            match self.begin_again(state) {
                Some(next) => says = next,
                None => return,
            }
        }
    }

    /// Rests, and starts it again, unless it is to end.
    fn begin_again(&self, state: MutexGuard<'_, State>) -> Option<ChildStderr> {
        let rested = self.changed.wait_timeout_while(state, REST, |state| !state.ending);
        let (mut state, _) = rested.unwrap_or_else(PoisonError::into_inner);
        if state.ending {
            return None;
        }
        match self.task.begin() {
            Ok((child, says)) => {
                state.child = child;
                Some(says)
            }
            Err(error) => {
                self.tell(&format!("cannot be started: {error}"));
                None
            }
        }
    }

    fn pass_on(&self, says: ChildStderr) {
        for line in BufReader::new(says).split(b'\n') {
            let Ok(line) = line else { return };
            self.tell(&String::from_utf8_lossy(&line));
        }
    }

    fn tell(&self, line: &str) {
        self.voice.tell(self.task.id, line);
    }
}

impl Task {
    fn begin(&self) -> io::Result<(Child, ChildStderr)> {
        let mut command = Command::new(&self.program);
        command.args(&self.words).arg("--until-input-ends");
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
        // Not in this terminal's group: Ctrl-C is for this process, which lets the others end.
        let mut child = command.process_group(0).spawn()?;
        let says = child.stderr.take().expect("it is piped");
        Ok((child, says))
    }

    /// As one types it.
    fn command(&self) -> String {
        let words = std::iter::once(self.program.as_os_str());
        let words = words.chain(self.words.iter().map(OsString::as_os_str));
        let words: Vec<_> = words.map(|word| word.to_string_lossy()).collect();
        words.join(" ")
    }
}

/// `exit status: 1`, `signal: 9 (SIGKILL)`.
fn told(status: &ExitStatus) -> String {
    if status.success() { "ended".to_owned() } else { format!("died, {status}") }
}

/// Says lines on standard output, each at once.
#[derive(Clone, Copy)]
pub(super) struct Voice {
    pub(super) in_colours: bool,
}

impl Voice {
    /// Says `text`. Nobody may listen any more.
    pub(super) fn say(self, text: &str) {
        let _ = io::stdout().lock().write_all(text.as_bytes());
    }

    fn tell(self, id: NodeId, line: &str) {
        let colour = COLOURS[id.get() as usize % COLOURS.len()];
        self.say(&match self.in_colours {
            true => format!("\x1b[{colour}m{id} │\x1b[0m {line}\n"),
            false => format!("{id} │ {line}\n"),
        });
    }
}
