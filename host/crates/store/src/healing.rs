//! Stored bundles that a node found damaged or missing, and how another node's verified copy takes their place.

use std::path::Path;

use typecase_model::Digest;

use crate::sql::sql;
use crate::{Store, StoreError};

/// Damaged bundles that are looked at together; more of them means that the storage itself is lost.
const LISTED_MAX: u32 = 1_000;

impl Store {
    /// Asks the nodes that have a copy to put it back. Harmless when the bundle is good after all.
    pub async fn report_damage(&self, digest: Digest) -> Result<(), StoreError> {
        self.within("report the damaged bundle", || async {
            let mut connection = self.database.single().await?;
            sql("UPDATE bundles SET state = 'damaged' WHERE digest = ? AND state = 'stored'")
                .bind(digest.to_string())
                .execute(&mut connection)
                .await?;
            Ok(())
        })
        .await
    }

    /// The bundles that somebody misses.
    pub async fn damaged_bundles(&self) -> Result<Vec<Digest>, StoreError> {
        self.within("list the damaged bundles", || async {
            let mut connection = self.database.single().await?;
            sql("SELECT digest FROM bundles WHERE state = 'damaged' LIMIT ?")
                .bind(LISTED_MAX)
                .fetch_all(&mut connection)
                .await?
                .iter()
                .map(|row| {
                    let digest: &str = row.try_get("digest")?;
                    digest.parse().map_err(|error| StoreError::corrupt_row("bundles.digest", error))
                })
                .collect()
        })
        .await
    }

    /// Stores a node's copy in place of a damaged one; refuses a copy that is not the digest's.
    pub async fn heal_bundle(&self, digest: Digest, copy: &Path) -> Result<(), StoreError> {
        let missed = self.within("look whether the bundle is missed", || async {
            let mut connection = self.database.single().await?;
            // Touched, so that nobody collects it meanwhile.
            sql("UPDATE bundles SET touched_unix_ms = {now} WHERE digest = ? AND state = 'damaged'")
                .bind(digest.to_string())
                .execute(&mut connection)
                .await
                .map_err(StoreError::from)
        });
        if missed.await? == 0 {
            return Ok(());
        }
        self.bundles.put_file(digest, copy).await?;
        self.within("note that the bundle is whole", || async {
            let mut connection = self.database.single().await?;
            sql("UPDATE bundles SET state = 'stored' WHERE digest = ? AND state = 'damaged'")
                .bind(digest.to_string())
                .execute(&mut connection)
                .await?;
            Ok(())
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use typecase_model::settings::Retention;

    use super::*;
    use crate::testing::{TestStore, on_both_databases};

    const RETENTION: Retention = Retention { releases: 50, age_ms: None };

    on_both_databases!(a_damaged_bundle_is_put_back_from_a_good_copy,);

    async fn a_damaged_bundle_is_put_back_from_a_good_copy(test: TestStore) {
        let (file, bad) = (test.folder.path().join("up"), test.folder.path().join("bad"));
        std::fs::write(&file, b"one").unwrap();
        std::fs::write(&bad, b"two").unwrap();
        let digest = Digest::of(b"one");
        test.store.put_bundle(digest, &file).await.unwrap();
        assert!(test.store.damaged_bundles().await.unwrap().is_empty());
        test.store.bundles().delete(digest).await.unwrap();
        test.store.report_damage(digest).await.unwrap();
        assert_eq!(test.store.damaged_bundles().await.unwrap(), [digest]);
        assert!(matches!(test.store.heal_bundle(digest, &bad).await, Err(StoreError::Corrupt { .. })));
        test.store.heal_bundle(digest, &file).await.unwrap();
        assert!(test.store.damaged_bundles().await.unwrap().is_empty());
        test.store.bundles().fetch_to(digest, &test.folder.path().join("copy")).await.unwrap();
        // Nobody waits for a copy of what no release needs any more.
        test.store.report_damage(digest).await.unwrap();
        let collected = test.store.collect(&"a".parse().unwrap(), &RETENTION, 0).await.unwrap();
        assert_eq!((collected.bundles, test.store.damaged_bundles().await.unwrap()), (1, Vec::new()));
        // A copy that comes too late is not stored under nobody's name.
        test.store.heal_bundle(digest, &file).await.unwrap();
        let gone = test.store.bundles().fetch_to(digest, &bad).await.unwrap_err();
        assert!(matches!(gone, StoreError::NotFound(_)), "{gone}");
    }
}
