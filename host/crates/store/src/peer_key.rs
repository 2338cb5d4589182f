//! How a node proves to another one that it belongs to the same cluster.

use std::hint::black_box;

use crate::secret::ClusterSecret;

/// What the proof is derived for; another text would be another key.
const PURPOSE: &str = "request of a node\n";

/// Signs requests with what the nodes of a cluster share. A signature holds for one text alone: whoever overhears it
/// learns nothing that fits another request.
#[derive(Debug, Clone)]
pub struct PeerKey(ClusterSecret);

impl PeerKey {
    pub(crate) fn new(secret: &ClusterSecret) -> Self {
        Self(secret.clone())
    }

    /// 64 hexadecimal digits.
    pub fn sign(&self, text: &str) -> String {
        // The last step of HKDF is an HMAC over the purpose.
        let signature = self.0.key(&format!("{PURPOSE}{text}"));
        signature.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Takes the same time whatever is wrong with the signature.
    pub fn is_signature_of(&self, text: &str, signature: &str) -> bool {
        let right = self.sign(text);
        let difference = right.bytes().zip(signature.bytes()).fold(0, |all, (a, b)| all | (a ^ b));
        right.len() == signature.len() && black_box(difference) == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_good_for_one_text_of_one_cluster() {
        let key = |text: &str| PeerKey::new(&ClusterSecret::new(&text.repeat(32)).unwrap());
        let signature = key("1").sign("node-b GET /logs?tail=1");
        assert!(key("1").is_signature_of("node-b GET /logs?tail=1", &signature));
        for (other, text) in [("2", "node-b GET /logs?tail=1"), ("1", "node-c GET /logs?tail=1"), ("1", "")] {
            assert!(!key(other).is_signature_of(text, &signature));
        }
        for wrong in ["", "00", &signature[1..], &format!("{signature}0"), &signature.to_uppercase()] {
            assert!(!key("1").is_signature_of("node-b GET /logs?tail=1", wrong));
        }
    }
}
