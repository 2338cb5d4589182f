//! `/api/v1/apps`

use axum::Json;
use axum::extract::{Extension, State};
use serde::Serialize;
use typecase_model::{App, Principal, Release};

use super::problem::Problem;
use super::request::OfApp;
use crate::control::Control;

#[derive(Serialize)]
pub struct AppList {
    apps: Vec<App>,
}

#[derive(Serialize)]
pub struct AppShown {
    #[serde(flatten)]
    app: App,
    active_release: Option<Release>,
    candidate_release: Option<Release>,
}

pub async fn list(State(control): State<Control>) -> Result<Json<AppList>, Problem> {
    Ok(Json(AppList { apps: control.apps().await? }))
}

pub async fn show(State(control): State<Control>, OfApp(name): OfApp) -> Result<Json<AppShown>, Problem> {
    let found = control.app(&name).await?;
    Ok(Json(AppShown { app: found.app, active_release: found.active, candidate_release: found.candidate }))
}

pub async fn withdraw(
    State(control): State<Control>,
    Extension(principal): Extension<Principal>,
    OfApp(name): OfApp,
) -> Result<Json<App>, Problem> {
    Ok(Json(control.withdraw(&name, &principal).await?))
}
