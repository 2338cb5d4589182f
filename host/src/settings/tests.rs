use serde_json::{Value, json};
use typecase_model::settings::{Kind, SETTING_KEYS};

use super::*;
use crate::config::Sources;

fn live() -> LiveSettings {
    LiveSettings::new(&Config::load(Sources::default()).unwrap(), LogLevel::fixed())
}

fn settings(document: Value) -> Settings {
    Settings::parse(&document.to_string()).unwrap()
}

#[test]
fn every_key_has_a_value_and_changes_something() {
    let live = live();
    let before = live.load().effective.clone();
    assert_eq!(live.load().generation, None);
    for (number, key) in SETTING_KEYS.iter().enumerate() {
        let own = live.own.value(key.name).unwrap_or_else(|| panic!("{} has no default", key.name));
        let other = match own.to_json() {
            // Within every range.
            Value::Number(own) => json!(if own == 7.into() { 8 } else { 7 }),
            Value::String(_) => json!("typecase=debug"),
            _ => json!(["10.0.0.0/8", "::1"]),
        };
        let other = if key.name == "limits.rollout_timeout_ms" { json!(7_000) } else { other };
        let generation = Generation(number as u64 + 1);
        assert_eq!(live.apply(generation, settings(json!({ key.name: other }))), Ok(Vec::new()));
        assert_ne!(live.load().effective, before, "{}", key.name);
        assert_eq!(live.load().generation, Some(generation));
    }
    live.apply(Generation(99), Settings::default()).unwrap();
    assert_eq!(live.load().effective, before, "what is not set is the node's own");
}

#[test]
fn the_configuration_means_the_same_by_the_same_keys() {
    let mut environment = std::collections::HashMap::new();
    for key in &SETTING_KEYS[..20] {
        let value = match key.name {
            "log.level" => "debug",
            "ingress.trusted_proxies" => "10.0.0.0/8,::1/128",
            name if name.contains("max_") => "1009",
            _ => "1008",
        };
        let name = format!("TYPECASE_{}", key.name.replace('.', "__").to_uppercase());
        environment.insert(name, value.to_owned());
    }
    let config = Config::load(Sources { environment, ..Sources::default() }).unwrap();
    let live = LiveSettings::new(&config, LogLevel::fixed());
    for key in &SETTING_KEYS[..20] {
        let expected = match key.name {
            "log.level" => json!("debug"),
            "ingress.trusted_proxies" => json!(["10.0.0.0/8", "::1/128"]),
            name if name.contains("max_") => json!(1_009),
            _ => json!(1_008),
        };
        assert_eq!(live.load().values.value(key.name).unwrap().to_json(), expected, "{}", key.name);
    }
}

#[test]
fn every_key_is_in_the_reference() {
    let reference = include_str!("../../../docs/settings.md");
    for key in SETTING_KEYS {
        let takes = match key.kind {
            Kind::Number { min, max } => format!("{min} to {max}"),
            Kind::Text => "text".to_owned(),
            Kind::List => "list".to_owned(),
        };
        let row = format!("| `{}` | {takes} | {} |", key.name, key.meaning);
        assert!(reference.contains(&row), "docs/settings.md lacks this row: {row}");
    }
}

#[test]
fn what_does_not_fit_is_left_out_and_named() {
    let live = live();
    let set = settings(json!({
        "drain.grace_ms": 9, "log.level": "loud", "log.colour": 1, "ingress.trusted_proxies": ["10.0.0.0/8", "x"],
    }));
    let keys: Vec<String> =
        live.apply(Generation(1), set.clone()).unwrap().into_iter().map(|misfit| misfit.key).collect();
    assert_eq!(keys, ["log.colour", "ingress.trusted_proxies", "log.level"]);
    let snapshot = live.load();
    assert_eq!(snapshot.effective.drain.grace_ms, 9);
    assert_eq!((&*snapshot.effective.log_level, snapshot.effective.trusted_proxies.len()), ("info", 0));
    assert_eq!(snapshot.set, set);
    assert_eq!(
        live.problems(&set).join("\n"),
        "ingress.trusted_proxies: \"x\" is not a network: write an address or a CIDR, such as \"10.0.0.0/8\"
log.level: \"loud\" is neither error, warn, info, debug nor trace, nor directives such as \"info,typecase=debug\""
    );
}

#[test]
fn a_default_above_its_maximum_is_a_problem() {
    let live = live();
    assert_eq!(
        live.problems(&settings(json!({ "limits.default_queue": 20_000 }))),
        [
            "limits.default_queue: 20000 is above limits.max_queue, which is 10000: lower the one or raise the other"
        ]
    );
    let both = json!({ "limits.default_queue": 20_000, "limits.max_queue": 20_000 });
    assert_eq!(live.problems(&settings(both)), Vec::<String>::new());
}

#[test]
fn a_log_that_cannot_be_changed_changes_nothing_else() {
    let config = Config::load(Sources::default()).unwrap();
    let live = LiveSettings::new(&config, LogLevel::new(|_| Err("gone".to_owned())));
    let set = settings(json!({ "log.level": "debug", "drain.grace_ms": 9 }));
    assert_eq!(live.apply(Generation(1), set), Err("log.level: gone".to_owned()));
    assert_eq!((live.load().effective.drain.grace_ms, live.load().generation), (30_000, None));
    assert!(live.apply(Generation(1), settings(json!({ "drain.grace_ms": 9 }))).is_ok());
}
