//! The parameters of a path, and how they become the type that a handler asks for.

mod deserializer;

use percent_encoding::percent_decode_str;
use serde::de::DeserializeOwned;

use crate::{Error, FromRequest, Incoming};
use deserializer::{ParamError, ParamsDeserializer};

/// Names and percent-decoded values, in the order of the path.
#[derive(Debug, Default)]
pub(crate) struct Params(Vec<(String, String)>);

impl Params {
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

pub(crate) fn decode(params: &matchit::Params<'_, '_>) -> Result<Params, Error> {
    let decoded = params.iter().map(|(name, value)| match percent_decode_str(value).decode_utf8() {
        Ok(value) => Ok((name.to_owned(), value.into_owned())),
        Err(_) => Err(invalid(format!("`{name}` in the path is not UTF-8 text"))),
    });
    decoded.collect::<Result<_, _>>().map(Params)
}

/// The parameters of the path, percent-decoded.
///
/// A single parameter is any type that can be read from text; several are a tuple, in the path's order, or a struct with
/// fields of their names. A value that is not of the type is answered with 400, code `path-invalid`; a type that wants other
/// parameters than the route has is an error of the app, 500.
///
/// ```
/// use serde::Deserialize;
/// use typecase_sdk::{App, Path};
///
/// #[derive(Deserialize)]
/// struct Line {
///     order: u64,
///     line: u8,
/// }
///
/// let app = App::new()
///     .get("/users/{name}", async |Path(name): Path<String>| name)
///     .get("/sum/{a}/{b}", async |Path((a, b)): Path<(i32, i32)>| (a + b).to_string())
///     .get("/orders/{order}/lines/{line}", async |Path(Line { order, line }): Path<Line>| format!("{order}-{line}"));
/// # let app = typecase_sdk::testing::TestApp::new(app);
/// # assert_eq!(app.get("/users/J%C3%BCrgen").text(), "Jürgen");
/// # assert_eq!(app.get("/sum/2/3").text(), "5");
/// # assert_eq!(app.get("/orders/7/lines/2").text(), "7-2");
/// # assert_eq!(app.get("/orders/7/lines/300").status(), 400);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Path<T>(pub T);

impl<T: DeserializeOwned> FromRequest for Path<T> {
    async fn from_request(request: &mut Incoming) -> Result<Self, Error> {
        let read = T::deserialize(ParamsDeserializer::new(&request.params().0));
        read.map(Self).map_err(|error| match error {
            ParamError::Text(reason) => invalid(reason),
            ParamError::Route(reason) => Error::internal(format!("the route does not fit: {reason}")),
        })
    }
}

fn invalid(reason: String) -> Error {
    Error::new(http::StatusCode::BAD_REQUEST, "path-invalid", format!("The path does not fit: {reason}."))
}
