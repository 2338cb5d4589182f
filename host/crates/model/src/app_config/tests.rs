use super::*;
use crate::Manifest;

const MANIFEST: &str = r#"
manifest_version = 1
[app]
name = "shop"
component = "shop.wasm"
[config]
greeting = { default = "hello" }
optional = {}
url = { required = true }
token = { required = true, secret = true }
"#;

fn value(content: ConfigContent) -> ConfigValue {
    ConfigValue { content, secret: false, changed_by: "admin".to_owned(), updated_unix_ms: 1 }
}

fn config(values: &[(&str, &str)]) -> AppConfig {
    let values = values
        .iter()
        .map(|(name, text)| (name.parse().unwrap(), value(ConfigContent::Text((*text).to_owned()))));
    AppConfig { app: "shop".parse().unwrap(), generation: Generation(1), values: values.collect() }
}

fn shop() -> Manifest {
    Manifest::parse(MANIFEST, "typecase.toml").unwrap()
}

#[test]
fn a_release_sees_what_it_declares_and_what_was_set_goes_before_defaults() {
    let set = config(&[("url", "https://x"), ("token", "t"), ("foreign", "never seen")]);
    let seen = shop().resolve_config(&set).unwrap();
    let seen: Vec<_> = seen.iter().map(|(name, value)| (&**name, &**value)).collect();
    assert_eq!(seen, [("greeting", "hello"), ("token", "t"), ("url", "https://x")]);
    let set = config(&[("url", ""), ("token", "t"), ("greeting", "hi"), ("optional", "o")]);
    let seen = shop().resolve_config(&set).unwrap();
    assert_eq!((&*seen["greeting"], &*seen["optional"], &*seen["url"]), ("hi", "o", ""));
}

#[test]
fn what_is_missing_or_does_not_open_is_told_with_the_command_that_sets_it() {
    let error = shop().resolve_config(&AppConfig::never_set("shop".parse().unwrap())).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the config of `shop` is not complete:\n  token is required: `typecase config set shop --from-file token=PATH`\n  url is required: `typecase config set shop url=VALUE`"
    );
    let mut set = config(&[("url", "u"), ("token", "t")]);
    let sealed = value(ConfigContent::Unreadable("does not open".to_owned()));
    set.values.insert("token".parse().unwrap(), sealed.clone());
    let error = shop().resolve_config(&set).unwrap_err().to_string();
    assert!(error.contains("token does not open: set it again with"), "{error}");
    // Nobody asks for it.
    let mut set = config(&[("url", "u"), ("token", "t")]);
    set.values.insert("foreign".parse().unwrap(), sealed);
    assert!(shop().resolve_config(&set).is_ok());
}

#[test]
fn names_have_one_form_and_values_are_not_printed() {
    for good in ["a", "a.b_c-9", "0", &"k".repeat(64)] {
        assert!(good.parse::<ConfigName>().is_ok(), "{good}");
    }
    for bad in ["", "A", "a b", "a=b", "ä", "a/b", &"k".repeat(65)] {
        assert!(bad.parse::<ConfigName>().is_err(), "{bad}");
    }
    let shown = format!("{:?}", config(&[("token", "hunter2")]));
    assert!(shown.contains("token") && !shown.contains("hunter2"), "{shown}");
}
