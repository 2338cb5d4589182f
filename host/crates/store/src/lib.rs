//! The system of record: the database (apps, releases, receipts, nodes, identity) and the bundle storage.
//!
//! The only place that contains SQL and the only one that names object_store. One file per resource; every
//! call has a deadline, and whatever must hold together happens in one transaction in here.

mod apps;
mod bundles;
mod candidates;
mod collection;
mod database;
mod desired;
mod error;
mod identity;
mod nodes;
mod receipts;
mod releases;
mod rollouts;
#[cfg(test)]
mod testing;

use std::path::Path;

pub use bundles::Bundles;
pub use candidates::{Candidacy, NewRelease};
pub use collection::Collected;
pub use desired::Desired;
pub use error::{Conflict, StoreError};
pub use identity::{ApiToken, User};
pub use nodes::LOST_AFTER_MS;
pub use rollouts::Rollout;

use database::Database;

/// Handle to the system of record; clones share its connections.
#[derive(Debug, Clone)]
pub struct Store {
    database: Database,
    bundles: Bundles,
}

impl Store {
    /// Opens (and makes, when missing) the SQLite database of a single node and the folder that holds its
    /// bundles, and brings the tables up to this version.
    pub async fn open_sqlite(database: &Path, storage: &Path) -> Result<Self, StoreError> {
        Ok(Self { database: Database::open_sqlite(database).await?, bundles: Bundles::open_folder(storage)? })
    }

    pub fn bundles(&self) -> &Bundles {
        &self.bundles
    }

    /// Whether the database answers; for readiness and the doctor.
    pub async fn ping(&self) -> Result<(), StoreError> {
        self.within("reach the database", async {
            let mut connection = self.database.reader().await?;
            database::now_unix_ms(&mut connection).await.map(drop)
        })
        .await
    }

    /// Waits for running calls and closes the connections, so that SQLite folds its log into the database.
    pub async fn close(&self) {
        self.database.close().await;
    }

    /// Runs one call under the deadline every call has.
    async fn within<T>(
        &self,
        what: &'static str,
        call: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        match tokio::time::timeout(database::CALL_TIMEOUT, call).await {
            Ok(result) => result.map_err(|error| error.during(what)),
            Err(_) => Err(StoreError::deadline(what, database::CALL_TIMEOUT)),
        }
    }
}
