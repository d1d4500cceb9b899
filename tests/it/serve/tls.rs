//! Transport security: real handshakes, with certificates made on the spot.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned, SupportedProtocolVersion};

use super::Server;
use crate::support::Bench;

/// Who signs.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
    der: CertificateDer<'static>,
}

/// A certificate and its key.
struct Signed {
    pem: String,
    der: CertificateDer<'static>,
    key: KeyPair,
}

impl Authority {
    fn new(name: &str) -> Authority {
        let mut params = CertificateParams::new([]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().unwrap();
        let own = params.self_signed(&key).unwrap();
        Authority { pem: own.pem(), der: own.der().clone(), issuer: Issuer::new(params, key) }
    }

    fn sign(&self, name: &str) -> Signed {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new([name.to_owned()]).unwrap();
        let own = params.signed_by(&key, &self.issuer).unwrap();
        Signed { pem: own.pem(), der: own.der().clone(), key }
    }
}

/// A caller, by whom it trusts and what it shows.
struct Caller<'a> {
    trusts: &'a Authority,
    shows: Option<&'a Signed>,
    version: &'static SupportedProtocolVersion,
}

impl Caller<'_> {
    fn config(&self) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        roots.add(self.trusts.der.clone()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider);
        let builder = builder.with_protocol_versions(&[self.version]).unwrap().with_root_certificates(roots);
        match self.shows {
            None => builder.with_no_client_auth(),
            Some(signed) => {
                let key = PrivateKeyDer::Pkcs8(signed.key.serialize_der().into());
                builder.with_client_auth_cert(vec![signed.der.clone()], key).unwrap()
            }
        }
    }

    /// The first line of the answer to a request.
    fn ask(&self, server: &Server) -> io::Result<String> {
        let name = ServerName::try_from("localhost").unwrap();
        let connection = ClientConnection::new(Arc::new(self.config()), name).unwrap();
        let mut stream = StreamOwned::new(connection, connect(server));
        stream.write_all(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")?;
        let mut text = String::new();
        stream.read_to_string(&mut text)?;
        Ok(text.lines().next().unwrap_or_default().to_owned())
    }
}

fn connect(server: &Server) -> TcpStream {
    let stream = TcpStream::connect(&server.address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream
}

/// A service with a certificate of the authority, in a folder that has to outlive it.
fn start(authority: &Authority, asks_clients: bool) -> (Bench, Server) {
    let bench = Bench::new();
    let own = authority.sign("localhost");
    bench.put("cert.pem", &own.pem);
    bench.put("key.pem", own.key.serialize_pem());
    bench.put("ca.pem", &authority.pem);
    let [certificate, key, ca] =
        ["cert.pem", "key.pem", "ca.pem"].map(|file| bench.path(file).display().to_string());
    let mut options = vec!["--policy", "mct", "--tls-cert", &certificate, "--tls-key", &key];
    if asks_clients {
        options.extend(["--client-ca", &ca]);
    }
    let server = Server::start(&options);
    (bench, server)
}

#[test]
fn who_trusts_the_authority_is_served_and_nobody_else_asks() {
    let (ours, others) = (Authority::new("ours"), Authority::new("others"));
    let (_folder, server) = start(&ours, false);
    for version in [&TLS12, &TLS13] {
        let caller = |trusts| Caller { trusts, shows: None, version };
        assert_eq!(caller(&ours).ask(&server).unwrap(), "HTTP/1.1 200 OK");
        let error = caller(&others).ask(&server).unwrap_err().to_string();
        assert!(error.contains("UnknownIssuer") || error.contains("BadSignature"), "{error}");
    }
}

#[test]
fn without_a_certificate_of_the_authority_nobody_is_served_where_it_is_required() {
    let (ours, others) = (Authority::new("ours"), Authority::new("others"));
    let (_folder, server) = start(&ours, true);
    let (member, stranger) = (ours.sign("scheduler"), others.sign("scheduler"));
    for version in [&TLS12, &TLS13] {
        let caller = |shows| Caller { trusts: &ours, shows, version };
        assert_eq!(caller(Some(&member)).ask(&server).unwrap(), "HTTP/1.1 200 OK");
        // Even whether it lives is told to those only that show one.
        caller(None).ask(&server).unwrap_err();
        caller(Some(&stranger)).ask(&server).unwrap_err();
        assert_eq!(caller(Some(&member)).ask(&server).unwrap(), "HTTP/1.1 200 OK", "others are served on");
    }
    let error = Caller { trusts: &ours, shows: None, version: &TLS13 }.ask(&server).unwrap_err();
    assert!(error.to_string().contains("CertificateRequired"), "{error}");
}

#[test]
fn who_does_not_encrypt_gets_no_answer_and_does_no_harm() {
    let ours = Authority::new("ours");
    let (_folder, server) = start(&ours, false);
    for text in ["GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n", "\u{16}\u{3}\u{1}\u{0}\u{5}hello", "\n"]
    {
        let mut stream = connect(&server);
        stream.write_all(text.as_bytes()).unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        let mut answer = Vec::new();
        // It may be reset, as not all was read.
        let _ = stream.read_to_end(&mut answer);
        assert!(!String::from_utf8_lossy(&answer).contains("HTTP"), "{answer:?}");
    }
    let caller = Caller { trusts: &ours, shows: None, version: &TLS13 };
    assert_eq!(caller.ask(&server).unwrap(), "HTTP/1.1 200 OK");
}

#[test]
fn files_that_cannot_be_used_are_named_with_the_reason() {
    let authority = Authority::new("ours");
    let (one, other) = (authority.sign("localhost"), authority.sign("localhost"));
    let bench = Bench::new();
    bench.put("cert.pem", &one.pem);
    bench.put("key.pem", one.key.serialize_pem());
    bench.put("other.pem", other.key.serialize_pem());
    bench.put("junk.pem", "-----BEGIN PRIVATE KEY-----\n!!!!\n-----END PRIVATE KEY-----\n");
    bench.put("empty.pem", "");
    let refused = |certificate: &str, key: &str, more: &str, expected: &str| {
        let options = format!("--tls-cert {certificate} --tls-key {key} {more}");
        let output = bench.run(&format!("serve --policy mct --listen 127.0.0.1:0 {options}"));
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && text.contains(expected), "{options}: {text}");
    };
    refused("cert.pem", "nowhere.pem", "", "nowhere.pem: ");
    refused("nowhere.pem", "key.pem", "", "nowhere.pem: ");
    refused("cert.pem", "junk.pem", "", "junk.pem: ");
    refused("cert.pem", "cert.pem", "", "cert.pem: it has no private key in PEM form");
    refused("empty.pem", "key.pem", "", "empty.pem: it has no certificate in PEM form");
    refused("cert.pem", "other.pem", "", "cert.pem: does not go with the key in other.pem");
    refused("cert.pem", "key.pem", "--client-ca key.pem", "key.pem: it has no certificate in PEM form");
    refused("cert.pem", "key.pem", "--client-ca nowhere.pem", "nowhere.pem: ");
}
