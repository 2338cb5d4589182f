//! What an announcement may say: which shared state to look at again, and nothing else.

use crate::AppName;

/// A piece of shared state that reconcile tasks read again when it is announced.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Topic {
    /// One app's row: its generation, active release, candidate and receipts.
    App(AppName),
    /// Everything: sent to itself by a node that may have missed announcements.
    All,
}
