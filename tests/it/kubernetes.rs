//! The manifests in `deploy/kubernetes/`: that they are YAML, and that names, ports, paths and options in them agree with
//! each other, with the command and with what the extender answers. No cluster takes part.

use std::collections::BTreeSet;

use serde::Deserialize;
use serde_json::{Value, json};
use yardmaster_live::extender::answer::{PREFIX, ROUTES};
use yardmaster_live::extender::config::Config;

use crate::support::{Bench, ours};

/// The objects of both manifests.
struct Manifests(Vec<Value>);

impl Manifests {
    fn read() -> Manifests {
        let files = ["deploy/kubernetes/yardmaster.yaml", "deploy/kubernetes/scheduler.yaml"];
        let objects = files.iter().flat_map(|file| {
            let text = std::fs::read_to_string(ours(file)).unwrap();
            yaml(&text).unwrap_or_else(|error| panic!("{file}: {error}"))
        });
        Manifests(objects.collect())
    }

    fn all<'a>(&'a self, kind: &'a str) -> impl Iterator<Item = &'a Value> {
        self.0.iter().filter(move |object| object["kind"] == kind)
    }

    fn one<'a>(&'a self, kind: &'a str, name: &str) -> &'a Value {
        let found = self.all(kind).find(|object| object["metadata"]["name"] == name);
        found.unwrap_or_else(|| panic!("there is no {kind} {name}"))
    }

    /// The configuration of the second scheduler.
    fn scheduler(&self) -> Value {
        let text = text(&self.one("ConfigMap", "yardmaster-scheduler")["data"]["config.yaml"]);
        yaml(text).unwrap().remove(0)
    }
}

/// The documents of a text.
fn yaml(text: &str) -> Result<Vec<Value>, serde_yaml_ng::Error> {
    serde_yaml_ng::Deserializer::from_str(text).map(Value::deserialize).collect()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("{value} is no text"))
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// Containers of a deployment.
fn containers(deployment: &Value) -> &[Value] {
    list(&deployment["spec"]["template"]["spec"]["containers"])
}

#[test]
fn every_object_says_what_it_is_and_where() {
    let manifests = Manifests::read();
    assert_eq!(manifests.0.len(), 13);
    let global = ["Namespace", "ClusterRole", "ClusterRoleBinding"];
    let mut seen = BTreeSet::new();
    for object in &manifests.0 {
        let (kind, name) = (text(&object["kind"]), text(&object["metadata"]["name"]));
        assert!(!text(&object["apiVersion"]).is_empty());
        assert!(seen.insert((kind, name)), "{kind} {name} is there twice");
        assert_eq!(object["metadata"]["namespace"].is_null(), global.contains(&kind), "{kind} {name}");
    }
}

#[test]
fn accounts_and_roles_that_are_named_are_there() {
    let manifests = Manifests::read();
    let accounts: Vec<&Value> =
        manifests.all("ServiceAccount").map(|object| &object["metadata"]["name"]).collect();
    for deployment in manifests.all("Deployment") {
        let account = &deployment["spec"]["template"]["spec"]["serviceAccountName"];
        assert!(accounts.contains(&account), "{account}");
    }
    for binding in manifests.all("ClusterRoleBinding").chain(manifests.all("RoleBinding")) {
        let subject = &binding["subjects"][0];
        assert!(accounts.contains(&&subject["name"]) && subject["namespace"] == "yardmaster", "{subject}");
        let role = text(&binding["roleRef"]["name"]);
        let builtin = role.starts_with("system:") || role == "extension-apiserver-authentication-reader";
        assert!(builtin || manifests.one("ClusterRole", role)["kind"] == "ClusterRole", "{role}");
    }
    // It reads nodes and pods, and changes nothing.
    let rules = &manifests.one("ClusterRole", "yardmaster")["rules"];
    assert_eq!(
        rules,
        &json!([{"apiGroups": [""], "resources": ["nodes", "pods"], "verbs": ["get", "list"]}])
    );
}

