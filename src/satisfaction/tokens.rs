//! One-time tokens: what a person holds who used the service, and what is kept of it.
//!
//! A token is 26 letters and digits (128 random bits), drawn for no dossier in particular. A batch has one for each
//! dossier that was finished in a month, shuffled within their cells before they are given to anybody. What is kept is a
//! keyed hash of each with its cell (commune × procedure group × month) and whether it counts. Of one person's dossiers
//! of a month, as many get a counting token as the policy lets count: where the person is known, before the answer is.
//! This module must not know where hashes are kept.

use std::collections::HashMap;

use crate::personal::{Personal, PseudonymKey};
use crate::tables::{self, Table};

/// Crockford's letters: none that is mistaken for another when it is typed from paper.
const LETTERS: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// How long a token is, in letters.
pub const LETTERS_OF_TOKEN: usize = 26;

/// The keyed hash by which a token is known.
pub type TokenHash = [u8; 32];

/// What spending a token reveals, and no more.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct TokenCell {
    /// The month in which its dossier was finished, `2026-10`.
    pub month: String,
    /// The commune that received it.
    pub commune: Option<String>,
    /// The group of its procedure.
    pub group: Option<String>,
    /// Whether an answer with it counts in protected figures.
    pub is_counting: bool,
}

/// A token for one dossier. Nobody keeps it: it goes to whoever delivers it.
#[derive(Debug, Clone)]
pub struct Issued {
    /// The dossier's number.
    pub dossier: Personal<String>,
    /// The token.
    pub token: Personal<String>,
}

/// A batch: what is kept, and what is handed out.
#[derive(Debug, Default)]
pub struct Batch {
    /// What is kept, in the order of the hashes, which says nothing.
    pub kept: Vec<(TokenHash, TokenCell)>,
    /// What is handed out, in the order of the tokens.
    pub issued: Vec<Issued>,
}

/// The hash under which a token is kept; letters are read as people type them.
pub fn hash(token: &str, key: &PseudonymKey) -> TokenHash {
    let plain: String = token.chars().filter(char::is_ascii_alphanumeric).map(as_typed).collect();
    key.digest("rating token", &[plain.as_bytes()])
}

fn as_typed(letter: char) -> char {
    match letter.to_ascii_uppercase() {
        'O' => '0',
        'I' | 'L' => '1',
        letter => letter,
    }
}

/// A token from its random bytes.
fn token(bytes: [u8; 16]) -> String {
    let number = u128::from_be_bytes(bytes);
    let letter = |place: usize| {
        let value = (number >> (5 * (LETTERS_OF_TOKEN - 1 - place))) & 31;
        char::from(LETTERS.get(value as usize).copied().unwrap_or(b'0'))
    };
    (0..LETTERS_OF_TOKEN).map(letter).collect()
}

/// Draws a token for each finished dossier of a month; `finished` has the columns of
/// [`super::finished`], `random` gives bytes that nobody can foresee, or none.
///
/// None where there are no random bytes.
pub fn draw(
    finished: &Table,
    month: &str,
    per_person: u32,
    key: &PseudonymKey,
    mut random: impl FnMut() -> Option<[u8; 16]>,
) -> Result<Option<Batch>, tables::Error> {
    let (dossiers, subjects) = (finished.texts("dossier_id")?, finished.texts("subject_id")?);
    let (communes, groups) = (finished.texts("commune_code")?, finished.texts("procedure_group")?);
    let months = finished.texts("month")?;
    let rows = dossiers.into_iter().zip(subjects).zip(communes.into_iter().zip(groups)).zip(months);
    let mut all = Vec::new();
    for (((dossier, subject), place), of_month) in rows {
        if let Some(dossier) = dossier.filter(|_| of_month.as_deref() == Some(month)) {
            // Which of a person's dossiers count: those of the lowest keyed hashes, as with numbers.
            let rank = key.digest("disclosure record", &[b"ratings", dossier.as_bytes()]);
            all.push((rank, Personal::new(dossier), subject, place));
        }
    }
    all.sort_unstable_by_key(|(rank, ..)| *rank);
    let mut of_person: HashMap<String, u32> = HashMap::new();
    let mut batch = Batch::default();
    for (_, dossier, subject, (commune, group)) in all {
        let Some(bytes) = random() else { return Ok(None) };
        let is_counting = subject.is_some_and(|subject| {
            let given = of_person.entry(subject).or_default();
            *given = given.saturating_add(1);
            *given <= per_person
        });
        let token = token(bytes);
        let cell = TokenCell { month: month.to_owned(), commune, group, is_counting };
        batch.kept.push((hash(&token, key), cell));
        batch.issued.push(Issued { dossier, token: Personal::new(token) });
    }
    batch.kept.sort_unstable();
    batch.issued.sort_unstable_by(|one, other| one.token.cmp(&other.token));
    Ok(Some(batch))
}
