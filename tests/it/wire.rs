//! HTTP byte by byte: what no well-behaved client sends, and exactly what comes back.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use typecase_harness::DEADLINE;

/// One connection.
pub struct Wire(pub TcpStream);

impl Wire {
    pub async fn open(address: SocketAddr) -> Self {
        Self(TcpStream::connect(address).await.expect("the node accepts"))
    }

    /// A client that can take in very little at once.
    pub async fn open_narrow(address: SocketAddr) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(16 * 1024).unwrap();
        Self(socket.connect(address).await.expect("the node accepts"))
    }

    /// A server that has answered and closed no longer takes the rest; that is no failure here.
    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        let sending = self.0.write_all(bytes.as_ref());
        let _ = tokio::time::timeout(DEADLINE, sending).await.expect("the node takes what is sent");
    }

    /// Everything until the node closes the connection, which it must.
    pub async fn read_to_end(&mut self) -> String {
        let mut bytes = Vec::new();
        let reading = async {
            let mut piece = [0; 16 * 1024];
            // A reset connection is closed too.
            while let Ok(count @ 1..) = self.0.read(&mut piece).await {
                bytes.extend_from_slice(&piece[..count]);
            }
        };
        let closed = tokio::time::timeout(DEADLINE, reading).await;
        assert!(
            closed.is_ok(),
            "the node keeps the connection open after {:?}",
            String::from_utf8_lossy(&bytes)
        );
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Everything up to and with this text.
    pub async fn read_until(&mut self, text: &str) -> String {
        let mut bytes = Vec::new();
        while !String::from_utf8_lossy(&bytes).contains(text) {
            let mut piece = [0; 16 * 1024];
            let reading = self.0.read(&mut piece);
            let count = tokio::time::timeout(DEADLINE, reading).await.expect("more comes").unwrap_or(0);
            assert!(count > 0, "closed before {text:?}, after {:?}", String::from_utf8_lossy(&bytes));
            bytes.extend_from_slice(&piece[..count]);
        }
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// True when nothing comes for a while: the node waits, too.
    pub async fn is_quiet(&mut self, moment: Duration) -> bool {
        tokio::time::timeout(moment, self.0.read(&mut [0; 1])).await.is_err()
    }
}

/// Sends bytes on a connection of their own and reads until the node closes it.
pub async fn exchange(address: SocketAddr, bytes: impl AsRef<[u8]>) -> String {
    let mut wire = Wire::open(address).await;
    wire.send(bytes).await;
    wire.read_to_end().await
}

/// How many answers there are in what came back.
pub fn answers(text: &str) -> usize {
    text.matches("HTTP/1.").count()
}

/// The status of the first answer; 0 if there is none.
pub fn status(text: &str) -> u16 {
    text.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0)
}
