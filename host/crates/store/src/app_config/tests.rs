use typecase_model::app_config::AppConfigReceipt;
use typecase_model::settings::SettingsState;

use super::*;
use crate::secret::ClusterSecret;
use crate::testing::{TestStore, name, on_both_databases};

on_both_databases!(
    each_change_raises_the_generation_and_disturbs_no_rollout,
    an_app_may_be_configured_before_its_first_release,
    secrets_are_sealed_and_stay_secret,
    what_a_manifest_declares_secret_later_is_sealed_then,
    a_sealed_row_opens_in_its_own_place_and_with_its_own_secret_alone,
    an_app_has_so_many_values_and_so_many_bytes,
    of_two_changes_at_once_that_expect_the_same_one_wins,
    a_node_has_one_receipt_an_app,
);

const SECRET: &str = "hunter2-hunter2";

fn key(text: &str) -> ConfigName {
    text.parse().unwrap()
}

fn set(values: &[(&str, &str, bool)]) -> BTreeMap<ConfigName, NewConfigValue> {
    values
        .iter()
        .map(|(name, text, secret)| (key(name), NewConfigValue { text: (*text).to_owned(), secret: *secret }))
        .collect()
}

async fn change(
    store: &Store,
    app: &str,
    expected: Option<u64>,
    values: &[(&str, &str, bool)],
    unset: &[&str],
) -> Result<ConfigChanged, StoreError> {
    let change = ConfigChange {
        app: &name(app),
        expected: expected.map(Generation),
        set: &set(values),
        unset: &unset.iter().map(|name| key(name)).collect(),
        changed_by: "admin",
    };
    store.change_app_config(&change).await
}

/// A value, or why it does not open.
async fn text(store: &Store, app: &str, name: &str) -> Option<Result<String, String>> {
    let config = store.app_config(&crate::testing::name(app)).await.unwrap();
    config.values.get(&key(name)).map(opened)
}

fn opened(value: &ConfigValue) -> Result<String, String> {
    match value.content.clone() {
        ConfigContent::Text(text) => Ok(text),
        ConfigContent::Unreadable(why) => Err(why),
    }
}

fn is(text: &str) -> Option<Result<String, String>> {
    Some(Ok(text.to_owned()))
}

async fn each_change_raises_the_generation_and_disturbs_no_rollout(test: TestStore) {
    let (_, generation) = test.release("hello", b"one").await;
    let first =
        change(&test.store, "hello", Some(0), &[("a", "1", false), ("b", "2", false)], &[]).await.unwrap();
    assert_eq!((first.generation, first.differences.len()), (Generation(1), 2));
    let app = test.store.app(&name("hello")).await.unwrap();
    assert_eq!((app.generation, app.config_generation), (generation, Generation(1)));
    // The same again is no change, and neither is taking out what is not there.
    let same = change(&test.store, "hello", None, &[("a", "1", false)], &["x"]).await.unwrap();
    assert_eq!((same.generation, &*same.differences), (Generation(1), &[][..]));
    let second = change(&test.store, "hello", Some(1), &[("a", "3", false)], &["b"]).await.unwrap();
    assert_eq!((second.generation, second.differences.len()), (Generation(2), 2));

    let refused = change(&test.store, "hello", Some(1), &[("a", "9", false)], &[]).await.unwrap_err();
    let StoreError::Outdated { expected, found, .. } = refused else { panic!("{refused}") };
    assert_eq!((expected, found), (Generation(1), Generation(2)));

    let test = test.reopen().await;
    assert_eq!(text(&test.store, "hello", "a").await, is("3"));
    assert_eq!(text(&test.store, "hello", "b").await, None);
    let config = test.store.app_config(&name("hello")).await.unwrap();
    assert_eq!(test.store.app_configs().await.unwrap(), [config]);
    let [generations] = &test.store.generations().await.unwrap()[..] else { panic!() };
    assert_eq!((generations.app, generations.config), (generation, Generation(2)));
}

async fn an_app_may_be_configured_before_its_first_release(test: TestStore) {
    assert!(matches!(change(&test.store, "hello", None, &[], &["a"]).await, Err(StoreError::NotFound(_))));
    assert!(matches!(test.store.app_config(&name("hello")).await, Err(StoreError::NotFound(_))));
    change(&test.store, "hello", Some(0), &[("a", "1", false)], &[]).await.unwrap();
    assert_eq!(test.store.list_apps().await.unwrap().len(), 1);
    let (release, _) = test.release("hello", b"one").await;
    assert_eq!((release.number.0, text(&test.store, "hello", "a").await), (1, is("1")));
    // A name that was only mistyped is not listed for ever.
    change(&test.store, "helo", None, &[("a", "1", false)], &[]).await.unwrap();
    change(&test.store, "helo", None, &[], &["a"]).await.unwrap();
    assert_eq!(test.store.list_apps().await.unwrap().len(), 1);
}

async fn secrets_are_sealed_and_stay_secret(test: TestStore) {
    change(&test.store, "hello", None, &[("token", SECRET, true)], &[]).await.unwrap();
    assert_eq!(text(&test.store, "hello", "token").await, is(SECRET));
    let again = change(&test.store, "hello", None, &[("token", SECRET, false)], &[]).await.unwrap();
    assert_eq!(again.differences, []);
    let other = format!("{SECRET}-other");
    let changed = change(&test.store, "hello", None, &[("token", &other, false)], &[]).await.unwrap();
    assert!(changed.differences[0].secret);
    assert!(test.holds("hello").await);
    assert!(!test.holds(SECRET).await);
}

