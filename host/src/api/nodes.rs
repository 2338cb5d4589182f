//! `/api/v1/nodes`

use axum::Json;
use axum::extract::{Extension, Path, State};
use serde::Serialize;
use typecase_model::{Node, Principal};

use super::problem::Problem;
use crate::control::Control;

#[derive(Serialize)]
pub struct NodeList {
    nodes: Vec<Node>,
}

pub async fn list(State(control): State<Control>) -> Result<Json<NodeList>, Problem> {
    Ok(Json(NodeList { nodes: control.nodes().await? }))
}

pub async fn drain(
    State(control): State<Control>,
    Extension(principal): Extension<Principal>,
    Path(node): Path<String>,
) -> Result<Json<Node>, Problem> {
    Ok(Json(control.drain_node(&node, true, &principal).await?))
}

pub async fn resume(
    State(control): State<Control>,
    Extension(principal): Extension<Principal>,
    Path(node): Path<String>,
) -> Result<Json<Node>, Problem> {
    Ok(Json(control.drain_node(&node, false, &principal).await?))
}
