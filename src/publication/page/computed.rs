//! How a figure was computed and protected: definition, queries, inputs, noise, and the files that hold it.

use serde::Serialize;

use super::words;
use crate::disclosure::gate::Invariant;
use crate::disclosure::{Account, Hashed};
use crate::language::Language;
use crate::pipeline::Counted;
use crate::publication::Sheet;

/// Where one table of one period comes from.
#[derive(Serialize)]
pub(super) struct Computed {
    title: String,
    name: String,
    period: String,
    folder: String,
    definition: String,
    queries: Vec<Hash>,
    inputs: Vec<Hash>,
    protection: Vec<String>,
}

/// A thing and its hash.
#[derive(Serialize)]
struct Hash {
    name: String,
    hash: String,
}

/// The facts in "how people are protected".
#[derive(Serialize)]
pub(super) struct Method {
    ratings: Option<MethodFacts>,
    dossiers: Option<MethodFacts>,
    rho: String,
    epsilon: String,
    delta: String,
    policy: String,
}

#[derive(Serialize)]
struct MethodFacts {
    per_person: String,
    sigma: String,
    min_count: String,
}

/// The accounts of these sheets, each once, as seen from a page at `root`.
pub(super) fn all(
    sheets: &[Sheet],
    sources: impl Iterator<Item = usize>,
    (root, language): (&str, Language),
) -> Vec<Computed> {
    let mut sources: Vec<usize> = sources.collect();
    sources.dedup();
    sources.into_iter().filter_map(|at| sheets.get(at)).map(|sheet| of(sheet, root, language)).collect()
}

/// The account of one sheet.
pub(super) fn of(sheet: &Sheet, root: &str, language: Language) -> Computed {
    let hashes = |all: &[Hashed]| all.iter().map(hash).collect();
    let provenance = sheet.provenance;
    Computed {
        title: sheet.title().get(language).to_owned(),
        name: sheet.name.to_owned(),
        period: sheet.period.words(language),
        folder: format!("{root}{}", folder(sheet)),
        definition: match provenance.definition.is_empty() {
            true => words::Words::of(language).not_recorded.to_owned(),
            false => format!("{} {}", provenance.definition, provenance.version),
        },
        queries: hashes(&provenance.queries),
        inputs: hashes(&provenance.inputs),
        protection: protection(sheet, language),
    }
}

/// Where the files of a sheet stand on the shelf: tables of exact counts have a folder of their own.
pub(super) fn folder(sheet: &Sheet) -> String {
    match sheet.noise {
        Some(_) => sheet.folder.clone(),
        None => format!("exact/{}/{}", sheet.name, sheet.folder),
    }
}

fn hash(hashed: &Hashed) -> Hash {
    Hash { name: hashed.name.clone(), hash: hashed.sha256.clone() }
}

fn protection(sheet: &Sheet, language: Language) -> Vec<String> {
    let noise = match sheet.account {
        Account::Exact(account) => {
            let policy = match language {
                Language::Vi => format!("Số chính xác, ô nhỏ được giữ lại; chính sách {}.", account.policy),
                Language::En => format!("Exact counts, small cells withheld; policy {}.", account.policy),
            };
            let rules = account.rules.iter().map(|rule| rule.get(language).to_owned());
            return std::iter::once(policy).chain(rules).collect();
        }
        Account::Noise(noise) => noise,
    };
    let (sigma, total) = (noise.sigma, words::decimal(noise.count_noise, 2, language));
    let (epsilon, delta) = (words::decimal(noise.epsilon_month, 2, language), format!("{:e}", noise.delta));
    let (each, least, rho) = (noise.per_person, noise.min_count, &noise.rho_month);
    let measured: Vec<&str> = noise.fitted_to.iter().map(|measure| measure.table.as_str()).collect();
    let measured = measured.join(", ");
    let mut said = match language {
        Language::Vi => vec![
            format!("Nhiễu Gauss rời rạc, σ = {sigma} trên mỗi số đo, rút một lần; khớp với các số đo của {measured}."),
            format!("Độ lệch chuẩn của nhiễu trong tổng số sau khi khớp: {total}."),
            format!("Mỗi người tính nhiều nhất {each} bản ghi mỗi tháng; ô dưới {least} được gộp."),
            format!(
                "Mọi bảng của một tháng: ρ = {rho}, tức ε = {epsilon} với δ = {delta}; chính sách {}.",
                noise.policy
            ),
        ],
        Language::En => vec![
            format!(
                "Discrete Gaussian noise, σ = {sigma} in each measured count, drawn once; fitted to the measures of {measured}."
            ),
            format!("Standard deviation of the noise in the total after the fit: {total}."),
            match each {
                1 => format!("At most one record of a person counts in a month; cells below {least} are rolled up."),
                _ => format!("At most {each} records of a person count in a month; cells below {least} are rolled up."),
            },
            format!(
                "All tables of a month: ρ = {rho}, which is ε = {epsilon} at δ = {delta}; policy {}.",
                noise.policy
            ),
        ],
    };
    said.extend(noise.invariants.iter().map(|invariant| exactly_beside(invariant, language)));
    said
}

/// That some totals of the same records are exact, which takes part of the protection of the noisy figures away.
fn exactly_beside(invariant: &Invariant, language: Language) -> String {
    let by = invariant.by.join(", ");
    match language {
        Language::Vi => format!("Bên cạnh đó, tổng của cùng các bản ghi được công bố chính xác, theo: {by}."),
        Language::En => format!("Beside them, totals of the same records are published exactly, by: {by}."),
    }
}

/// The facts of the latest period of each kind of record.
pub(super) fn method(sheets: &[Sheet], language: Language) -> Method {
    let noisy = || sheets.iter().filter_map(|sheet| Some((sheet.period, sheet.noise?)));
    let latest_of = |of: Counted| noisy().filter(|(_, noise)| noise.of == of).max_by_key(|(period, _)| *period);
    let facts = |of: Counted| {
        latest_of(of).map(|(_, noise)| MethodFacts {
            per_person: noise.per_person.to_string(),
            sigma: noise.sigma.to_string(),
            min_count: words::whole(i64::from(noise.min_count), language),
        })
    };
    let latest = noisy().max_by_key(|(period, _)| *period).map(|(_, noise)| noise);
    Method {
        ratings: facts(Counted::Ratings),
        dossiers: facts(Counted::Dossiers),
        rho: latest.map(|account| account.rho_month.to_string()).unwrap_or_default(),
        epsilon: latest.map(|account| words::decimal(account.epsilon_month, 2, language)).unwrap_or_default(),
        delta: latest.map(|account| format!("{:e}", account.delta)).unwrap_or_default(),
        policy: latest.map(|account| account.policy.clone()).unwrap_or_default(),
    }
}
