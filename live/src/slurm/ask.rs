//! A policy is asked what starts at one moment.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use yardmaster_agent::policy::Policy;
use yardmaster_env::view::Decision;

use super::moment::{Moment, Start, Taken};
use super::site::State;

/// What a policy wants at one moment.
pub(super) struct Asked {
    pub(super) starts: Vec<Start>,
    pub(super) set_aside: Vec<usize>,
    pub(super) until: Option<Duration>,
}

/// Asks until the policy waits or nothing is left to decide. A panic or an illegal decision is an error; what was
/// decided before it counts for nothing.
pub(super) fn ask(policy: &mut dyn Policy, moment: &mut Moment, state: &State) -> Result<Asked, String> {
    // Jobs are numbered anew at each look, and what a rule remembers of the last would be of others.
    policy.reset(0);
    let mut asked = Asked { starts: Vec::new(), set_aside: Vec::new(), until: None };
    while moment.has_choice() {
        let view = moment.view();
        let decision =
            catch_unwind(AssertUnwindSafe(|| policy.decide(&view))).map_err(|panic| panic_text(&*panic))?;
        match moment.take(state, &decision)? {
            Taken::Start(start) => asked.starts.push(start),
            Taken::SetAside(job) => asked.set_aside.push(job),
            Taken::Wait => {
                if let Decision::Wait { until: Some(until) } = decision {
                    asked.until = Some(Duration::from_nanos(until.since(moment.view().now).0.max(1)));
                }
                break;
            }
        }
    }
    Ok(asked)
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text =
        panic.downcast_ref::<&str>().map(ToString::to_string).or(panic.downcast_ref::<String>().cloned());
    format!("it panicked: {}", text.unwrap_or_else(|| "without a word".into()))
}
