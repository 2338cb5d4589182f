//! Bodies of requests and answers: in memory, or a stream of pieces.

use std::fmt;
use std::future::{Future, poll_fn};
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use futures_core::Stream;
use http_body::{Body as HttpBody, Frame, SizeHint};
use serde::de::DeserializeOwned;

use crate::body_writer::Written;
#[cfg(target_os = "wasi")]
use crate::platform;
use crate::source::Source;
use crate::{BodyError, BodyWriter, Error};

/// The body of a request or an answer: bytes in memory, or pieces that come one after the other.
///
/// Made with `From` of strings and bytes, [`from_stream`](Self::from_stream), [`from_writer`](Self::from_writer) or
/// [`from_http_body`](Self::from_http_body). Read as a whole, up to a limit, with [`bytes`](Self::bytes), [`text`](Self::text) and
/// [`json`](Self::json), or piece by piece with [`chunk`](Self::chunk). It also is an [`http_body::Body`].
///
/// The body of a request that is given back as the body of an answer is moved by the server; its bytes do not come through
/// the app's memory.
///
/// ```
/// use typecase_sdk::{App, Body, Result};
///
/// /// Counts the bytes of a body of any length, in little memory.
/// async fn count(mut body: Body) -> Result<String> {
///     let mut bytes = 0;
///     while let Some(chunk) = body.chunk().await? {
///         bytes += chunk.len();
///     }
///     Ok(format!("{bytes} bytes\n"))
/// }
///
/// let app = App::new().post("/count", count).post("/echo", async |body: Body| body);
/// # let app = typecase_sdk::testing::TestApp::new(app);
/// # assert_eq!(app.post("/count", "four").text(), "4 bytes\n");
/// # assert_eq!(app.post("/echo", "same").text(), "same");
/// ```
pub struct Body {
    content: Content,
    /// What it is, unless the answer's headers say it. Not one of them, because a map of headers costs a small app's fresh
    /// instance more than its handler does.
    kind: Option<&'static str>,
}

pub(crate) enum Content {
    Static(&'static [u8]),
    Whole(Bytes),
    /// Behind a trait, so that an app without streams is linked without whatever they need: each function of the server
    /// that a component imports makes its instances slower to start.
    Stream(Box<dyn Source>),
}

impl Body {
    /// A body without content.
    pub fn empty() -> Self {
        Self::of(Content::Static(&[]))
    }

    /// A body whose pieces are the items of a stream. It is polled when the client has taken what came before; its first error ends
    /// the answer, which the client then sees as incomplete.
    pub fn from_stream<S, B, E>(stream: S) -> Self
    where
        S: Stream<Item = Result<B, E>> + 'static,
        B: Into<Bytes>,
        E: fmt::Display,
    {
        Self::from_source(StreamSource(Box::pin(stream)))
    }

    /// A body that an async function writes, as fast as the client takes it.
    ///
    /// ```
    /// use std::time::Duration;
    /// use typecase_sdk::{App, Body, time};
    ///
    /// fn countdown() -> Body {
    ///     Body::from_writer(async |mut body| {
    ///         for n in (1..=3).rev() {
    ///             body.write(format!("{n}\n")).await?;
    ///             time::sleep(Duration::from_secs(1)).await;
    ///         }
    ///         Ok(())
    ///     })
    /// }
    ///
    /// let app = App::new().get("/countdown", async || countdown());
    /// # let app = typecase_sdk::testing::TestApp::new(app);
    /// # assert_eq!(app.get("/countdown").text(), "3\n2\n1\n");
    /// ```
    pub fn from_writer<W, Fut>(write: W) -> Self
    where
        W: FnOnce(BodyWriter) -> Fut,
        Fut: Future<Output = Result<(), Error>> + 'static,
    {
        Self::from_source(Written::new(write))
    }

    /// Any other body of the same pieces.
    pub fn from_http_body(body: impl HttpBody<Data = Bytes, Error = BodyError> + 'static) -> Self {
        Self::from_source(HttpSource(Box::pin(body)))
    }

    pub(crate) fn from_source(source: impl Source + 'static) -> Self {
        Self::of(Content::Stream(Box::new(source)))
    }

    const fn of(content: Content) -> Self {
        Self { content, kind: None }
    }

    pub(crate) fn with_kind(mut self, kind: &'static str) -> Self {
        self.kind = Some(kind);
        self
    }

    pub(crate) fn kind(&self) -> Option<&'static str> {
        self.kind
    }

    #[cfg(target_os = "wasi")]
    pub(crate) fn into_content(self) -> Content {
        self.content
    }

    /// How many bytes there will be, if that is known.
    pub fn content_length(&self) -> Option<u64> {
        self.size_hint().exact()
    }

