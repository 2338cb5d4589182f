//! Each request is answered by the function that its route names.

use serde::Deserialize;
use typecase_sdk::{App, Html, IntoResponse, Path, Query, log};

typecase_sdk::serve!(app);

fn app() -> App {
    App::new().get("/", page).get("/hello/{name}", hello)
}

async fn page() -> impl IntoResponse {
    Html(include_str!("page.html"))
}

#[derive(Deserialize)]
struct Manner {
    #[serde(default)]
    loud: bool,
}

/// `GET /hello/Ann?loud=true`
async fn hello(Path(name): Path<String>, Query(manner): Query<Manner>) -> String {
    log::info!("greeting {name}");
    let greeting = format!("Hello, {name}!\n");
    if manner.loud { greeting.to_uppercase() } else { greeting }
}

#[cfg(test)]
mod tests {
    use super::app;
    use typecase_sdk::testing::TestApp;

    #[test]
    fn the_page_links_to_a_greeting() {
        let answer = TestApp::new(app()).get("/");
        assert_eq!(answer.status(), 200);
        assert!(answer.text().contains("hello/you"));
    }

    #[test]
    fn greets_by_name() {
        let app = TestApp::new(app());
        assert_eq!(app.get("/hello/Ann").text(), "Hello, Ann!\n");
        assert_eq!(app.get("/hello/Ann?loud=true").text(), "HELLO, ANN!\n");
        assert_eq!(app.logs()[0].message, "greeting Ann");
    }
}
