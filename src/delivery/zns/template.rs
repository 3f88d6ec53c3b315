//! Whether a template may be sent: asked once for each of a run, before the first message is made of it.
//!
//! A template is approved by Zalo and may be refused, or paused when people complain. Each message of such a template
//! would cost an offer and be refused; asked beforehand, none is offered, and what is told is the template.
//!
//! ```text
//! GET <url>/template/info?template_id=…   access_token: <token>
//! → { "error": 0, "data": { "status": "ENABLE" | "PENDING_REVIEW" | "REJECT" | "DISABLE", … } }
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

use serde_json::Value;

use crate::delivery::code::TemplateState;
use crate::delivery::{Body, Slip};

/// What Zalo said of the templates that were asked for; none of one that may be sent.
#[derive(Debug, Default)]
pub(super) struct Templates(Mutex<BTreeMap<String, Option<TemplateState>>>);

impl Templates {
    /// The templates of these messages that were not asked for yet.
    pub(super) fn unknown(&self, slips: &[&Slip]) -> BTreeSet<String> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let ids = slips.iter().filter_map(|slip| match &slip.body {
            Body::Template { id, .. } => Some(id),
            Body::Text { .. } => None,
        });
        ids.filter(|id| !known.contains_key(*id)).cloned().collect()
    }

    /// Takes what Zalo answered about a template; what is not said is no reason to hold messages.
    pub(super) fn learn(&self, id: String, answer: Option<&Value>) {
        let status = answer.and_then(|said| said.get("data")?.get("status")?.as_str());
        let state = match status {
            Some("PENDING_REVIEW") => Some(TemplateState::Pending),
            Some("REJECT") => Some(TemplateState::Rejected),
            Some("DISABLE") => Some(TemplateState::Disabled),
            _ => None,
        };
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(id, state);
    }

    /// Why nothing is sent of a template; none where it may be.
    pub(super) fn state(&self, id: &str) -> Option<TemplateState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(id).copied().flatten()
    }
}
