//! What only a server can do to us, on a real one.

mod joining;
mod outages;
mod races;

use typecase_harness::eventually;

use crate::testing::TestStore;
use crate::{Store, StoreError};

/// Whether a call was refused because the server is known to be down.
fn is_known_down(error: &StoreError) -> bool {
    let StoreError::Unavailable { source, .. } = error else { return false };
    matches!(source.downcast_ref(), Some(super::Trouble::KnownDown(_)))
}

/// Waits until calls are refused at once.
async fn known_down(store: &Store) -> StoreError {
    eventually("the outage is known", async || store.ping().await.err().filter(is_known_down)).await
}

/// Waits until the store may be written to.
async fn works_again(store: &Store) {
    let id = "again".parse().unwrap();
    eventually("the store works again", async || store.register_node(&id, "again", "", "", "1").await.ok())
        .await;
}

/// Nothing is half done, whatever happened to the calls.
async fn assert_whole(test: &TestStore) {
    // What must hold together, and the rows where it does not.
    for (what, broken) in [
        (
            "the last number that was given belongs to a release",
            "SELECT * FROM apps
             WHERE last_release <> (SELECT COALESCE(MAX(release_number), 0) FROM releases WHERE app = name)",
        ),
        (
            "the candidate is being prepared, and nothing else is",
            "SELECT * FROM apps JOIN releases ON app = name
             WHERE (state = 'preparing') <> (COALESCE(candidate, 0) = release_number)",
        ),
        (
            "the active release is active, and nothing else is",
            "SELECT * FROM apps JOIN releases ON app = name
             WHERE (state = 'active') <> (COALESCE(active, 0) = release_number)",
        ),
        (
            "a config's generation counts its changes",
            "SELECT name FROM apps WHERE config_generation = 0 AND name IN (SELECT app FROM app_config)",
        ),
    ] {
        assert_eq!(test.raw(broken).await, "", "{what}");
    }
    eventually("no transaction is left open", async || test.transactions().await.is_empty().then_some(()))
        .await;
}
