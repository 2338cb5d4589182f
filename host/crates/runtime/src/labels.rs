//! Whose component it is.

use typecase_model::AppName;

/// What a component's log lines carry.
#[derive(Debug)]
pub struct ComponentLabels {
    pub app: AppName,
    pub release: u32,
}
