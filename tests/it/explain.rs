//! How a due date came about: told by the query, put in words, and done again by hand from the words alone.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test may stop at the first surprise"
)]

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

use chudong::check::catalogue::{Catalogue, catalogue};
use chudong::landing::read_generation;
use chudong::language::Language;
use chudong::obligations::explain::{Due, Explanation, Night, Provenance, explain};
use chudong::personal::{Personal, PseudonymKey};
use chudong::pipeline::reader::Faults;
use chudong::sql::cases::{self, Bench, Case, Covers};
use chudong::sql::steps::TOLD;
use jiff::ToSpan;
use jiff::civil::{Date, Weekday};

use crate::support::world::{World, differences};

/// The obligations of a case with their explanations.
async fn explained(catalogue: &Catalogue, bench: &Bench<'_>, case: &Case) -> Vec<Explanation> {
    let table = bench.told(case).await.unwrap();
    let (due, rules, told) =
        (table.dates("due_on").unwrap(), table.texts("rule_version").unwrap(), table.texts(TOLD).unwrap());
    let item = catalogue.pipeline.item(&case.model.table).unwrap();
    let night = Night {
        as_of: case.as_of.date(),
        known_on: case.known_on,
        law: &catalogue.pipeline.law,
        calendar: &catalogue.pipeline.calendar,
    };
    let rows = due.into_iter().zip(rules).zip(told);
    let one = |((due, rule), told): ((Option<Date>, Option<String>), Option<String>)| {
        let (rule, told) = (rule.unwrap(), told.unwrap());
        let due = Due { key: "0123456789abcdef", on: due.unwrap(), rule_version: &rule, fulfilled: None };
        explain(item, due, &told, night, &Provenance::new()).unwrap()
    };
    rows.map(one).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_due_date_of_every_case_can_be_done_again_from_the_words() {
    let (catalogue, faults) = catalogue(crate::root()).await;
    assert!(faults.is_empty());
    let catalogue = Arc::new(catalogue);
    // Plans take nearly all of the time, and a bench makes one at a time.
    let halves = [0, 1].map(|half| tokio::spawn(done_again_of_half(Arc::clone(&catalogue), half)));
    let (mut wrong, mut items, mut rows) = (Vec::new(), BTreeSet::new(), 0);
    for half in halves {
        let (half_wrong, half_items, half_rows) = half.await.unwrap();
        wrong.extend(half_wrong);
        items.extend(half_items);
        rows += half_rows;
    }
    assert!(wrong.is_empty(), "{} are wrong\n{}", wrong.len(), wrong.join("\n\n"));
    assert_eq!(items.len(), catalogue.pipeline.items.len(), "an item has no case with a row");
    assert!(rows >= 400, "only {rows} rows");
}

/// What is wrong in every second case, the items that it saw, and how many rows.
async fn done_again_of_half(catalogue: Arc<Catalogue>, half: usize) -> (Vec<String>, BTreeSet<String>, usize) {
    let bench = Bench::new(&catalogue.pipeline, &catalogue.library);
    let faults = Faults::default();
    let (mut wrong, mut items, mut rows) = (Vec::new(), BTreeSet::new(), 0);
    let paths = cases::find(crate::root());
    let paths = paths.iter().filter(|path| path.starts_with("tests/cases/obligations"));
    for (_, path) in paths.enumerate().filter(|(at, _)| at % 2 == half) {
        let case = cases::read(crate::root(), path, &catalogue.pipeline, &faults).unwrap();
        for explanation in explained(&catalogue, &bench, &case).await {
            rows += 1;
            items.insert(case.model.table.clone());
            if let Err(why) = done_again(&explanation) {
                wrong.push(format!("{}: {why}\n{}", path.display(), explanation.text(Language::Vi)));
            }
            let english = explanation.text(Language::En);
            assert!(english.contains(&format!("{} {}", explanation.due_on.day(), english_month(explanation.due_on))));
        }
    }
    (wrong, items, rows)
}

/// The proof itself is proved: a text with one wrong date is found.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_date_in_the_words_is_found() {
    let (catalogue, _) = catalogue(crate::root()).await;
    let bench = Bench::new(&catalogue.pipeline, &catalogue.library);
    for (_, wanted) in SIX {
        let path = Path::new("tests/cases/obligations").join(wanted);
        let case = cases::read(crate::root(), &path, &catalogue.pipeline, &Faults::default()).unwrap();
        let right = explained(&catalogue, &bench, &case).await.into_iter().next().unwrap();
        done_again(&right).unwrap();
        for at in 0..right.steps.len() {
            if right.steps[at].words.vi.starts_with("Trường hợp ") {
                continue;
            }
            let mut wrong = right.clone();
            let result = dates(&wrong.steps[at].words.vi).into_iter().next_back().unwrap();
            let [was, is] = [result, result.yesterday().unwrap()]
                .map(|date| format!("{:02}/{:02}/{}", date.day(), date.month(), date.year()));
            let words = &mut wrong.steps[at].words.vi;
            *words = words.replacen(&was, &is, 1);
            assert!(done_again(&wrong).is_err(), "{wanted}: {}", wrong.steps[at].words.vi);
        }
    }
}

