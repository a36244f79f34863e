//! Certificates for tests.

use std::fs;
use std::path::PathBuf;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, date_time_ymd};

/// An authority, and where the files are that it signs.
pub(crate) struct Authority {
    directory: tempfile::TempDir,
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("parameters");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        let issuer = CertifiedIssuer::self_signed(params, key).expect("a certificate");
        let authority = Self { directory: tempfile::tempdir().expect("a directory"), issuer };
        fs::write(authority.path("ca.pem"), authority.issuer.pem()).expect("it is written");
        authority
    }

    pub(crate) fn path(&self, file: &str) -> PathBuf {
        self.directory.path().join(file)
    }

    /// Signs a certificate for `host`, in files named `name`, valid until the end of `year`.
    pub(crate) fn sign(&self, name: &str, host: &str, year: i32) {
        let mut params = CertificateParams::new(vec![host.to_owned()]).expect("parameters");
        params.not_after = date_time_ymd(year, 12, 31);
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate");
        // The key first: whoever looks in between is to find what does not fit together.
        fs::write(self.path(&format!("{name}.key")), key.serialize_pem()).expect("it is written");
        fs::write(self.path(&format!("{name}.pem")), certificate.pem()).expect("it is written");
    }
}
