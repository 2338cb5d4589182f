//! Looking at the nodes, and taking one out of the balancers' rotation.

use typecase_model::{Node, Principal, Topic};
use typecase_store::StoreError;

use super::{Control, ControlError};

impl Control {
    /// All nodes, lost ones too.
    pub async fn nodes(&self) -> Result<Vec<Node>, ControlError> {
        Ok(self.inner.store.nodes().await?)
    }

    /// Has balancers leave a node alone while it goes on serving, or come back. `wanted` is its id or name.
    pub async fn drain_node(
        &self,
        wanted: &str,
        draining: bool,
        principal: &Principal,
    ) -> Result<Node, ControlError> {
        let store = &self.inner.store;
        let mut found: Vec<Node> = store.nodes().await?;
        found.retain(|node| node.id.as_str() == wanted || node.name == wanted);
        let mut node = match found.len() {
            1 => found.remove(0),
            0 => return Err(StoreError::NotFound(format!("a node named `{wanted}`")).into()),
            _ => {
                let several = format!("one node named `{wanted}` (there are several: use the id)");
                return Err(StoreError::NotFound(several).into());
            }
        };
        store.set_draining(&node.id, draining).await?;
        self.inner.announcements.announce(Topic::Nodes);
        tracing::info!(node.id = %node.id, node.name = node.name, draining, principal.name = %principal.name, "node drained or resumed");
        node.draining = draining;
        Ok(node)
    }
}
