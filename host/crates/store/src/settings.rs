//! The `settings` table, to which each change adds a row, and `settings_receipts`: what each node made of the
//! newest one. Adding the row with the next generation is the compare-and-set: only one change can.

use typecase_model::settings::{SettingsReceipt, SettingsRevision, SettingsState};
use typecase_model::{Generation, Settings};

use crate::database::Connection;
use crate::rollouts::stored;
use crate::sql::{Row, now_unix_ms, sql};
use crate::{Store, StoreError};

/// Changes that can be looked at and rolled back to.
pub const SETTINGS_KEPT: u32 = 200;

/// A receipt's text is for people; a document full of misfits does not fill the table.
const DETAIL_BYTES_MAX: usize = 4_096;

/// A change as it is asked for.
#[derive(Debug)]
pub struct NewSettings<'a> {
    /// The generation that it was made from.
    pub expected: Generation,
    pub settings: &'a Settings,
    pub changed_by: &'a str,
    pub note: &'a str,
}

impl Store {
    /// The newest generation: what is asked every few seconds.
    pub async fn settings_generation(&self) -> Result<Generation, StoreError> {
        self.within("look at the settings", || async {
            let mut connection = self.database.single().await?;
            newest_generation(&mut connection).await
        })
        .await
    }

    /// The settings that hold; empty ones at generation 0 when nothing was ever set.
    pub async fn settings(&self) -> Result<SettingsRevision, StoreError> {
        self.within("read the settings", || async {
            let mut connection = self.database.single().await?;
            let row = sql("SELECT * FROM settings ORDER BY generation DESC LIMIT 1")
                .fetch_optional(&mut connection)
                .await?;
            row.as_ref().map_or_else(|| Ok(never_set()), revision_of)
        })
        .await
    }

    /// The settings as they were at a generation.
    pub async fn settings_at(&self, generation: Generation) -> Result<SettingsRevision, StoreError> {
        if generation.0 == 0 {
            return Ok(never_set());
        }
        self.within("read the settings", || async {
            let mut connection = self.database.single().await?;
            let row = sql("SELECT * FROM settings WHERE generation = ?")
                .bind(stored(generation))
                .fetch_optional(&mut connection)
                .await?;
            let gone = || {
                StoreError::NotFound(format!(
                    "generation {generation} of the settings (the newest {SETTINGS_KEPT} are kept)"
                ))
            };
            revision_of(&row.ok_or_else(gone)?)
        })
        .await
    }

    /// The newest changes, newest first.
    pub async fn settings_history(&self, count: u32) -> Result<Vec<SettingsRevision>, StoreError> {
        self.within("read the settings' history", || async {
            let mut connection = self.database.single().await?;
            sql("SELECT * FROM settings ORDER BY generation DESC LIMIT ?")
                .bind(count)
                .fetch_all(&mut connection)
                .await?
                .iter()
                .map(revision_of)
                .collect()
        })
        .await
    }