async fn what_a_manifest_declares_secret_later_is_sealed_then(test: TestStore) {
    change(&test.store, "hello", None, &[("token", SECRET, false), ("b", "2", false)], &[]).await.unwrap();
    let names = BTreeSet::from([key("token"), key("absent")]);
    assert_eq!(test.store.seal_app_config(&name("hello"), &names).await.unwrap(), [key("token")]);
    assert_eq!(test.store.seal_app_config(&name("hello"), &names).await.unwrap(), []);
    let config = test.store.app_config(&name("hello")).await.unwrap();
    assert_eq!(config.generation, Generation(1));
    let value = |name: &str| &config.values[&key(name)];
    assert!(value("token").secret && !value("b").secret);
    assert_eq!(Some(opened(value("token"))), is(SECRET));
}

async fn a_sealed_row_opens_in_its_own_place_and_with_its_own_secret_alone(mut test: TestStore) {
    change(&test.store, "hello", None, &[("token", SECRET, true), ("plain", "p", false)], &[]).await.unwrap();
    change(&test.store, "thief", None, &[("token", "mine", true)], &[]).await.unwrap();
    let mut tx = test.store.database.write().await.unwrap();
    for (app, name) in [("thief", "copied"), ("hello", "copied")] {
        sql("INSERT INTO app_config (app, name, value, secret, changed_by, updated_unix_ms)
             SELECT ?, ?, value, secret, changed_by, updated_unix_ms FROM app_config
             WHERE app = 'hello' AND name = 'token'")
        .bind(app)
        .bind(name)
        .execute(&mut tx)
        .await
        .unwrap();
    }
    tx.commit().await.unwrap();
    let unreadable = |value| value == Some(Err("does not open with this node's secret".to_owned()));
    assert!(unreadable(text(&test.store, "thief", "copied").await));
    assert!(unreadable(text(&test.store, "hello", "copied").await));
    assert_eq!(text(&test.store, "thief", "token").await, is("mine"));

    let other = ClusterSecret::new(&"another secret ".repeat(3)).unwrap();
    test.store.app_config_sealer = Sealer::new(&other, crate::APP_CONFIG_PURPOSE);
    assert!(unreadable(text(&test.store, "hello", "token").await));
    assert_eq!(text(&test.store, "hello", "plain").await, is("p"));
    // The way out: set it again.
    change(&test.store, "hello", None, &[("token", SECRET, true)], &[]).await.unwrap();
    assert_eq!(text(&test.store, "hello", "token").await, is(SECRET));
}

async fn an_app_has_so_many_values_and_so_many_bytes(test: TestStore) {
    let names: Vec<String> = (0..=CONFIG_VALUES_MAX).map(|number| format!("key-{number}")).collect();
    let all: Vec<(&str, &str, bool)> = names.iter().map(|name| (&**name, "x", false)).collect();
    change(&test.store, "hello", None, &all[1..], &[]).await.unwrap();
    let refused = change(&test.store, "hello", None, &all[..1], &[]).await.unwrap_err();
    assert!(matches!(&refused, StoreError::TooMuch(why) if why.contains("the most is 200")), "{refused}");
    change(&test.store, "hello", None, &all[..1], &["key-1"]).await.unwrap();

    let large = "x".repeat(CONFIG_BYTES_MAX / 2);
    change(&test.store, "large", None, &[("a", &large, true)], &[]).await.unwrap();
    let refused = change(&test.store, "large", None, &[("b", &large, false)], &[]).await.unwrap_err();
    assert!(matches!(refused, StoreError::TooMuch(_)), "{refused}");
    assert_eq!(test.store.app_config(&name("large")).await.unwrap().generation, Generation(1));
}

async fn of_two_changes_at_once_that_expect_the_same_one_wins(test: TestStore) {
    for round in 0..20 {
        let racers = (0..4).map(|racer: u32| {
            let store = test.store.clone();
            tokio::spawn(async move {
                let value = format!("{round}-{racer}");
                change(&store, "hello", Some(round), &[("a", &value, racer.is_multiple_of(2))], &[]).await
            })
        });
        let mut won = 0;
        for racer in racers.collect::<Vec<_>>() {
            match racer.await.unwrap() {
                Ok(_) => won += 1,
                Err(StoreError::Outdated { found, .. }) => assert_eq!(found, Generation(round + 1)),
                Err(error) => panic!("{error}"),
            }
        }
        assert_eq!(won, 1);
    }
}

async fn a_node_has_one_receipt_an_app(test: TestStore) {
    let receipt = |app: &str, node: &str, generation| AppConfigReceipt {
        app: name(app),
        node: node.parse().unwrap(),
        generation: Generation(generation),
        state: SettingsState::Applied,
        detail: None,
        at_unix_ms: 0,
    };
    let store = &test.store;
    store.register_node(&"a".parse().unwrap(), "a", "", "", "1").await.unwrap();
    for (app, node, generation) in
        [("hello", "a", 1), ("hello", "gone", 1), ("other", "a", 7), ("hello", "a", 2)]
    {
        store.put_app_config_receipt(&receipt(app, node, generation)).await.unwrap();
    }
    let shown = async || {
        let receipts = store.app_config_receipts(&name("hello")).await.unwrap();
        receipts
            .into_iter()
            .map(|receipt| (receipt.node.to_string(), receipt.generation.0))
            .collect::<Vec<_>>()
    };
    assert_eq!(shown().await, [("a".to_owned(), 2), ("gone".to_owned(), 1)]);
    change(store, "hello", None, &[("a", "1", false)], &[]).await.unwrap();
    assert_eq!(shown().await, [("a".to_owned(), 2)]);
}
