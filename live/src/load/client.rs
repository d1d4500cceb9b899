//! The smallest HTTP client that keeps its connection: for load and for tests.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// Largest answer that is read.
const MOST: usize = 64 << 20;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The connection.
    #[error("{address}: {source}")]
    Io {
        /// With whom.
        address: String,
        /// What the system says.
        source: io::Error,
    },
    /// What came is no answer.
    #[error("{address} does not speak HTTP: {line:?}")]
    Protocol {
        /// With whom.
        address: String,
        /// What came.
        line: String,
    },
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// As it came.
    pub body: Vec<u8>,
}

impl Answer {
    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// A connection.
#[derive(Debug)]
pub struct Client {
    address: String,
    token: String,
    stream: BufReader<TcpStream>,
    head: Vec<u8>,
}

impl Client {
    /// Connects to `host:port`.
    ///
    /// # Errors
    /// Nobody listens there.
    pub fn connect(address: &str, token: Option<&str>) -> Result<Client, ClientError> {
        let failed = |source| ClientError::Io { address: address.to_owned(), source };
        let stream = TcpStream::connect(address).map_err(failed)?;
        stream.set_nodelay(true).map_err(failed)?;
        stream.set_read_timeout(Some(PATIENCE)).map_err(failed)?;
        stream.set_write_timeout(Some(PATIENCE)).map_err(failed)?;
        let token = token.map_or_else(String::new, |token| format!("authorization: Bearer {token}\r\n"));
        Ok(Client { address: address.to_owned(), token, stream: BufReader::new(stream), head: Vec::new() })
    }

    /// Sends a body and reads the answer.
    ///
    /// # Errors
    /// The connection breaks, or what comes is no answer. It is then of no use any more.
    pub fn post(&mut self, path: &str, body: &[u8]) -> Result<Answer, ClientError> {
        self.ask("POST", path, body)
    }

    /// Asks for a page.
    ///
    /// # Errors
    /// As [`Client::post`].
    pub fn get(&mut self, path: &str) -> Result<Answer, ClientError> {
        self.ask("GET", path, b"")
    }

    fn ask(&mut self, method: &str, path: &str, body: &[u8]) -> Result<Answer, ClientError> {
        self.head.clear();
        let (address, token, length) = (&self.address, &self.token, body.len());
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: {address}\r\n{token}content-type: application/json\r\ncontent-length: {length}\r\n\r\n"
        );
        self.head.extend_from_slice(head.as_bytes());
        self.head.extend_from_slice(body);
        let sent = self.stream.get_mut().write_all(&self.head);
        // Who is turned away early reads why, though not all was sent.
        match self.read() {
            Ok(answer) => Ok(answer),
            Err(why) => {
                sent.map_err(|source| self.failed(source))?;
                Err(why)
            }
        }
    }

    fn failed(&self, source: io::Error) -> ClientError {
        ClientError::Io { address: self.address.clone(), source }
    }

    fn line(&mut self) -> Result<String, ClientError> {
        let mut line = String::new();
        let read = self.stream.read_line(&mut line);
        match read {
            Ok(0) => Err(self.failed(io::ErrorKind::UnexpectedEof.into())),
            Ok(_) => Ok(line.trim_end().to_owned()),
            Err(source) => Err(self.failed(source)),
        }
    }

    fn read(&mut self) -> Result<Answer, ClientError> {
        let first = self.line()?;
        let protocol =
            |line: &str| ClientError::Protocol { address: self.address.clone(), line: line.to_owned() };
        let status = first.split(' ').nth(1).and_then(|status| status.parse().ok());
        let status = status.filter(|_| first.starts_with("HTTP/1.")).ok_or_else(|| protocol(&first))?;
        let mut length = 0;
        loop {
            let line = self.line()?;
            if line.is_empty() {
                break;
            }
            let (name, value) = line.split_once(':').unwrap_or((&line, ""));
            if name.eq_ignore_ascii_case("content-length") {
                length = value.trim().parse().unwrap_or(0);
            }
        }
        let mut body = vec![0; length.min(MOST)];
        self.stream.read_exact(&mut body).map_err(|source| self.failed(source))?;
        Ok(Answer { status, body })
    }
}