fn english_month(date: Date) -> &'static str {
    let months = [
        "January",
        "February",
        "March",
        "April",
        "May",
        "June",
        "July",
        "August",
        "September",
        "October",
        "November",
        "December",
    ];
    months[usize::try_from(date.month()).unwrap() - 1]
}

/// Does the arithmetic of the Vietnamese text again, from nothing but its words: each step from dates that are
/// fields or results of earlier steps, the last one to the due date.
fn done_again(explanation: &Explanation) -> Result<(), String> {
    let text = explanation.text(Language::Vi);
    let head = text.lines().next().unwrap();
    if dates(head).first() != Some(&explanation.due_on) {
        return Err("the head does not name the due date".into());
    }
    let part = |from: &str, to: &str| -> Vec<String> {
        let lines = text.lines().skip_while(|line| *line != from).skip(1);
        lines.take_while(|line| *line != to).filter(|line| !line.is_empty()).map(str::to_owned).collect()
    };
    let mut known: BTreeSet<Date> = part("Từ dữ liệu:", "Cách tính:").iter().flat_map(|line| dates(line)).collect();
    let mut last = None;
    for line in part("Cách tính:", "") {
        let line = line.split_once(". ").unwrap().1;
        // Which of several was taken: it computes nothing, and what it looked at is among the fields.
        if line.starts_with("Trường hợp ") {
            continue;
        }
        // A number that is computed on the way to one.
        if !line.contains('→') && line.contains(" = ") {
            numbers_agree(line)?;
            continue;
        }
        let result = step(line, &known)?;
        known.insert(result);
        last = Some(result);
    }
    if last == Some(explanation.due_on) { Ok(()) } else { Err(format!("the steps end on {last:?}")) }
}

