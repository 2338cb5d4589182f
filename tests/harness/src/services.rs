//! The programs a cluster stands on, real ones: each on a port of its own on this machine, with a temporary
//! folder, ended with the test. All of them can be stopped, frozen and started again.

mod announcements;
mod background;
mod balancer;
mod mariadb;
mod mount;
mod port;
mod process;
mod proxy;
mod redis;
mod s3;

pub use announcements::Announcements;
pub use balancer::{Haproxy, Nginx};
pub use mariadb::MariaDb;
pub use mount::Mount;
pub use port::Port;
pub use proxy::{FaultProxy, Link};
pub use redis::Redis;
pub use s3::{S3, S3Fault};

#[cfg(test)]
mod tests;
