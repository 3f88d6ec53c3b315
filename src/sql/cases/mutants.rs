//! Laws that differ from the one in force by one number: a case that proves a rule notices each of them. Pure.

use crate::pipeline::law::{Law, Rule};

/// A law with one change.
#[derive(Debug, Clone)]
pub struct Mutant {
    /// The rule that was changed.
    pub rule: String,
    /// The change, in words: `C = 60 → 61`.
    pub what: String,
    /// The law as changed.
    pub law: Law,
}

/// Every change of one step of these rules: each number one higher and one lower, each of several values left
/// out, each version left out.
///
/// Of a number that the law limits from below, the step below may mean the same; one that no case notices is
/// for a person to judge.
pub fn mutants(law: &Law, rules: &[String]) -> Vec<Mutant> {
    let mut found = Vec::new();
    for (at, rule) in law.rules.iter().enumerate().filter(|(_, rule)| rules.contains(&rule.name)) {
        let mut put = |what: String, change: &dyn Fn(&mut Rule)| {
            let mut law = law.clone();
            if let Some(rule) = law.rules.get_mut(at) {
                change(rule);
                found.push(Mutant { rule: rule.name.clone(), what, law });
            }
        };
        for (number, version) in rule.versions.iter().enumerate() {
            let name = rule.version_name(version);
            for (place, (key, value)) in version.values.iter().enumerate() {
                let key = key.as_ref().map(|key| format!("{key} = ")).unwrap_or_default();
                for step in [-1, 1] {
                    let Some(changed) = value.checked_add(step) else { continue };
                    put(format!("{name}: {key}{value} → {changed}"), &|rule| {
                        let values = rule.versions.get_mut(number).map(|version| &mut version.values);
                        if let Some((_, value)) = values.and_then(|values| values.get_mut(place)) {
                            *value = changed;
                        }
                    });
                }
                if version.values.len() > 1 {
                    put(format!("{name}: {key}{value} left out"), &|rule| {
                        if let Some(version) = rule.versions.get_mut(number) {
                            version.values.remove(place);
                        }
                    });
                }
            }
            // It stays where it is and says nothing: what it replaced does not come back.
            put(format!("{name} left out"), &|rule| {
                if let Some(version) = rule.versions.get_mut(number) {
                    version.values.clear();
                }
            });
        }
    }
    found
}
