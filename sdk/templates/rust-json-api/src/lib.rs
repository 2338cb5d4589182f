//! Products, and quotes for some of them.
//!
//! `GET /products`, `GET /products/{id}` and `POST /quotes` with `{"product": "ink", "count": 3}`; `GET /` is a page that says so.

mod products;

use serde::{Deserialize, Serialize};
use typecase_sdk::http::StatusCode;
use typecase_sdk::{App, Error, Html, Json, Path, Result, config, log};

use products::{PRODUCTS, Product};

typecase_sdk::serve!(app);

/// More of a product is nothing that an API sells.
const COUNT_MAX: u32 = 1_000;

fn app() -> App {
    App::new().get("/", page).get("/products", list).get("/products/{id}", show).post("/quotes", quote)
}

async fn page() -> Html<&'static str> {
    Html(include_str!("page.html"))
}

async fn list() -> Json<&'static [Product]> {
    Json(PRODUCTS)
}

async fn show(Path(id): Path<String>) -> Result<Json<&'static Product>> {
    find(&id).map(Json)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wish {
    product: String,
    count: u32,
}

#[derive(Serialize)]
struct Quote {
    product: &'static str,
    count: u32,
    net_cents: u64,
    tax_cents: u64,
}

async fn quote(Json(wish): Json<Wish>) -> Result<(StatusCode, Json<Quote>)> {
    let product = find(&wish.product)?;
    if !(1..=COUNT_MAX).contains(&wish.count) {
        let detail = format!("We sell 1 to {COUNT_MAX} at a time.");
        return Err(Error::unprocessable(detail).code("count-out-of-range"));
    }
    let tax_percent: u64 = config::parse("tax_percent")?.unwrap_or(0);
    let net_cents = product.price_cents * u64::from(wish.count);
    log::info!("quoted {} x {}", wish.count, product.id);
    let quote =
        Quote { product: product.id, count: wish.count, net_cents, tax_cents: net_cents * tax_percent / 100 };
    Ok((StatusCode::CREATED, Json(quote)))
}

/// Errors like this one reach the client as `application/problem+json`.
fn find(id: &str) -> Result<&'static Product> {
    let found = PRODUCTS.iter().find(|product| product.id == id);
    found.ok_or_else(|| Error::not_found(format!("There is no product `{id}`.")).code("product-unknown"))
}

#[cfg(test)]
mod tests;
