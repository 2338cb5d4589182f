//! The `nodes` table: who takes part in rollouts, judged by heartbeats on the database's clock.

use typecase_model::{Node, NodeHealth, NodeId};

use crate::database::Connection;
use crate::receipts::shortened;
use crate::sql::{Row, now_unix_ms, sql};
use crate::{Store, StoreError};

/// A node that was silent for so long is lost: rollouts do not wait for it any more. Heartbeats come about
/// once a second, so several must be missed in a row.
pub const LOST_AFTER_MS: i64 = 5_000;

/// A node that was lost for so long is not listed any more: it was replaced, not restarted.
const FORGOTTEN_AFTER_MS: i64 = 7 * 24 * 3_600 * 1_000;

/// What a node says about itself is a few sentences.
const PROBLEMS_BYTES_MAX: usize = 1_000;

/// What the operator wants of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wanted {
    /// Balancers should leave it alone.
    pub draining: bool,
}

impl Store {
    /// Writes this node's row at start; counts as its first heartbeat.
    pub async fn register_node(
        &self,
        id: &NodeId,
        name: &str,
        admin: &str,
        apps: &str,
        version: &str,
    ) -> Result<(), StoreError> {
        self.within("register the node", || async {
            let mut tx = self.database.write().await?;
            let now = now_unix_ms(&mut tx).await?;
            sql("DELETE FROM nodes WHERE heartbeat_unix_ms < ?")
                .bind(now - FORGOTTEN_AFTER_MS)
                .execute(&mut tx)
                .await?;
            sql("{insert new} nodes (id, name, admin, apps, version, started_unix_ms, heartbeat_unix_ms)
                 VALUES (?, '', '', '', '', 0, 0)")
            .bind(id.as_str())
            .execute(&mut tx)
            .await?;
            // Whether it drains is the operator's word, which a restart does not take back.
            sql("UPDATE nodes SET name = ?, admin = ?, apps = ?, version = ?, problems = '',
                                  started_unix_ms = ?, heartbeat_unix_ms = ?
                 WHERE id = ?")
            .bind(name)
            .bind(admin)
            .bind(apps)
            .bind(version)
            .bind(now)
            .bind(now)
            .bind(id.as_str())
            .execute(&mut tx)
            .await?;
            tx.commit().await?;
            Ok(())
        })
        .await
    }

    /// Says that this node lives and what it suffers from, and reads what the operator wants of it. None when
    /// its row is gone: register again.
    pub async fn heartbeat(&self, id: &NodeId, problems: &str) -> Result<Option<Wanted>, StoreError> {
        self.within("send the heartbeat", || async {
            let mut connection = self.database.single().await?;
            sql("UPDATE nodes SET heartbeat_unix_ms = {now}, problems = ? WHERE id = ?")
                .bind(shortened(problems, PROBLEMS_BYTES_MAX))
                .bind(id.as_str())
                .execute(&mut connection)
                .await?;
            let row = sql("SELECT draining FROM nodes WHERE id = ?")
                .bind(id.as_str())
                .fetch_optional(&mut connection)
                .await?;
            row.map(|row| Ok(Wanted { draining: row.try_get::<i64>("draining")? != 0 })).transpose()
        })
        .await
    }

    /// Has balancers leave a node alone, or come back. The node follows at its next heartbeat, or when it
    /// hears of it.
    pub async fn set_draining(&self, id: &NodeId, draining: bool) -> Result<(), StoreError> {
        self.within("change the node", || async {
            let mut connection = self.database.single().await?;
            let found = sql("UPDATE nodes SET draining = ? WHERE id = ?")
                .bind(i64::from(draining))
                .bind(id.as_str())
                .execute(&mut connection)
                .await?;
            match found {
                0 => Err(StoreError::NotFound(format!("node `{id}`"))),
                _ => Ok(()),
            }
        })
        .await
    }

    /// Takes a node that stops in an orderly way out of rollouts at once.
    pub async fn sign_off(&self, id: &NodeId) -> Result<(), StoreError> {
        self.within("sign the node off", || async {
            let mut connection = self.database.single().await?;
            sql("UPDATE nodes SET heartbeat_unix_ms = {now} - ? WHERE id = ?")
                .bind(LOST_AFTER_MS + 1)
                .bind(id.as_str())
                .execute(&mut connection)
                .await?;
            Ok(())
        })
        .await
    }

    /// All nodes that are known, lost ones too.
    pub async fn nodes(&self) -> Result<Vec<Node>, StoreError> {
        self.within("list the nodes", || async {
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

pub(crate) async fn nodes_of(connection: &mut Connection, now: i64) -> Result<Vec<Node>, StoreError> {
    sql("SELECT * FROM nodes ORDER BY name, id")
        .fetch_all(connection)
        .await?
        .iter()
        .map(|row| node_of(row, now))
        .collect()
}

fn node_of(row: &Row, now: i64) -> Result<Node, StoreError> {
    let id: &str = row.try_get("id")?;
    let heartbeat_unix_ms: i64 = row.try_get("heartbeat_unix_ms")?;
    let silent_ms = now.saturating_sub(heartbeat_unix_ms);
    Ok(Node {
        id: id.parse().map_err(|error| StoreError::corrupt_row("a node's id", error))?,
        name: row.try_get("name")?,
        admin: row.try_get("admin")?,
        apps: row.try_get("apps")?,
        version: row.try_get("version")?,
        started_unix_ms: row.try_get("started_unix_ms")?,
        heartbeat_unix_ms,
        problems: row.try_get("problems")?,
        draining: row.try_get::<i64>("draining")? != 0,
        health: if silent_ms > LOST_AFTER_MS { NodeHealth::Lost } else { NodeHealth::Live },
    })
}