#[test]
fn volumes_that_are_mounted_are_there_and_so_is_what_fills_them() {
    let manifests = Manifests::read();
    let guide = std::fs::read_to_string(ours("docs/kubernetes.md")).unwrap();
    for deployment in manifests.all("Deployment") {
        let pod = &deployment["spec"]["template"];
        assert_eq!(deployment["spec"]["selector"]["matchLabels"], pod["metadata"]["labels"]);
        let volumes: BTreeSet<&str> =
            list(&pod["spec"]["volumes"]).iter().map(|volume| text(&volume["name"])).collect();
        let mounts = containers(deployment).iter().flat_map(|container| list(&container["volumeMounts"]));
        let mounted: BTreeSet<&str> = mounts.map(|mount| text(&mount["name"])).collect();
        assert_eq!(volumes, mounted);
        for volume in list(&pod["spec"]["volumes"]) {
            if let Some(secret) = volume["secret"]["secretName"].as_str() {
                assert!(guide.contains(&format!("create secret generic {secret} ")), "{secret}");
            }
            if let Some(map) = volume["configMap"]["name"].as_str() {
                let known = manifests.all("ConfigMap").any(|object| object["metadata"]["name"] == map);
                assert!(known || guide.contains(&format!("create configmap {map} ")), "{map}");
            }
        }
    }
}

#[test]
fn files_that_arguments_name_lie_under_a_mount() {
    let manifests = Manifests::read();
    let mut checked = 0;
    for deployment in manifests.all("Deployment") {
        for container in containers(deployment).iter().filter(|container| container["name"] != "state") {
            let mounts: Vec<&str> =
                list(&container["volumeMounts"]).iter().map(|mount| text(&mount["mountPath"])).collect();
            for argument in list(&container["args"]).iter().chain(list(&container["command"])) {
                let Some((_, path)) = text(argument).split_once("=/") else { continue };
                assert!(mounts.iter().any(|mount| format!("/{path}").starts_with(mount)), "{argument}");
                checked += 1;
            }
        }
    }
    assert_eq!(checked, 7);
    let mapping = text(&manifests.one("ConfigMap", "yardmaster")["data"]["mapping.toml"]);
    let mapping = Config::parse(mapping, "mapping.toml").unwrap();
    assert_eq!(mapping.kinds.len(), 3);
    let script = text(&containers(manifests.one("Deployment", "yardmaster"))[1]["args"][0]).to_owned();
    assert!(script.contains("\"/state/$what.json\"") && script.contains("nodes pods"), "{script}");
}

#[test]
fn the_scheduler_asks_where_the_service_listens() {
    let manifests = Manifests::read();
    let scheduler = manifests.scheduler();
    assert_eq!(scheduler["kind"], "KubeSchedulerConfiguration");
    let extender = &scheduler["extenders"][0];
    let service = manifests.one("Service", "yardmaster");
    let deployment = manifests.one("Deployment", "yardmaster");
    assert_eq!(service["spec"]["selector"], deployment["spec"]["template"]["metadata"]["labels"]);
    let port = &service["spec"]["ports"][0];
    let container = &containers(deployment)[0];
    assert_eq!(port["targetPort"], container["ports"][0]["name"]);
    let listens = format!("--listen=0.0.0.0:{}", container["ports"][0]["containerPort"]);
    assert!(list(&container["args"]).iter().any(|argument| text(argument) == listens), "{listens}");
    for probe in ["readinessProbe", "livenessProbe"] {
        assert_eq!(container[probe]["tcpSocket"]["port"], container["ports"][0]["name"]);
    }
    let url = format!("https://yardmaster.yardmaster.svc:{}{PREFIX}", port["port"]);
    assert_eq!(extender["urlPrefix"], *url);
    for verb in ["filterVerb", "prioritizeVerb"] {
        let path = format!("/{}", text(&extender[verb]));
        assert!(ROUTES.iter().any(|(method, known)| *method == "POST" && *known == path), "{path}");
    }
    assert!(extender["bindVerb"].is_null(), "nothing here binds");
    assert_eq!((&extender["ignorable"], &extender["nodeCacheCapable"]), (&json!(true), &json!(true)));
    let guide = std::fs::read_to_string(ours("docs/kubernetes.md")).unwrap();
    assert!(guide.contains("subjectAltName=DNS:yardmaster.yardmaster.svc"));
    for (method, path) in ROUTES {
        assert!(guide.contains(&format!("{method} {PREFIX}{path}")), "{method} {path} is not in the guide");
    }
}

#[test]
fn the_command_knows_every_option_of_the_manifest() {
    let help = Bench::new().ok("serve --help");
    let manifests = Manifests::read();
    let arguments = &containers(manifests.one("Deployment", "yardmaster"))[0]["args"];
    assert_eq!(arguments[0], "serve");
    for argument in &list(arguments)[1..] {
        let option = text(argument).split_once('=').map_or(text(argument), |(option, _)| option);
        assert!(help.contains(&format!("{option} <")), "{option} is no option of `yardmaster serve`");
    }
}
