//! One decision that a person sends: what it says, whether it is sound, and what is answered once it is written down.
//!
//! The first decision stands; a second window is told so. It must not know how a dossier leaves.

use axum::http::StatusCode;
use axum::response::Response;
use jiff::ToSpan;
use jiff::civil::Date;

use super::confirmed::Notice;
use super::multipart::Part;
use super::page::{Again, Review, Told};
use super::readers::Reader;
use super::{Closed, Desk, Drawer, Opened, POSTPONE_DAYS};
use crate::dossiers::{Answers, Confirmed, FILES_BYTES_MAX, Standing, attachment, confirm, confirmed_text};
use crate::fault::Explain;
use crate::language::Language;
use crate::ledger::{
    Decision, DecisionTaken, DossierAct, DossierState, KeptDossier, Ledger, TakenBack, confirmed_name,
};
use crate::personal::{Personal, SealingKey};
use crate::pipeline::form::{FieldKind, Unsound, tidy};

/// How often a decision is looked at again because somebody else decided in the same moment.
const TURNS_MAX: usize = 3;

impl Desk {
    /// Takes the decision that a form says.
    pub(super) fn decide(&self, token: &str, language: Language, parts: Option<&[Part<'_>]>) -> Response {
        let Some(drawer) = &self.dossiers else { return self.told(StatusCode::NOT_FOUND, language, Told::NoLink) };
        let sent = Sent(parts.unwrap_or_default());
        // Whoever decides at the same moment in another window may be first: then it is looked at again.
        for _ in 0..TURNS_MAX {
            if let Some(response) = self.decide_once(drawer, token, language, &sent) {
                return response;
            }
        }
        self.told(StatusCode::SERVICE_UNAVAILABLE, language, Told::NotWritten)
    }

    /// Takes a decision; none where somebody else decided between looking and writing.
    fn decide_once(&self, drawer: &Drawer, token: &str, language: Language, sent: &Sent<'_, '_>) -> Option<Response> {
        let today = drawer.today();
        let opened = match self.open_dossier(drawer, &mut Reader::default(), token, today) {
            Ok(opened) => opened,
            Err(Closed::Confirmed(kept)) => return self.decide_again(drawer, *kept, (language, token), sent),
            Err(Closed::Decided(DossierState::Declined)) if sent.text("act") == Some("decline") => {
                return Some(self.told(StatusCode::OK, language, Told::Declined));
            }
            Err(closed) => return Some(self.closed(drawer, closed, language)),
        };
        let mut review = Review::of(&opened, language, today).by(self.way(drawer));
        let Some(version) = sent.text("version") else {
            review.again = Some(Again::Pieces);
            return Some(self.reviewed(StatusCode::BAD_REQUEST, &review));
        };
        if version != opened.kept.version {
            // The registers say something else since: it is looked at again.
            review.again = Some(Again::Replaced);
            return Some(self.reviewed(StatusCode::CONFLICT, &review));
        }
        let is_sure = sent.text("sure") == Some("yes");
        let act = match (sent.text("act"), is_sure) {
            (Some("confirm"), _) => {
                let answers = answers(&opened, sent, today);
                match (confirm(&opened.basis, &opened.prepared, &answers, &opened.meta(today)), is_sure) {
                    (Ok(decided), true) => match seal(&drawer.key, &decided.confirmed) {
                        Some(sealed) => DossierAct::Confirm { sealed, changed: decided.changed },
                        None => return Some(self.told(StatusCode::SERVICE_UNAVAILABLE, language, Told::NotWritten)),
                    },
                    (found, _) => {
                        review.faults = found.err().unwrap_or_default();
                        review.is_unsure = !is_sure;
                        review.answers = Some(answers);
                        return Some(self.reviewed(StatusCode::UNPROCESSABLE_ENTITY, &review));
                    }
                }
            }
            (Some("postpone"), _) => DossierAct::Postpone { until: postponed(sent, today, opened.kept.due_on) },
            (Some("decline"), true) => DossierAct::Decline,
            (Some("decline"), false) => {
                review.is_unsure_to_refuse = true;
                return Some(self.reviewed(StatusCode::UNPROCESSABLE_ENTITY, &review));
            }
            _ => return Some(self.told(StatusCode::BAD_REQUEST, language, Told::NotUnderstood)),
        };
        self.take(drawer, &opened, act, (language, today))
    }

    /// Writes a decision down; it holds from the moment in which this returns. None where it has to be looked at again.
    fn take(
        &self,
        drawer: &Drawer,
        opened: &Opened,
        act: DossierAct,
        (language, today): (Language, Date),
    ) -> Option<Response> {
        let told = match &act {
            DossierAct::Confirm { .. } => None,
            DossierAct::Postpone { until } => Some(Told::Postponed { until: *until }),
            DossierAct::Decline => Some(Told::Declined),
        };
        let (dossier, version) = (opened.kept.dossier.clone(), opened.kept.version.clone());
        let decision = Decision { dossier, version, act, on: today };
        let written = Ledger::open(&self.state, &self.pipeline.id)
            .and_then(|mut ledger| ledger.decide_dossier(&decision))
            .map_err(|error| error.fault());
        match (written, told) {
            (Ok(DecisionTaken::Taken), Some(told)) => Some(self.told(StatusCode::OK, language, told)),
            (Ok(DecisionTaken::Taken), None) => {
                let kept = opened.kept.clone();
                Some(match self.receipt(drawer, kept) {
                    Ok(receipt) => self.received(drawer, &receipt, language, (StatusCode::OK, Notice::JustNow)),
                    Err(closed) => self.closed(drawer, closed, language),
                })
            }
            (Ok(DecisionTaken::Before(_) | DecisionTaken::OtherVersion), _) => None,
            (Ok(DecisionTaken::NoDossier), _) => Some(self.told(StatusCode::NOT_FOUND, language, Told::NoLink)),
            (Err(fault), _) => Some(self.closed(drawer, fault.into(), language)),
        }
    }

    /// What is sent about a dossier that is confirmed: to take it back, the same once more, or something else.
    fn decide_again(
        &self,
        drawer: &Drawer,
        kept: KeptDossier,
        (language, token): (Language, &str),
        sent: &Sent<'_, '_>,
    ) -> Option<Response> {
        let today = drawer.today();
        let is_of_version = sent.text("version") == Some(kept.version.as_str());
        let receipt = match self.receipt(drawer, kept.clone()) {
            Ok(receipt) => receipt,
            Err(closed) => return Some(self.closed(drawer, closed, language)),
        };
        let first_stands = (StatusCode::CONFLICT, Notice::FirstStands);
        let answer = match (sent.text("act"), is_of_version) {
            (Some("take_back"), true) => {
                let taken = Ledger::open(&self.state, &self.pipeline.id)
                    .and_then(|mut ledger| ledger.take_back_dossier(&kept.dossier, &kept.version, today));
                match taken {
                    Ok(TakenBack::Done) => return Some(self.taken_back(drawer, language, token)),
                    Ok(TakenBack::HasLeft) => (StatusCode::CONFLICT, Notice::HasLeft),
                    Ok(TakenBack::NotConfirmed) => return None,
                    Err(error) => return Some(self.closed(drawer, error.fault().into(), language)),
                }
            }
            (Some("confirm"), true) => {
                let same = Ledger::read(&self.state)
                    .map_err(Closed::from)
                    .and_then(|ledger| drawer.open(&mut Reader::default(), &ledger, kept))
                    .map(|opened| {
                        let answers = answers(&opened, sent, today);
                        let decided = confirm(&opened.basis, &opened.prepared, &answers, &opened.meta(today));
                        decided.is_ok_and(|decided| receipt.is_same(&decided.confirmed))
                    });
                match same {
                    Ok(true) => (StatusCode::OK, Notice::JustNow),
                    Ok(false) => first_stands,
                    Err(closed) => return Some(self.closed(drawer, closed, language)),
                }
            }
            _ => first_stands,
        };
        Some(self.received(drawer, &receipt, language, answer))
    }

    /// The page on which a person decides anew.
    fn taken_back(&self, drawer: &Drawer, language: Language, token: &str) -> Response {
        let today = drawer.today();
        match self.open_dossier(drawer, &mut Reader::default(), token, today) {
            Ok(opened) => {
                let mut review = Review::of(&opened, language, today).by(self.way(drawer));
                review.again = Some(Again::TakenBack);
                self.reviewed(StatusCode::OK, &review)
            }
            Err(closed) => self.closed(drawer, closed, language),
        }
    }
}

/// What a browser sent.
struct Sent<'p, 'b>(&'p [Part<'b>]);

