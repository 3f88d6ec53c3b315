//! What a person receives: both parts of every letter, in both languages.

#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::LazyLock;

use chudong::calendar::AsOf;
use chudong::fault::Explain;
use chudong::language::Language;
use chudong::personal::Personal;
use chudong::pipeline::{self, Pipeline, reader::Faults};
use chudong::pipeline::{Gateway, secret::SecretRef};
use chudong::reminders::letter::{Error, Fact, FactNames, Letter, Letters, Occasion, Reason, RuleReference};
use chudong::reminders::short::{Short, parts};
use jiff::civil::{Date, date};
use proptest::prelude::*;

/// The sample agency and its letters, read once for all tests.
pub struct Sample {
    pub pipeline: Pipeline,
    pub letters: Letters,
}

pub static SAMPLE: LazyLock<Sample> = LazyLock::new(|| {
    let faults = Faults::default();
    let pipeline = pipeline::read(crate::root(), "an-binh", &faults).unwrap();
    let letters = Letters::read(crate::root(), &pipeline.items, &fact_names(), &faults);
    assert_eq!(said(faults), Vec::<String>::new());
    Sample { pipeline, letters }
});

fn said(faults: Faults) -> Vec<String> {
    faults.into_vec().iter().map(ToString::to_string).collect()
}

/// The columns that the SQL of each item gives, with values.
fn facts(item: &str) -> BTreeMap<String, Fact> {
    let text = |value: &str| Fact::Text(value.into());
    let facts = match item {
        "identity_card" => vec![("age_years", Fact::Int(25))],
        "driving_licence" => vec![("licence_class", text("C1")), ("issued_on", Fact::Date(date(2016, 11, 21)))],
        "vehicle_inspection" => {
            vec![("plate", text("97A-123.45")), ("last_inspected_on", Fact::Date(date(2024, 11, 21)))]
        }
        "temporary_residence" => {
            vec![("expires_on", Fact::Date(date(2026, 12, 6))), ("opens_on", Fact::Date(date(2026, 11, 21)))]
        }
        _ => vec![("valid_to", Fact::Date(date(2026, 12, 6))), ("gap_ends_on", Fact::Date(date(2027, 3, 6)))],
    };
    facts.into_iter().map(|(name, fact)| (name.to_owned(), fact)).collect()
}

fn fact_names() -> FactNames {
    let items = ["identity_card", "driving_licence", "vehicle_inspection", "temporary_residence", "health_insurance"];
    items.iter().map(|item| ((*item).to_owned(), facts(item).into_keys().collect())).collect()
}

/// A letter of the sample agency, with what a test wants to change.
pub struct Wish<'a> {
    pub item: &'a str,
    pub language: Language,
    pub name: &'a str,
    pub due_on: Date,
    pub stage: u16,
    pub facts: BTreeMap<String, Fact>,
    pub is_late: bool,
    pub told_before: Option<Date>,
    pub assumed_year: Option<i16>,
}

pub fn wish(item: &str, language: Language) -> Wish<'_> {
    Wish {
        item,
        language,
        name: "Nguyễn Thị Hồng Vân",
        due_on: date(2026, 12, 6),
        stage: 1,
        facts: facts(item),
        is_late: false,
        told_before: None,
        assumed_year: None,
    }
}

impl Wish<'_> {
    pub fn render(&self) -> Result<Letter, Error> {
        self.told(|occasion| SAMPLE.letters.render(occasion))
    }

    /// Shows the occasion of the wish.
    pub fn told<T>(&self, show: impl FnOnce(&Occasion<'_>) -> T) -> T {
        let pipeline = &SAMPLE.pipeline;
        let item = pipeline.item(self.item).unwrap();
        let as_of = AsOf::new(date(2026, 11, 21));
        let source = match self.item {
            "driving_licence" | "vehicle_inspection" => "transport",
            "health_insurance" => "insurance",
            _ => "population",
        };
        let mut names = vec!["population", source];
        names.dedup();
        let reasons: Vec<Reason> = names.iter().filter_map(|name| pipeline.source(name)).map(Reason::of).collect();
        show(&Occasion {
            item,
            agency: &pipeline.agency,
            language: self.language,
            as_of,
            name: &Personal::new(self.name.to_owned()),
            due_on: self.due_on,
            stage: self.stage,
            facts: &self.facts,
            reasons: &reasons,
            rules: &RuleReference::in_force(&pipeline.law, item, as_of),
            is_late: self.is_late,
            told_before: self.told_before,
            assumed_year: self.assumed_year,
            options: None,
        })
    }
}