fn step(line: &str, known: &BTreeSet<Date>) -> Result<Date, String> {
    let all = dates(line);
    let result = match line.split_once('→') {
        Some((_, after)) => dates(after)[0],
        None if line.starts_with("Chuyển từ") => all[1],
        None => all[0],
    };
    let from = all[0];
    let amount = || -> i64 {
        let after = line.split_once(['+', '−']).expect("an amount").1;
        let digits: String = after.trim().chars().take_while(char::is_ascii_digit).collect();
        let amount: i64 = digits.parse().unwrap();
        if line.contains(" − ") { -amount } else { amount }
    };
    let mut needed = vec![from];
    let computed = if line.starts_with("Hạn chính là") {
        from
    } else if line.ends_with("giữ nguyên.") {
        if matches!(from.weekday(), Weekday::Saturday | Weekday::Sunday) {
            return Err(format!("{from} stays, and is on a weekend"));
        }
        from
    } else if line.starts_with("Chuyển từ") {
        // Every day from the first on is named as one of rest, and the result is the day after them.
        let named: BTreeSet<Date> = all[2..].iter().copied().collect();
        let mut day = from;
        while named.contains(&day) {
            day = day.tomorrow().unwrap();
        }
        day
    } else if line.contains("ngày làm việc") {
        let (counted_off, rest) = line.split_once('→').unwrap();
        let free: BTreeSet<Date> = dates(rest.split("tính cả").next().unwrap())[1..].iter().copied().collect();
        let (mut day, mut left) = (dates(counted_off)[0], amount());
        while left != 0 {
            day = if left > 0 { day.tomorrow().unwrap() } else { day.yesterday().unwrap() };
            if !free.contains(&day) {
                left -= left.signum();
            }
        }
        day
    } else if line.starts_with("Ngày cuối cùng của tháng") {
        from.last_of_month()
    } else if line.starts_with("Trước ngày") {
        from.yesterday().unwrap()
    } else if line.starts_with("Ngày sớm nhất") || line.starts_with("Ngày muộn nhất") {
        let before = dates(line.split('→').next().unwrap());
        needed.clone_from(&before);
        let found = if line.starts_with("Ngày sớm") { before.iter().min() } else { before.iter().max() };
        *found.unwrap()
    } else if let Some(rest) = line.strip_prefix("Ngày ") {
        let numbers: Vec<i8> = rest.split(|c: char| !c.is_ascii_digit()).flat_map(str::parse).collect();
        let year_after = i16::from(rest.contains(" + 1) →"));
        Date::new(from.year() + year_after, numbers[1], numbers[0]).unwrap()
    } else if line.contains("tháng") && line.contains(['+', '−']) && !line.contains("đếm từ") {
        // The library clamps to the end of the month.
        from.checked_add(amount().months()).unwrap()
    } else if line.contains("ngày") {
        from.checked_add(amount().days()).unwrap()
    } else {
        return Err(format!("nobody understands: {line}"));
    };
    if let Some(unknown) = needed.iter().find(|date| !known.contains(date)) {
        return Err(format!("{unknown} comes from nowhere: {line}"));
    }
    if computed == result { Ok(result) } else { Err(format!("by hand it is {computed}: {line}")) }
}

/// `25 × 12 = 300`; a formula with dates in it is computed with their years and months.
fn numbers_agree(line: &str) -> Result<(), String> {
    let (formula, result) = line.rsplit_once(" = ").unwrap();
    let mut text = formula.to_owned();
    for date in dates(formula) {
        let written = format!("{:02}/{:02}/{}", date.day(), date.month(), date.year());
        text = text.replace(&format!("năm của {written}"), &date.year().to_string());
        text = text.replace(&format!("tháng của {written}"), &date.month().to_string());
    }
    let tokens: Vec<String> =
        text.replace('(', " ( ").replace(')', " ) ").split_whitespace().map(str::to_owned).collect();
    let (value, rest) = sum(&tokens);
    match rest.is_empty() && value.to_string() == result {
        true => Ok(()),
        false => Err(format!("by hand it is {value}: {line}")),
    }
}

fn sum(tokens: &[String]) -> (i64, &[String]) {
    let (mut value, mut rest) = product(tokens);
    while let Some(sign) = rest.first().filter(|sign| ["+", "−"].contains(&sign.as_str())) {
        let (next, after) = product(&rest[1..]);
        value = if sign == "+" { value + next } else { value - next };
        rest = after;
    }
    (value, rest)
}

fn product(tokens: &[String]) -> (i64, &[String]) {
    let (mut value, mut rest) = atom(tokens);
    while rest.first().is_some_and(|sign| sign == "×") {
        let (next, after) = atom(&rest[1..]);
        value *= next;
        rest = after;
    }
    (value, rest)
}

fn atom(tokens: &[String]) -> (i64, &[String]) {
    if tokens[0] == "(" {
        let (value, rest) = sum(&tokens[1..]);
        return (value, &rest[1..]);
    }
    (tokens[0].parse().unwrap_or_else(|_| panic!("{} is no number", tokens[0])), &tokens[1..])
}

/// The dates dd/mm/yyyy of a text, in order.
fn dates(text: &str) -> Vec<Date> {
    let words = text.split(|c: char| !c.is_ascii_digit() && c != '/');
    let date = |word: &str| {
        let parts: Vec<&str> = word.split('/').collect();
        let [day, month, year] = parts[..] else { return None };
        Date::new(year.parse().ok()?, month.parse().ok()?, day.parse().ok()?).ok()
    };
    words.filter_map(date).collect()
}

