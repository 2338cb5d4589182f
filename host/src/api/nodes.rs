//! `/api/v1/nodes`

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use typecase_model::Node;

use super::problem::Problem;
use crate::control::Control;

#[derive(Serialize)]
pub struct NodeList {
    nodes: Vec<Node>,
}

pub async fn list(State(control): State<Control>) -> Result<Json<NodeList>, Problem> {
    Ok(Json(NodeList { nodes: control.nodes().await? }))
}
