//! JSON bodies, in and out.

use http::header::CONTENT_TYPE;
use http::{HeaderMap, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::error::Category;

use crate::{Body, Error, FromRequest, Incoming, IntoResponse, Response};

/// A typed JSON body, of a request and of an answer.
///
/// As an argument it is read within [`App::body_bytes_max`](crate::App::body_bytes_max) (2 MiB unless changed); nesting deeper than 128
/// is refused. What is wrong is answered with
/// - 415, code `not-json`: the content type is neither `application/json` nor one that ends with `+json`;
/// - 413, code `body-too-large`;
/// - 400, code `json-syntax`: it is not JSON, with line and column;
/// - 422, code `json-invalid`: it is JSON, but not of this type, with the reason, line and column.
///
/// As an answer it has the content type `application/json` and status 200; a tuple with a status changes that.
///
/// ```
/// use http::StatusCode;
/// use serde::{Deserialize, Serialize};
/// use typecase_sdk::{App, Json};
///
/// #[derive(Deserialize)]
/// struct Order {
///     item: String,
///     count: u32,
/// }
///
/// #[derive(Serialize)]
/// struct Receipt {
///     ordered: String,
/// }
///
/// async fn order(Json(order): Json<Order>) -> (StatusCode, Json<Receipt>) {
///     let receipt = Receipt { ordered: format!("{} x {}", order.count, order.item) };
///     (StatusCode::CREATED, Json(receipt))
/// }
///
/// let app = App::new().post("/orders", order);
/// # use serde_json::json;
/// # let app = typecase_sdk::testing::TestApp::new(app);
/// # let answer = app.post_json("/orders", &json!({ "item": "type", "count": 3 }));
/// # assert_eq!(answer.status(), 201);
/// # assert_eq!(answer.json::<serde_json::Value>(), json!({ "ordered": "3 x type" }));
/// # assert_eq!(app.post_json("/orders", &json!({ "item": 5 })).status(), 422);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Json<T>(pub T);

impl<T: DeserializeOwned> FromRequest for Json<T> {
    const READS_BODY: bool = true;

    async fn from_request(request: &mut Incoming) -> Result<Self, Error> {
        if !is_json(request.headers()) {
            let detail = "Send JSON, with the header `content-type: application/json`.";
            return Err(Error::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "not-json", detail));
        }
        parse(&request.read_body().await?).map(Self)
    }
}

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Result<Response, Error> {
        let text = serde_json::to_vec(&self.0)?;
        Ok(Response::new(Body::from(text).with_kind("application/json")))
    }
}

/// `application/json` and the likes of `application/merge-patch+json`, whatever parameters follow.
fn is_json(headers: &HeaderMap) -> bool {
    let Some(value) = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()) else { return false };
    let kind = value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    kind == "application/json" || (kind.starts_with("application/") && kind.ends_with("+json"))
}

pub(crate) fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Error> {
    serde_json::from_slice(bytes).map_err(|error| {
        let (status, code, what) = match error.classify() {
            Category::Data => (StatusCode::UNPROCESSABLE_ENTITY, "json-invalid", "The JSON does not fit"),
            _ => (StatusCode::BAD_REQUEST, "json-syntax", "The body is not JSON"),
        };
        Error::new(status, code, format!("{what}: {error}."))
    })
}
