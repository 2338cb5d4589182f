//! The smallest app, written with the SDK.

use typecase_sdk::{App, Path};

typecase_sdk::serve!(app);

fn app() -> App {
    App::new()
        .get("/", async || "Hello, world!\n")
        .get("/hello/{name}", async |Path(name): Path<String>| format!("Hello, {name}!\n"))
}
