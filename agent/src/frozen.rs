//! The frozen policy: one `.safetensors` file with the weights and, in its header, the card.
//!
//! One writer and one reader. The reader has strict limits and refuses rather than guesses: a file that it
//! takes has exactly the weights that its card promises. [`Frozen::verify_golden`] then shows that this build
//! computes with them what the trainer computed.

use std::collections::HashMap;
use std::fs;
use std::io::{Read, Write};
use std::path::Path;

use safetensors::tensor::{Dtype, SafeTensorError, SafeTensors, TensorView};
use sha2::{Digest, Sha256};
use thiserror::Error;
use yardmaster_env::observe::Observation;

use crate::frozen_card::hex;
pub use crate::frozen_card::{Card, FORMAT, Golden, Origin, schema_id};
use crate::net::{Dims, Layout, NetError, PolicyNet, Scratch, Sizes, first_highest};

/// Largest file that is read, in bytes.
pub const MAX_FILE: usize = 64 << 20;
/// Largest header that is read, in bytes.
pub const MAX_HEADER: usize = 1 << 20;
/// Widest layer and widest group of features that is read.
pub const MAX_WIDTH: usize = 4096;
/// Fewest golden cases.
pub const MIN_GOLDEN: usize = 8;
/// How far a logit may lie from its golden value.
pub const TOLERANCE: f32 = 1e-5;

/// The one key of the header's metadata.
const CARD: &str = "card";

/// How to come by a file that is one.
const EXPORT: &str = "`yardmaster-train export --run DIR --out FILE` writes a frozen policy";

