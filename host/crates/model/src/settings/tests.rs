use serde_json::{Value, json};

use super::*;

fn settings(document: Value) -> Settings {
    Settings::parse(&document.to_string()).unwrap()
}

fn changes(document: Value) -> SettingChanges {
    serde_json::from_value(document).unwrap()
}

#[test]
fn changes_are_merged_into_the_document() {
    let before = settings(json!({ "log.level": "warn", "drain.delay_ms": 5 }));
    let asked = json!({
        "log.level": null, "drain.delay_ms": "500", "ingress.trusted_proxies": "10.0.0.0/8, ::1", "limits.max_queue": 9,
    });
    let after = before.changed(&changes(asked)).unwrap();
    assert_eq!(
        serde_json::to_value(&after).unwrap(),
        json!({ "drain.delay_ms": 500, "ingress.trusted_proxies": ["10.0.0.0/8", "::1"], "limits.max_queue": 9 })
    );
    assert_eq!(Settings::parse(&after.to_document()).unwrap(), after);
    assert_eq!(after.number("drain.delay_ms"), Some(500));
    assert_eq!(after.text("log.level"), None);
    assert_eq!(after.list("ingress.trusted_proxies").unwrap().len(), 2);
    let empty = after.changed(&changes(json!({ "ingress.trusted_proxies": "" }))).unwrap();
    assert_eq!(empty.list("ingress.trusted_proxies"), Some(&[][..]), "set, to nothing");
}

#[test]
fn a_refusal_names_everything_that_is_wrong() {
    let long = vec!["10.0.0.1"; 257];
    let refused = Settings::default().changed(&changes(json!({
        "drain.delay_ms": -1,
        "drain.grace_ms": "soon",
        "drain.delay": 5,
        "ingress.trusted_proxies": long,
        "limits.max_memory_mb": 5_000,
        "log.level": "",
        "log.levle": null,
        "retention.age_days": [1],
        "something.else": 1,
    })));
    let text = refused.unwrap_err().to_string();
    let (before, after) = text.split_once("ingress.trusted_proxies: [").unwrap();
    let after = after.split_once('…').unwrap().1;
    assert_eq!(
        format!("{before}[{after}"),
        "unknown key `drain.delay`: did you mean `drain.delay_ms`?
drain.delay_ms: -1 is not a whole number from 0 to 600000
drain.grace_ms: \"soon\" is not a whole number from 0 to 3600000
[ is not a list of at most 256 texts
limits.max_memory_mb: 5000 is not a whole number from 1 to 4096
log.level: \"\" is not text of 1 to 1000 characters
unknown key `log.levle`: did you mean `log.level`?
retention.age_days: [1] is not a whole number from 0 to 36500
unknown key `something.else`: `typecase settings` lists the keys"
    );
}

#[test]
fn what_a_newer_version_wrote_is_kept_and_left_out() {
    let newer = json!({ "drain.delay_ms": 900_000, "drain.grace_ms": 1, "log.colour": { "of": "sky" } });
    let read = settings(newer.clone());
    assert_eq!(serde_json::to_value(&read).unwrap(), newer);
    assert_eq!((read.number("drain.delay_ms"), read.number("drain.grace_ms")), (None, Some(1)));
    let whys: Vec<String> = read.misfits().into_iter().map(|misfit| misfit.why).collect();
    assert_eq!(
        whys,
        [
            "drain.delay_ms: 900000 is not a whole number from 0 to 600000",
            "log.colour: this version does not know the key"
        ]
    );
    // Changed on an older node, the document loses nothing but what is taken out.
    let after = read.changed(&changes(json!({ "drain.grace_ms": 2, "drain.delay_ms": 3 }))).unwrap();
    assert_eq!(
        serde_json::to_value(&after).unwrap(),
        json!({ "drain.delay_ms": 3, "drain.grace_ms": 2, "log.colour": { "of": "sky" } })
    );
    let after = after.changed(&changes(json!({ "log.colour": null }))).unwrap();
    assert_eq!(after.misfits(), []);
    assert!(after.changed(&changes(json!({ "log.colour": null }))).is_err(), "not there any more");
    assert!(Settings::parse("[]").is_err());
}

#[test]
fn what_is_set_stands_over_what_is_not() {
    let below = settings(json!({ "log.level": "info", "drain.delay_ms": 1 }));
    let over = settings(json!({ "drain.delay_ms": 2, "log.colour": 1 })).over(&below);
    assert_eq!(serde_json::to_value(&over).unwrap(), json!({ "log.level": "info", "drain.delay_ms": 2 }));
}

#[test]
fn differences_name_both_values() {
    let from = settings(json!({ "log.level": "info", "drain.delay_ms": 1, "drain.grace_ms": 5 }));
    let to = settings(json!({ "log.level": "warn", "drain.delay_ms": 1, "log.colour": "blue" }));
    assert_eq!(
        serde_json::to_value(differences(&from, &to)).unwrap(),
        json!([
            { "key": "drain.grace_ms", "from": 5, "to": null },
            { "key": "log.colour", "from": null, "to": "blue" },
            { "key": "log.level", "from": "info", "to": "warn" },
        ])
    );
    assert_eq!(differences(&to, &to), []);
}

#[test]
fn keys_are_unique_and_have_units() {
    for (index, key) in SETTING_KEYS.iter().enumerate() {
        assert!(SETTING_KEYS[..index].iter().all(|other| other.name != key.name), "{}", key.name);
        assert!(key.name.split('.').count() == 2 && key.meaning.ends_with('.'), "{}", key.name);
    }
}
