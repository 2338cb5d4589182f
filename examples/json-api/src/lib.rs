//! Lengths in one unit and another: `GET /units`, `GET /convert/{from}/{to}?value=3`, `POST /sum`.

use serde::{Deserialize, Serialize};
use typecase_sdk::http::StatusCode;
use typecase_sdk::{App, Error, Json, Path, Query, Result, config, log};

typecase_sdk::serve!(app);

/// More lengths in one request would say more about the client than about lengths.
const LENGTHS_MAX: usize = 1_000;
const DECIMALS_MAX: i32 = 12;

/// Names with their metres.
const UNITS: &[(&str, f64)] =
    &[("foot", 0.3048), ("inch", 0.0254), ("kilometre", 1_000.0), ("metre", 1.0), ("mile", 1_609.344)];

fn app() -> App {
    App::new().get("/", index).get("/units", units).get("/convert/{from}/{to}", convert).post("/sum", sum)
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Length {
    value: f64,
    unit: String,
}

#[derive(Deserialize)]
struct Wanted {
    value: f64,
}

/// `{"to": "metre", "lengths": [{"value": 1, "unit": "foot"}]}`
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Sum {
    to: String,
    lengths: Vec<Length>,
}

async fn index() -> &'static str {
    "GET units\nGET convert/{from}/{to}?value=3\nPOST sum {\"to\": \"foot\", \"lengths\": [{\"value\": 12, \"unit\": \"inch\"}]}\n"
}

async fn units() -> Json<Vec<&'static str>> {
    Json(UNITS.iter().map(|(name, _)| *name).collect())
}

async fn convert(
    Path((from, to)): Path<(String, String)>,
    Query(wanted): Query<Wanted>,
) -> Result<Json<Length>> {
    let value = wanted.value * metres(&from)? / metres(&to)?;
    Ok(Json(Length { value: rounded(value)?, unit: to }))
}

async fn sum(Json(Sum { to, lengths }): Json<Sum>) -> Result<Json<Length>> {
    if lengths.len() > LENGTHS_MAX {
        let detail = format!("Send at most {LENGTHS_MAX} lengths at once.");
        return Err(Error::new(StatusCode::UNPROCESSABLE_ENTITY, "too-many-lengths", detail));
    }
    log::info!("adding {} lengths", lengths.len());
    let mut total = 0.0;
    for length in &lengths {
        total += length.value * metres(&length.unit)?;
    }
    Ok(Json(Length { value: rounded(total / metres(&to)?)?, unit: to }))
}

/// Clients get the error as `application/problem+json`, with the names that they could have used.
fn metres(unit: &str) -> Result<f64> {
    let found = UNITS.iter().find(|(name, _)| *name == unit);
    found.map(|(_, metres)| *metres).ok_or_else(|| {
        let units: Vec<&str> = UNITS.iter().map(|(name, _)| *name).collect();
        Error::not_found(format!("There is no unit `{unit}`.")).code("unit-unknown").member("units", units)
    })
}

/// As the operator has set it; a value that makes no sense is a 500, and the log says why.
fn rounded(value: f64) -> Result<f64> {
    let decimals: i32 = config::parse("decimals")?.unwrap_or(4);
    let factor = 10_f64.powi(decimals.clamp(0, DECIMALS_MAX));
    Ok((value * factor).round() / factor)
}

#[cfg(test)]
mod tests;
