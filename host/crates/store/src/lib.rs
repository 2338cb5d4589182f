//! The system of record: the database (apps, releases, receipts, nodes, identity) and the bundle storage.
//!
//! The only place that contains SQL and the only one that names object_store. One file per resource; every
//! call has a deadline, and whatever must hold together happens in one transaction in here.

mod app_config;
mod app_config_receipts;
mod apps;
mod bundles;
mod candidates;
mod collection;
mod database;
mod desired;
mod error;
mod healing;
mod hosts;
mod identity;
mod membership;
mod mysql_error;
mod nodes;
mod peer_key;
mod receipts;
mod releases;
mod rollouts;
mod sealed;
mod secret;
mod settings;
mod sql;
#[cfg(test)]
mod testing;

use std::path::Path;
use std::sync::Arc;

pub use app_config::{ConfigChange, ConfigChanged, ConfigDifference, NewConfigValue};
pub use bundles::{Bundles, StorageLocation, examine_storage};
pub use candidates::{Candidacy, NewRelease};
pub use collection::Collected;
pub use desired::{AppGenerations, Desired};
pub use error::{Conflict, StoreError};
pub use identity::{ApiToken, User};
pub use nodes::{LOST_AFTER_MS, Wanted};
pub use peer_key::PeerKey;
pub use rollouts::Rollout;
pub use secret::{ClusterSecret, SECRET_CHARS_MIN};
pub use settings::{NewSettings, SETTINGS_KEPT};

use database::Database;
pub use database::{DatabaseReport, DatabaseUrl, examine_database};
use sealed::Sealer;
use sql::sql;

/// Handle to the system of record; clones share its connections.
#[derive(Debug, Clone)]
pub struct Store {
    database: Database,
    bundles: Bundles,
    cluster: Option<Arc<str>>,
    app_config_sealer: Sealer,
    peer_key: PeerKey,
}

/// What the key of apps' secrets is derived for; another text would be another key.
const APP_CONFIG_PURPOSE: &str = "app config";

impl Store {
    /// Opens (and makes, when missing) the SQLite database of a single node and the folder that holds its
    /// bundles, and brings the tables up to this version. `secret` is what apps' secrets are sealed with.
    pub async fn open_sqlite(
        database: &Path,
        storage: &Path,
        secret: &ClusterSecret,
    ) -> Result<Self, StoreError> {
        Self::open_alone(database, storage, true, secret).await
    }

    /// The same; without durability, a power cut may take the last changes with it, or all of them.
    pub async fn open_alone(
        database: &Path,
        storage: &Path,
        durable: bool,
        secret: &ClusterSecret,
    ) -> Result<Self, StoreError> {
        let database = Database::open_sqlite(database, durable).await?;
        membership::enter(&database, secret).await?;
        let app_config_sealer = Sealer::new(secret, APP_CONFIG_PURPOSE);
        let (bundles, peer_key) = (Bundles::open_folder(storage, durable)?, PeerKey::new(secret));
        Ok(Self { database, bundles, cluster: None, app_config_sealer, peer_key })
    }

    /// Joins the cluster whose tables are in this database, or makes it; waits for a database that is not there
    /// yet. [`StoreError::Refused`] and [`StoreError::Schema`] when this node does not fit the cluster.
    ///
    /// The storage may be away: what was unpacked before still serves. [`Store::check_storage`] tells.
    pub async fn open_cluster(
        database: &DatabaseUrl,
        location: &StorageLocation,
        secret: &ClusterSecret,
    ) -> Result<Self, StoreError> {
        let database = Database::open_mysql(database).await?;
        let entering = || membership::enter(&database, secret);
        let cluster = database.within("join the cluster", entering).await?.join()?;
        let bundles = Bundles::open_shared(location, &cluster)?;
        let app_config_sealer = Sealer::new(secret, APP_CONFIG_PURPOSE);
        let peer_key = PeerKey::new(secret);
        Ok(Self { database, bundles, cluster: Some(cluster.into()), app_config_sealer, peer_key })
    }

    /// The cluster's lasting id; none on a single node.
    pub fn cluster_id(&self) -> Option<&str> {
        self.cluster.as_deref()
    }

    /// Whether the bundle storage is there and this cluster's. A new cluster marks its storage with this; once
    /// it holds bundles, a storage without the mark is a volume that is not mounted.
    pub async fn check_storage(&self) -> Result<(), StoreError> {
        let is_new = self.within("look for stored bundles", || async {
            let mut connection = self.database.single().await?;
            let found = sql("SELECT digest FROM bundles LIMIT 1").fetch_optional(&mut connection).await?;
            Ok(found.is_none())
        });
        self.bundles.mark(is_new.await?).await
    }

    /// What nodes of this cluster know each other by.
    pub fn peer_key(&self) -> &PeerKey {
        &self.peer_key
    }

    pub fn bundles(&self) -> &Bundles {
        &self.bundles
    }

    /// Whether the database answers; for readiness and the doctor.
    pub async fn ping(&self) -> Result<(), StoreError> {
        self.within("reach the database", || async {
            let mut connection = self.database.single().await?;
            sql::now_unix_ms(&mut connection).await?;
            Ok(())
        })
        .await
    }

    /// Waits for running calls and closes the connections, so that SQLite folds its log into the database.
    pub async fn close(&self) {
        self.database.close().await;
    }

    /// Runs one call under the deadline every call has; see [`Database::within`].
    async fn within<T, F>(&self, what: &'static str, call: impl Fn() -> F) -> Result<T, StoreError>
    where
        F: Future<Output = Result<T, StoreError>>,
    {
        self.database.within(what, call).await
    }
}
