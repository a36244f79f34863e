//! Tests of the lock service: the table by hand and against a model, the service in virtual time
//! under faults, and on threads.

mod config;
mod model;
#[cfg(feature = "mutants")]
mod mutants;
mod net;
mod scenarios;
mod service;
mod support;
mod swarm;
mod table;
mod threads;