/// Explanations that differ as much as they can: a clamp, a leap day, a roll over a holiday, a count of days, a
/// retroactive rule, a window before expiry.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn six_explanations() {
    let (catalogue, _) = catalogue(crate::root()).await;
    let bench = Bench::new(&catalogue.pipeline, &catalogue.library);
    let faults = Faults::default();
    let paths = cases::find(crate::root());
    for (name, wanted) in SIX {
        let path = paths.iter().find(|path| path.ends_with(wanted)).unwrap_or_else(|| panic!("there is no {wanted}"));
        let case = cases::read(crate::root(), path, &catalogue.pipeline, &faults).unwrap();
        let explanation = explained(&catalogue, &bench, &case).await.into_iter().next().unwrap();
        let both = format!("{}\n{}", explanation.text(Language::Vi), explanation.text(Language::En));
        insta::assert_snapshot!(name, both);
    }
}

const SIX: [(&str, &str); 8] = [
    ("explain_a_clamp", "unemployment_benefit/month_end.toml"),
    ("explain_a_leap_day", "driving_licence/issued_on_a_leap_day.toml"),
    ("explain_a_roll_over_a_holiday", "quarterly_tax_return/the_thirtieth_of_april_moves_to_the_fourth_of_may.toml"),
    ("explain_a_count_of_days", "business_resumption/over_tet.toml"),
    ("explain_a_retroactive_rule", "household_business_tax/the_first_three_months_together.toml"),
    ("explain_a_window_before_expiry", "food_safety_certificate/applied_for_six_months_before.toml"),
    ("explain_a_suspended_rule", "gmp_certificate/suspended_since_4_february.toml"),
    ("explain_a_branch", "passport/ten_years_for_an_adult.toml"),
];

/// What is done is explained too: when, by which field, and by which branch of the select.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_day_of_fulfilment_of_every_case_is_explained_by_a_field() {
    let (catalogue, _) = catalogue(crate::root()).await;
    let bench = Bench::new(&catalogue.pipeline, &catalogue.library);
    let (mut items, mut shown) = (BTreeSet::new(), Vec::new());
    for path in cases::find(crate::root()).iter().filter(|path| path.starts_with("tests/cases/obligations")) {
        let case = cases::read(crate::root(), path, &catalogue.pipeline, &Faults::default()).unwrap();
        if !case.covers.contains(&Covers::Fulfilled) {
            continue;
        }
        let table = bench.told_of_fulfilment(&case).await.unwrap();
        let (due, done) = (table.dates("due_on").unwrap(), table.dates("fulfilled_on").unwrap());
        let told = table.texts(TOLD).unwrap();
        let all = explained(&catalogue, &bench, &case).await;
        for ((due, done), told) in due.into_iter().zip(done).zip(told).filter(|((_, done), _)| done.is_some()) {
            let done = (done.unwrap(), told.unwrap());
            let fulfilled = (done.0, done.1.as_str());
            // The account of the due day is that of any row of this day: here the other one counts.
            let of_due = all.iter().find(|one| Some(one.due_on) == due).unwrap();
            let explanation = of_due.done(fulfilled, &catalogue);
            let text = explanation.text(Language::Vi);
            let done_part = text.split_once("\nĐã thực hiện: ").unwrap().1;
            let day = format!("{:02}/{:02}/{}", done.0.day(), done.0.month(), done.0.year());
            assert!(done_part.starts_with(&day), "{}: {text}", path.display());
            let fulfilled = explanation.fulfilled.unwrap();
            assert!(!fulfilled.fields.is_empty(), "{}: {text}", path.display());
            let stands = fulfilled.fields.iter().any(|field| field.value == Some(done.0.to_string()));
            let is_of_the_night = done.0 == case.as_of.date() && !fulfilled.steps.is_empty();
            assert!(stands || is_of_the_night, "{}: {text}", path.display());
            if items.insert(case.model.table.clone())
                && ["temporary_residence", "vehicle_inspection"].contains(&case.model.table.as_str())
            {
                let english = of_due.done((done.0, done.1.as_str()), &catalogue).text(Language::En);
                shown.push(format!("{}\n{text}\n{english}", path.display()));
            }
        }
    }
    assert_eq!(items.len(), catalogue.pipeline.items.len(), "an item has no case of what is done");
    insta::assert_snapshot!("explain_what_is_done", shown.join("\n"));
}

