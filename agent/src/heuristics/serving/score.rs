//! By what the batches that could start now are compared: the one with the highest score starts.

use yardmaster_env::units::{Span, Time};
use yardmaster_env::view::View;

use super::backlog::Backlog;
use crate::heuristics::prices::Prices;

/// What late requests are worth to the rules that would rather serve others: enough that they go before nothing at
/// all, as latency counts too.
const LATE: f64 = 0.05;

/// A rule of comparison.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Score {
    /// Requests answered in time per priced device-second (goodput density, as Nexus, Shen et al., SOSP'19, packs and drops);
    /// late ones count [`LATE`]. The load of a model is spread over all that wait for it.
    Index {
        /// Exponent of the device's price, in that of a mean device.
        beta: f64,
    },
    /// Batched apparent tardiness cost (Mason, Fowler and Carlyle 2002, after Vepsalainen and Morton 1987): weight times
    /// `exp(-slack / (kappa * patience))` per device-second, where slack is what is left to the deadline at the end of the
    /// batch and patience the time from arrival to deadline; late ones count [`LATE`].
    Tardiness {
        /// The scale of urgency.
        kappa: f64,
        /// Urgency of a request that has all the time in the world.
        floor: f64,
    },
    /// Requests that wait times requests served per device-second (max-weight, Tassiulas and Ephremides 1992).
    MaxWeight,
    /// Marginal cost of the oldest request's delay times requests served per device-second, where the cost is a power of
    /// the delay in terms of the deadline (generalised c-mu, van Mieghem 1995).
    GcMu {
        /// The power, above 1.
        power: f64,
    },
    /// Least slack of the oldest request that can still be in time.
    Slack,
    /// The oldest deadline among models that need no load. One that does is loaded once `backlog` requests wait for it, or
    /// when its oldest would be late otherwise.
    KeepWarm {
        /// Requests that justify a load.
        backlog: u32,
    },
}

/// A batch that could start now.
#[derive(Clone, Copy, Debug)]
pub(super) struct Offer {
    pub(super) slot: usize,
    pub(super) variant: u16,
    pub(super) batch: u32,
    /// Until it computes.
    pub(super) setup: Span,
    pub(super) compute: Span,
}

impl Offer {
    pub(super) fn finish(&self, now: Time) -> Time {
        now + self.setup + self.compute
    }
}

impl Score {
    /// The scale of urgency that the backlog needs.
    pub(super) fn kappa(self) -> f64 {
        if let Score::Tardiness { kappa, .. } = self { kappa } else { 1.0 }
    }

    /// Whether the prices of devices matter.
    pub(super) fn prices(self) -> bool {
        matches!(self, Score::Index { beta } if beta > 0.0)
    }

    /// The worth of an offer, with its load counted `warm` times; higher is better. Among equals the one is better
    /// that serves more requests per device-second, which comes second.
    pub(super) fn of(
        self,
        view: &View<'_>,
        backlog: &Backlog<'_>,
        offer: &Offer,
        warm: f64,
        prices: &Prices,
    ) -> (f64, f64) {
        let busy_s = warm * offer.setup.as_secs_f64() + offer.compute.as_secs_f64();
        let rate = f64::from(offer.batch) / busy_s.max(1e-9);
        (self.worth(view, backlog, offer, warm, prices), rate)
    }

    fn worth(self, view: &View<'_>, backlog: &Backlog<'_>, offer: &Offer, warm: f64, prices: &Prices) -> f64 {
        let (end, finish) = (offer.batch as usize, offer.finish(view.now));
        let late = backlog.late(offer.batch, finish);
        let (setup_s, compute_s) = (warm * offer.setup.as_secs_f64(), offer.compute.as_secs_f64());
        let busy_s = (setup_s + compute_s).max(1e-9);
        match self {
            Score::Index { beta } => {
                let part = f64::from(offer.batch) / backlog.queue.len() as f64;
                let price = libm::pow(prices.of(offer.slot).max(1e-6), beta);
                let value = backlog.weight(late, end) + LATE * backlog.weight(0, late);
                value / ((setup_s * part + compute_s).max(1e-9) * price)
            }
            Score::Tardiness { floor, .. } => {
                let urgent = backlog.urgency(late, end, finish);
                (urgent + LATE * backlog.weight(0, late) + floor * backlog.weight(0, end)) / busy_s
            }
            Score::MaxWeight => backlog.queue.len() as f64 * f64::from(offer.batch) / busy_s,
            Score::GcMu { power } => {
                let waited_s = view.now.since(backlog.oldest().arrival).as_secs_f64() + setup_s + compute_s;
                let patience_s = backlog.patience.map_or(1.0, |patience| patience.as_secs_f64().max(1e-9));
                let marginal = power * libm::pow(waited_s / patience_s, power - 1.0) / patience_s;
                marginal * backlog.weight(0, end) / busy_s
            }
            // A batch that is late as a whole comes last.
            Score::Slack if late == end => f64::NEG_INFINITY,
            Score::Slack => -slack_s(backlog, late, view.now),
            Score::KeepWarm { .. } => -slack_s(backlog, 0, view.now),
        }
    }

    /// Until when to hold the offer back; `None` if it may go.
    pub(super) fn hold(self, view: &View<'_>, backlog: &Backlog<'_>, offer: &Offer) -> Option<Time> {
        let Score::KeepWarm { backlog: enough } = self else { return None };
        let deadline = backlog.oldest().deadline?;
        let last = Time(deadline.0.saturating_sub((offer.setup + offer.compute).0));
        let wait = offer.setup > Span::ZERO && backlog.queue.len() < enough as usize;
        (wait && last > view.now).then_some(last)
    }
}

/// Seconds from a moment to the deadline of a request, below 0 if that has passed.
fn slack_s(backlog: &Backlog<'_>, at: usize, moment: Time) -> f64 {
    let deadline = backlog.deadline(at).map_or(f64::INFINITY, Time::as_secs_f64);
    deadline - moment.as_secs_f64()
}
