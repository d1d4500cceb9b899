//! Max-min fair shares of links by progressive filling (Bertsekas and Gallager, Data Networks, 1992, section 6.5.2):
//! all rates rise together; a transfer stops at its own limit, or when a link on its way is full.

use super::link::{LinkId, Path};

/// What a transfer asks for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Demand<'a> {
    /// The links it passes; at least one.
    pub(super) path: &'a Path,
    /// Its own limit, in bytes per second; may be infinite.
    pub(super) limit: f64,
}

/// A link on somebody's way.
struct Filling {
    link: LinkId,
    /// Capacity that no stopped transfer uses.
    left: f64,
    /// Transfers that still rise.
    rising: u32,
}

impl Filling {
    /// The level at which it would be full.
    fn share(&self) -> f64 {
        if self.rising == 0 { f64::INFINITY } else { self.left / f64::from(self.rising) }
    }
}

/// The rate of each transfer, in bytes per second. Each is above 0: a link gives none less than an equal share.
pub(super) fn rates(capacity: impl Fn(LinkId) -> f64, demands: &[Demand<'_>]) -> Vec<f64> {
    let mut links = used_links(&capacity, demands);
    let mut rates = vec![0.0; demands.len()];
    let mut rising: Vec<usize> = (0..demands.len()).collect();
    while !rising.is_empty() {
        let full = links.iter().map(Filling::share).fold(f64::INFINITY, f64::min);
        let limit = rising.iter().map(|&flow| demands[flow].limit).fold(f64::INFINITY, f64::min);
        // What gives the level stops at it, so that at least one transfer stops each time.
        let level = full.min(limit);
        let stopped: Vec<usize>;
        (stopped, rising) = rising.into_iter().partition(|&flow| stops(&links, &demands[flow], level));
        for flow in stopped {
            rates[flow] = level;
            for &link in demands[flow].path {
                let filling = find(&mut links, link);
                filling.left -= level;
                filling.rising -= 1;
            }
        }
    }
    rates
}

/// The links of all demands in order, each once.
fn used_links(capacity: impl Fn(LinkId) -> f64, demands: &[Demand<'_>]) -> Vec<Filling> {
    let mut links: Vec<LinkId> = demands.iter().flat_map(|demand| demand.path.iter().copied()).collect();
    links.sort_unstable();
    let filling = |run: &[LinkId]| Filling { link: run[0], left: capacity(run[0]), rising: run.len() as u32 };
    links.chunk_by(|a, b| a == b).map(filling).collect()
}

fn stops(links: &[Filling], demand: &Demand<'_>, level: f64) -> bool {
    let full = |link: &LinkId| links[place(links, *link)].share() <= level;
    demand.limit <= level || demand.path.iter().any(full)
}

fn find(links: &mut [Filling], link: LinkId) -> &mut Filling {
    let at = place(links, link);
    &mut links[at]
}

fn place(links: &[Filling], link: LinkId) -> usize {
    links.partition_point(|filling| filling.link < link)
}
