//! The reference of all settings: what `yardmaster-train settings` prints, made from the comments beside them.

use anyhow::{Context, Result};

use crate::config::Config;

/// Where the settings are declared.
const CONFIG: &str = include_str!("config.rs");
const SIZES: &str = include_str!("../../agent/src/net_layout.rs");

const HEAD: &str = "# Every setting of `yardmaster-train --config FILE.toml`, with its usual value. A file names those that differ;
# one that there is not is refused. Options of the command line take precedence.
";

/// A field of a struct with its comment.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Field {
    name: String,
    about: String,
}

/// A TOML file with every setting, its usual value, and one line on what it is.
///
/// # Errors
/// Settings that cannot be written as TOML.
pub fn reference() -> Result<String> {
    let usual = toml::to_string(&Config::default())?;
    let (plain, sections) = usual.split_once("\n[").unwrap_or((&usual, ""));
    let sizes = sections.split_once("]\n").map_or("", |(_, lines)| lines);
    let mut text = HEAD.to_owned();
    for field in fields(CONFIG, "Config")?.iter().filter(|field| field.name != "sizes") {
        text += &entry(field, plain);
    }
    let about = fields(CONFIG, "Config")?.into_iter().find(|field| field.name == "sizes");
    text += &format!("\n# {}\n[sizes]\n", about.map_or(String::new(), |field| field.about));
    for field in fields(SIZES, "Sizes")? {
        text += &entry(&field, sizes);
    }
    Ok(text)
}

/// A setting below its comment; one without a usual value is commented out.
fn entry(field: &Field, usual: &str) -> String {
    let Field { name, about } = field;
    let line = usual.lines().find(|line| line.split_once(" = ").is_some_and(|(key, _)| key == name));
    match line {
        Some(line) => format!("\n# {about}\n{line}\n"),
        None => format!("\n# {about} Not set unless given.\n# {name} =\n"),
    }
}

/// The public fields of a struct, in order, from its source.
fn fields(source: &str, name: &str) -> Result<Vec<Field>> {
    let head = format!("pub struct {name} {{\n");
    let body = source.split_once(&head).and_then(|(_, rest)| rest.split_once("\n}"));
    let (body, _) = body.with_context(|| format!("the source has no struct {name}"))?;
    let (mut fields, mut about) = (Vec::new(), Vec::new());
    for line in body.lines().map(str::trim) {
        if let Some(comment) = line.strip_prefix("/// ") {
            about.push(comment);
        } else if let Some((name, _)) = line.strip_prefix("pub ").and_then(|line| line.split_once(':')) {
            fields.push(Field { name: name.to_owned(), about: about.join(" ") });
            about.clear();
        }
    }
    Ok(fields)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reference_is_a_file_of_the_usual_settings() {
        let text = reference().unwrap();
        let config: Config = toml::from_str(&text).unwrap();
        assert_eq!(config, Config::default());
        assert!(text.contains("\n# Decisions to train on.\nsteps = 300000\n"), "{text}");
        assert!(text.contains("exp(-elapsed / tau). Not set unless given.\n# tau =\n"), "{text}");
    }

    /// Settings that are set, so that each has a line in the TOML: one that the reference lacks shows here.
    #[test]
    fn no_setting_is_missing_or_unexplained() {
        let all = fields(CONFIG, "Config").unwrap();
        let sizes = fields(SIZES, "Sizes").unwrap();
        assert!(all.iter().chain(&sizes).all(|field| !field.about.is_empty()), "{all:?}");
        let text = reference().unwrap();
        let usual: toml::Table = toml::from_str(&toml::to_string(&Config::default()).unwrap()).unwrap();
        let keys = usual.iter().flat_map(|(key, value)| match value {
            toml::Value::Table(inner) => inner.keys().cloned().collect::<Vec<_>>(),
            _ => vec![key.clone()],
        });
        for key in keys.chain(["tau".to_owned()]) {
            let named =
                text.lines().any(|line| line.trim_start_matches("# ").starts_with(&format!("{key} =")));
            assert!(named, "{key} is not in the reference");
        }
        let declared = CONFIG.split_once("pub struct Config {").unwrap().1.split_once("\n}").unwrap().0;
        assert_eq!(declared.matches("    pub ").count(), all.len());
    }
}
