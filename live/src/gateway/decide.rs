//! A policy with a rule behind it: whatever the policy does, what comes out can be carried out.

use std::panic::{AssertUnwindSafe, catch_unwind};

use yardmaster_agent::policy::Policy;
use yardmaster_env::units::{Span, Time};
use yardmaster_env::view::Decision;

use super::state::{Launch, State};

/// What is to be done now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Send this batch, and ask again.
    Start(Launch),
    /// Nothing until something happens, or until this moment.
    Wait(Option<Time>),
}

/// Who decides.
pub struct Decider {
    policy: Box<dyn Policy>,
    fallback: Box<dyn Policy>,
    /// After a wait without a moment the policy is asked again after this.
    hold: Span,
    /// How often the policy has been asked.
    pub decisions: u64,
    /// How often it panicked or decided what cannot be, so that the rule decided.
    pub fallbacks: u64,
}

impl Decider {
    /// A policy, and the rule that decides where it fails.
    pub fn new(policy: Box<dyn Policy>, fallback: Box<dyn Policy>, hold: Span) -> Decider {
        Decider { policy, fallback, hold, decisions: 0, fallbacks: 0 }
    }

    /// What the policy is called.
    pub fn name(&self) -> &str {
        self.policy.name()
    }

    /// The next step at this moment.
    pub fn next(&mut self, state: &mut State, now: Time) -> Step {
        if state.forget() {
            self.policy.reset(0);
            self.fallback.reset(0);
        }
        if !state.is_choice() {
            return Step::Wait(None);
        }
        self.decisions += 1;
        let policy = &mut self.policy;
        // Whatever a policy leaves behind when it panics is its own, and reset before it is asked again.
        let decided = catch_unwind(AssertUnwindSafe(|| policy.decide(&state.view(now))));
        if decided.is_err() {
            self.policy.reset(0);
        }
        if let Some(step) = decided.ok().and_then(|decision| self.step(state, now, &decision)) {
            return step;
        }
        self.fallbacks += 1;
        let decision = self.fallback.decide(&state.view(now));
        self.step(state, now, &decision).unwrap_or(Step::Wait(Some(now + self.hold)))
    }

    /// Carries out a decision; `None` if it cannot be.
    fn step(&self, state: &mut State, now: Time, decision: &Decision) -> Option<Step> {
        match decision {
            // A moment that has come would be waited for without end.
            Decision::Wait { until } => {
                Some(Step::Wait(Some(until.filter(|&until| until > now).unwrap_or(now + self.hold))))
            }
            decision => state.start(now, decision).ok().map(Step::Start),
        }
    }
}
