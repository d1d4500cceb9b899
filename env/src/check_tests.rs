use super::*;
use crate::gym::testing::random_env;
use crate::gym::{EpisodeStats, Padding, Settings};

/// One broken promise each.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fault {
    None,
    Gap,
    Empty,
    NoActions,
    SameName,
    GrowingSpaces,
    NotANumber,
    InfiniteReward,
    AllMasked,
    BothEnds,
    NoStats,
    EarlyStats,
    WrongReturn,
    WrongLengthInStats,
    WrongSeed,
    RestlessReset,
    RestlessStep,
    NeverOver,
    TakesMasked,
    TakesMaskedInStep,
    TakesBeyond,
    TakesShortObs,
    TakesLongMask,
    TakesShortReset,
    RefusalWrites,
    RefusalMoves,
    AcceptsAll,
    RefusesLegal,
}

/// Counts to a limit that depends on the seed; action 1 counts double, but only from even numbers.
struct Toy {
    fault: Fault,
    seed: u64,
    count: u32,
    steps: u64,
    total: f64,
    over: bool,
    resets: u32,
}

impl Toy {
    fn new(fault: Fault) -> Toy {
        Toy { fault, seed: 0, count: 0, steps: 0, total: 0.0, over: true, resets: 0 }
    }

    fn has(&self, fault: Fault) -> bool {
        self.fault == fault
    }

    fn fit(&mut self, obs: &mut [f32], mask: &mut [bool], reset: bool) -> Result<(), EnvError> {
        let forgiven = match self.fault {
            Fault::TakesShortObs => !reset && obs.len() == 1,
            Fault::TakesLongMask => !reset && mask.len() == 4,
            Fault::TakesShortReset => reset && obs.len() == 1,
            _ => false,
        };
        if forgiven {
            return Ok(());
        }
        let fit = self.spaces().fit(obs, mask);
        if fit.is_err() && self.has(Fault::RefusalWrites) {
            obs.fill(0.5);
        }
        fit
    }

    fn write(&self, obs: &mut [f32], mask: &mut [bool]) {
        obs.fill(self.count as f32);
        if self.has(Fault::RestlessReset) && self.steps == 0
            || self.has(Fault::RestlessStep) && self.steps == 2
        {
            obs[0] += self.resets as f32;
        }
        if self.has(Fault::NotANumber) && self.steps == 2 {
            obs[0] = f32::NAN;
        }
        mask.fill(false);
        let hidden = self.has(Fault::AllMasked) && self.steps == 1;
        if !self.over && !hidden {
            mask[0] = true;
            mask[1] = self.count.is_multiple_of(2);
        }
    }
}

impl Env for Toy {
    fn spaces(&self) -> Spaces {
        let mut spaces = Spaces::new(&[("count", 1, 1), ("copy", 1, 1)], 3);
        match self.fault {
            Fault::Gap => spaces.observation[1].offset += 1,
            Fault::Empty => spaces.observation[1].rows = 0,
            Fault::NoActions => spaces.actions = 0,
            Fault::SameName => spaces.observation[1].name = "count".into(),
            Fault::GrowingSpaces if self.resets > 8 => spaces.observation[1].name = "other".into(),
            _ => {}
        }
        spaces
    }

    fn reset(&mut self, seed: u64, obs: &mut [f32], mask: &mut [bool]) -> Result<(), EnvError> {
        self.fit(obs, mask, true)?;
        *self = Toy { seed, over: false, resets: self.resets + 1, ..Toy::new(self.fault) };
        self.write(obs, mask);
        Ok(())
    }

    fn accepts(&self, action: usize) -> Result<(), EnvError> {
        match action {
            _ if self.over && !self.has(Fault::NeverOver) => Err(EnvError::Over),
            3.. if !self.has(Fault::TakesBeyond) => Err(EnvError::NoSuchAction { action, actions: 3 }),
            2 if !self.has(Fault::TakesMasked) && !self.has(Fault::AcceptsAll) => {
                Err(EnvError::Masked { action })
            }
            1 if self.count % 2 == 1 => Err(EnvError::Masked { action }),
            _ => Ok(()),
        }
    }

