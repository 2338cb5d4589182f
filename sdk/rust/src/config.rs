//! What the operator has set for the app, and what is secret among it (`wasi:config@0.2.0-rc.1`).
//!
//! The manifest declares every key:
//!
//! ```toml
//! [config]
//! greeting = { default = "Hello", description = "what the page says" }
//! api_key = { required = true, secret = true }
//! ```
//!
//! and `typecase config set APP greeting=Hi` sets it; the next request sees the new value. Reading one is a call to the server, which
//! takes less than a microsecond.
//!
//! ```
//! use typecase_sdk::{App, Result, config};
//!
//! async fn greet() -> Result<String> {
//!     let times: usize = config::parse("times")?.unwrap_or(1);
//!     Ok(format!("{}!\n", config::require("greeting")?).repeat(times))
//! }
//!
//! let app = App::new().get("/", greet);
//! # let app = typecase_sdk::testing::TestApp::new(app).config("greeting", "Hi").config("times", "2");
//! # assert_eq!(app.get("/").text(), "Hi!\nHi!\n");
//! ```

use std::fmt;
use std::str::FromStr;

use crate::{Error, platform};

/// The value of a key: what was set, else the manifest's default, else nothing.
///
/// The error says that the server could not tell; it becomes a 500.
pub fn get(key: &str) -> Result<Option<String>, Error> {
    platform::config_get(key).map_err(|reason| Error::internal(format!("config `{key}`: {reason}")))
}

/// The value of a key that the app cannot do without. A key without value is a 500 whose reason is logged; with
/// `required = true` in the manifest it cannot happen, because the app is not activated before.
pub fn require(key: &str) -> Result<String, Error> {
    get(key)?.ok_or_else(|| {
        Error::internal(format!(
            "config `{key}` is not set: declare it in [config] of typecase.toml, and set it with `typecase config set`"
        ))
    })
}

/// The value of a key as a number or any other type that is read from text. A value that cannot be read is a 500 whose reason
/// is logged, without the value, which may be a secret.
pub fn parse<T>(key: &str) -> Result<Option<T>, Error>
where
    T: FromStr<Err: fmt::Display>,
{
    let parsed = get(key)?.map(|value| value.parse()).transpose();
    parsed.map_err(|_| {
        let wanted = std::any::type_name::<T>();
        Error::internal(format!("config `{key}` cannot be read as {wanted}: set another value"))
    })
}

/// All keys that have a value, secrets among them.
pub fn all() -> Result<Vec<(String, String)>, Error> {
    platform::config_all().map_err(|reason| Error::internal(format!("config: {reason}")))
}
