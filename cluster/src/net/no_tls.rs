//! In the place of TLS, without the feature `tls`.

use std::io;

use mio::net::TcpStream;

use super::id::ClusterId;
use super::refusal::Refused;
use super::wire::Broken;
use crate::NodeId;

/// There are no certificates.
#[derive(Clone, Debug)]
pub(super) enum Tls {}

/// There are no sessions.
#[derive(Debug)]
pub(super) enum Session {}

impl Tls {
    pub(super) fn accept(&self) -> Result<Session, Refused> {
        match *self {}
    }

    pub(super) fn connect(&self, _: &ClusterId, _: NodeId) -> Result<Session, Refused> {
        match *self {}
    }
}

impl Session {
    pub(super) fn read(&mut self, _: &mut TcpStream, _: &mut [u8]) -> Result<usize, Broken> {
        match *self {}
    }

    pub(super) fn write(&mut self, _: &mut TcpStream, _: &[u8]) -> io::Result<usize> {
        match *self {}
    }

    pub(super) fn flush(&mut self, _: &mut TcpStream) -> io::Result<()> {
        match *self {}
    }

    pub(super) fn is_for(&self, _: &str) -> Result<(), Refused> {
        match *self {}
    }
}
