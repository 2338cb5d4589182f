//! `/api/v1/tokens`, and who one is.

use axum::extract::{Extension, Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use typecase_model::{Principal, Role};
use typecase_store::ApiToken;

use super::layers;
use super::problem::Problem;
use super::request::Json;
use crate::control::Control;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewToken {
    name: String,
    role: Role,
}

#[derive(Serialize)]
pub struct TokenShown {
    name: String,
    role: Role,
    creator: String,
    created_unix_ms: i64,
    /// Only in the answer that makes it.
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<String>,
}

#[derive(Serialize)]
pub struct TokenList {
    tokens: Vec<TokenShown>,
}

pub async fn me(Extension(principal): Extension<Principal>) -> axum::Json<Principal> {
    axum::Json(principal)
}

pub async fn list(State(control): State<Control>) -> Result<axum::Json<TokenList>, Problem> {
    let tokens = control.identity().api_tokens().await?;
    let tokens = tokens.into_iter().map(|token| shown(token, None)).collect();
    Ok(axum::Json(TokenList { tokens }))
}

pub async fn create(
    State(control): State<Control>,
    Extension(principal): Extension<Principal>,
    Json(NewToken { name, role }): Json<NewToken>,
) -> Result<(StatusCode, axum::Json<TokenShown>), Problem> {
    let (token, secret) = control.identity().create_api_token(&name, role, &principal).await?;
    Ok((StatusCode::CREATED, axum::Json(shown(token, Some(secret.expose().to_owned())))))
}

pub async fn revoke(
    State(control): State<Control>,
    Extension(principal): Extension<Principal>,
    Path(name): Path<String>,
) -> Result<Response, Problem> {
    control.identity().revoke_api_token(&name, &principal).await?;
    Ok(layers::empty())
}

fn shown(token: ApiToken, secret: Option<String>) -> TokenShown {
    let ApiToken { name, role, creator, created_unix_ms } = token;
    TokenShown { name, role, creator, created_unix_ms, token: secret }
}