impl Sent<'_, '_> {
    fn text(&self, name: &str) -> Option<&str> {
        let part = self.0.iter().find(|part| part.name == name && part.file.is_none())?;
        std::str::from_utf8(part.bytes).ok()
    }

    fn file(&self, name: &str) -> Option<(&str, &[u8])> {
        let part = self.0.iter().find(|part| part.name == name && part.file.is_some())?;
        // A file field that was left alone comes without bytes.
        (!part.bytes.is_empty()).then_some((part.file.as_deref()?, part.bytes))
    }
}

/// What the person answered, by the form.
fn answers(opened: &Opened, sent: &Sent<'_, '_>, today: Date) -> Answers {
    let mut answers = Answers::default();
    let mut bytes = 0_usize;
    for shown in opened.prepared.shown(&opened.basis, today) {
        let id = &shown.field.id;
        if shown.field.kind == FieldKind::File {
            let Some((name, file)) = sent.file(id) else { continue };
            bytes = bytes.saturating_add(file.len());
            let taken = match bytes > FILES_BYTES_MAX {
                true => Err(Unsound::FileTooLarge),
                false => attachment(id, name, file.to_vec()),
            };
            match taken {
                Ok(file) => answers.files.push(file),
                Err(why) => answers.unsound.push((id.clone(), why)),
            }
            continue;
        }
        let written = sent.text(id).filter(|text| !tidy(text).is_empty());
        let text = match (shown.standing, sent.text(&format!("{id}.choice"))) {
            // Who wrote something else and marked nothing meant what they wrote.
            (Standing::Conflict, Some("other") | None) => written.map(str::to_owned),
            (Standing::Conflict, Some(choice)) => {
                let chosen = choice.parse::<usize>().ok().and_then(|at| shown.said.get(at));
                let chosen = chosen.map(|said| said.value.reveal().clone());
                // Which of the two they mean is theirs to say: neither is dropped.
                if written.is_some_and(|written| Some(tidy(written)) != chosen) {
                    answers.unsound.push((id.clone(), Unsound::Both));
                }
                written.map(str::to_owned).or(chosen)
            }
            _ => sent.text(id).map(str::to_owned),
        };
        answers.texts.extend(text.map(|text| (id.clone(), Personal::new(text))));
    }
    answers
}

/// The confirmed dossier and its files, each sealed under its own name.
fn seal(key: &SealingKey, confirmed: &Confirmed) -> Option<Vec<Vec<u8>>> {
    let name = |place| confirmed_name(&confirmed.dossier, place);
    let text = confirmed_text(confirmed).ok()?;
    let files =
        (1..).zip(&confirmed.attachments).map(|(place, file)| key.seal_bytes(&name(place), file.bytes.reveal()));
    std::iter::once(key.seal(&name(0), text.reveal())).chain(files).collect()
}

/// Until when a decision is put off: no longer than there is time.
fn postponed(sent: &Sent<'_, '_>, today: Date, due_on: Date) -> Date {
    let asked = sent.text("days").and_then(|days| days.parse().ok()).filter(|days| POSTPONE_DAYS.contains(days));
    let days: i64 = asked.unwrap_or(POSTPONE_DAYS[1]);
    today.saturating_add(days.days()).min(due_on)
}
