//! The binary `raft`, as its users meet it: real processes, a real terminal's signals, real Redis clients.

#[path = "../../../cluster/tests/support/authority.rs"]
mod authority;
mod clients;
mod dev;
mod kills;
mod membership;
mod nodes;
mod processes;
#[path = "../../../cluster/tests/support/program.rs"]
mod program;
mod tls;
#[path = "../../../cluster/tests/support/wait.rs"]
mod wait;
mod words;