    /// Makes the settings hold, unless someone else changed them since `expected`.
    pub async fn change_settings(&self, new: &NewSettings<'_>) -> Result<SettingsRevision, StoreError> {
        let NewSettings { expected, settings, changed_by, note } = *new;
        self.within("change the settings", || async {
            let mut tx = self.database.write().await?;
            let found = newest_generation(&mut tx).await?;
            let generation = Generation(expected.0.saturating_add(1));
            let created_unix_ms = now_unix_ms(&mut tx).await?;
            let is_first = found == expected
                && sql("{insert new} settings (generation, document, changed_by, note, created_unix_ms)
                        VALUES (?, ?, ?, ?, ?)")
                .bind(stored(generation))
                .bind(settings.to_document())
                .bind(changed_by)
                .bind(note)
                .bind(created_unix_ms)
                .execute(&mut tx)
                .await?
                    == 1;
            if !is_first {
                // Whoever was first at this very moment has ended by now.
                let found = newest_generation(&mut tx).await?;
                return Err(StoreError::Outdated { what: "the settings", expected, found });
            }
            let forgotten = stored(generation) - i64::from(SETTINGS_KEPT);
            sql("DELETE FROM settings WHERE generation <= ?").bind(forgotten).execute(&mut tx).await?;
            // A node that has not spoken since is gone.
            sql("DELETE FROM settings_receipts WHERE generation <= ?")
                .bind(forgotten)
                .execute(&mut tx)
                .await?;
            tx.commit().await?;
            Ok(SettingsRevision {
                generation,
                settings: settings.clone(),
                changed_by: changed_by.to_owned(),
                note: note.to_owned(),
                created_unix_ms,
            })
        })
        .await
    }

    /// Records what a node made of the settings, in place of its earlier report. `at_unix_ms` is taken from the
    /// database's clock, whatever the receipt says.
    pub async fn put_settings_receipt(&self, receipt: &SettingsReceipt) -> Result<(), StoreError> {
        let SettingsReceipt { node, generation, state, detail, ignored, at_unix_ms: _ } = receipt;
        let detail = detail.as_deref().map(|detail| &detail[..detail.floor_char_boundary(DETAIL_BYTES_MAX)]);
        let mut ignored = ignored.clone();
        // Keys have no commas; of very many the first ones must do.
        while ignored.iter().map(|key| key.len() + 1).sum::<usize>() > DETAIL_BYTES_MAX {
            ignored.pop();
        }
        let ignored = ignored.join(",");
        self.within("record what became of the settings", || async {
            let mut tx = self.database.write().await?;
            let now = now_unix_ms(&mut tx).await?;
            let known = sql("UPDATE settings_receipts
                             SET generation = ?, state = ?, detail = ?, ignored = ?, at_unix_ms = ?
                             WHERE node = ? AND generation <= ?")
            .bind(stored(*generation))
            .bind(state.as_str())
            .bind(detail)
            .bind(&ignored)
            .bind(now)
            .bind(node.as_str())
            .bind(stored(*generation))
            .execute(&mut tx)
            .await?;
            if known == 0 {
                // Its first one, unless a report about a newer generation is there already.
                sql("{insert new} settings_receipts (generation, state, detail, ignored, at_unix_ms, node)
                     VALUES (?, ?, ?, ?, ?, ?)")
                .bind(stored(*generation))
                .bind(state.as_str())
                .bind(detail)
                .bind(&ignored)
                .bind(now)
                .bind(node.as_str())
                .execute(&mut tx)
                .await?;
            }
            tx.commit().await
        })
        .await
    }

    /// What each node made of the newest settings that it has seen.
    pub async fn settings_receipts(&self) -> Result<Vec<SettingsReceipt>, StoreError> {
        self.within("list what became of the settings", || async {
            let mut connection = self.database.single().await?;
            sql("SELECT * FROM settings_receipts ORDER BY node")
                .fetch_all(&mut connection)
                .await?
                .iter()
                .map(receipt_of)
                .collect()
        })
        .await
    }
}

fn never_set() -> SettingsRevision {
    SettingsRevision {
        generation: Generation(0),
        settings: Settings::default(),
        changed_by: String::new(),
        note: String::new(),
        created_unix_ms: 0,
    }
}

async fn newest_generation(connection: &mut Connection) -> Result<Generation, StoreError> {
    let row = sql("SELECT MAX(generation) AS generation FROM settings").fetch_one(connection).await?;
    let newest: Option<i64> = row.try_get("generation")?;
    generation(newest.unwrap_or(0))
}

fn revision_of(row: &Row) -> Result<SettingsRevision, StoreError> {
    let document: &str = row.try_get("document")?;
    Ok(SettingsRevision {
        generation: generation(row.try_get("generation")?)?,
        settings: Settings::parse(document)
            .map_err(|error| StoreError::corrupt_row("the document of the settings", error))?,
        changed_by: row.try_get("changed_by")?,
        note: row.try_get("note")?,
        created_unix_ms: row.try_get("created_unix_ms")?,
    })
}

fn receipt_of(row: &Row) -> Result<SettingsReceipt, StoreError> {
    let (node, state): (&str, &str) = (row.try_get("node")?, row.try_get("state")?);
    let ignored: &str = row.try_get("ignored")?;
    Ok(SettingsReceipt {
        node: node.parse().map_err(|error| StoreError::corrupt_row("settings_receipts.node", error))?,
        generation: generation(row.try_get("generation")?)?,
        state: SettingsState::parse(state)
            .ok_or_else(|| StoreError::corrupt_row("settings_receipts.state", state))?,
        detail: row.try_get("detail")?,
        ignored: ignored.split(',').filter(|key| !key.is_empty()).map(str::to_owned).collect(),
        at_unix_ms: row.try_get("at_unix_ms")?,
    })
}

fn generation(number: i64) -> Result<Generation, StoreError> {
    u64::try_from(number)
        .map(Generation)
        .map_err(|_| StoreError::corrupt_row("a generation of the settings", number))
}

#[cfg(test)]
mod tests;