#[test]
fn every_message_in_both_languages() {
    for item in &SAMPLE.pipeline.items {
        for language in Language::ALL {
            let letter = wish(&item.id, language).render().unwrap();
            let name = format!("message_{}_{}", item.id, language.tag());
            insta::assert_snapshot!(name, format!("Subject: {}\n\n{}", letter.subject, letter.text));
        }
    }
}

#[test]
fn the_html_part_of_one_message() {
    insta::assert_snapshot!(wish("temporary_residence", Language::Vi).render().unwrap().html);
}

#[test]
fn the_last_reminder_says_so() {
    let wish = Wish { stage: 3, ..wish("driving_licence", Language::En) };
    assert!(wish.render().unwrap().text.contains("This is the last reminder."));
}

#[test]
fn a_car_that_was_never_inspected_has_no_last_inspection() {
    let mut wish = wish("vehicle_inspection", Language::Vi);
    wish.facts.remove("last_inspected_on");
    let text = wish.render().unwrap().text;
    assert!(!text.contains("gần nhất"), "{text}");
    assert!(text.contains("…345") && !text.contains("97A"), "{text}");
}

#[test]
fn text_and_html_say_the_same_words() {
    for item in &SAMPLE.pipeline.items {
        for language in Language::ALL {
            let letter = wish(&item.id, language).render().unwrap();
            let in_text: Vec<&str> = letter
                .text
                .split_whitespace()
                .filter(|word| !word.starts_with("https://") && !word.chars().all(|c| "-=".contains(c)))
                // A link reads `words: address` in the text part.
                .map(|word| word.trim_end_matches(':'))
                .collect();
            let html = words_of(&letter.html);
            let in_html: Vec<&str> = html.split_whitespace().map(|word| word.trim_end_matches(':')).collect();
            assert_eq!(in_text, in_html, "{} {}", item.id, language.tag());
        }
    }
}

