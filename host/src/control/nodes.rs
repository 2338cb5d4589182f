//! Looking at the nodes.

use typecase_model::Node;

use super::{Control, ControlError};

impl Control {
    /// All nodes, lost ones too.
    pub async fn nodes(&self) -> Result<Vec<Node>, ControlError> {
        Ok(self.inner.store.nodes().await?)
    }
}
