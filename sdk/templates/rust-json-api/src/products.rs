//! What there is to buy.

use serde::Serialize;

#[derive(Debug, Serialize)]
pub struct Product {
    pub id: &'static str,
    pub name: &'static str,
    pub price_cents: u64,
}

pub const PRODUCTS: &[Product] = &[
    Product { id: "ink", name: "A bottle of ink", price_cents: 1_250 },
    Product { id: "type", name: "A case of type", price_cents: 48_000 },
];
