//! Policies that a program adds to the registry under a name of its own.

use std::sync::{Arc, PoisonError, RwLock};

use super::{Entry, RegistryError};
use crate::policy::Policy;

/// Letters that names of policies are written with have a meaning between them.
const RESERVED: [char; 5] = ['+', '(', ')', ',', '='];

type Build = Arc<dyn Fn() -> Box<dyn Policy> + Send + Sync>;

/// A policy from outside.
struct Own {
    name: &'static str,
    about: &'static str,
    build: Build,
}

/// In order of their registration.
static OWN: RwLock<Vec<Own>> = RwLock::new(Vec::new());

/// Adds a policy to the registry of this program, which from then on knows it wherever policies have names: it is built,
/// listed, compared, looked ahead from, and may be a prior. It stands alone: it takes no parameters in its name, and is not
/// joined to other rules.
///
/// `build` makes a new one each time. A policy that remembers something between decisions should forget it in
/// [`Policy::reset`], and be copied by [`Policy::fork`], so that planners can go on with what it knows.
///
/// ```
/// use yardmaster_agent::evaluate::{Contestant, evaluate};
/// use yardmaster_agent::policy::{Policy, PolicyDefect};
/// use yardmaster_agent::registry;
/// use yardmaster_env::candidates::Candidates;
/// use yardmaster_env::spec::{Split, builtin};
/// use yardmaster_env::view::{Decision, View};
///
/// /// Starts whatever takes least time where it is started; waits only where nothing fits.
/// #[derive(Clone, Default)]
/// struct Shortest(Candidates);
///
/// impl Policy for Shortest {
///     fn name(&self) -> &str {
///         "shortest-here"
///     }
///
///     fn decide(&mut self, view: &View<'_>) -> Decision {
///         self.0.fill(view);
///         let span = |at: &usize| {
///             let candidate = &self.0.list[*at];
///             candidate.span(view, &self.0.works[candidate.work], self.0.nodes[candidate.node].slot)
///         };
///         let best = (0..self.0.list.len()).filter(|at| span(at).is_some()).min_by_key(span);
///         best.and_then(|at| self.0.decision(view, at)).unwrap_or(Decision::Wait { until: None })
///     }
///
///     fn fork(&self) -> Option<Box<dyn Policy>> {
///         Some(Box::new(self.clone()))
///     }
/// }
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// registry::register("shortest-here", "what takes least time where it starts", || Box::<Shortest>::default())?;
///
/// // Against rules that were there before, on the same held-out episodes.
/// let scenario = builtin("tiny")?;
/// let field = [Contestant::rule("shortest-here")?, Contestant::rule("fcfs")?, Contestant::rule("mct")?];
/// let seeds: Vec<u64> = (0..10).map(|number| Split::Test.seed(1, number)).collect();
/// let world = |seed| Ok::<_, PolicyDefect>(scenario.world(seed).expect("a built-in scenario").into());
/// let rows = evaluate(&field, &seeds, world, || ())?;
/// let ratio = &rows[0].ratio_to["fcfs"];
/// println!("shortest-here / fcfs: {:.3} {:?}", ratio.ratio, ratio.ci95);
/// # assert!(ratio.ratio < 1.0 && rows[0].ratio_to["mct"].ratio > 1.0);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// A name that is taken, or that cannot be written in a list of policies.
pub fn register(
    name: &str,
    about: &str,
    build: impl Fn() -> Box<dyn Policy> + Send + Sync + 'static,
) -> Result<(), RegistryError> {
    if name.is_empty()
        || name.contains(RESERVED)
        || name.contains(char::is_whitespace)
        || name.ends_with(".toml")
    {
        return Err(RegistryError::BadName { name: name.to_owned() });
    }
    let taken = super::entries().iter().any(|entry| entry.name == name) || super::build(name).is_ok();
    let mut own = OWN.write().unwrap_or_else(PoisonError::into_inner);
    if taken || own.iter().any(|other| other.name == name) {
        return Err(RegistryError::Taken { name: name.to_owned() });
    }
    // Entries live as long as the program, as those of the built-in tables do.
    let leak = |text: &str| -> &'static str { Box::leak(text.to_owned().into_boxed_str()) };
    own.push(Own { name: leak(name), about: leak(about), build: Arc::new(build) });
    Ok(())
}

/// A new policy of this name, if it was registered.
pub(super) fn build(name: &str) -> Option<Box<dyn Policy>> {
    // It may ask the registry itself, which must not be locked then.
    let build = with(|own| own.iter().find(|own| own.name == name).map(|own| Arc::clone(&own.build)));
    build.map(|build| build())
}

/// All that were registered.
pub(super) fn entries() -> Vec<Entry> {
    let entry = |own: &Own| Entry { name: own.name, part: "policy", about: own.about, parameters: &[] };
    with(|own| own.iter().map(entry).collect())
}

fn with<T>(read: impl FnOnce(&[Own]) -> T) -> T {
    read(&OWN.read().unwrap_or_else(PoisonError::into_inner))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry;

    fn error(result: Result<(), RegistryError>) -> String {
        result.unwrap_err().to_string()
    }

    /// One test, for the registry is one for the whole program.
    #[test]
    fn a_registered_policy_is_known_everywhere_and_stands_alone() {
        let add = |name: &str| register(name, "like mct", || registry::build("mct").unwrap());
        add("my-own").unwrap();
        assert!(registry::build(" my-own ").is_ok());
        assert!(registry::entries().iter().any(|entry| entry.name == "my-own" && entry.about == "like mct"));
        assert_eq!(registry::parameters("my-own").unwrap(), [("my-own".to_owned(), &[][..])]);
        assert!(registry::build("search(base=my-own)").is_ok());
        let near = registry::build("my-owm").map(|_| ()).unwrap_err().to_string();
        assert!(near.contains("did you mean my-own"), "{near}");
        for joined in ["my-own+timeout", "my-own(x=1)"] {
            let error = registry::build(joined).map(|_| ()).unwrap_err().to_string();
            assert!(error.contains("stands alone"), "{error}");
        }
        assert!(error(add("my-own")).contains("\"my-own\" is taken"));
        assert!(error(add("sjf")).contains("is taken") && error(add("search")).contains("is taken"));
        for bad in ["", "a+b", "a b", "a(1)", "a,b", "x.toml"] {
            assert!(error(add(bad)).contains("cannot be the name of a policy"), "{bad}");
        }
    }
}
