//! Nodes and pods from a folder that somebody else writes, such as `kubectl` in a loop.
//!
//! `nodes.json` and `pods.json` are lists as the API server gives them. A file is read again when its size or its time of
//! change is another than before; whoever writes it puts a whole file in its place.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use yardmaster_env::units::Time;

use super::Extender;
use super::object::{List, Node, Pod};

/// Largest list that is read, in bytes.
pub const MAX_BYTES: u64 = 1 << 30;

/// A folder, and what was last read from it.
#[derive(Debug)]
pub struct Folder {
    nodes: Watched,
    pods: Watched,
}

/// A file with its size and time of change when it was last read.
#[derive(Debug)]
struct Watched {
    path: PathBuf,
    seen: Option<(u64, SystemTime)>,
}

/// Why a list could not be taken in. What was known before stays.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// It cannot be read.
    #[error("cannot read {path}: {source}")]
    Io {
        /// The file.
        path: String,
        /// What the system says.
        source: io::Error,
    },
    /// It is too large.
    #[error("{path} has {bytes} bytes, the limit is {MAX_BYTES}")]
    TooLarge {
        /// The file.
        path: String,
        /// Its size.
        bytes: u64,
    },
    /// It is no list of nodes or pods.
    #[error("{path} is not a list as `kubectl get -o json` prints it: {source}")]
    Json {
        /// The file.
        path: String,
        /// Where and what.
        source: serde_json::Error,
    },
}

impl Folder {
    /// Nothing is read yet.
    pub fn new(folder: &Path) -> Folder {
        let file = |name: &str| Watched { path: folder.join(name), seen: None };
        Folder { nodes: file("nodes.json"), pods: file("pods.json") }
    }

    /// Takes in what has changed, and says whether anything has. A file that is not there is no news. After an error the
    /// file is not tried again until it changes.
    pub fn refresh(&mut self, extender: &Extender, now: Time) -> Result<bool, FolderError> {
        let nodes: Option<List<Node>> = self.nodes.read()?;
        // Where a pod stands is told by its node's labels.
        if nodes.is_some() {
            self.pods.seen = None;
        }
        if let Some(nodes) = &nodes {
            extender.set_nodes(&nodes.items);
        }
        let pods: Option<List<Pod>> = self.pods.read()?;
        if let Some(pods) = &pods {
            extender.set_pods(&pods.items, now);
        }
        Ok(nodes.is_some() || pods.is_some())
    }
}

impl Watched {
    /// The content, if it is another than before.
    fn read<T: serde::de::DeserializeOwned>(&mut self) -> Result<Option<T>, FolderError> {
        let path = || self.path.display().to_string();
        let error = |source| FolderError::Io { path: path(), source };
        let about = match fs::metadata(&self.path) {
            Err(absent) if absent.kind() == io::ErrorKind::NotFound => return Ok(None),
            about => about.map_err(error)?,
        };
        let seen = Some((about.len(), about.modified().map_err(error)?));
        if self.seen == seen {
            return Ok(None);
        }
        if about.len() > MAX_BYTES {
            return Err(FolderError::TooLarge { path: path(), bytes: about.len() });
        }
        let bytes = fs::read(&self.path).map_err(error)?;
        self.seen = seen;
        let content = serde_json::from_slice(&bytes);
        content
            .map(Some)
            .map_err(|source| FolderError::Json { path: self.path.display().to_string(), source })
    }
}
