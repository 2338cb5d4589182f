//! `serve!`: makes a crate a component that the server can call.

/// Names the function that makes the app; write it once, at the top of the crate.
///
/// For `wasm32-wasip2` it exports `wasi:http/incoming-handler@0.2`, or with the feature `p3` `wasi:http/handler@0.3`. For any other
/// target it does nothing, so that the crate's tests are ordinary tests.
///
/// ```
/// use typecase_sdk::App;
///
/// typecase_sdk::serve!(app);
///
/// fn app() -> App {
///     App::new().get("/", async || "Hello, world!\n")
/// }
/// # fn main() {}
/// ```
#[macro_export]
macro_rules! serve {
    ($app:expr) => {
        const _: fn() -> $crate::App = $app;
        $crate::__typecase_export!($app);
    };
}

#[cfg(not(target_os = "wasi"))]
#[doc(hidden)]
#[macro_export]
macro_rules! __typecase_export {
    ($app:expr) => {};
}

#[cfg(all(target_os = "wasi", not(feature = "p3")))]
#[doc(hidden)]
#[macro_export]
macro_rules! __typecase_export {
    ($app:expr) => {
        const _: () = {
            struct Exported;

            impl $crate::__private::Guest for Exported {
                fn handle(
                    request: $crate::__private::IncomingRequest,
                    response: $crate::__private::ResponseOutparam,
                ) {
                    $crate::__private::handle($app, request, response);
                }
            }

    $crate::__private::export!(Exported with_types_in $crate::__private::wasip2);
        };
    };
}

#[cfg(all(target_os = "wasi", feature = "p3"))]
#[doc(hidden)]
#[macro_export]
macro_rules! __typecase_export {
    ($app:expr) => {
        const _: () = {
            struct Exported;

            impl $crate::__private::Guest for Exported {
                async fn handle(
                    request: $crate::__private::Request,
                ) -> Result<$crate::__private::Response, $crate::__private::ErrorCode> {
                    $crate::__private::handle($app, request).await
                }
            }

    $crate::__private::export!(Exported with_types_in $crate::__private::wasip3);
        };
    };
}

/// For `serve!` alone.
pub mod private {
    #[cfg(all(target_os = "wasi", not(feature = "p3")))]
    pub use crate::platform::exported::*;
    #[cfg(all(target_os = "wasi", feature = "p3"))]
    pub use crate::platform::exported::*;
}