    /// The next piece; `None` at the end. Pieces are as large as they come in, at most 64 KiB.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, BodyError> {
        loop {
            match self.frame().await? {
                None => return Ok(None),
                Some(frame) => match frame.into_data() {
                    Ok(data) if data.is_empty() => {}
                    Ok(data) => return Ok(Some(data)),
                    // Trailers, which `frame` gives to those who want them.
                    Err(_) => {}
                },
            }
        }
    }

    /// The next frame: a piece, or the trailers after the last one.
    pub async fn frame(&mut self) -> Result<Option<Frame<Bytes>>, BodyError> {
        poll_fn(|cx| Pin::new(&mut *self).poll_frame(cx)).await.transpose()
    }

    /// All bytes, unless they are more than the limit.
    pub async fn bytes(mut self, bytes_max: usize) -> Result<Bytes, BodyError> {
        // A length that is announced is not believed, but one that is too large need not be waited for.
        if self.size_hint().lower() > bytes_max as u64 {
            return Err(BodyError::TooLarge(bytes_max));
        }
        let Some(first) = self.chunk().await? else { return Ok(Bytes::new()) };
        if first.len() > bytes_max {
            return Err(BodyError::TooLarge(bytes_max));
        }
        let Some(second) = self.chunk().await? else { return Ok(first) };
        let mut all = BytesMut::from(first);
        let mut next = Some(second);
        while let Some(chunk) = next {
            if all.len() + chunk.len() > bytes_max {
                return Err(BodyError::TooLarge(bytes_max));
            }
            all.extend_from_slice(&chunk);
            next = self.chunk().await?;
        }
        Ok(all.freeze())
    }

    /// All of it as text, unless it is longer than the limit or not UTF-8.
    pub async fn text(self, bytes_max: usize) -> Result<String, BodyError> {
        let bytes = self.bytes(bytes_max).await?;
        String::from_utf8(bytes.into()).map_err(|_| BodyError::NotUtf8)
    }

    /// All of it as JSON, whatever its content type says, unless it is longer than the limit. Errors are those of
    /// [`Json`](crate::Json).
    pub async fn json<T: DeserializeOwned>(self, bytes_max: usize) -> Result<T, Error> {
        crate::json::parse(&self.bytes(bytes_max).await?)
    }
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let whole = match &mut self.content {
            Content::Static(bytes) => Bytes::from_static(mem::take(bytes)),
            Content::Whole(bytes) => mem::take(bytes),
            Content::Stream(source) => return source.poll_frame(cx),
        };
        Poll::Ready((!whole.is_empty()).then(|| Ok(Frame::data(whole))))
    }

    fn is_end_stream(&self) -> bool {
        self.content_length() == Some(0)
    }

    fn size_hint(&self) -> SizeHint {
        match &self.content {
            Content::Static(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Content::Whole(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Content::Stream(source) => source.size_hint(),
        }
    }
}

/// The author's stream.
struct StreamSource<S>(Pin<Box<S>>);

impl<S, B, E> Source for StreamSource<S>
where
    S: Stream<Item = Result<B, E>> + 'static,
    B: Into<Bytes>,
    E: fmt::Display,
{
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let item = std::task::ready!(self.0.as_mut().poll_next(cx));
        Poll::Ready(item.map(|item| match item {
            Ok(piece) => Ok(Frame::data(piece.into())),
            Err(error) => Err(BodyError::Incomplete(error.to_string())),
        }))
    }

    #[cfg(target_os = "wasi")]
    fn send(self: Box<Self>, to: platform::Outgoing) -> platform::Sending {
        platform::send_frames(self, to)
    }
}

/// The author's body.
struct HttpSource<B>(Pin<Box<B>>);

impl<B: HttpBody<Data = Bytes, Error = BodyError> + 'static> Source for HttpSource<B> {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        self.0.as_mut().poll_frame(cx)
    }

    fn size_hint(&self) -> SizeHint {
        self.0.size_hint()
    }

    #[cfg(target_os = "wasi")]
    fn send(self: Box<Self>, to: platform::Outgoing) -> platform::Sending {
        platform::send_frames(self, to)
    }
}

impl Default for Body {
    fn default() -> Self {
        Self::empty()
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.content_length() {
            Some(length) => write!(f, "Body({length} bytes)"),
            None => f.write_str("Body(stream)"),
        }
    }
}

impl From<Bytes> for Body {
    fn from(bytes: Bytes) -> Self {
        Self::of(Content::Whole(bytes))
    }
}

impl From<()> for Body {
    fn from((): ()) -> Self {
        Self::empty()
    }
}

impl From<&'static [u8]> for Body {
    fn from(content: &'static [u8]) -> Self {
        Self::of(Content::Static(content))
    }
}

impl From<&'static str> for Body {
    fn from(content: &'static str) -> Self {
        content.as_bytes().into()
    }
}

impl From<Vec<u8>> for Body {
    fn from(content: Vec<u8>) -> Self {
        Bytes::from(content).into()
    }
}

impl From<String> for Body {
    fn from(content: String) -> Self {
        content.into_bytes().into()
    }
}
