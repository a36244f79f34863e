//! Mutual TLS, by `rustls`.

use std::fmt;
use std::fs;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use mio::net::TcpStream;
use rustls::client::verify_server_name;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::{ParsedCertificate, WebPkiClientVerifier};
use rustls::{
    AlertDescription, ClientConfig, ClientConnection, Connection, Error, RootCertStore,
    ServerConfig, ServerConnection,
};

use super::id::ClusterId;
use super::news;
use super::refusal::{Reason, Refused};
use super::wire::Broken;
use crate::NodeId;

/// Files are no longer than this, in bytes.
const FILE_MAX: u64 = 1 << 20;

/// Certificates for connections that nobody else can read, or make.
///
/// Both sides of each connection show a certificate that the given authority has signed, and that has
/// not expired. A node's must hold the DNS name `n1.orders`, for node `n1` of the cluster `orders`: so it
/// is good for calls, and for being called, as that node and no other. A client's may hold any name.
///
/// The files are looked at whenever a connection begins, and read again if one of them has changed: new
/// certificates need no restart. While what is there makes no sense, the earlier ones are used, and a
/// warning is logged. Connections that are open stay so.
#[derive(Clone)]
pub struct Tls(Arc<Kept>);

struct Kept {
    files: Files,
    current: Mutex<Current>,
}

#[derive(Clone)]
struct Files {
    authority: PathBuf,
    certificate: PathBuf,
    key: PathBuf,
}

struct Current {
    changed: Changed,
    ready: Ready,
}

/// When each file was changed last, and how long it is.
type Changed = [Option<(SystemTime, u64)>; 3];

#[derive(Clone)]
struct Ready {
    accepting: Arc<ServerConfig>,
    connecting: Arc<ClientConfig>,
}

/// Why certificates cannot be used. Nothing has changed.
#[derive(Debug, thiserror::Error)]
#[error("{}: {problem}", path.display())]
pub struct TlsError {
    /// Which file.
    pub path: PathBuf,
    /// What is wrong with it.
    pub problem: String,
}

impl Tls {
    /// By three PEM files: the certificates of the authority that signs for this cluster; the own
    /// certificate, with those between it and the authority; and its key.
    ///
    /// # Errors
    /// Says which file is no such thing, and why.
    pub fn from_pem_files(
        authority: impl Into<PathBuf>,
        certificate: impl Into<PathBuf>,
        key: impl Into<PathBuf>,
    ) -> Result<Self, TlsError> {
        let (authority, certificate) = (authority.into(), certificate.into());
        let files = Files { authority, certificate, key: key.into() };
        let changed = files.changed();
        let current = Mutex::new(Current { changed, ready: files.read()? });
        Ok(Self(Arc::new(Kept { files, current })))
    }

    fn ready(&self) -> Ready {
        let Kept { files, current } = &*self.0;
        let mut current = current.lock().unwrap_or_else(PoisonError::into_inner);
        let changed = files.changed();
        if changed != current.changed {
            // Not again before the next change, whatever comes of it.
            current.changed = changed;
            match files.read() {
                Ok(ready) => current.ready = ready,
                Err(error) => news::stale(&error),
            }
        }
        current.ready.clone()
    }

    /// For a connection that somebody made.
    pub(super) fn accept(&self) -> Result<Session, Refused> {
        let session = ServerConnection::new(self.ready().accepting).map_err(refusal)?;
        Ok(Session(Box::new(session.into())))
    }

    /// For a connection to `node` of `cluster`.
    pub(super) fn connect(&self, cluster: &ClusterId, node: NodeId) -> Result<Session, Refused> {
        let name = server_name(&cluster.host_of(node))?;
        let session = ClientConnection::new(self.ready().connecting, name).map_err(refusal)?;
        Ok(Session(Box::new(session.into())))
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Files { authority, certificate, key } = &self.0.files;
        f.debug_struct("Tls")
            .field("authority", authority)
            .field("certificate", certificate)
            .field("key", key)
            .finish_non_exhaustive()
    }
}

impl Files {
    fn changed(&self) -> Changed {
        [&self.authority, &self.certificate, &self.key].map(|path| {
            let metadata = fs::metadata(path).ok()?;
            Some((metadata.modified().ok()?, metadata.len()))
        })
    }

