//! What can go wrong on the way to the portal. No variant holds a secret, a token, a value, or words of an answer.

use crate::fault::{Explain, Place};
use crate::pipeline::secret;

/// Why a dossier was not handed in, or its status not learnt. A dossier is named by its random number.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A secret of `[submission]` cannot be had.
    #[error("a secret of the portal cannot be had")]
    Secret(#[source] secret::Error),
    /// The file of the authority cannot be read.
    #[error("the certificate of the authority cannot be read")]
    Authority {
        /// The file.
        path: std::path::PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// No connection can be prepared: a certificate is none.
    #[error("the way to {service} cannot be prepared: {why}")]
    Service {
        /// Host and port.
        service: String,
        /// Why.
        why: String,
    },
    /// No token was given.
    #[error("{service} gave no token: {why}")]
    Token {
        /// Host and port.
        service: String,
        /// Why: a status, or that there was no answer.
        why: String,
    },
    /// No answer, or one that says that the service is not well, however often it was asked.
    #[error("{service} did not answer about {what}: {why}, {attempts} times")]
    NoAnswer {
        /// Host and port.
        service: String,
        /// The step and the dossier.
        what: String,
        /// What came instead of an answer.
        why: String,
        /// How often it was asked.
        attempts: u32,
    },
    /// It asks for more patience than one run has.
    #[error("{service} asks for {seconds} seconds before it answers about {what}")]
    Later {
        /// Host and port.
        service: String,
        /// The step and the dossier.
        what: String,
        /// For how long.
        seconds: u64,
    },
    /// It refuses the dossier or one of its files, and would refuse it again.
    #[error("{service} refused {what}: status {status}, {code}")]
    Refused {
        /// Host and port.
        service: String,
        /// The step and the dossier.
        what: String,
        /// The status of HTTP.
        status: u16,
        /// Its own code, or `-`.
        code: String,
    },
    /// An answer that is not in the documented envelope: nobody knows what it took.
    #[error("the answer of {service} about {what} is not in the documented form")]
    Unreadable {
        /// Host and port.
        service: String,
        /// The step and the dossier.
        what: String,
    },
    /// A file arrived otherwise than it left.
    #[error("{service} has a file of dossier {dossier} with another hash")]
    OtherHash {
        /// Host and port.
        service: String,
        /// The dossier.
        dossier: String,
    },
    /// The person has no identity number that the portal knows.
    #[error("dossier {dossier} has no identity number of nine or twelve digits")]
    Identity {
        /// The dossier.
        dossier: String,
    },
    /// A field of the form claims a word of the portal that is not a form's to fill.
    #[error("the field {field} of {item} names the portal's word {word}, which the submission itself fills")]
    Reserved {
        /// The item whose form it is.
        item: String,
        /// The field.
        field: String,
        /// The word.
        word: String,
    },
    /// Two fields of the form claim the same word of the portal.
    #[error("two fields of {item} name the portal's word {word}")]
    Twice {
        /// The item whose form it is.
        item: String,
        /// The word.
        word: String,
    },
    /// A field repeats who hands the dossier in, and says somebody else.
    #[error("dossier {dossier} names another person in the field {field} than the one who confirmed it")]
    OtherPerson {
        /// The dossier.
        dossier: String,
        /// The field.
        field: String,
    },
}

impl Error {
    /// Whether the next dossier would fail in the same way.
    pub fn is_of_all(&self) -> bool {
        matches!(
            self,
            Error::Secret(_)
                | Error::Authority { .. }
                | Error::Service { .. }
                | Error::Token { .. }
                | Error::NoAnswer { .. }
                | Error::Later { .. }
        )
    }

    /// The code under which a dossier is set aside for a person, where trying again would change nothing.
    pub fn refusal(&self) -> Option<String> {
        match self {
            Error::Refused { status, code, .. } => Some(format!("{status} {code}")),
            Error::Identity { .. } | Error::Reserved { .. } | Error::Twice { .. } | Error::OtherPerson { .. } => {
                Some(self.code().to_owned())
            }
            _ => None,
        }
    }
}

impl Explain for Error {
    fn code(&self) -> &'static str {
        match self {
            Error::Secret(error) => error.code(),
            Error::Authority { .. } => "submission.authority",
            Error::Service { .. } => "submission.service",
            Error::Token { .. } => "submission.no-token",
            Error::NoAnswer { .. } => "submission.no-answer",
            Error::Later { .. } => "submission.later",
            Error::Refused { .. } => "submission.refused",
            Error::Unreadable { .. } => "submission.unreadable",
            Error::OtherHash { .. } => "submission.other-hash",
            Error::Identity { .. } => "submission.identity",
            Error::Reserved { .. } => "submission.reserved-word",
            Error::Twice { .. } => "submission.word-twice",
            Error::OtherPerson { .. } => "submission.other-person",
        }
    }

    fn place(&self) -> Place {
        match self {
            Error::Secret(error) => error.place(),
            Error::Authority { path, .. } => Place::file(path),
            Error::Service { service, .. }
            | Error::Token { service, .. }
            | Error::NoAnswer { service, .. }
            | Error::Later { service, .. }
            | Error::Refused { service, .. }
            | Error::Unreadable { service, .. }
            | Error::OtherHash { service, .. } => Place::Thing(format!("portal {service}")),
            Error::Identity { dossier } | Error::OtherPerson { dossier, .. } => {
                Place::Thing(format!("dossier {dossier}"))
            }
            Error::Reserved { item, .. } | Error::Twice { item, .. } => {
                Place::file(format!("pipelines/items/{item}/form.toml"))
            }
        }
    }

    fn next(&self) -> String {
        match self {
            Error::Secret(error) => error.next(),
            Error::Authority { .. } => {
                "let the service's account read the file that [submission] authority names".into()
            }
            Error::Service { .. } => "correct [submission] identity and authority: certificates and keys in PEM".into(),
            Error::Token { .. } => {
                "compare client_id, client_secret and token_url with what the portal gave you".into()
            }
            Error::NoAnswer { .. } | Error::Later { .. } => {
                "run `chudong submit` later; each dossier has a key by which the portal takes it once".into()
            }
            Error::Refused { .. } => {
                "ask the portal what the code means; `chudong submit --again` with the dossier's number tries once more"
                    .into()
            }
            Error::Unreadable { .. } => {
                "see that [submission] url is that of the interface; running `chudong submit` again repeats nothing"
                    .into()
            }
            Error::OtherHash { .. } => "run `chudong submit` again; tell the portal if it happens twice".into(),
            Error::Identity { .. } | Error::OtherPerson { .. } => {
                "hand it in on paper: `chudong submit --paper` with a folder writes what was confirmed".into()
            }
            Error::Reserved { .. } | Error::Twice { .. } => {
                "give the field another word of the portal, or none: it then stands under ThongTinKhac".into()
            }
        }
    }
}
