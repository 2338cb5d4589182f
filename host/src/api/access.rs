//! Who may take a route: a bearer token stands for a principal, and its role must be enough.

use axum::extract::{Request, State};
use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use axum::middleware::Next;
use axum::response::Response;
use typecase_model::Role;

use super::problem::Problem;
use crate::control::{Control, ControlError};
use crate::peers;

pub async fn viewer(control: State<Control>, request: Request, next: Next) -> Result<Response, Problem> {
    require(Role::Viewer, control, request, next).await
}

pub async fn publisher(control: State<Control>, request: Request, next: Next) -> Result<Response, Problem> {
    require(Role::Publisher, control, request, next).await
}

pub async fn admin(control: State<Control>, request: Request, next: Next) -> Result<Response, Problem> {
    require(Role::Admin, control, request, next).await
}

/// Who reads a log: somebody with a token, or another node that gathers what all nodes have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asker {
    Principal,
    Node,
}

/// For what nodes read from each other as well.
pub async fn viewer_or_node(
    State(control): State<Control>,
    mut request: Request,
    next: Next,
) -> Result<Response, Problem> {
    let path = request.uri().path_and_query().map_or("", |path| path.as_str());
    match credential(request.headers(), peers::SCHEME) {
        Some(signature) if control.is_asked_by_a_node(path, signature) => {
            request.extensions_mut().insert(Asker::Node);
            Ok(next.run(request).await)
        }
        Some(_) => Err(ControlError::TokenInvalid.into()),
        None => {
            request.extensions_mut().insert(Asker::Principal);
            require(Role::Viewer, State(control), request, next).await
        }
    }
}

/// Puts the principal where handlers find it, as an extension of the request.
async fn require(
    needed: Role,
    State(control): State<Control>,
    mut request: Request,
    next: Next,
) -> Result<Response, Problem> {
    let token = bearer(request.headers()).ok_or(ControlError::TokenInvalid)?;
    let principal = control.identity().authenticate(token).await?;
    if principal.role < needed {
        let (have, needed) = (principal.role.as_str(), needed.as_str());
        return Err(ControlError::RoleMissing { have, needed }.into());
    }
    request.extensions_mut().insert(principal);
    Ok(next.run(request).await)
}

pub fn bearer(headers: &HeaderMap) -> Option<&str> {
    credential(headers, "bearer")
}

fn credential<'a>(headers: &'a HeaderMap, wanted: &str) -> Option<&'a str> {
    let (scheme, credential) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case(wanted).then(|| credential.trim())
}
