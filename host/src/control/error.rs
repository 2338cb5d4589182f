//! What a use case answers instead of a result: whose fault, may it be tried again, what to do.

use typecase_bundle::BundleError;
use typecase_model::settings::SettingsError;
use typecase_model::{AppName, ConfigError, ConfigName, Digest, Generation, Receipt, ReleaseNumber};
use typecase_store::StoreError;

use crate::judge::{Finding, Objection};

/// Whose turn it is to change something; each face translates it into its own terms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// The request is wrong and stays wrong.
    Invalid,
    /// Nobody knows who asks.
    NotSignedIn,
    /// Whoever asks may not.
    NotAllowed,
    NotFound,
    /// Right, but not now: somebody else was first.
    Conflict,
    TooLarge,
    /// The request was fine; what it asked for was tried and failed.
    Failed,
    /// Too often.
    TooMany,
    /// A dependency is down or the node is full; try again.
    Unavailable,
    /// Our own fault.
    Internal,
}

#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Bundle(#[from] BundleError),
    #[error("{}", list(.0))]
    Refused(Vec<Objection>),
    #[error(
        "the upload has the digest {found}, announced was {expected}: it was damaged on the way, upload it again"
    )]
    DigestMismatch { expected: Digest, found: Digest },
    #[error("the upload is larger than the {max} bytes that this server accepts")]
    UploadTooLarge { max: u64 },
    #[error("the upload was cut off after {bytes} bytes: upload it again")]
    UploadCut { bytes: u64 },
    #[error("nothing came for {seconds} s in the middle of the upload: upload it again")]
    UploadStalled { seconds: u64 },
    #[error("{count} uploads are being taken already: try again in a few seconds")]
    UploadsBusy { count: usize },
    #[error("the note has {count} characters, more than the {max} that are kept: shorten it")]
    NoteTooLong { count: usize, max: usize },
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error("{}", .0.join("\n"))]
    ConfigInvalid(Vec<String>),
    #[error(
        "release {release} of `{app}` cannot do without {name}: set another value with `typecase config set`, or publish a release that does not require it"
    )]
    ConfigRequired { app: AppName, release: ReleaseNumber, name: ConfigName },
    #[error(transparent)]
    Settings(#[from] SettingsError),
    #[error("{}", .0.join("\n"))]
    SettingsUnfit(Vec<String>),
    #[error("`{app}` never had another release serving: name the release to activate (`--to N`)")]
    NothingToRollBackTo { app: AppName },
    #[error("release {release} of `{app}` failed: {reason}")]
    ReleaseFailed { app: AppName, release: ReleaseNumber, reason: String, receipts: Vec<Receipt> },
    #[error("{count} readers follow logs on this node already: end one, or try another node")]
    FollowersBusy { count: usize },
    #[error("the node's disk is full: free some space on it, then try again")]
    DiskFull,
    #[error("sign in first: the request has no valid API token")]
    TokenInvalid,
    #[error("your role `{have}` is not enough for this: it takes `{needed}`")]
    RoleMissing { have: &'static str, needed: &'static str },
    #[error("user or password is wrong")]
    PasswordWrong,
    #[error(
        "the setup link is not valid: it works once, and only the one of the latest start; restart the node for a new one"
    )]
    SetupLinkInvalid,
    #[error("choose a password of {min} to {max} characters")]
    PasswordUnsuitable { min: usize, max: usize },
    #[error("too many attempts: try again in {seconds} s")]
    TooManyAttempts { seconds: u64 },
    #[error("`{0}` is not a name for an API token: use 1 to 64 of a-z, A-Z, 0-9, `.`, `_` and `-`")]
    TokenNameMalformed(String),
    /// The text goes to the log; whoever asked is told only that it was logged.
    #[error("{0}")]
    Internal(String),
}

