//! What `typecase dev` is made of: a node of its own, a watcher of files, and a proxy between browser and node that tells
//! pages about builds. How they work together is in the command.

mod build_text;
mod node;
mod overlay;
mod proxy;
mod state;
mod watch;

pub use build_text::without_escapes;
pub use node::{DevNode, NodeLine, NodeOptions};
pub use proxy::{Port, serve};
pub use state::{DevState, Serving, SharedState, Trouble};
pub use watch::{Changes, Watcher, Watching};
