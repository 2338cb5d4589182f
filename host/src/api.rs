//! The JSON face of the control plane: every route and who may take it, in this one file.
//!
//! A handler parses and answers; [`crate::control`] decides. Whatever goes wrong becomes a problem document
//! in one place, [`layers`].

mod access;
mod app_config;
mod apps;
mod layers;
mod linger;
mod logs;
mod nodes;
mod openapi;
mod problem;
mod releases;
mod request;
mod settings;
mod setup;
mod tokens;

#[cfg(test)]
mod tests;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::StatusCode;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::{delete, get, patch, post, put};
use tower_http::catch_panic::CatchPanicLayer;

use crate::control::Control;

/// Of everything but a bundle: the largest is a password or the name of a token.
const BODY_BYTES_MAX: usize = 64 << 10;

/// The routes of the admin port that belong to the control plane.
pub fn router(control: Control) -> Router {
    let quick = || from_fn(layers::deadline);

    // Anybody, because they have no token yet; each attempt is counted.
    let open = Router::new()
        .route("/api/openapi.json", get(openapi::show))
        .route("/setup", get(setup::page).post(setup::submit))
        .route("/api/v1/setup", post(setup::set_up))
        .route("/api/v1/sign-in", post(setup::sign_in))
        .route_layer(quick());

    let viewer = Router::new()
        .route("/api/v1/apps", get(apps::list))
        .route("/api/v1/apps/{app}", get(apps::show))
        .route("/api/v1/apps/{app}/config", get(app_config::show))
        .route("/api/v1/apps/{app}/releases", get(releases::list))
        .route("/api/v1/apps/{app}/releases/{release}", get(releases::show))
        .route("/api/v1/apps/{app}/releases/{release}/receipts", get(releases::receipts))
        .route("/api/v1/nodes", get(nodes::list))
        .route("/api/v1/settings", get(settings::show))
        .route("/api/v1/settings/history", get(settings::history))
        .route("/api/v1/settings/diff", get(settings::diff))
        .route("/api/v1/settings/receipts", get(settings::receipts))
        .route("/api/v1/me", get(tokens::me))
        .route("/api/v1/sign-out", post(setup::sign_out))
        .route_layer(quick())
        .route_layer(from_fn_with_state(control.clone(), access::viewer));

    // The deadline is for the head of the answer; its lines may come for as long as somebody reads.
    let logs = Router::new()
        .route("/api/v1/apps/{app}/logs", get(logs::show))
        .route_layer(quick())
        .route_layer(from_fn_with_state(control.clone(), access::viewer_or_node));

    // These wait for a rollout and have deadlines of their own.
    let publisher = Router::new()
        .route("/api/v1/apps/{app}/releases", put(releases::publish))
        .route("/api/v1/apps/{app}/check", post(releases::check))
        .route("/api/v1/apps/{app}/activate", post(releases::activate))
        .route("/api/v1/apps/{app}/rollback", post(releases::roll_back))
        .route("/api/v1/apps/{app}/withdraw", post(apps::withdraw))
        .route_layer(from_fn_with_state(control.clone(), access::publisher));

    // Waits for the nodes, and takes more than other bodies.
    let config = Router::new()
        .route("/api/v1/apps/{app}/config", patch(app_config::change))
        .route_layer(DefaultBodyLimit::max(app_config::BODY_BYTES_MAX))
        .route_layer(from_fn_with_state(control.clone(), access::publisher));

    let admin = Router::new()
        .route("/api/v1/tokens", get(tokens::list).post(tokens::create))
        .route("/api/v1/tokens/{name}", delete(tokens::revoke))
        .route("/api/v1/nodes/{node}/drain", post(nodes::drain))
        .route("/api/v1/nodes/{node}/resume", post(nodes::resume))
        .route_layer(quick())
        .route_layer(from_fn_with_state(control.clone(), access::admin));

    // These wait for the nodes and have deadlines of their own.
    let settings = Router::new()
        .route("/api/v1/settings", patch(settings::change))
        .route("/api/v1/settings/rollback", post(settings::roll_back))
        .route_layer(from_fn_with_state(control.clone(), access::admin));

    Router::new()
        .merge(open)
        .merge(viewer)
        .merge(logs)
        .merge(publisher)
        .merge(config)
        .merge(admin)
        .merge(settings)
        .fallback(async || problem::Problem::of_status(StatusCode::NOT_FOUND, String::new()))
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .layer(CatchPanicLayer::new())
        .layer(from_fn(linger::linger))
        .layer(from_fn(layers::request_id))
        .with_state(control)
}
