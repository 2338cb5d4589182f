//! The `nodes` table: who takes part in rollouts, judged by heartbeats on the database's clock.

use sqlx::Row;
use sqlx::sqlite::{SqliteConnection, SqliteRow};
use typecase_model::{Node, NodeHealth, NodeId};

use crate::database::now_unix_ms;
use crate::{Store, StoreError};

/// A node that was silent for so long is lost: rollouts do not wait for it any more. Heartbeats come about
/// once a second, so several must be missed in a row.
pub const LOST_AFTER_MS: i64 = 5_000;

/// A node that was lost for so long is not listed any more: it was replaced, not restarted.
const FORGOTTEN_AFTER_MS: i64 = 7 * 24 * 3_600 * 1_000;

impl Store {
    /// Writes this node's row at start; counts as its first heartbeat.
    pub async fn register_node(
        &self,
        id: &NodeId,
        name: &str,
        admin: &str,
        version: &str,
    ) -> Result<(), StoreError> {
        self.within("register the node", async {
            let mut tx = self.database.write().await?;
            let now = now_unix_ms(&mut tx).await?;
            sqlx::query("DELETE FROM nodes WHERE id = ? OR heartbeat_unix_ms < ?")
                .bind(id.as_str())
                .bind(now - FORGOTTEN_AFTER_MS)
                .execute(&mut *tx)
                .await?;
            sqlx::query(
                "INSERT INTO nodes (id, name, admin, version, started_unix_ms, heartbeat_unix_ms)
                 VALUES (?, ?, ?, ?, ?, ?)",
            )
            .bind(id.as_str())
            .bind(name)
            .bind(admin)
            .bind(version)
            .bind(now)
            .bind(now)
            .execute(&mut *tx)
            .await?;
            tx.commit().await?;
            Ok(())
        })
        .await
    }

    /// Says that this node lives. False when its row is gone: register again.
    pub async fn heartbeat(&self, id: &NodeId) -> Result<bool, StoreError> {
        self.within("send the heartbeat", async {
            let mut tx = self.database.write().await?;
            let now = now_unix_ms(&mut tx).await?;
            let changed = sqlx::query("UPDATE nodes SET heartbeat_unix_ms = ? WHERE id = ?")
                .bind(now)
                .bind(id.as_str())
                .execute(&mut *tx)
                .await?
                .rows_affected();
            tx.commit().await?;
            Ok(changed == 1)
        })
        .await
    }

    /// Takes a node that stops in an orderly way out of rollouts at once.
    pub async fn sign_off(&self, id: &NodeId) -> Result<(), StoreError> {
        self.within("sign the node off", async {
            let mut tx = self.database.write().await?;
            let now = now_unix_ms(&mut tx).await?;
            sqlx::query("UPDATE nodes SET heartbeat_unix_ms = ? WHERE id = ?")
                .bind(now - LOST_AFTER_MS - 1)
                .bind(id.as_str())
                .execute(&mut *tx)
                .await?;
            tx.commit().await?;
            Ok(())
        })
        .await
    }

    /// All nodes that are known, lost ones too.
    pub async fn nodes(&self) -> Result<Vec<Node>, StoreError> {
        self.within("list the nodes", async {
            let mut tx = self.database.read().await?;
            let now = now_unix_ms(&mut tx).await?;
            nodes_of(&mut tx, now).await
        })
        .await
    }

    /// The nodes that rollouts wait for.
    pub async fn live_nodes(&self) -> Result<Vec<Node>, StoreError> {
        let mut nodes = self.nodes().await?;
        nodes.retain(|node| node.health == NodeHealth::Live);
        Ok(nodes)
    }
}

pub(crate) async fn nodes_of(connection: &mut SqliteConnection, now: i64) -> Result<Vec<Node>, StoreError> {
    sqlx::query("SELECT * FROM nodes ORDER BY name, id")
        .fetch_all(connection)
        .await?
        .iter()
        .map(|row| node_of(row, now))
        .collect()
}

fn node_of(row: &SqliteRow, now: i64) -> Result<Node, StoreError> {
    let id: &str = row.try_get("id")?;
    let heartbeat_unix_ms: i64 = row.try_get("heartbeat_unix_ms")?;
    let silent_ms = now.saturating_sub(heartbeat_unix_ms);
    Ok(Node {
        id: id.parse().map_err(|error| StoreError::corrupt_row("a node's id", error))?,
        name: row.try_get("name")?,
        admin: row.try_get("admin")?,
        version: row.try_get("version")?,
        started_unix_ms: row.try_get("started_unix_ms")?,
        heartbeat_unix_ms,
        health: if silent_ms > LOST_AFTER_MS { NodeHealth::Lost } else { NodeHealth::Live },
    })
}