    fn read(&self) -> Result<Ready, TlsError> {
        let authority = certificates(&self.authority)?;
        let chain = certificates(&self.certificate)?;
        let key = PrivateKeyDer::from_pem_slice(&bytes(&self.key)?)
            .map_err(|error| problem(&self.key, error))?;
        let mut roots = RootCertStore::empty();
        for certificate in authority {
            roots.add(certificate).map_err(|error| problem(&self.authority, error))?;
        }
        let roots = Arc::new(roots);
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier =
            WebPkiClientVerifier::builder_with_provider(Arc::clone(&roots), Arc::clone(&provider))
                .build()
                .map_err(|error| problem(&self.authority, error))?;
        let of_own = |error| problem(&self.certificate, error);
        let accepting = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(of_own)?
            .with_client_cert_verifier(verifier)
            .with_single_cert(chain.clone(), key.clone_key())
            .map_err(of_own)?;
        let connecting = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(of_own)?
            .with_root_certificates(roots)
            .with_client_auth_cert(chain, key)
            .map_err(of_own)?;
        Ok(Ready { accepting: Arc::new(accepting), connecting: Arc::new(connecting) })
    }
}

fn problem(path: &Path, problem: impl ToString) -> TlsError {
    TlsError { path: path.to_owned(), problem: problem.to_string() }
}

fn bytes(path: &Path) -> Result<Vec<u8>, TlsError> {
    let mut bytes = Vec::new();
    let read = fs::File::open(path).and_then(|file| file.take(FILE_MAX).read_to_end(&mut bytes));
    read.map(|_| bytes).map_err(|error| problem(path, error))
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let bytes = bytes(path)?;
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
    let certificates = certificates.map_err(|error| problem(path, error))?;
    if certificates.is_empty() {
        return Err(problem(path, "no certificate is in it"));
    }
    Ok(certificates)
}

fn server_name(host: &str) -> Result<ServerName<'static>, Refused> {
    let name = ServerName::try_from(host.to_owned());
    name.map_err(|error| Refused::new(Reason::Certificate, format!("{host}: {error}")))
}

/// TLS on one connection.
pub(super) struct Session(Box<Connection>);

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Session")
    }
}

impl Session {
    /// Reads what was sent, or nothing if it was closed.
    pub(super) fn read(
        &mut self,
        stream: &mut TcpStream,
        room: &mut [u8],
    ) -> Result<usize, Broken> {
        let tls = &mut *self.0;
        loop {
            match tls.reader().read(room) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                read => return read.map_err(Broken::Io),
            }
            if tls.read_tls(stream)? == 0 {
                return Ok(0);
            }
            let processed = tls.process_new_packets();
            // What it answers to that: its part of the greeting, or what is wrong.
            let written = flush(tls, stream);
            processed.map_err(refusal)?;
            match written {
                Err(error) if error.kind() != io::ErrorKind::WouldBlock => return Err(error.into()),
                Ok(()) | Err(_) => {}
            }
        }
    }

    /// Takes some of `bytes`, and writes what it can.
    pub(super) fn write(&mut self, stream: &mut TcpStream, bytes: &[u8]) -> io::Result<usize> {
        // What was taken before goes first, or there may be no room.
        flush(&mut self.0, stream)?;
        self.0.writer().write(bytes)
    }

    /// Writes what it has taken.
    pub(super) fn flush(&mut self, stream: &mut TcpStream) -> io::Result<()> {
        flush(&mut self.0, stream)
    }

    /// Whether the other side's certificate is for `host`.
    pub(super) fn is_for(&self, host: &str) -> Result<(), Refused> {
        let certificate = self.0.peer_certificates().and_then(<[_]>::first);
        let certificate = certificate
            .ok_or_else(|| Refused::new(Reason::Certificate, "it has shown no certificate"))?;
        let certificate = ParsedCertificate::try_from(certificate).map_err(refusal)?;
        verify_server_name(&certificate, &server_name(host)?).map_err(refusal)
    }
}

fn flush(tls: &mut Connection, stream: &mut TcpStream) -> io::Result<()> {
    while tls.wants_write() {
        if tls.write_tls(stream)? == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
    }
    Ok(())
}

fn refusal(error: Error) -> Refused {
    let reason = match &error {
        Error::InvalidCertificate(_)
        | Error::NoCertificatesPresented
        | Error::AlertReceived(
            AlertDescription::BadCertificate
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateRequired
            | AlertDescription::CertificateRevoked
            | AlertDescription::CertificateUnknown
            // A signature does not hold: of an authority that has the right one's name, say.
            | AlertDescription::DecryptError
            | AlertDescription::UnknownCA
            | AlertDescription::UnsupportedCertificate,
        ) => Reason::Certificate,
        // The rest is that it does not speak TLS, or none that this side speaks.
        _ => Reason::Foreign,
    };
    Refused::new(reason, error.to_string())
}
