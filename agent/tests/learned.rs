//! A learned policy and the rule that it starts from.

use std::sync::Arc;

use yardmaster_agent::learned::Learned;
use yardmaster_agent::net::{Dims, Layout, PolicyNet, Sizes};
use yardmaster_agent::policy::{Policy, play};
use yardmaster_agent::registry;
use yardmaster_env::observe::Schema;
use yardmaster_env::sim::World;
use yardmaster_env::spec::{Split, builtin};

/// A network without an opinion that does what the rule does.
fn follower(rule: &str) -> Learned {
    let (dims, sizes) = (Dims::from(&Schema::current()), Sizes::default());
    let params = vec![0.0; Layout::policy(&dims, &sizes).total()];
    let net = PolicyNet::new(dims, sizes, 10.0, &params).unwrap();
    Learned::new("follower", Arc::new(net), rule).unwrap()
}

fn world(scenario: &str, episode: u64) -> Arc<World> {
    Arc::new(builtin(scenario).unwrap().world(Split::Validation.seed(11, episode)).unwrap())
}

/// Whatever a rule does is among the actions: its batches and variants, its holds, its nodes, its gangs, what it cuts off.
#[test]
fn who_follows_a_rule_does_exactly_what_the_rule_does() {
    for (scenario, rule) in [
        ("tiny", "price"),
        ("gang", "min-min"),
        ("locality", "price(alpha=4,fetch=5)"),
        ("preempt", "price(preempt=0.5,migrate=0.9)"),
        ("elastic", "price(alpha=1,preempt=0.5,migrate=0.9,width=1)"),
        ("serving-swap", "tardiness(patience=1,warm=6)"),
        ("serving-burst", "mct+timeout(ms=3)"),
        ("edge", "price+tardiness"),
        ("hpc-256", "saf"),
    ] {
        let world = world(scenario, 0);
        let of_rule = play(&world, &mut *registry::build(rule).unwrap(), 5).unwrap();
        let of_net = play(&world, &mut follower(rule), 5).unwrap();
        assert_eq!(of_net.digest(), of_rule.digest(), "{rule} on {scenario}");
    }
}

#[test]
fn a_copy_goes_on_as_the_policy_would() {
    let world = world("preempt", 1);
    let rule = "price(preempt=0.5,migrate=0.9)";
    let whole = play(&world, &mut follower(rule), 5).unwrap();
    let mut fork = follower(rule).fork().expect("its rule can be copied");
    assert_eq!(play(&world, &mut *fork, 5).unwrap().digest(), whole.digest());
}
