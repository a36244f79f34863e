//! A cluster that answers by hand, so that every turn of a call can be looked at.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use cluster::{NoAnswer, NodeId, Port, ReplyTo};
use raft::{
    Error, Handle, LogIndex, Raft, Reply, Request, Response, Sequence, SessionId, Submission,
};

use crate::journal::Journal;
use crate::table::n;

/// Longer than anything takes here.
pub(crate) const LONG: Duration = Duration::from_secs(20);

/// What reaches a node.
pub(crate) struct Asked {
    pub(crate) node: NodeId,
    pub(crate) request: Request<Journal>,
    reply: ReplyTo<Response<Journal>>,
}

impl Asked {
    pub(crate) fn answer(self, response: Response<Journal>) {
        self.reply.complete(Ok(response));
    }

    pub(crate) fn refuse(self, error: Error) {
        self.answer(Err(error));
    }

    pub(crate) fn written(self, output: usize) {
        self.answer(Ok(Reply::Written { index: LogIndex::new(9), output }));
    }

    pub(crate) fn fail(self, why: NoAnswer) {
        self.reply.complete(Err(why));
    }

    #[track_caller]
    pub(crate) fn submission(&self) -> (SessionId, Sequence, Sequence, u64) {
        match &self.request {
            Request::Submit(Submission { session, sequence, unanswered, command }) => {
                (*session, *sequence, *unanswered, *command)
            }
            other => panic!("no write in a session but {other:?}"),
        }
    }
}

/// Three nodes, played by the test.
pub(crate) struct Stage {
    pub(crate) handle: Handle<Journal>,
    play: Play,
}

/// What reaches the nodes.
pub(crate) struct Play(Receiver<Asked>);

impl std::ops::Deref for Stage {
    type Target = Play;

    fn deref(&self) -> &Play {
        &self.play
    }
}

struct Wings {
    members: [NodeId; 3],
    asked: Sender<Asked>,
}

impl Port<Raft<Journal>> for Wings {
    fn members(&self) -> &[NodeId] {
        &self.members
    }

    fn submit(&self, node: NodeId, request: Request<Journal>, reply: ReplyTo<Response<Journal>>) {
        // Once the play is over, whatever is asked is lost.
        let _ = self.asked.send(Asked { node, request, reply });
    }
}

impl Stage {
    pub(crate) fn new() -> Self {
        let (sender, asked) = channel();
        let members = [n(1), n(2), n(3)];
        let handle = Handle::over(Arc::new(Wings { members, asked: sender }));
        Self { handle, play: Play(asked) }
    }

    /// The same, when its own handle is gone.
    pub(crate) fn without_handle(self) -> Play {
        self.play
    }

    /// One whose handle has a session, named 7.
    #[track_caller]
    pub(crate) fn with_session() -> Self {
        let stage = Self::new();
        let call = stage.handle.write(0);
        stage.open(7);
        let first = stage.next();
        let session = SessionId::new(7);
        assert_eq!(first.submission(), (session, Sequence::new(1), Sequence::new(1), 0));
        first.written(0);
        assert_eq!(call.wait(), Ok(0));
        stage
    }
}

impl Play {
    /// What reaches a node next.
    #[track_caller]
    pub(crate) fn next(&self) -> Asked {
        self.0.recv_timeout(LONG).expect("something is asked")
    }

    /// What has reached a node, if anything has.
    pub(crate) fn try_next(&self) -> Option<Asked> {
        self.0.try_recv().ok()
    }

    #[track_caller]
    pub(crate) fn nothing_asked(&self) {
        if let Some(asked) = self.try_next() {
            panic!("{:?} reached {}", asked.request, asked.node);
        }
    }

    /// Opens the session that is asked for.
    #[track_caller]
    pub(crate) fn open(&self, session: u64) {
        let asked = self.next();
        assert!(matches!(asked.request, Request::Open), "{:?}", asked.request);
        asked.answer(Ok(Reply::Opened(SessionId::new(session))));
    }
}
