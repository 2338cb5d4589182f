//! What follows the `?` of an address.

use http::StatusCode;
use serde::de::DeserializeOwned;

use crate::{Error, FromRequest, Incoming};

/// The query as a type with a field for each parameter (`application/x-www-form-urlencoded`, as the URL standard says).
///
/// Parameters without a field are ignored, unless the type has `#[serde(deny_unknown_fields)]`; `Option` and
/// `#[serde(default)]` make them optional. What does not fit is answered with 400, code `query-invalid`.
///
/// ```
/// use serde::Deserialize;
/// use typecase_sdk::{App, Query};
///
/// #[derive(Deserialize)]
/// struct Page {
///     #[serde(default)]
///     offset: u64,
///     limit: Option<u64>,
/// }
///
/// async fn list(Query(page): Query<Page>) -> String {
///     format!("{} from {}", page.limit.unwrap_or(20).min(100), page.offset)
/// }
///
/// let app = App::new().get("/notes", list);
/// # let app = typecase_sdk::testing::TestApp::new(app);
/// # assert_eq!(app.get("/notes?offset=40&limit=5").text(), "5 from 40");
/// # assert_eq!(app.get("/notes").text(), "20 from 0");
/// # assert_eq!(app.get("/notes?limit=all").status(), 400);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query<T>(pub T);

impl<T: DeserializeOwned> FromRequest for Query<T> {
    async fn from_request(request: &mut Incoming) -> Result<Self, Error> {
        serde_urlencoded::from_str(request.query().unwrap_or_default()).map(Self).map_err(|error| {
            let detail = format!("The query does not fit: {error}.");
            Error::new(StatusCode::BAD_REQUEST, "query-invalid", detail)
        })
    }
}
