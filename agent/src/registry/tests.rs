//! Names, their parameters, and what is said of wrong ones.

use super::*;

fn error(name: &str) -> String {
    match build(name) {
        Ok(_) => panic!("{name} was built"),
        Err(error) => error.to_string(),
    }
}

#[test]
fn every_entry_builds() {
    for name in entries().iter().map(|entry| entry.name) {
        assert!(build(name).is_ok(), "{name}");
    }
    assert!(build("sjf+wrr+timeout(ms=2)").is_ok());
    assert!(build("mct+wait-for(k=8,ms=20)").is_ok());
}

#[test]
fn a_look_ahead_is_not_tuned() {
    for refused in
        [parameters("search(base=price)").map(|_| ()), with_values("search(base=price)", &[]).map(|_| ())]
    {
        assert!(refused.unwrap_err().to_string().contains("tune its base, price"));
    }
}

#[test]
fn mistakes_are_named() {
    assert!(error("sfj").starts_with("unknown policy \"sfj\", did you mean sjf or "));
    assert!(error("sjf+fcfs").contains("two order rules: sjf and fcfs"));
    assert!(error("fcfs+mct").contains("two order rules: mct and fcfs"));
    assert!(error("random+one").contains("two batching rules: random and one"));
    assert!(build("mct+one").is_ok());
    assert!(error("timeout(ms=-2)").ends_with("ms is -2, it must be a number from 0 to 3600000"));
    assert!(error("timeout(ms=x)").ends_with("ms is \"x\", it must be a number"));
    assert!(error("timeout(ms=NaN)").ends_with("it must be a number from 0 to 3600000"));
    assert!(error("timeout(ms=1,ms=1)").ends_with("ms is given twice"));
    assert!(error("timeout(ms=2").ends_with("the closing parenthesis is missing"));
    assert!(error("timeout(2)").ends_with("write parameter=value, joined by commas"));
    assert!(error("sjf(ms=2)").contains("takes none"));
    assert!(error("one(ms=2)").contains("takes none"));
    assert!(error("timeout(s=2)").ends_with("valid is ms (default 5, 0 to 3600000)"));
    let valid = "valid are k (default 4, 1 to 1024), ms (default 1000, 0 to 3600000)";
    assert!(error("wait-for(n=2)").ends_with(valid), "{}", error("wait-for(n=2)"));
    assert!(error("fixed(k=2.5)").ends_with("k is 2.5, it must be a whole number from 1 to 1024"));
}

#[test]
fn tables_are_consistent() {
    for Entry { name, parameters, .. } in entries() {
        for parameter in parameters {
            let Parameter { default, tries, .. } = parameter;
            assert!(parameter.allows(*default) && tries.contains(default), "{name}: {parameter}");
            assert!(tries.iter().all(|&value| parameter.allows(value)), "{name}: {parameter}");
        }
    }
}

#[test]
fn parameters_are_listed_by_part() {
    let parts = parameters("sjf+timeout").unwrap();
    let names =
        |parameters: &[Parameter]| parameters.iter().map(|parameter| parameter.name).collect::<Vec<_>>();
    assert_eq!((parts[0].0.as_str(), names(parts[0].1)), ("sjf", vec![]));
    assert_eq!((parts[1].0.as_str(), names(parts[1].1)), ("timeout", vec!["ms"]));
}

#[test]
fn values_are_written_into_names() {
    assert_eq!(with_values("mct+timeout", &[(1, "ms", 2.0)]).unwrap(), "mct+timeout(ms=2)");
    // In the order of the table; a value replaces the one that was given.
    let name = with_values(" mct + fixed( ms = 20, k=3)", &[(1, "k", 8.0)]).unwrap();
    assert_eq!(name, "mct+fixed(k=8,ms=20)");
    assert!(build(&name).is_ok());
    assert_eq!(with_values("sjf", &[]).unwrap(), "sjf");
    let error = |values: &[(usize, &str, f64)]| with_values("mct+timeout", values).unwrap_err().to_string();
    assert!(error(&[(2, "ms", 2.0)]).contains("has 2 parts, there is no part 2"));
    assert!(error(&[(0, "ms", 2.0)]).contains("there is no parameter \"ms\", valid are fetch"));
    assert!(error(&[(1, "ms", -1.0)]).contains("it must be a number from 0 to 3600000"));
}
