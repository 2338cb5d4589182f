//! The `receipts` table: what each node reports about each release.

use typecase_model::{AppName, Generation, Receipt, ReceiptState, ReleaseNumber};

use crate::apps::{lock_app, name_of, number_of};
use crate::database::Connection;
use crate::sql::{Row, now_unix_ms, sql};
use crate::{Store, StoreError};

/// A receipt's text is for people; a guest that fails with a novel does not fill the table.
const DETAIL_BYTES_MAX: usize = 4_096;

impl Store {
    /// Records a node's report, in place of its earlier one about the same release. False, and nothing
    /// recorded, when the app has moved on from `seen`: a slow node must not vote in a later rollout.
    /// `at_unix_ms` is taken from the database's clock, whatever the receipt says.
    pub async fn put_receipt(&self, receipt: &Receipt, seen: Generation) -> Result<bool, StoreError> {
        let detail = receipt.detail.as_deref().map(|detail| shortened(detail, DETAIL_BYTES_MAX));
        self.within("record the receipt", || async {
            let mut tx = self.database.write().await?;
            let app = lock_app(&mut tx, &receipt.app).await?;
            if app.is_none_or(|app| app.generation != seen) {
                return Ok(false);
            }
            let now = now_unix_ms(&mut tx).await?;
            let duration = i64::try_from(receipt.duration_ms).unwrap_or(i64::MAX);
            sql("DELETE FROM receipts WHERE app = ? AND release_number = ? AND node = ?")
                .bind(receipt.app.as_str())
                .bind(receipt.release.0)
                .bind(receipt.node.as_str())
                .execute(&mut tx)
                .await?;
            sql("INSERT INTO receipts (app, release_number, node, state, detail, duration_ms, at_unix_ms)
                 VALUES (?, ?, ?, ?, ?, ?, ?)")
            .bind(receipt.app.as_str())
            .bind(receipt.release.0)
            .bind(receipt.node.as_str())
            .bind(receipt.state.as_str())
            .bind(detail)
            .bind(duration)
            .bind(now)
            .execute(&mut tx)
            .await?;
            tx.commit().await?;
            Ok(true)
        })
        .await
    }

    /// All nodes' reports about one release.
    pub async fn receipts(&self, app: &AppName, number: ReleaseNumber) -> Result<Vec<Receipt>, StoreError> {
        self.within("list the receipts", || async {
            let mut connection = self.database.single().await?;
            receipts_of(&mut connection, app, number).await
        })
        .await
    }
}

pub(crate) async fn receipts_of(
    connection: &mut Connection,
    app: &AppName,
    number: ReleaseNumber,
) -> Result<Vec<Receipt>, StoreError> {
    // Sorted here: a database sorts a join with texts in it through a temporary table on disk.
    let rows = sql("SELECT receipts.*, nodes.name AS node_name FROM receipts
                    LEFT JOIN nodes ON nodes.id = receipts.node
                    WHERE receipts.app = ? AND receipts.release_number = ?")
    .bind(app.as_str())
    .bind(number.0)
    .fetch_all(connection)
    .await?;
    let mut receipts: Vec<Receipt> = rows.iter().map(receipt_of).collect::<Result<_, _>>()?;
    receipts.sort_by(|a, b| (&a.name, a.node.as_str()).cmp(&(&b.name, b.node.as_str())));
    Ok(receipts)
}

fn receipt_of(row: &Row) -> Result<Receipt, StoreError> {
    let state: &str = row.try_get("state")?;
    let node: &str = row.try_get("node")?;
    let duration: i64 = row.try_get("duration_ms")?;
    Ok(Receipt {
        app: name_of(row, "app")?,
        release: number_of(row, "release_number")?
            .ok_or_else(|| StoreError::corrupt_row("receipts.release_number", "NULL"))?,
        node: node.parse().map_err(|error| StoreError::corrupt_row("a receipt's node", error))?,
        state: ReceiptState::parse(state)
            .ok_or_else(|| StoreError::corrupt_row("a receipt's state", state))?,
        name: row.try_get::<Option<String>>("node_name")?.unwrap_or_default(),
        detail: row.try_get("detail")?,
        duration_ms: u64::try_from(duration).unwrap_or(0),
        at_unix_ms: row.try_get("at_unix_ms")?,
    })
}

pub(crate) fn shortened(text: &str, bytes_max: usize) -> &str {
    &text[..text.floor_char_boundary(bytes_max)]
}
