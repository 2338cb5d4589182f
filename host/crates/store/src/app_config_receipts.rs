//! The `app_config_receipts` table: which generation of an app's config the release that serves on a node sees.

use typecase_model::AppName;
use typecase_model::app_config::AppConfigReceipt;
use typecase_model::settings::SettingsState;

use crate::apps::name_of;
use crate::receipts::shortened;
use crate::rollouts::stored;
use crate::sql::{Row, now_unix_ms, sql};
use crate::{Store, StoreError};

/// A receipt's text is for people.
const DETAIL_BYTES_MAX: usize = 4_096;

impl Store {
    /// Records what a node made of an app's config, in place of its earlier report; never in place of one about
    /// a newer config. `at_unix_ms` is taken from the database's clock, whatever the receipt says.
    pub async fn put_app_config_receipt(&self, receipt: &AppConfigReceipt) -> Result<(), StoreError> {
        let AppConfigReceipt { app, node, generation, state, detail, at_unix_ms: _ } = receipt;
        let detail = detail.as_deref().map(|detail| shortened(detail, DETAIL_BYTES_MAX));
        self.within("record what became of the app's config", || async {
            let mut tx = self.database.write().await?;
            let now = now_unix_ms(&mut tx).await?;
            let known =
                sql("UPDATE app_config_receipts SET generation = ?, state = ?, detail = ?, at_unix_ms = ?
                             WHERE app = ? AND node = ? AND generation <= ?")
                .bind(stored(*generation))
                .bind(state.as_str())
                .bind(detail)
                .bind(now)
                .bind(app.as_str())
                .bind(node.as_str())
                .bind(stored(*generation))
                .execute(&mut tx)
                .await?;
            if known == 0 {
                // If there is one after all, it is about a newer config.
                sql("{insert new} app_config_receipts (generation, state, detail, at_unix_ms, app, node)
                     VALUES (?, ?, ?, ?, ?, ?)")
                .bind(stored(*generation))
                .bind(state.as_str())
                .bind(detail)
                .bind(now)
                .bind(app.as_str())
                .bind(node.as_str())
                .execute(&mut tx)
                .await?;
            }
            tx.commit().await
        })
        .await
    }

    /// What each node made of the newest config of an app that it has seen.
    pub async fn app_config_receipts(&self, app: &AppName) -> Result<Vec<AppConfigReceipt>, StoreError> {
        self.within("list what became of the app's config", || async {
            let mut connection = self.database.single().await?;
            sql("SELECT * FROM app_config_receipts WHERE app = ? ORDER BY node")
                .bind(app.as_str())
                .fetch_all(&mut connection)
                .await?
                .iter()
                .map(receipt_of)
                .collect()
        })
        .await
    }
}

fn receipt_of(row: &Row) -> Result<AppConfigReceipt, StoreError> {
    let (node, state): (&str, &str) = (row.try_get("node")?, row.try_get("state")?);
    let generation: i64 = row.try_get("generation")?;
    Ok(AppConfigReceipt {
        app: name_of(row, "app")?,
        node: node.parse().map_err(|error| StoreError::corrupt_row("app_config_receipts.node", error))?,
        generation: u64::try_from(generation)
            .map(typecase_model::Generation)
            .map_err(|_| StoreError::corrupt_row("app_config_receipts.generation", generation))?,
        state: SettingsState::parse(state)
            .ok_or_else(|| StoreError::corrupt_row("app_config_receipts.state", state))?,
        detail: row.try_get("detail")?,
        at_unix_ms: row.try_get("at_unix_ms")?,
    })
}
