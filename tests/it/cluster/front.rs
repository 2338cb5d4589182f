//! A balancer in front of a cluster, with the configuration that `typecase generate` writes for it.

use std::net::SocketAddr;

use typecase_harness::Cluster;
use typecase_harness::services::{Haproxy, Nginx, Port};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Balancer {
    Nginx,
    Haproxy,
}

/// A running one.
pub enum Front {
    Nginx(Nginx),
    Haproxy(Haproxy),
}

impl Front {
    pub async fn start(balancer: Balancer, cluster: &Cluster) -> Self {
        let port = Port::claim();
        let config = generate(balancer, cluster, port.address()).await;
        match balancer {
            Balancer::Nginx => Self::Nginx(Nginx::start(port, &config).await),
            Balancer::Haproxy => Self::Haproxy(Haproxy::start(port, &config).await),
        }
    }

    pub fn address(&self) -> SocketAddr {
        match self {
            Self::Nginx(nginx) => nginx.address(),
            Self::Haproxy(haproxy) => haproxy.address(),
        }
    }

    /// Takes over what the cluster has become.
    pub async fn reload(&mut self, cluster: &Cluster) {
        let address = self.address();
        match self {
            Self::Nginx(nginx) => nginx.reload(&generate(Balancer::Nginx, cluster, address).await).await,
            Self::Haproxy(haproxy) => {
                haproxy.reload(&generate(Balancer::Haproxy, cluster, address).await).await
            }
        }
    }
}

async fn generate(balancer: Balancer, cluster: &Cluster, listen: SocketAddr) -> String {
    let (listen, node) = (listen.to_string(), &cluster.nodes[0]);
    let generated = match balancer {
        Balancer::Nginx => node.cli(["generate", "nginx", "--access-log", "off", "--listen", &listen]).await,
        Balancer::Haproxy => node.cli(["generate", "haproxy", "--listen", &listen]).await,
    };
    generated.expect(0).stdout
}
