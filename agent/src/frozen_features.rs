//! A frozen policy in a program that computes more features than it was trained on.
//!
//! Features are found by their names. Those that the policy does not know get weights of zero, so that it decides as it did; one that it
//! reads and this program does not compute cannot be made up.

use yardmaster_env::observe::Schema;

use crate::frozen::{Frozen, FrozenError};
use crate::frozen_card::{Golden, schema_id};
use crate::net::{Dims, Layout, PolicyNet};

/// Names of the groups and, of each, the arrays with a row for each feature: a matrix, whose last rows they are, then what normalises.
const GROUPS: [(&str, [(&str, f32); 3]); 4] = [
    ("global", [("context.w", 0.0), ("norm.global.shift", 0.0), ("norm.global.scale", 1.0)]),
    ("job", [("job.0.w", 0.0), ("norm.job.shift", 0.0), ("norm.job.scale", 1.0)]),
    ("node", [("node.0.w", 0.0), ("norm.node.shift", 0.0), ("norm.node.scale", 1.0)]),
    ("pair", [("pair.pair.w", 0.0), ("norm.pair.shift", 0.0), ("norm.pair.scale", 1.0)]),
];

/// Where the features of a program stand in a policy, by group: `None` for one that it does not know.
struct Places([Vec<Option<usize>>; 4]);

impl Frozen {
    /// The same policy for a program that computes the features of `schema`: its card, its weights and its golden cases are in these.
    /// Refused where it reads one that is not there.
    pub fn reading(&self, schema: &Schema) -> Result<Frozen, FrozenError> {
        let own = &self.card().origin.schema;
        if own == schema {
            return Ok(self.clone());
        }
        let places = Places::new(own, schema)?;
        let mut card = self.card().clone();
        card.origin.schema = schema.clone();
        card.schema_id = schema_id(schema);
        card.golden.iter_mut().for_each(|golden| places.widen_case(golden, own));
        Frozen::of(card, places.widen_net(self.net(), schema)?)
    }
}

impl Places {
    fn new(own: &Schema, schema: &Schema) -> Result<Places, FrozenError> {
        let (own, schema) = (groups(own), groups(schema));
        for (at, (group, _)) in GROUPS.into_iter().enumerate() {
            if let Some((index, name)) =
                own[at].iter().enumerate().find(|(_, name)| !schema[at].contains(name))
            {
                return Err(FrozenError::Schema { group, index, name: name.clone() });
            }
        }
        let places = |at: usize| {
            schema[at].iter().map(|name| own[at].iter().position(|known| known == name)).collect()
        };
        Ok(Places([0, 1, 2, 3].map(places)))
    }

    fn widen_net(&self, net: &PolicyNet, schema: &Schema) -> Result<PolicyNet, FrozenError> {
        let dims = Dims::from(schema);
        let layout = Layout::policy(&dims, net.sizes());
        let mut params = Vec::with_capacity(layout.total());
        for entry in net.layout().entries() {
            let old = &net.params()[entry.offset..entry.offset + entry.len()];
            let group = GROUPS.iter().zip(&self.0).find_map(|((_, arrays), places)| {
                let (_, unknown) = arrays.iter().find(|(name, _)| *name == entry.name)?;
                Some((places, *unknown))
            });
            let Some((places, unknown)) = group else {
                params.extend_from_slice(old);
                continue;
            };
            let width = entry.shape.get(1).copied().unwrap_or(1);
            let known = places.iter().flatten().count();
            let (before, rows) = old.split_at(old.len() - known * width);
            params.extend_from_slice(before);
            widen(rows, width, places, unknown, &mut params);
        }
        Ok(PolicyNet::new(dims, *net.sizes(), net.lambda(), &params)?)
    }

    /// What the policy does not know makes no difference to it, whatever it is.
    fn widen_case(&self, golden: &mut Golden, own: &Schema) {
        let [global, job, node, pair] = &self.0;
        let groups = [
            (&mut golden.global, global, own.global.len()),
            (&mut golden.jobs, job, own.job.len()),
            (&mut golden.nodes, node, own.node.len()),
            (&mut golden.pair_features, pair, own.pair.len()),
        ];
        for (values, places, known) in groups {
            let rows = std::mem::take(values);
            for row in rows.chunks_exact(known.max(1)) {
                widen(row, 1, places, 0.0, values);
            }
        }
    }
}

/// Appends the rows of `width` values at their new places, and `unknown` where there was none.
fn widen(rows: &[f32], width: usize, places: &[Option<usize>], unknown: f32, out: &mut Vec<f32>) {
    for place in places {
        match place {
            Some(at) => out.extend_from_slice(&rows[at * width..(at + 1) * width]),
            None => out.extend(std::iter::repeat_n(unknown, width)),
        }
    }
}

fn groups(schema: &Schema) -> [&[String]; 4] {
    [&schema.global, &schema.job, &schema.node, &schema.pair]
}