/// The same explanation of an obligation that was done on a day, by the account of that day.
trait Done {
    fn done(&self, fulfilled: (Date, &str), catalogue: &Catalogue) -> Explanation;
}

impl Done for Explanation {
    fn done(&self, fulfilled: (Date, &str), catalogue: &Catalogue) -> Explanation {
        let account = self.json()["account"].to_string();
        let (law, calendar) = (&catalogue.pipeline.law, &catalogue.pipeline.calendar);
        let night = Night { as_of: self.as_of, known_on: self.known_on, law, calendar };
        let rule_version = &self.rules[0].rule_version;
        let due = Due { key: &self.key, on: self.due_on, rule_version, fulfilled: Some(fulfilled) };
        let item = catalogue.pipeline.item(&self.item).unwrap();
        explain(item, due, &account, night, &Provenance::new()).unwrap()
    }
}

/// The key of the obligation of a message, and that of the message, of a language.
fn a_message(world: &World, item: &str) -> (String, String) {
    let row = world.outbox().into_iter().find(|row| row.item == item).unwrap_or_else(|| panic!("no message of {item}"));
    (row.obligation, row.key.0)
}

#[test]
fn a_night_is_explained_from_what_is_kept_of_it_and_from_what_was_stored() {
    let world = World::small(300);
    world.without_figures();
    world.night("2026-11-21").with(0);
    world.ledger_is_sound();
    let (obligation, message) = a_message(&world, "driving_licence");
    // Sources are not touched: they may be gone.
    std::fs::remove_dir_all(world.root().join("data-samples/an-binh")).unwrap();
    let before = world.everything();
    let told = world.chudong(&["explain", &obligation]).with(0).out;
    for word in
        ["Căn cứ:", "Because of:", "driving_licences.issued_on = ", "lấy lúc", "pulled at", "authorised until", " → "]
    {
        assert!(told.contains(word), "{word}\n{told}");
    }
    let vi = world.chudong(&["explain", &obligation[..12], "--language", "vi"]).with(0).out;
    let json = world.chudong(&["explain", &obligation, "--format", "json"]).with(0).out;
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    // Behind the account of the date stands that of the option that was recommended.
    let date = json["text"]["vi"].as_str().unwrap();
    assert!(vi.starts_with(date), "{vi}");
    assert!(told.starts_with(date), "{told}");
    assert_eq!(json["steps"].as_array().unwrap().last().unwrap()["result"], json["due_on"]);
    // The same text is stored with the message, in the language of the person.
    let stored = world.chudong(&["explain", "--message", &message]).with(0).out;
    assert!([&json["text"]["vi"], &json["text"]["en"]].iter().any(|text| **text == stored), "{stored}\n{told}");
    let changed = differences(&before, &world.everything());
    assert!(changed.is_empty(), "{changed:?}");
    // Nothing of it stands in the ledger as text.
    for file in ["ledger.sqlite", "ledger.sqlite-wal"] {
        let bytes = std::fs::read(world.state().join(file)).unwrap_or_default();
        let needle = "Cách tính".as_bytes();
        assert!(!bytes.windows(needle.len()).any(|window| window == needle), "{file}");
    }
    let every = world.recorded();
    assert!(every.iter().all(|(_, line)| line["explanation"].is_string()), "a message has no explanation");
}

