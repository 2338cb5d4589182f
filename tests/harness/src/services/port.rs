//! Ports that stay ours: a service that is stopped for a while must find its port free when it comes back.

use std::fs::{self, File};
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};

/// Below the ports that the system gives to outgoing connections: one of those would occupy the port while its
/// service is down, or connect to itself.
const FIRST: u16 = 12_000;
const COUNT: u16 = 18_000;

/// A port of this machine that no other test takes for as long as this lives.
#[derive(Debug)]
pub struct Port {
    number: u16,
    /// Locked; tests run in processes of their own and can only agree through files.
    _claim: File,
}

impl Port {
    /// A port on which nobody listens.
    pub fn claim() -> Self {
        let user = rustix::process::geteuid().as_raw();
        let folder = std::env::temp_dir().join(format!("typecase-test-ports-{user}"));
        fs::create_dir_all(&folder).expect("the folder of claims is made");
        let start = RandomState::new().build_hasher().finish() % u64::from(COUNT);
        for step in 0..COUNT {
            let number = FIRST + (start as u16 + step) % COUNT;
            let claim = File::create(folder.join(number.to_string())).expect("the claim is made");
            if claim.try_lock().is_ok() && TcpListener::bind((Ipv4Addr::LOCALHOST, number)).is_ok() {
                return Self { number, _claim: claim };
            }
        }
        panic!("all ports from {FIRST} on are taken");
    }

    pub fn number(&self) -> u16 {
        self.number
    }

    pub fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.number).into()
    }
}
