//! Who asks a cluster.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use super::attempt::Attempt;
use super::{Call, CallError, Courier, Search};
use crate::time::after;
use crate::{NoAnswer, Node, NodeId, Port};

/// Asks the nodes of a cluster, of whatever world: from any number of threads, with any number of calls
/// under way. A clone shares what it has learnt of who serves, and its thread for what takes time, which
/// ends when the last clone and the last call are gone.
pub struct Caller<N: Node> {
    desk: Arc<Desk<N>>,
}

struct Desk<N: Node> {
    port: Arc<dyn Port<N>>,
    courier: Arc<Courier>,
    /// Who answered last.
    preferred: AtomicU32,
}

/// What is asked of whichever node serves it.
#[derive(Clone, Debug)]
pub struct Question<N: Node> {
    /// What.
    pub request: N::Request,
    /// How long it is tried in all.
    pub timeout: Duration,
    /// How long one node may be silent before the same is asked of another. None: it is asked again only
    /// where nothing was done, because to do it twice would be another thing.
    pub silence_max: Option<Duration>,
    /// What an answer means.
    pub heard: fn(&N::Response) -> Heard,
}

/// What an answer means for whoever asked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Heard {
    /// It is the answer, good or bad.
    Answer,
    /// Nothing was done: ask this node, or whichever.
    Elsewhere(Option<NodeId>),
    /// The request may have had an effect, or may have one yet.
    Doubt,
}

/// What came of a [`Question`].
#[derive(Clone, Debug)]
pub struct Found<P> {
    /// The answer, or why there is none.
    pub outcome: Result<P, CallError>,
    /// Who was asked last: who has answered, if anybody has.
    pub node: NodeId,
    /// When that node was asked.
    pub sent: Instant,
    /// Whether an earlier sending of the same may have had an effect.
    pub doubtful: bool,
}

impl<N: Node> Caller<N> {
    /// Of the nodes behind `port`.
    ///
    /// # Panics
    /// When the system can start no more threads.
    pub fn over(port: Arc<dyn Port<N>>) -> Self {
        let preferred = AtomicU32::new(port.members()[0].get());
        Self { desk: Arc::new(Desk { port, courier: Arc::new(Courier::start()), preferred }) }
    }

    /// The nodes of the cluster.
    pub fn members(&self) -> &[NodeId] {
        self.desk.port.members()
    }

    /// Asks `node` and no other, once.
    ///
    /// # Errors
    /// [`CallError::Unavailable`] if the node was down, [`CallError::Unknown`] if it gave no answer in
    /// `timeout`.
    pub fn call(
        &self,
        node: NodeId,
        request: N::Request,
        timeout: Duration,
    ) -> Call<Result<N::Response, CallError>> {
        self.call_with(node, request, timeout, |outcome| outcome)
    }

    /// As [`call`](Caller::call), of which `read` makes what the call returns. It must neither wait nor
    /// panic.
    pub fn call_with<R: Send + 'static>(
        &self,
        node: NodeId,
        request: N::Request,
        timeout: Duration,
        read: impl FnOnce(Result<N::Response, CallError>) -> R + Send + 'static,
    ) -> Call<R> {
        let caller = self.clone();
        Call::run(async move { read(caller.reach(node, request, timeout).await) })
    }

    /// Asks whichever node serves, following [redirections](Node::redirect), for at most `timeout` in all;
    /// again only where nothing was done.
    ///
    /// # Errors
    /// [`CallError::Unavailable`] if nobody took it, [`CallError::Unknown`] if somebody did and gave no
    /// answer.
    pub fn ask(
        &self,
        request: N::Request,
        timeout: Duration,
    ) -> Call<Result<N::Response, CallError>> {
        let heard = Heard::by_redirection::<N>;
        let question = Question { request, timeout, silence_max: None, heard };
        let caller = self.clone();
        Call::run(async move { caller.find(question).await.outcome })
    }

    async fn reach(
        &self,
        node: NodeId,
        request: N::Request,
        timeout: Duration,
    ) -> Result<N::Response, CallError> {
        let begun = Instant::now();
        let outcome = self.attempt(node, request, after(begun, timeout)).await;
        let waited = begun.elapsed();
        match outcome {
            Some(Ok(response)) => Ok(response),
            Some(Err(NoAnswer::Unreachable)) => Err(CallError::Unavailable { waited }),
            Some(Err(NoAnswer::Lost)) | None => Err(CallError::Unknown { waited }),
        }
    }

    /// Asks one node after the other until one answers, or there is no time left: what is neither served
    /// nor done is asked of the next, after a rest if nobody knows who serves. To be awaited in
    /// [`Call::run`].
    pub async fn find(&self, question: Question<N>) -> Found<N::Response> {
        let Question { request, timeout, silence_max, heard } = question;
        let begun = Instant::now();
        let deadline = after(begun, timeout);
        let mut search = Search::new(self.members(), self.preferred(), deadline);
        let mut doubtful = false;
        loop {
            let (node, sent) = (search.node(), Instant::now());
            let patience = silence_max.map_or(deadline, |silence| after(sent, silence));
            let outcome = self.attempt(node, request.clone(), patience.min(deadline)).await;
            let heard = match &outcome {
                Some(Ok(response)) => heard(response),
                Some(Err(NoAnswer::Unreachable)) => Heard::Elsewhere(None),
                Some(Err(NoAnswer::Lost)) | None => Heard::Doubt,
            };
            let hint = match (heard, outcome) {
                (Heard::Answer, Some(Ok(response))) => {
                    self.desk.preferred.store(node.get(), Ordering::Relaxed);
                    return Found { outcome: Ok(response), node, sent, doubtful };
                }
                (Heard::Elsewhere(hint), _) => hint,
                (Heard::Doubt | Heard::Answer, _) => {
                    doubtful = true;
                    None
                }
            };
            let next = search.turned_away(self.members(), hint, Instant::now());
            match next.filter(|_| !doubtful || silence_max.is_some()) {
                Some(at) => self.rest(at).await,
                None => {
                    let waited = begun.elapsed();
                    let outcome = Err(match doubtful {
                        true => CallError::Unknown { waited },
                        false => CallError::Unavailable { waited },
                    });
                    return Found { outcome, node, sent, doubtful };
                }
            }
        }
    }

    /// What `node` answers; none if there is nothing by `until`.
    async fn attempt(
        &self,
        node: NodeId,
        request: N::Request,
        until: Instant,
    ) -> Option<Result<N::Response, NoAnswer>> {
        let Desk { port, courier, .. } = &*self.desk;
        Attempt::ask(&**port, courier, node, request, until).await
    }

    async fn rest(&self, until: Instant) {
        if until > Instant::now() {
            Attempt::<()>::rest(&self.desk.courier, until).await;
        }
    }

    fn preferred(&self) -> NodeId {
        NodeId::new(self.desk.preferred.load(Ordering::Relaxed))
    }
}

impl Heard {
    /// An answer, unless it is a [redirection](Node::redirect).
    pub fn by_redirection<N: Node>(response: &N::Response) -> Self {
        N::redirect(response).map_or(Self::Answer, |redirect| Self::Elsewhere(redirect.to))
    }
}

impl<N: Node> Clone for Caller<N> {
    fn clone(&self) -> Self {
        Self { desk: Arc::clone(&self.desk) }
    }
}

impl<N: Node> fmt::Debug for Caller<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Caller").field("members", &self.members()).finish_non_exhaustive()
    }
}