impl ControlError {
    /// A stable kebab-case noun for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Store(StoreError::Unavailable { .. }) => "dependency-unavailable",
            Self::Store(StoreError::Full { .. }) | Self::DiskFull => "disk-full",
            Self::Store(StoreError::Conflict(conflict)) if conflict.candidate.is_some() => {
                "rollout-in-progress"
            }
            Self::Store(StoreError::Conflict(_) | StoreError::Outdated { .. }) => "generation-conflict",
            Self::Store(StoreError::NotFound(_)) => "not-found",
            Self::Store(StoreError::Exists(_)) => "name-taken",
            Self::Store(StoreError::TooMuch(_)) => "limit-exceeded",
            Self::Store(StoreError::Corrupt { .. }) => "stored-data-corrupt",
            Self::Store(StoreError::Schema(_) | StoreError::Refused(_)) => "schema-mismatch",
            Self::Bundle(error) => error.code(),
            Self::Refused(objections) => objections.first().map_or("internal", Objection::code),
            Self::Store(StoreError::HostTaken { .. }) => "host-taken",
            Self::DigestMismatch { .. } => "digest-mismatch",
            Self::UploadTooLarge { .. } => "upload-too-large",
            Self::UploadCut { .. } => "upload-cut",
            Self::UploadStalled { .. } => "upload-stalled",
            Self::UploadsBusy { .. } => "uploads-busy",
            Self::NoteTooLong { .. } => "note-too-long",
            Self::Config(_) => "config-incomplete",
            Self::ConfigInvalid(_) => "config-invalid",
            Self::ConfigRequired { .. } => "config-required",
            Self::Settings(_) | Self::SettingsUnfit(_) => "settings-invalid",
            Self::NothingToRollBackTo { .. } => "no-previous-release",
            Self::ReleaseFailed { .. } => "release-failed",
            Self::FollowersBusy { .. } => "followers-busy",
            Self::TokenInvalid => "token-invalid",
            Self::RoleMissing { .. } => "role-missing",
            Self::PasswordWrong => "password-wrong",
            Self::SetupLinkInvalid => "setup-link-invalid",
            Self::PasswordUnsuitable { .. } => "password-unsuitable",
            Self::TooManyAttempts { .. } => "too-many-attempts",
            Self::TokenNameMalformed(_) => "token-name-malformed",
            Self::Internal(_) => "internal",
        }
    }

    pub fn class(&self) -> Class {
        match self {
            Self::Store(error) => match error {
                StoreError::Unavailable { .. } | StoreError::Full { .. } => Class::Unavailable,
                StoreError::Conflict(_)
                | StoreError::Outdated { .. }
                | StoreError::Exists(_)
                | StoreError::HostTaken { .. } => Class::Conflict,
                StoreError::NotFound(_) => Class::NotFound,
                StoreError::TooMuch(_) => Class::Invalid,
                StoreError::Corrupt { .. } | StoreError::Schema(_) | StoreError::Refused(_) => {
                    Class::Internal
                }
            },
            Self::Bundle(BundleError::TooLarge { .. }) | Self::UploadTooLarge { .. } => Class::TooLarge,
            Self::Bundle(error) if !error.is_publishers_fault() => Class::Internal,
            Self::NothingToRollBackTo { .. } => Class::Conflict,
            Self::Config(_) | Self::ConfigRequired { .. } => Class::Conflict,
            Self::ReleaseFailed { .. } => Class::Failed,
            Self::UploadsBusy { .. } | Self::FollowersBusy { .. } | Self::DiskFull => Class::Unavailable,
            Self::TokenInvalid | Self::PasswordWrong => Class::NotSignedIn,
            Self::RoleMissing { .. } | Self::SetupLinkInvalid => Class::NotAllowed,
            Self::TooManyAttempts { .. } => Class::TooMany,
            Self::Internal(_) => Class::Internal,
            _ => Class::Invalid,
        }
    }

    /// What whoever asked is told: everything they can act on, and nothing of the inside.
    pub fn detail(&self) -> String {
        match self {
            Self::Store(StoreError::Unavailable { what, part, .. }) => {
                format!("could not {what}: the {part} is not available; try again in a few seconds")
            }
            Self::Store(StoreError::Corrupt { what, .. }) => {
                format!("{what} is corrupt; the node's log says more")
            }
            _ if self.class() == Class::Internal => {
                "something went wrong inside the node; its log says more under this request id".to_owned()
            }
            _ => self.to_string(),
        }
    }

    /// Of a change that lost against another one: the generation it was made from, if it said so, and the one
    /// that it met.
    pub fn generations(&self) -> Option<(Option<Generation>, Generation)> {
        match self {
            Self::Store(StoreError::Conflict(conflict)) => Some((conflict.expected, conflict.found)),
            Self::Store(StoreError::Outdated { expected, found, .. }) => Some((Some(*expected), *found)),
            _ => None,
        }
    }

    /// The nodes' reports, where there are any.
    pub fn receipts(&self) -> &[Receipt] {
        match self {
            Self::ReleaseFailed { receipts, .. } => receipts,
            _ => &[],
        }
    }

    /// Why a bundle was refused, reason by reason.
    pub fn findings(&self) -> Vec<Finding> {
        match self {
            Self::Refused(objections) => objections.iter().map(Finding::from).collect(),
            Self::Bundle(error) if error.is_publishers_fault() => Finding::of_bundle(error),
            _ => Vec::new(),
        }
    }

    /// When trying again may help, in seconds.
    pub fn retry_after_s(&self) -> Option<u64> {
        match self {
            Self::TooManyAttempts { seconds } => Some(*seconds),
            Self::Store(StoreError::Full { .. }) | Self::DiskFull => Some(60),
            _ if self.class() == Class::Unavailable => Some(2),
            _ => None,
        }
    }

    /// An I/O error of the node's own disk.
    pub(super) fn disk(action: &str, error: std::io::Error) -> Self {
        match error.kind() {
            std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => Self::DiskFull,
            _ => Self::Internal(format!("cannot {action}: {error}")),
        }
    }
}

fn list(objections: &[Objection]) -> String {
    objections.iter().map(Objection::to_string).collect::<Vec<_>>().join("\n")
}