/// Why a file is not a frozen policy that can be used here.
#[derive(Debug, Error)]
pub enum FrozenError {
    /// Too long to be one.
    #[error("the {what} has {size} bytes, the limit is {limit}")]
    TooLarge {
        /// File or header.
        what: &'static str,
        /// Its size in bytes.
        size: u64,
        /// The limit in bytes.
        limit: usize,
    },
    /// Something else altogether.
    #[error("it is no safetensors file; {EXPORT}")]
    Foreign,
    /// Cut short, or no safetensors file at all.
    #[error("cut short, or no safetensors file: {0}; copy it again, or {EXPORT}")]
    Container(#[from] SafeTensorError),
    /// The metadata has no card, or more than a card.
    #[error("the header's metadata has the keys {0:?}, expected only \"card\"; {EXPORT}")]
    Metadata(Vec<String>),
    /// The card is not the JSON that it should be.
    #[error("the card is not valid: {0}")]
    Card(#[source] serde_json::Error),
    /// Written by another version.
    #[error("the file has format version {found}, this program reads {FORMAT}")]
    Format {
        /// The version found, as JSON.
        found: String,
    },
    /// The schema and its id disagree.
    #[error("the card's schema id is {found}, its schema has {computed}")]
    SchemaId {
        /// In the card.
        found: String,
        /// From the schema.
        computed: String,
    },
    /// A width beyond the limit.
    #[error("{what} is {width} wide, the limit is {MAX_WIDTH}")]
    TooWide {
        /// Layer or group of features.
        what: &'static str,
        /// Its width.
        width: usize,
    },
    /// A tensor too many.
    #[error("the file has an unknown tensor `{0}`")]
    UnknownTensor(String),
    /// A tensor too few.
    #[error("the file lacks the tensor `{0}`")]
    MissingTensor(&'static str),
    /// A tensor of another type or shape.
    #[error("tensor `{name}` is {found}, expected float32 {expected:?}")]
    Tensor {
        /// Its name.
        name: &'static str,
        /// Its type and shape.
        found: String,
        /// The shape that the card implies.
        expected: Vec<usize>,
    },
    /// The weights are not those of the card.
    #[error("the tensors have the digest {computed}, the card says {found}")]
    Digest {
        /// In the card.
        found: String,
        /// From the bytes.
        computed: String,
    },
    /// The weights make no network.
    #[error(transparent)]
    Net(#[from] NetError),
    /// The prior's weight is infinite or not a number.
    #[error("lambda is {0}")]
    Lambda(f32),
    /// Too few golden cases.
    #[error("the card has {0} golden cases, at least {MIN_GOLDEN} are needed")]
    FewGolden(usize),
    /// A golden case that cannot be computed.
    #[error("golden case {case}: {what}")]
    GoldenShape {
        /// Which one.
        case: usize,
        /// What is wrong.
        what: String,
    },
    /// This build computes another logit.
    #[error("golden case {case}: logit {action} is {computed}, the card says {found}")]
    GoldenLogit {
        /// Which one.
        case: usize,
        /// Which action.
        action: usize,
        /// In the card.
        found: f32,
        /// Computed here.
        computed: f32,
    },
    /// This build chooses another action.
    #[error("golden case {case}: action {computed} is chosen, the card says {found}")]
    GoldenChoice {
        /// Which one.
        case: usize,
        /// In the card.
        found: usize,
        /// Computed here.
        computed: usize,
    },
    /// The policy reads a feature that this program does not compute.
    #[error(
        "{group} feature {index} of the policy, `{name}`, is none of this program's: it needs the version it was trained with, or to be \
         trained again"
    )]
    Schema {
        /// Group of features.
        group: &'static str,
        /// Place in the group.
        index: usize,
        /// Its name.
        name: String,
    },
    /// The file cannot be read.
    #[error("cannot read {path}: {why}")]
    Read {
        /// The file.
        path: String,
        /// What the system says.
        why: std::io::Error,
    },
    /// The file cannot be written.
    #[error("cannot write {path}: {why}")]
    Io {
        /// The file.
        path: String,
        /// What the system says.
        why: std::io::Error,
    },
}

/// A policy that no longer changes, with its card.
#[derive(Clone, Debug, PartialEq)]
pub struct Frozen {
    card: Card,
    net: PolicyNet,
}

impl Frozen {
    /// Freezes `net`, recording what it makes of each case (an observation and the prior's action).
    pub fn new(
        origin: Origin,
        net: PolicyNet,
        cases: &[(Observation, Option<usize>)],
    ) -> Result<Self, FrozenError> {
        let golden: Vec<_> =
            cases.iter().filter_map(|(obs, prior)| Golden::record(&net, obs, *prior)).collect();
        let (sizes, lambda) = (*net.sizes(), net.lambda());
        let schema_id = schema_id(&origin.schema);
        let card = Card { format: FORMAT, schema_id, sizes, lambda, origin, golden, digest: String::new() };
        Self::of(card, net)
    }

    /// A network with its card, whose digest is filled in.
    pub(crate) fn of(card: Card, net: PolicyNet) -> Result<Self, FrozenError> {
        let card = Card { digest: digest(net.params()), ..card };
        check_card(&card)?;
        let need = Layout::policy(&Dims::from(&card.origin.schema), &card.sizes).total();
        if *net.dims() != Dims::from(&card.origin.schema) {
            return Err(NetError::Length { got: net.params().len(), need }.into());
        }
        Ok(Self { card, net })
    }

    /// What the policy says about itself.
    pub fn card(&self) -> &Card {
        &self.card
    }

    /// The network.
    pub fn net(&self) -> &PolicyNet {
        &self.net
    }

    /// Computes the golden cases again: the logits to [`TOLERANCE`], the same choice.
    pub fn verify_golden(&self) -> Result<(), FrozenError> {
        let mut scratch = Scratch::default();
        for (case, golden) in self.card.golden.iter().enumerate() {
            let logits = self.net.logits(&golden.observation(), golden.prior, &mut scratch);
            let pairs = logits.iter().zip(&golden.logits).enumerate();
            for (action, (&computed, &found)) in pairs {
                if (computed - found).abs() > TOLERANCE {
                    return Err(FrozenError::GoldenLogit { case, action, found, computed });
                }
            }
            let computed = first_highest(logits).unwrap_or(usize::MAX);
            if computed != golden.action {
                return Err(FrozenError::GoldenChoice { case, found: golden.action, computed });
            }
        }
        Ok(())
    }
}

/// Writes the file as a whole or not at all: into a temporary file beside it, then by one rename.
pub fn write(path: &Path, frozen: &Frozen) -> Result<(), FrozenError> {
    let bytes = to_bytes(frozen)?;
    let error = |why| FrozenError::Io { path: path.display().to_string(), why };
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let temporary = path.with_file_name(format!(".{name}.{}.tmp", std::process::id()));
    let written = fs::File::create(&temporary)
        .and_then(|mut file| file.write_all(&bytes).and_then(|()| file.sync_all()))
        .and_then(|()| fs::rename(&temporary, path));
    written.map_err(|why| {
        // The temporary file may not even exist; the first error is the one to tell.
        let _ = fs::remove_file(&temporary);
        error(why)
    })
}

/// The bytes of the file.
pub fn to_bytes(frozen: &Frozen) -> Result<Vec<u8>, FrozenError> {
    let net = &frozen.net;
    let bytes: Vec<u8> = net.params().iter().flat_map(|value| value.to_le_bytes()).collect();
    let mut views = Vec::new();
    for entry in net.layout().entries() {
        let part = &bytes[4 * entry.offset..4 * (entry.offset + entry.len())];
        views.push((entry.name, TensorView::new(Dtype::F32, entry.shape.clone(), part)?));
    }
    let card = serde_json::to_string(&frozen.card).map_err(FrozenError::Card)?;
    let file = safetensors::serialize(views, Some(HashMap::from([(CARD.to_owned(), card)])))?;
    check_limits(&file)?;
    Ok(file)
}

/// Reads a frozen policy from a file, of which no more than [`MAX_FILE`] bytes are taken; otherwise as [`read`].
pub fn load(path: &Path) -> Result<Frozen, FrozenError> {
    let mut bytes = Vec::new();
    let opened = fs::File::open(path).and_then(|file| file.take(MAX_FILE as u64 + 1).read_to_end(&mut bytes));
    opened.map_err(|why| FrozenError::Read { path: path.display().to_string(), why })?;
    read(&bytes)
}

/// Reads a frozen policy, or says what is wrong with it. The golden cases are checked for shape and not computed.
pub fn read(bytes: &[u8]) -> Result<Frozen, FrozenError> {
    check_limits(bytes)?;
    let (_, header) = SafeTensors::read_metadata(bytes)?;
    let card = read_card(header.metadata().as_ref())?;
    check_card(&card)?;
    let dims = Dims::from(&card.origin.schema);
    let layout = Layout::policy(&dims, &card.sizes);
    let params = read_tensors(&SafeTensors::deserialize(bytes)?, &layout)?;
    let computed = digest(&params);
    if computed != card.digest {
        return Err(FrozenError::Digest { found: card.digest, computed });
    }
    let net = PolicyNet::new(dims, card.sizes, card.lambda, &params)?;
    Ok(Frozen { card, net })
}

fn check_limits(bytes: &[u8]) -> Result<(), FrozenError> {
    let too_large = |what, size, limit| Err(FrozenError::TooLarge { what, size, limit });
    if bytes.len() > MAX_FILE {
        return too_large("file", bytes.len() as u64, MAX_FILE);
    }
    let Some((&first, rest)) = bytes.split_first_chunk() else { return Ok(()) };
    match u64::from_le_bytes(first) {
        // Whatever is read as a length, a header is a JSON object.
        _ if rest.first().is_some_and(|&byte| byte != b'{') => Err(FrozenError::Foreign),
        header if header > MAX_HEADER as u64 => too_large("header", header, MAX_HEADER),
        _ => Ok(()),
    }
}

fn read_card(metadata: Option<&HashMap<String, String>>) -> Result<Card, FrozenError> {
    let mut keys: Vec<String> = metadata.iter().flat_map(|map| map.keys().cloned()).collect();
    keys.sort_unstable();
    let text = match metadata.and_then(|map| map.get(CARD)) {
        Some(text) if keys.len() == 1 => text,
        _ => return Err(FrozenError::Metadata(keys)),
    };
    // The version comes first: a card of another version may have other fields.
    let loose: serde_json::Value = serde_json::from_str(text).map_err(FrozenError::Card)?;
    let format = &loose["format"];
    if format.as_u64() != Some(u64::from(FORMAT)) {
        return Err(FrozenError::Format { found: format.to_string() });
    }
    serde_json::from_str(text).map_err(FrozenError::Card)
}

fn check_card(card: &Card) -> Result<(), FrozenError> {
    let schema = &card.origin.schema;
    let computed = schema_id(schema);
    if card.schema_id != computed {
        return Err(FrozenError::SchemaId { found: card.schema_id.clone(), computed });
    }
    check_widths(&Dims::from(schema), &card.sizes)?;
    if !card.lambda.is_finite() {
        return Err(FrozenError::Lambda(card.lambda));
    }
    if card.golden.len() < MIN_GOLDEN {
        return Err(FrozenError::FewGolden(card.golden.len()));
    }
    for (case, golden) in card.golden.iter().enumerate() {
        if let Some(what) = golden.fault(schema) {
            return Err(FrozenError::GoldenShape { case, what });
        }
    }
    Ok(())
}

fn check_widths(dims: &Dims, sizes: &Sizes) -> Result<(), FrozenError> {
    let widths = [
        ("the group of global features", dims.global),
        ("the group of job features", dims.job),
        ("the group of node features", dims.node),
        ("the group of pair features", dims.pair),
        ("layer `hidden`", sizes.hidden),
        ("layer `embed`", sizes.embed),
        ("layer `context`", sizes.context),
        ("layer `pair`", sizes.pair),
        ("layer `wait`", sizes.wait),
    ];
    match widths.into_iter().find(|(_, width)| *width > MAX_WIDTH) {
        Some((what, width)) => Err(FrozenError::TooWide { what, width }),
        None => Ok(()),
    }
}

/// The flat weights in the layout's order.
fn read_tensors(file: &SafeTensors<'_>, layout: &Layout) -> Result<Vec<f32>, FrozenError> {
    if let Some(name) = file.names().into_iter().filter(|name| layout.entry(name).is_none()).min() {
        return Err(FrozenError::UnknownTensor(name.to_owned()));
    }
    let mut params = Vec::with_capacity(layout.total().min(MAX_FILE / 4));
    for entry in layout.entries() {
        let tensor = file.tensor(entry.name).map_err(|_| FrozenError::MissingTensor(entry.name))?;
        if tensor.dtype() != Dtype::F32 || tensor.shape() != entry.shape {
            let found = format!("{:?} {:?}", tensor.dtype(), tensor.shape());
            return Err(FrozenError::Tensor { name: entry.name, found, expected: entry.shape.clone() });
        }
        let (values, _) = tensor.data().as_chunks::<4>();
        params.extend(values.iter().map(|&value| f32::from_le_bytes(value)));
    }
    Ok(params)
}

fn digest(params: &[f32]) -> String {
    let mut sha = Sha256::new();
    params.iter().for_each(|value| sha.update(value.to_le_bytes()));
    hex(&sha.finalize())
}

#[cfg(test)]
#[path = "frozen_tests.rs"]
mod tests;
