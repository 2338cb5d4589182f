//! The `clusters` table, one row: which cluster this is, and who may take part in it.

use crate::StoreError;
use crate::database::{Database, migrations};
use crate::secret::ClusterSecret;
use crate::sql::sql;

/// What a node learns when it enters.
pub(crate) struct Membership {
    /// The cluster's lasting id.
    pub id: String,
    /// The secret is the one of the node that made the tables' row.
    pub same_secret: bool,
}

/// Makes the row when this is the first node, and checks that this version fits the tables.
pub(crate) async fn enter(database: &Database, secret: &ClusterSecret) -> Result<Membership, StoreError> {
    let mut connection = database.single().await?;
    // Of several first nodes one inserts its row, and all read the same.
    sql("{insert new} clusters (singleton, id, secret_check, oldest_schema, created_unix_ms)
         VALUES (1, ?, ?, 1, {now})")
    .bind(uuid::Uuid::now_v7().simple().to_string())
    .bind(secret.check())
    .execute(&mut connection)
    .await?;
    let row = sql("SELECT id, secret_check, oldest_schema FROM clusters WHERE singleton = 1")
        .fetch_one(&mut connection)
        .await?;
    let oldest: i64 = row.try_get("oldest_schema")?;
    if oldest > migrations::newest() {
        return Err(StoreError::Schema(format!(
            "its tables need a version that knows change {oldest}, this one knows {}: upgrade this node",
            migrations::newest()
        )));
    }
    Ok(Membership {
        id: row.try_get("id")?,
        same_secret: row.try_get::<&str>("secret_check")? == secret.check(),
    })
}

impl Membership {
    /// The cluster's id, for a node that has its secret.
    pub(crate) fn join(self) -> Result<String, StoreError> {
        match self.same_secret {
            true => Ok(self.id),
            false => Err(StoreError::Refused(
                "the secret is not the one of the cluster in this database: copy the secret file of a node that runs"
                    .to_owned(),
            )),
        }
    }
}