#[test]
fn what_cannot_be_explained_says_why_and_where_to_look() {
    let world = World::small(300);
    world.without_figures();
    let said = world.chudong(&["explain", "0123456789abcdef"]).with(1).said();
    assert!(said.contains("explain.no-night"), "{said}");
    world.night("2026-11-21").with(0);
    let (obligation, message) = a_message(&world, "driving_licence");
    let refused = |arguments: &[&str], code: &str| {
        let said = world.chudong(arguments).with(1).said();
        assert!(said.contains(&format!("error[{code}]")), "{said}");
        said
    };
    assert!(refused(&["explain", "0123456789abcdef"], "explain.unknown-key").contains("chudong ledger list"));
    refused(&["explain", "a person's name"], "explain.key");
    refused(&["explain", &obligation, "--as-of", "2026-11-20"], "explain.not-kept");
    refused(&["explain", "--message", "0123456789abcdef"], "explain.not-stored");
    // Another key opens nothing, and neither does none.
    let key = world.state().join("keys/sealing.key");
    let kept = std::fs::read(&key).unwrap();
    std::fs::write(&key, [7; 32]).unwrap();
    refused(&["explain", "--message", &message], "explain.sealed");
    std::fs::remove_file(&key).unwrap();
    refused(&["explain", "--message", &message], "state.sealing-key-missing");
    std::fs::write(&key, kept).unwrap();
    world.chudong(&["explain", "--message", &message]).with(0);
    // Changed bytes are found by the chain, and are not opened.
    let ledger = rusqlite::Connection::open(world.state().join("ledger.sqlite")).unwrap();
    ledger.execute("update explanation set sealed = zeroblob(80) where message = ?1", [&message]).unwrap();
    drop(ledger);
    refused(&["explain", "--message", &message], "explain.sealed");
    assert!(refused(&["ledger", "verify"], "ledger.broken").contains(&message));
}

#[test]
fn who_is_erased_leaves_no_explanation_and_a_sound_ledger() {
    let world = World::small(300);
    world.without_figures();
    world.night("2026-11-21").with(0);
    let recorded: Vec<serde_json::Value> = world.recorded().into_iter().map(|(_, line)| line).collect();
    // The ledger knows pseudonyms alone: the key tells whose they are.
    let key: [u8; 32] = std::fs::read(world.state().join("keys/pseudonym.key")).unwrap().try_into().unwrap();
    let key = PseudonymKey::new(key);
    let pseudonyms: BTreeSet<String> =
        recorded.iter().map(|line| line["subject"].as_str().unwrap().to_owned()).collect();
    let landed = world.state().join("landing/population.citizens");
    let files = std::fs::read_dir(&landed).unwrap().map(|entry| entry.unwrap().path());
    let rows = files.filter(|path| {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        name.ends_with(".parquet") && !name.ends_with(".quarantine.parquet")
    });
    let numbers = rows.flat_map(|path| read_generation(&path).unwrap().texts("citizen_id").unwrap()).flatten();
    let pseudonym = |number: &String| key.pseudonym(&Personal::new(number.clone()));
    let number = numbers.into_iter().find(|number| pseudonyms.contains(&pseudonym(number)));
    let number = number.expect("somebody who was written to");
    let subject = key.pseudonym(&Personal::new(number.clone()));
    let file = world.state().join("number");
    std::fs::write(&file, &number).unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    let said = world.chudong(&["erase", "--number-from", file.to_str().unwrap()]).out;
    assert!(said.contains("explanations stored with messages"), "{said}");
    let (gone, left): (Vec<_>, Vec<_>) = recorded.iter().partition(|line| line["subject"] == *subject);
    let key = |line: &serde_json::Value| line["key"].as_str().unwrap().to_owned();
    for line in gone {
        world.chudong(&["explain", "--message", &key(line)]).with(1);
        assert!(line["explanation"].is_string(), "its digest stays");
    }
    for line in left.iter().take(3) {
        world.chudong(&["explain", "--message", &key(line)]).with(0);
    }
    world.ledger_is_sound();
    // A night before the last is explained for as long as what it landed is kept, and the last by itself.
    world.night("2026-11-22").with(0);
    let obligation = left[0]["obligation"].as_str().unwrap().to_owned();
    for (arguments, night) in [(&["--as-of", "2026-11-21"][..], "21/11/2026"), (&[][..], "22/11/2026")] {
        let told = world.chudong(&[&["explain", &obligation], arguments].concat()).with(0).out;
        assert!(told.contains(&format!("theo dữ liệu của đêm {night}")), "{told}");
    }
}
