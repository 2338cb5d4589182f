//! Host names: each leads to one app only.

use typecase_model::{AppName, Manifest};

use crate::StoreError;
use crate::apps::name_of;
use crate::database::Connection;
use crate::sql::sql;

/// Fails when a host of the manifest leads to another app, or will when its candidate is activated. Until the
/// transaction ends nobody else claims one: of two claims at the same moment the later one meets the first.
///
/// A release that serves was a candidate before, so this is asked of candidates alone.
pub(crate) async fn claim_hosts(
    connection: &mut Connection,
    app: &AppName,
    manifest: &Manifest,
) -> Result<(), StoreError> {
    let hosts = &manifest.app.hosts;
    if hosts.is_empty() {
        return Ok(());
    }
    // The one row that transactions about different apps have in common.
    sql("SELECT singleton FROM clusters {for update}").fetch_all(connection).await?;
    let rows = sql("SELECT releases.app, releases.manifest FROM releases
         JOIN apps ON apps.name = releases.app
              AND releases.release_number IN (apps.active, apps.candidate)
         WHERE apps.name <> ? AND releases.manifest LIKE '%\"hosts\":[\"%'")
    .bind(app.as_str())
    .fetch_all(connection)
    .await?;
    for row in &rows {
        // Of the manifest only this is read: the rest may be of a newer version.
        let text: &str = row.try_get("manifest")?;
        let manifest: serde_json::Value = serde_json::from_str(text).unwrap_or_default();
        let theirs = manifest["app"]["hosts"].as_array().into_iter().flatten();
        let mut theirs = theirs.filter_map(|host| host.as_str());
        if let Some(host) = theirs.find(|theirs| hosts.iter().any(|ours| ours.eq_ignore_ascii_case(theirs))) {
            return Err(StoreError::HostTaken { host: host.to_owned(), owner: name_of(row, "app")? });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use typecase_model::{AppName, Digest, Manifest, ReleaseNumber};

    use crate::testing::{TestStore, candidate, name, on_both_databases};
    use crate::{Candidacy, NewRelease, Store, StoreError};

    on_both_databases!(of_two_claims_at_once_exactly_one_wins, an_older_release_does_not_take_a_host_back);

    async fn publish(store: &Store, app: &str, hosts: &[&str]) -> Result<Candidacy, StoreError> {
        let app: AppName = name(app);
        let mut manifest = Manifest::for_component(app.clone());
        manifest.app.hosts = hosts.iter().map(|host| (*host).to_owned()).collect();
        store
            .create_candidate(&NewRelease {
                app: &app,
                digest: Digest::of(hosts.concat().as_bytes()),
                manifest: &manifest,
                note: "",
                publisher: "admin",
                activate: true,
                expected: None,
            })
            .await
    }

    async fn of_two_claims_at_once_exactly_one_wins(test: TestStore) {
        for race in 0..30 {
            let host = format!("host-{race}.example");
            let racer = |side: &'static str| {
                let (store, host) = (test.store.clone(), host.clone());
                tokio::spawn(async move { publish(&store, &format!("{side}-{race}"), &[&host]).await })
            };
            let (one, two) = (racer("a"), racer("b"));
            let results = [one.await.unwrap(), two.await.unwrap()];
            let (won, lost): (Vec<_>, Vec<_>) = results.into_iter().partition(Result::is_ok);
            assert_eq!((won.len(), lost.len()), (1, 1), "race {race}: {lost:?}");
            let winner = candidate(won.into_iter().next().unwrap().unwrap()).0.app;
            let Err(StoreError::HostTaken { host: taken, owner }) = &lost[0] else { panic!("{lost:?}") };
            assert_eq!((taken, owner), (&host, &winner));
        }
    }

    async fn an_older_release_does_not_take_a_host_back(test: TestStore) {
        let serve = async |app: &str, hosts: &[&str]| {
            let (release, generation) = candidate(publish(&test.store, app, hosts).await.unwrap());
            assert!(test.store.activate(&release.app, release.number, generation).await.unwrap());
        };
        serve("one", &["shop.example"]).await;
        // Its own host is no obstacle to an app.
        serve("one", &["shop.example", "www.shop.example"]).await;
        let taken = publish(&test.store, "two", &["SHOP.example"]).await.unwrap_err();
        assert!(matches!(taken, StoreError::HostTaken { .. }), "{taken}");
        assert!(test.store.app(&name("two")).await.is_err(), "nothing is kept of it");
        serve("one", &[]).await;
        serve("two", &["shop.example"]).await;
        let taken = test.store.make_candidate(&name("one"), ReleaseNumber(1), None).await.unwrap_err();
        assert!(taken.to_string().contains("`shop.example` belongs to the app `two`"), "{taken}");
        test.store.withdraw(&name("two")).await.unwrap();
        candidate(test.store.make_candidate(&name("one"), ReleaseNumber(1), None).await.unwrap());
    }
}
