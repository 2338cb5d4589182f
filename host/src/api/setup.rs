//! The way in: the one-time setup link, signing in and out.

use axum::Json as JsonAnswer;
use axum::extract::{Query, Request, State};
use axum::http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};

use super::problem::Problem;
use super::request::{Json, body};
use super::{access, layers};
use crate::control::{Control, ControlError};

/// The page needs no script and nothing from elsewhere, so nothing else is allowed.
const PAGE_POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SetUp {
    token: String,
    password: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignIn {
    user: String,
    password: String,
}

#[derive(Serialize)]
pub struct SignedIn {
    token: String,
    expires_unix_ms: i64,
}

#[derive(Serialize)]
pub struct AccountMade {
    user: &'static str,
}

#[derive(Deserialize)]
pub struct Link {
    #[serde(default)]
    token: String,
}

pub async fn set_up(
    State(control): State<Control>,
    Json(SetUp { token, password }): Json<SetUp>,
) -> Result<(StatusCode, JsonAnswer<AccountMade>), Problem> {
    control.identity().set_up(&token, &password).await?;
    Ok((StatusCode::CREATED, JsonAnswer(AccountMade { user: "admin" })))
}

pub async fn sign_in(
    State(control): State<Control>,
    Json(SignIn { user, password }): Json<SignIn>,
) -> Result<JsonAnswer<SignedIn>, Problem> {
    let (token, expires_unix_ms) = control.identity().sign_in(&user, &password).await?;
    Ok(JsonAnswer(SignedIn { token: token.expose().to_owned(), expires_unix_ms }))
}

pub async fn sign_out(State(control): State<Control>, headers: HeaderMap) -> Result<Response, Problem> {
    let token = access::bearer(&headers).ok_or(ControlError::TokenInvalid)?;
    control.identity().sign_out(token).await?;
    Ok(layers::empty())
}

/// `GET /setup?token=...`: what the printed link opens.
pub async fn page(Query(Link { token }): Query<Link>) -> Response {
    form(StatusCode::OK, &token, "")
}

/// `POST /setup`: the page's form.
pub async fn submit(State(control): State<Control>, request: Request) -> Result<Response, Problem> {
    let body = body(request, &control).await?;
    let field = |name: &str| {
        form_urlencoded::parse(&body).find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
    };
    let token = field("token").unwrap_or_default();
    let password = field("password").unwrap_or_default();
    if Some(&password) != field("again").as_ref() {
        return Ok(form(StatusCode::BAD_REQUEST, &token, "The two passwords differ."));
    }
    match control.identity().set_up(&token, &password).await {
        Ok(()) => Ok(html(StatusCode::OK, DONE)),
        Err(error) => {
            let problem = Problem::from(error);
            Ok(form(problem.status, &token, &problem.detail))
        }
    }
}

const DONE: &str = "<h1>Typecase is set up</h1>\
    <p>The user <code>admin</code> has your password now, and this link is used up.</p>";

fn form(status: StatusCode, token: &str, message: &str) -> Response {
    let (token, message) = (escaped(token), escaped(message));
    html(
        status,
        &format!(
            "<h1>Set up Typecase</h1>\
             <p role=\"alert\">{message}</p>\
             <form method=\"post\" action=\"/setup\">\
             <input type=\"hidden\" name=\"token\" value=\"{token}\">\
             <label>Password of the user <code>admin</code>\
             <input type=\"password\" name=\"password\" autocomplete=\"new-password\" minlength=\"8\" required autofocus></label>\
             <label>The same again\
             <input type=\"password\" name=\"again\" autocomplete=\"new-password\" minlength=\"8\" required></label>\
             <button>Set the password</button></form>"
        ),
    )
}

fn html(status: StatusCode, main: &str) -> Response {
    let page = format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>Typecase</title>\
         <meta name=\"viewport\" content=\"width=device-width\">\
         <style>body{{font:16px/1.5 system-ui,sans-serif;max-width:24rem;margin:4rem auto;padding:0 1rem}}\
         label,input,button{{display:block;width:100%;box-sizing:border-box;font:inherit}}\
         input,button{{padding:.5rem;margin:.25rem 0 1rem}}[role=alert]{{color:#b00020}}</style></head>\
         <body><main>{main}</main></body></html>"
    );
    let headers = [
        (CONTENT_TYPE, "text/html; charset=utf-8"),
        (CONTENT_SECURITY_POLICY, PAGE_POLICY),
        // The address holds the link's secret.
        (REFERRER_POLICY, "no-referrer"),
    ];
    (status, headers, page).into_response()
}

fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}
