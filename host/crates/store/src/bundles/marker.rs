//! The object that tells a cluster's storage from an empty folder and from another cluster's.

use std::sync::Arc;

use object_store::path::Path as ObjectPath;
use object_store::{ObjectStore, ObjectStoreExt as _, PutPayload};

use super::StorageLocation;
use crate::StoreError;

const NAME: &str = "typecase-cluster-id";

/// A marker is one line; more is something else's file.
const BYTES_MAX: u64 = 1_024;

#[derive(Debug, Clone)]
pub(crate) struct Marker {
    cluster: Arc<str>,
    location: Arc<str>,
}

impl Marker {
    pub(super) fn new(location: &StorageLocation, cluster: &str) -> Self {
        Self { cluster: cluster.into(), location: location.to_string().into() }
    }

    pub(super) async fn check(&self, objects: &dyn ObjectStore) -> Result<(), StoreError> {
        let location = &self.location;
        match self.read(objects).await? {
            Some(found) if *found == *self.cluster => Ok(()),
            Some(_) => Err(self.foreign()),
            None => {
                let source =
                    format!("{location} does not hold this cluster's marker `{NAME}`: is it mounted?");
                Err(StoreError::storage("find the cluster's storage", source))
            }
        }
    }

    pub(super) async fn make_or_check(&self, objects: &dyn ObjectStore) -> Result<(), StoreError> {
        if self.read(objects).await?.is_none() {
            // Two nodes may both make it, with the same content.
            let content = PutPayload::from(format!("{}\n", self.cluster));
            objects
                .put(&ObjectPath::from(NAME), content)
                .await
                .map_err(|error| StoreError::storage("mark the cluster's storage", error))?;
        }
        self.check(objects).await
    }

    pub(super) async fn read(&self, objects: &dyn ObjectStore) -> Result<Option<String>, StoreError> {
        const WHAT: &str = "read the marker of the cluster's storage";
        let found = match objects.get(&ObjectPath::from(NAME)).await {
            Ok(found) => found,
            Err(object_store::Error::NotFound { .. }) => return Ok(None),
            Err(error) => return Err(StoreError::storage(WHAT, error)),
        };
        if found.meta.size > BYTES_MAX {
            return Err(self.foreign());
        }
        let bytes = found.bytes().await.map_err(|error| StoreError::storage(WHAT, error))?;
        Ok(Some(String::from_utf8_lossy(&bytes).trim().to_owned()))
    }

    fn foreign(&self) -> StoreError {
        StoreError::Refused(format!(
            "the storage {} belongs to another cluster: give this one a folder or prefix of its own",
            self.location
        ))
    }
}
