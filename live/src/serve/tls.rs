//! Transport security from PEM files.

use std::path::Path;
use std::sync::Arc;

use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::pki_types::pem::{self, PemObject};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{RootCertStore, ServerConfig};

use super::config::Tls;

/// Why a certificate or key cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{path}: {why}")]
pub struct TlsError {
    path: String,
    why: String,
}

fn failed(path: &Path, why: &impl ToString) -> TlsError {
    TlsError { path: path.display().to_string(), why: why.to_string() }
}

/// Accepts connections with this certificate; only from clients with one of the authority, where one is given.
///
/// # Errors
/// Files that are not there, or do not go together.
pub fn acceptor(tls: &Tls) -> Result<TlsAcceptor, TlsError> {
    let chain = certificates(&tls.certificate)?;
    let key = PrivateKeyDer::from_pem_file(&tls.key).map_err(|why| match why {
        pem::Error::NoItemsFound => failed(&tls.key, &"it has no private key in PEM form"),
        why => failed(&tls.key, &why),
    })?;
    let builder = ServerConfig::builder();
    let builder = match &tls.client_ca {
        None => builder.with_no_client_auth(),
        Some(path) => {
            let mut roots = RootCertStore::empty();
            for certificate in certificates(path)? {
                roots.add(certificate).map_err(|why| failed(path, &why))?;
            }
            let verifier = WebPkiClientVerifier::builder(Arc::new(roots)).build();
            builder.with_client_cert_verifier(verifier.map_err(|why| failed(path, &why))?)
        }
    };
    let apart = |why| format!("does not go with the key in {}: {why}", tls.key.display());
    let config = builder.with_single_cert(chain, key);
    let config = config.map_err(|why| failed(&tls.certificate, &apart(why)))?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let found = CertificateDer::pem_file_iter(path).map_err(|why| failed(path, &why))?;
    let found: Result<Vec<_>, _> = found.collect();
    match found {
        Ok(found) if found.is_empty() => Err(failed(path, &"it has no certificate in PEM form")),
        Ok(found) => Ok(found),
        Err(why) => Err(failed(path, &why)),
    }
}
