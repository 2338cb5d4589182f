//! What can be a handler: an async function of values that are read from the request.

use std::future::{Future, poll_fn};
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll};

use crate::{Error, FromRequest, Incoming, IntoResponse, Response};

/// An async function or closure of up to eight arguments that answers a request.
///
/// Each argument is read from the request ([`FromRequest`]): [`Path`](crate::Path), [`Query`](crate::Query),
/// [`Json`](crate::Json), `http::HeaderMap`, `http::Request<Body>` and others. At most one of them may read the body; two of them
/// are an error when the app is built. What the function gives back becomes the answer ([`IntoResponse`]).
///
/// ```
/// use typecase_sdk::{App, Error, Json, Path};
///
/// async fn double(Path(number): Path<i64>) -> Result<Json<i64>, Error> {
///     let doubled = number.checked_mul(2).ok_or_else(|| Error::bad_request("That is too large to be doubled."))?;
///     Ok(Json(doubled))
/// }
///
/// let app = App::new().get("/double/{number}", double);
/// ```
///
/// A closure that captures something is called many times, so it gives each of its futures a copy:
///
/// ```
/// use std::rc::Rc;
/// use typecase_sdk::App;
///
/// let words: Rc<[&str]> = ["ink", "type"].into();
/// let app = App::new().get("/words", move || {
///     let words = words.clone();
///     async move { words.join("\n") }
/// });
/// # assert_eq!(typecase_sdk::testing::TestApp::new(app).get("/words").text(), "ink\ntype");
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a handler",
    note = "a handler is an async function whose arguments implement `FromRequest` and whose result implements `IntoResponse`",
    note = "for example: `async fn note(Path(id): Path<u64>) -> Result<Json<Note>, Error>`"
)]
pub trait Handler<Args>: 'static {
    /// Reads the arguments, calls the function and makes its result an answer.
    fn call(&self, request: &mut Incoming) -> impl Future<Output = Result<Response, Error>>;
}

macro_rules! handlers {
    ($(($($argument:ident),*))*) => {$(
        impl<F, Answer, Fut, $($argument),*> Handler<($($argument,)*)> for F
        where
            F: Fn($($argument),*) -> Fut + 'static,
            Fut: Future<Output = Answer>,
            Answer: IntoResponse,
            $($argument: FromRequest,)*
        {
            #[allow(non_snake_case, unused_variables)]
            async fn call(&self, request: &mut Incoming) -> Result<Response, Error> {
                const {
                    assert!(
                        0 $(+ $argument::READS_BODY as usize)* <= 1,
                        "two arguments of a handler read the body: take `http::Request<Body>` or `Body` alone"
                    );
                }
                $(let $argument = $argument::from_request(request).await?;)*
                self($($argument),*).await.into_response()
            }
        }
    )*};
}

handlers! {
    ()
    (A)
    (A, B)
    (A, B, C)
    (A, B, C, D)
    (A, B, C, D, E)
    (A, B, C, D, E, G)
    (A, B, C, D, E, G, H)
    (A, B, C, D, E, G, H, I)
}

/// Handlers of all kinds in one list.
pub(crate) trait DynHandler {
    /// Calls the function and polls it once: most have their answer then, and the calls through a table that are saved here
    /// cost a fresh instance more than anything else a small app does.
    fn start<'a>(&'a self, request: &'a mut Incoming, cx: &mut Context<'_>) -> Started<'a>;
}

pub(crate) enum Started<'a> {
    Answered(Result<Response, Error>),
    Waiting(Pin<Box<dyn Future<Output = Result<Response, Error>> + 'a>>),
}

/// As large as the function itself: nothing, for most.
pub(crate) struct HandlerFn<H, Args>(H, PhantomData<fn(Args)>);

impl<H, Args> HandlerFn<H, Args> {
    pub(crate) fn new(handler: H) -> Self {
        Self(handler, PhantomData)
    }
}

impl<H: Handler<Args>, Args: 'static> DynHandler for HandlerFn<H, Args> {
    fn start<'a>(&'a self, request: &'a mut Incoming, cx: &mut Context<'_>) -> Started<'a> {
        let mut answer = Box::pin(self.0.call(request));
        match answer.as_mut().poll(cx) {
            Poll::Ready(answer) => Started::Answered(answer),
            Poll::Pending => Started::Waiting(answer),
        }
    }
}

impl dyn DynHandler {
    pub(crate) async fn call(&self, request: &mut Incoming) -> Result<Response, Error> {
        let mut request = Some(request);
        let started = poll_fn(|cx| match request.take() {
            Some(request) => Poll::Ready(self.start(request, cx)),
            None => Poll::Pending,
        });
        match started.await {
            Started::Answered(answer) => answer,
            Started::Waiting(answer) => answer.await,
        }
    }
}