    fn step(&mut self, action: usize, obs: &mut [f32], mask: &mut [bool]) -> Result<Transition, EnvError> {
        if self.has(Fault::RefusesLegal) && self.steps == 3 {
            return Err(EnvError::Over);
        }
        let refused = self.fit(obs, mask, false).and_then(|()| match action {
            2 if self.has(Fault::TakesMaskedInStep) && !self.over => Ok(()),
            _ => self.accepts(action),
        });
        if self.has(Fault::RefusalMoves) && refused.is_err() {
            self.count += 2;
        }
        refused?;
        self.count += action as u32 + 1;
        self.steps += 1;
        let reward = if self.has(Fault::InfiniteReward) { f64::INFINITY } else { -1.0 };
        self.total += reward;
        let terminated = self.count > 7 + (self.seed % 5) as u32;
        let both = self.has(Fault::BothEnds);
        let truncated = if both { terminated } else { !terminated && self.steps == 8 };
        self.over = terminated || truncated;
        self.write(obs, mask);
        let stats = (self.over && !self.has(Fault::NoStats)) || self.has(Fault::EarlyStats);
        let stats = stats.then(|| EpisodeStats {
            episode_return: self.total + f64::from(u8::from(self.has(Fault::WrongReturn))),
            length: self.steps + u64::from(self.has(Fault::WrongLengthInStats)),
            objective: 0.0,
            seed: if self.has(Fault::WrongSeed) { 99 } else { self.seed },
            clipped: 0,
        });
        Ok(Transition { reward, terminated, truncated, stats })
    }
}

#[test]
fn a_sound_environment_passes() {
    assert_eq!(check_env(&mut Toy::new(Fault::None)), Ok(()));
}

#[test]
fn the_schedulers_environment_passes() {
    let padding = Padding { jobs: 3, nodes: 2, candidates: 4 };
    for settings in [Settings::default(), Settings { max_decisions: Some(5), reward_scale: 3.0, padding }] {
        assert_eq!(check_env(&mut random_env(settings)), Ok(()));
    }
}

/// The name of the failure that a fault leads to.
fn caught(fault: Fault) -> String {
    let failure = check_env(&mut Toy::new(fault)).expect_err("the fault was not caught");
    assert!(!failure.to_string().is_empty());
    let text = format!("{failure:?}");
    text.split([' ', '{']).next().unwrap().to_owned()
}

#[test]
fn every_broken_promise_is_caught() {
    for (fault, failure) in [
        (Fault::Gap, "BadSpaces"),
        (Fault::Empty, "BadSpaces"),
        (Fault::NoActions, "BadSpaces"),
        (Fault::SameName, "BadSpaces"),
        (Fault::GrowingSpaces, "SpacesChanged"),
        (Fault::NotANumber, "NotFinite"),
        (Fault::InfiniteReward, "BadReward"),
        (Fault::AllMasked, "NothingLegal"),
        (Fault::BothEnds, "BothEnds"),
        (Fault::NoStats, "BadStats"),
        (Fault::EarlyStats, "BadStats"),
        (Fault::WrongReturn, "BadStats"),
        (Fault::WrongLengthInStats, "BadStats"),
        (Fault::WrongSeed, "BadStats"),
        (Fault::RestlessReset, "ResetDiffers"),
        (Fault::RestlessStep, "TrajectoryDiffers"),
        (Fault::NeverOver, "StepAfterEnd"),
        (Fault::TakesMasked, "AcceptsDiffers"),
        (Fault::TakesMaskedInStep, "IllegalTaken"),
        (Fault::TakesBeyond, "IllegalTaken"),
        (Fault::TakesShortObs, "WrongLengthTaken"),
        (Fault::TakesLongMask, "WrongLengthTaken"),
        (Fault::TakesShortReset, "WrongLengthTaken"),
        (Fault::RefusalWrites, "RefusalWrote"),
        (Fault::RefusalMoves, "RefusalChanged"),
        (Fault::AcceptsAll, "AcceptsDiffers"),
        (Fault::RefusesLegal, "Refused"),
    ] {
        assert_eq!(caught(fault), failure, "{fault:?}");
    }
}