/// What is shown of an HTML document: its body without tags, entities as themselves.
fn words_of(html: &str) -> String {
    let body = html.split("<body").nth(1).unwrap();
    let mut words = String::new();
    for part in body.split('<') {
        words.push_str(part.split_once('>').map_or("", |(_, text)| text));
    }
    let entities = [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&#39;", "'"), ("&amp;", "&")];
    entities.iter().fold(words, |words, (entity, sign)| words.replace(entity, sign))
}

/// The tags of a document, in order, with their attributes.
fn tags(html: &str) -> Vec<&str> {
    html.split('<').skip(1).map(|part| part.split_once('>').map_or(part, |(tag, _)| tag)).collect()
}

#[test]
fn html_is_accessible_and_fetches_nothing() {
    for item in &SAMPLE.pipeline.items {
        for language in Language::ALL {
            let html = wish(&item.id, language).render().unwrap().html;
            let lang = format!("<html lang=\"{}\">", language.tag());
            assert!(html.contains(&lang) && html.contains("<title>"));
            let style = html.split("<style>").nth(1).and_then(|rest| rest.split("</style>").next()).unwrap();
            assert!(
                !["color", "background", "url(", "@", "display"].iter().any(|word| style.contains(word)),
                "{style}"
            );
            let tags = tags(&html);
            let known = [
                "!DOCTYPE", "html", "head", "meta", "title", "style", "body", "div", "h1", "h2", "p", "ul", "li", "a",
                "strong", "br",
            ];
            let levels: Vec<&str> = tags.iter().filter(|tag| tag.starts_with('h')).map(|tag| &tag[..2]).collect();
            assert_eq!(levels.iter().filter(|level| **level == "h1").count(), 1);
            for tag in &tags {
                let name = tag.trim_start_matches('/').split(' ').next().unwrap();
                assert!(known.contains(&name), "<{tag}>");
                assert!(!tag.contains("color:") && !tag.contains("url(") && !tag.contains("src="), "<{tag}>");
            }
            let mut open = Vec::new();
            for tag in tags.iter().filter(|tag| !["!DOCTYPE", "meta", "br"].iter().any(|void| tag.starts_with(void))) {
                let name = tag.split(' ').next().unwrap();
                match name.strip_prefix('/') {
                    Some(name) => assert_eq!(open.pop(), Some(name)),
                    None => open.push(name),
                }
            }
            assert!(open.is_empty(), "{open:?}");
        }
    }
}

#[test]
fn a_name_full_of_markup_appears_as_written() {
    for name in ["<b>*x*", "[a](http://evil.example)", "1. # `x` & \"y\" {{ z }}", "_a_ ~b~ | c \\ d", "{% if %}&amp;"]
    {
        let letter = Wish { name, ..wish("health_insurance", Language::Vi) }.render().unwrap();
        assert!(letter.text.contains(name), "{}", letter.text);
        assert!(words_of(&letter.html).contains(name), "{}", letter.html);
    }
}

#[test]
fn a_name_of_many_lines_is_one_line() {
    let name = "Nguyễn\r\n\r\n# Văn\u{2028}An\u{202E}\t\u{0}Bình";
    let letter = Wish { name, ..wish("health_insurance", Language::Vi) }.render().unwrap();
    assert!(letter.text.contains("Nguyễn # Văn An Bình,"), "{}", letter.text);
}

#[test]
fn a_value_that_is_missing_is_an_error_and_never_a_hole() {
    let mut without = wish("driving_licence", Language::Vi);
    without.facts.remove("licence_class");
    let error = without.render().unwrap_err();
    insta::assert_snapshot!(error.fault(), @r"
    error[letter.value-missing]: the template needs a value that is missing or empty: licence_class
      at:   pipelines/items/driving_licence/message.vi.md:5
      next: let the item's SQL give the value for every row, or ask with `is defined` before printing it
    ");
    for name in ["", " \u{200E}\n"] {
        let error = Wish { name, ..wish("driving_licence", Language::Vi) }.render().unwrap_err();
        assert_eq!(error.code(), "letter.value-missing");
    }
    let debug = format!("{:?} {:?}", wish("driving_licence", Language::En).render().unwrap(), facts("driving_licence"));
    assert!(!debug.contains("Vân") && !debug.contains("C1"), "{debug}");
}

#[test]
fn the_same_occasion_gives_the_same_letter() {
    let letter = wish("identity_card", Language::En).render().unwrap();
    assert_eq!(letter, wish("identity_card", Language::En).render().unwrap());
    let other = Wish { name: "Trần Văn Bình", ..wish("identity_card", Language::En) }.render().unwrap();
    assert_eq!(letter.template_version, other.template_version);
    assert_ne!(letter.rendered_hash, other.rendered_hash);
    assert_ne!(letter.template_version, wish("identity_card", Language::Vi).render().unwrap().template_version);
}

#[test]
fn dates_are_written_out_in_the_language() {
    for (due_on, vi, en) in [
        (date(2026, 11, 21), "thứ Bảy, ngày 21 tháng 11 năm 2026", "Saturday, 21 November 2026"),
        (date(2027, 2, 7), "Chủ nhật, ngày 7 tháng 2 năm 2027", "Sunday, 7 February 2027"),
        (date(2028, 2, 29), "thứ Ba, ngày 29 tháng 2 năm 2028", "Tuesday, 29 February 2028"),
    ] {
        for (language, words) in [(Language::Vi, vi), (Language::En, en)] {
            let letter = Wish { due_on, ..wish("driving_licence", language) }.render().unwrap();
            let text = letter.text.split_whitespace().collect::<Vec<_>>().join(" ");
            assert!(text.contains(words), "{text}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_value_changes_the_structure(
        name in any::<String>(),
        class in "[ -~\u{A0}-\u{200F}\n\r\t*#<>\\[\\]()`_!&{}%|]{1,40}",
        vi in any::<bool>(),
    ) {
        let language = if vi { Language::Vi } else { Language::En };
        let plain = wish("driving_licence", language).render().unwrap();
        let mut odd = Wish { name: &name, ..wish("driving_licence", language) };
        odd.facts.insert("licence_class".into(), Fact::Text(class));
        match odd.render() {
            Ok(odd) => {
                let opened = |html: &str| -> Vec<String> { tags(html).iter().map(|tag| (*tag).to_owned()).collect() };
                prop_assert_eq!(opened(&odd.html), opened(&plain.html));
                prop_assert_eq!(odd.subject.lines().count(), 1);
                let headings = |text: &str| {
                    let lines = text.lines().filter(|line| line.len() > 3 && line.chars().all(|c| "-=".contains(c)));
                    lines.count()
                };
                // A name of nothing but dashes can fill a line of its own only where a word can.
                if !name.contains("--") && !name.contains("==") {
                    prop_assert_eq!(headings(&odd.text), headings(&plain.text));
                }
                let blank = |text: &str| text.lines().filter(|line| line.is_empty()).count();
                prop_assert_eq!(blank(&odd.text), blank(&plain.text));
            }
            Err(error) => prop_assert_eq!(error.code(), "letter.value-missing"),
        }
    }
}

// ---- what a case officer can get wrong --------------------------------------

/// Faults of one template beside a sound layout, as `place code`.
fn faults_of(message: &str) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    let items = folder.path().join("pipelines/items");
    for language in ["vi", "en"] {
        let layout = format!("pipelines/items/layout.{language}.md");
        std::fs::create_dir_all(items.join("driving_licence")).unwrap();
        std::fs::copy(crate::root().join(&layout), folder.path().join(&layout)).unwrap();
        let sound = format!("pipelines/items/driving_licence/message.{language}.md");
        std::fs::copy(crate::root().join(&sound), folder.path().join(&sound)).unwrap();
    }
    std::fs::write(items.join("driving_licence/message.en.md"), message).unwrap();
    read(folder.path(), &["driving_licence"])
}

fn read(root: &Path, items: &[&str]) -> Vec<String> {
    let faults = Faults::default();
    let items: Vec<_> = items.iter().map(|id| SAMPLE.pipeline.item(id).unwrap().clone()).collect();
    let mut names = fact_names();
    names.entry("driving_licence".into()).or_default().insert("plate".into());
    Letters::read(root, &items, &names, &faults);
    let short = |fault: &chudong::fault::Fault| {
        format!("{} {}: {}", fault.place.to_string().replace("pipelines/items/", ""), fault.code, fault.what)
    };
    faults.into_vec().iter().map(short).collect()
}

/// A message that says all it must, with a place for a mistake.
fn with(mistake: &str) -> String {
    format!(
        "# Subject\n\nDear {{{{ name }}}}, by {{{{ due_on|date }}}}: [here]({{{{ procedure_url }}}})\n\n{mistake}\n"
    )
}

#[test]
fn a_template_with_a_fault_is_told_with_its_line() {
    let mut all = Vec::new();
    for mistake in [
        "fine",
        "{{ licence_clas }}",
        "{% if stage %}never closed",
        "{{ licence_class|bold }}",
        "{{ licence_class|safe }}",
        "{{ licence_class|date }}",
        "{% include 'other.md' %}",
        "a <b>bold</b> word",
        "<script>alert(1)</script>",
        "![picture](https://example.com/x.png)",
        "`code`",
        "    indented",
        "# Second subject",
        "### Too deep",
        "[link](javascript:alert(1))",
        "[link]({{ licence_class }})",
        "> > > > > > > > > > > > deep",
        "The plate is {{ plate }}",
        "The plate is {{ plate|mask }}",
        "\u{E141}",
        "{% set x %}{{ name }}{% endset %}{{ x }}",
        "{% macro m(a) %}*{{ a }}*{% endmacro %}{{ m(name) }}",
        "{% if stage == 2 %}<i>only then</i>{% endif %}",
        "{% if issued_on is defined %}fine{% else %}<i>only then</i>{% endif %}",
        "{{ 1 / 0 }}",
    ] {
        let faults = faults_of(&with(mistake));
        all.push(format!("{mistake}\n    {}", if faults.is_empty() { "-".into() } else { faults.join("\n    ") }));
    }
    insta::assert_snapshot!("template_faults", all.join("\n"));
}

#[test]
fn a_letter_must_say_what_every_letter_says() {
    let faults = faults_of("# Subject\n\nHello.\n");
    insta::assert_snapshot!("letter_says_too_little", faults.join("\n"));
    assert_eq!(faults_of("Hello\n").first().map(|f| f.contains("letter.no-subject")), Some(true));
}

#[test]
fn missing_files_are_faults() {
    let folder = tempfile::tempdir().unwrap();
    let faults = read(folder.path(), &["driving_licence"]);
    assert_eq!(faults.len(), 4, "{faults:?}");
    assert!(faults.iter().all(|fault| fault.contains("file.unreadable")), "{faults:?}");
}

#[test]
fn several_obligations_are_one_letter_in_both_languages() {
    for language in Language::ALL {
        let (first, second) = (wish("driving_licence", language), wish("vehicle_inspection", language));
        let (first, second) = (Wish { is_late: true, ..first }, Wish { due_on: date(2026, 12, 20), ..second });
        let render = |first: &Occasion<'_>, second: &Occasion<'_>| {
            SAMPLE.letters.render_several(&[first.clone(), second.clone()]).unwrap()
        };
        let letter = first.told(|first| second.told(|second| render(first, second)));
        let name = format!("digest_{}", language.tag());
        insta::assert_snapshot!(name, format!("Subject: {}\n\n{}", letter.subject, letter.text));
        // One greeting, one way to refuse, a section for each.
        assert_eq!(letter.text.matches(first.name).count(), 1);
        assert_eq!(letter.text.matches(&SAMPLE.pipeline.agency.refuse).count(), 1);
        assert_eq!(letter.html.matches("<h1").count(), 1);
        let other = first.told(|first| second.told(|second| render(second, first)));
        assert_ne!(letter.rendered_hash, other.rendered_hash);
    }
}

#[test]
fn a_late_letter_says_so_and_no_other_does() {
    for (language, words) in [(Language::Vi, "Thư này đến muộn hơn dự định"), (Language::En, "later than planned")]
    {
        let plain = wish("driving_licence", language).render().unwrap();
        let late = Wish { is_late: true, ..wish("driving_licence", language) }.render().unwrap();
        let text = late.text.replace('\n', " ");
        assert!(text.contains(words) && late.html.contains(words), "{}", late.text);
        assert!(!plain.text.contains(words) && plain.subject == late.subject);
    }
}

#[test]
fn an_item_without_a_template_has_no_letter() {
    let faults = Faults::default();
    let none: Vec<pipeline::Item> = Vec::new();
    let letters = Letters::read(crate::root(), &none, &BTreeMap::<String, BTreeSet<String>>::new(), &faults);
    let pipeline = &SAMPLE.pipeline;
    let error = letters
        .render(&Occasion {
            item: pipeline.items.first().unwrap(),
            agency: &pipeline.agency,
            language: Language::Vi,
            as_of: AsOf::new(date(2026, 11, 21)),
            name: &Personal::new("An".to_owned()),
            due_on: date(2026, 12, 6),
            stage: 1,
            facts: &BTreeMap::new(),
            reasons: &[],
            rules: &[],
            is_late: false,
            told_before: None,
            assumed_year: None,
            options: None,
        })
        .unwrap_err();
    assert_eq!(error.code(), "letter.no-template");
}

/// What a person is told of a day that may move, and of one that has: in letters, in a letter of several, on a phone.
#[test]
fn a_day_that_may_move_and_one_that_has_moved_are_told() {
    let mut all = Vec::new();
    for language in Language::ALL {
        let plain = wish("temporary_residence", language);
        let assumed = Wish { assumed_year: Some(2027), ..wish("temporary_residence", language) };
        let moved = Wish { told_before: Some(date(2026, 12, 4)), ..wish("temporary_residence", language) };
        let (told_before, assumed_year) = (Some(date(2026, 12, 4)), Some(2027));
        let both = Wish { told_before, assumed_year, ..wish("temporary_residence", language) };
        let quiet = ["2027", "(trước báo", "Date changed", "thay đổi", "has changed"];
        let plain_letter = plain.render().unwrap();
        assert!(!quiet.iter().any(|words| plain_letter.text.contains(words)), "{}", plain_letter.text);
        for (name, wish) in [("plain", &plain), ("assumed", &assumed), ("moved", &moved), ("both", &both)] {
            let letter = wish.render().unwrap();
            let channel = SAMPLE.pipeline.channels.first().unwrap();
            let short = wish.told(|occasion| Short::of(&letter, occasion, channel));
            assert!(!letter.text.contains("**"), "a mark of Markdown is left in {}", letter.text);
            let notes = letter.text.split("\n\n").filter(|part| {
                ["tạm tính", "provisional", "đã thay đổi", "has changed"].iter().any(|words| part.contains(words))
            });
            all.push(format!("{} {name}: {}", language.tag(), letter.subject));
            all.extend(notes.map(str::to_owned));
            all.push(format!("phone: {}", short.text));
            all.push(format!("without room: {:?}", short.shorter.last()));
            all.push(format!("note: {}\n", short.values.get("date_note").unwrap()));
        }
    }
    insta::assert_snapshot!(all.join("\n"));
}

/// A gateway that takes fewer parts gets the message without the note: that the day may move is said where there is room.
#[test]
fn a_short_message_leaves_the_note_out_where_there_is_no_room() {
    let assumed = Wish { assumed_year: Some(2027), ..wish("temporary_residence", Language::Vi) };
    let letter = assumed.render().unwrap();
    let channel = SAMPLE.pipeline.channels.first().unwrap();
    let short = assumed.told(|occasion| Short::of(&letter, occasion, channel));
    let shorter = short.shorter.last().cloned().unwrap();
    let (most, least) = (parts(&short.text), parts(&shorter));
    assert!(most > least, "{most} {least}");
    let gateway = |parts_max| Gateway {
        url: "https://sms.example/send".into(),
        token: SecretRef::Env("UNUSED".into()),
        sender: "ANBINH".into(),
        keeps_diacritics: true,
        parts_max,
        is_idempotent: true,
        connections: 1,
    };
    assert_eq!(short.fit(&gateway(most)).unwrap(), short.text);
    assert_eq!(short.fit(&gateway(least)).unwrap(), shorter);
    assert!(short.fit(&gateway(least - 1)).is_err());
}
