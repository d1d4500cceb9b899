//! CartPole-v1: the classical small world on which learners are compared.
//!
//! Dynamics, limits and reward are those of Gymnasium's `CartPole-v1` (Barto, Sutton and Anderson 1983; equations of
//! Florian 2007): explicit Euler at 50 Hz on a state in f64, observations in f32, 500 steps, reward 1 a step. Only the
//! generator that draws the first state is another. `tests/golden/cartpole.csv` holds Gymnasium's own trajectories.

use rand::{RngExt, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;
use yardmaster_env::gym::{Env, EnvError, EpisodeStats, Spaces, Transition};

/// Steps after which an episode is cut off.
pub const MAX_STEPS: u64 = 500;

const GRAVITY: f64 = 9.8;
const POLE_MASS: f64 = 0.1;
const TOTAL_MASS: f64 = 1.0 + POLE_MASS;
/// Half of the pole's length, in metres.
const LENGTH: f64 = 0.5;
const POLE_MASS_LENGTH: f64 = POLE_MASS * LENGTH;
const FORCE: f64 = 10.0;
/// Seconds between decisions.
const TAU: f64 = 0.02;
const MAX_POSITION: f64 = 2.4;
/// Twelve degrees.
const MAX_ANGLE: f64 = 12.0 * 2.0 * std::f64::consts::PI / 360.0;
/// The first state is uniform between minus and plus this.
const START: f64 = 0.05;

/// Position and velocity of the cart, angle and angular velocity of the pole: m, m/s, rad, rad/s.
type State = [f64; 4];

/// A cart that is pushed to the left (0) or to the right (1) so that its pole stays up.
#[derive(Clone, Debug, Default)]
pub struct CartPole {
    state: State,
    seed: u64,
    steps: u64,
    running: bool,
}

impl CartPole {
    fn write(&self, obs: &mut [f32], mask: &mut [bool], terminated: bool) {
        obs.iter_mut().zip(self.state).for_each(|(to, value)| *to = value as f32);
        mask.fill(!terminated);
    }
}

impl Env for CartPole {
    fn spaces(&self) -> Spaces {
        Spaces::new(&[("state", 1, 4)], 2)
    }

    fn reset(&mut self, seed: u64, obs: &mut [f32], mask: &mut [bool]) -> Result<(), EnvError> {
        fit(obs, mask)?;
        let mut random = Xoshiro256PlusPlus::seed_from_u64(seed);
        let state = std::array::from_fn(|_| random.random_range(-START..START));
        *self = Self { state, seed, steps: 0, running: true };
        self.write(obs, mask, false);
        Ok(())
    }

    fn accepts(&self, action: usize) -> Result<(), EnvError> {
        match (self.running, action) {
            (false, _) => Err(EnvError::Over),
            (true, 0 | 1) => Ok(()),
            (true, _) => Err(EnvError::NoSuchAction { action, actions: 2 }),
        }
    }

    fn step(&mut self, action: usize, obs: &mut [f32], mask: &mut [bool]) -> Result<Transition, EnvError> {
        fit(obs, mask)?;
        self.accepts(action)?;
        self.state = advance(self.state, action);
        self.steps += 1;
        let terminated = fallen(&self.state);
        // A pole that falls in the last step has fallen: nothing is to come after it.
        let truncated = !terminated && self.steps == MAX_STEPS;
        self.running = !(terminated || truncated);
        self.write(obs, mask, terminated);
        let length = self.steps;
        let stats = (!self.running).then_some(EpisodeStats {
            episode_return: length as f64,
            length,
            objective: length as f64,
            seed: self.seed,
            clipped: 0,
        });
        Ok(Transition { reward: 1.0, terminated, truncated, stats })
    }
}

/// The state after one interval of pushing.
fn advance([position, velocity, angle, spin]: State, action: usize) -> State {
    let force = if action == 1 { FORCE } else { -FORCE };
    let (sin, cos) = libm::sincos(angle);
    let push = (force + POLE_MASS_LENGTH * (spin * spin) * sin) / TOTAL_MASS;
    let turn = (GRAVITY * sin - cos * push) / (LENGTH * (4.0 / 3.0 - POLE_MASS * (cos * cos) / TOTAL_MASS));
    let pull = push - POLE_MASS_LENGTH * turn * cos / TOTAL_MASS;
    [position + TAU * velocity, velocity + TAU * pull, angle + TAU * spin, spin + TAU * turn]
}

fn fallen([position, _, angle, _]: &State) -> bool {
    position.abs() > MAX_POSITION || angle.abs() > MAX_ANGLE
}

/// The same check as `Spaces::fit`, without building the spaces at every step.
fn fit(obs: &[f32], mask: &[bool]) -> Result<(), EnvError> {
    for (buffer, found, need) in [("observation", obs.len(), 4), ("mask", mask.len(), 2)] {
        if found != need {
            return Err(EnvError::Length { buffer, found, need });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use yardmaster_env::check::check_env;

    /// Trajectory, step, action, terminated, and the state after the step; the action of a first state is empty.
    const GOLDEN: &str = include_str!("../../tests/golden/cartpole.csv");

    #[test]
    fn trajectories_are_those_of_gymnasium() {
        let (mut state, mut steps, mut ends) = ([0.0; 4], 0, 0);
        for line in GOLDEN.lines().filter(|line| !line.starts_with(['#', 't'])) {
            let fields: Vec<&str> = line.split(',').collect();
            let expected: State = std::array::from_fn(|k| fields[4 + k].parse().unwrap());
            if fields[2].is_empty() {
                state = expected;
                continue;
            }
            state = advance(state, fields[2].parse().unwrap());
            let gap = state.iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
            assert!(gap < 1e-9, "{line}: got {state:?}");
            assert_eq!(fallen(&state), fields[3] == "1", "{line}");
            steps += 1;
            ends += usize::from(fallen(&state));
        }
        assert!(steps > 500 && ends >= 3, "{steps} steps and {ends} ends are not the golden file");
    }

    #[test]
    fn it_keeps_the_gym_contract() {
        check_env(&mut CartPole::default()).unwrap();
    }

    #[test]
    fn a_pole_that_stays_up_is_cut_off_after_500_steps_and_one_that_falls_terminates() {
        let (mut obs, mut mask) = ([0.0; 4], [false; 2]);
        let mut play = |choose: fn(&[f32; 4]) -> usize| {
            let mut env = CartPole::default();
            env.reset(7, &mut obs, &mut mask).unwrap();
            assert!(obs.iter().all(|value| value.abs() <= 0.05) && obs.iter().any(|&value| value != 0.0));
            loop {
                let step = env.step(choose(&obs), &mut obs, &mut mask).unwrap();
                if let Some(stats) = step.stats {
                    return (stats.length, stats.episode_return, step.terminated, step.truncated, mask);
                }
            }
        };
        let balance =
            |obs: &[f32; 4]| usize::from(obs[2] + 0.5 * obs[3] + 0.02 * obs[0] + 0.05 * obs[1] > 0.0);
        assert_eq!(play(balance), (500, 500.0, false, true, [true; 2]));
        let (length, _, terminated, truncated, mask) = play(|_| 1);
        assert!(length < 15 && terminated && !truncated && mask == [false; 2]);
    }
}
