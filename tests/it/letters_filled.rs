//! A letter that is filled into a form is, to the byte, the one that its template gives; and so is its message.

#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use std::collections::BTreeMap;
use std::path::Path;

use chudong::calendar::AsOf;
use chudong::delivery::{self, Head};
use chudong::language::Language;
use chudong::personal::Personal;
use chudong::pipeline::{Agency, Item, reader::Faults};
use chudong::reminders::letter::{Fact, FactNames, Letter, Letters, Occasion, Reason, Worst};
use jiff::ToSpan;
use jiff::civil::{Date, date};
use lettre::message::header::{ContentType, Header, HeaderName, HeaderValue};
use lettre::message::{Mailbox, MultiPart, SinglePart};
use proptest::prelude::*;

use crate::messages::{SAMPLE, wish};

/// Who gets a letter, when, and with which values.
#[derive(Debug, Clone)]
struct Case {
    name: String,
    refuse: String,
    facts: BTreeMap<String, Fact>,
    due_on: Date,
    stage: u16,
    days: i64,
}

impl Case {
    /// The letter by its template, and by filling it in; both of an occasion like this one.
    fn both(&self, letters: &Letters, item: &Item, language: Language) -> (Result<Letter, String>, Option<Letter>) {
        let pipeline = &SAMPLE.pipeline;
        let agency = Agency { refuse: self.refuse.clone(), ..pipeline.agency.clone() };
        let reasons: Vec<Reason> = pipeline.sources.iter().take(2).map(Reason::of).collect();
        let name = Personal::new(self.name.clone());
        let occasion = Occasion {
            item,
            agency: &agency,
            language,
            as_of: AsOf::new(self.due_on.saturating_sub(self.days.days())),
            name: &name,
            due_on: self.due_on,
            stage: self.stage,
            is_late: false,
            options: None,
            told_before: None,
            assumed_year: None,
            facts: &self.facts,
            reasons: &reasons,
            rules: &[],
        };
        // A late one is another letter, and never that of one in time.
        let late = Occasion { is_late: true, ..occasion.clone() };
        let of_late = letters.render(&late).map_err(|error| error.to_string());
        assert_eq!(of_late, letters.render_anew(&late).map_err(|error| error.to_string()));
        let rendered = letters.render(&occasion).map_err(|error| error.to_string());
        let filled = letters.filled(&occasion);
        assert_eq!(rendered, letters.render_anew(&occasion).map_err(|error| error.to_string()));
        (rendered, filled)
    }
}

fn case(name: &str, facts: BTreeMap<String, Fact>) -> Case {
    let (name, refuse) = (name.to_owned(), "https://dichvucong.anbinh.example/tu-choi?t=a1".to_owned());
    Case { name, refuse, facts, due_on: date(2026, 12, 6), stage: 1, days: 15 }
}

#[test]
fn letters_of_one_due_date_are_filled_in_and_are_those_of_their_template() {
    let items = ["driving_licence", "vehicle_inspection", "temporary_residence", "health_insurance", "identity_card"];
    for (item, language) in items.iter().flat_map(|item| Language::ALL.map(|language| (*item, language))) {
        let item_of = SAMPLE.pipeline.item(item).unwrap();
        let facts = wish(item, language).facts;
        let both = |case: Case| case.both(&SAMPLE.letters, item_of, language);
        // The first of a kind is rendered; those after it are filled in, whatever they hold.
        let _ = both(case("Trần Văn An", facts.clone()));
        let names = facts.keys().cloned().collect();
        for worst in [Worst::Longest, Worst::Odd] {
            let (name, facts) = (worst.name().reveal().clone(), worst.facts(&names));
            let (rendered, filled) = both(case(&name, facts.clone()));
            assert!(rendered.is_err() || item == "identity_card" || filled == rendered.ok(), "{item} {worst:?}");
            let (again, filled) = both(case("Ý", facts));
            assert_eq!(filled, again.ok(), "{item} {worst:?}");
        }
    }
}

#[test]
fn a_value_that_a_letter_cannot_hold_is_refused_as_by_its_template() {
    let item = SAMPLE.pipeline.item("driving_licence").unwrap();
    let facts = wish("driving_licence", Language::Vi).facts;
    let good = case("Trần Văn An", facts.clone());
    assert!(good.both(&SAMPLE.letters, item, Language::Vi).0.is_ok());
    let no_name = Case { name: " \u{202E}\n".into(), ..good.clone() };
    let elsewhere = Case { refuse: "javascript:alert(1)".into(), ..good.clone() };
    let mut not_a_date = good.clone();
    not_a_date.facts.insert("issued_on".into(), Fact::Text("hôm qua".into()));
    let mut missing = good;
    missing.facts.remove("licence_class");
    for bad in [no_name, elsewhere, not_a_date, missing] {
        let (rendered, filled) = bad.both(&SAMPLE.letters, item, Language::Vi);
        assert!(rendered.is_err() && filled.is_none(), "{rendered:?}");
    }
}

/// Templates that do with values what templates may do.
const SOURCES: [&str; 9] = [
    "# {{ kind }} {{ name }}\n\nHạn {{ due_on|date }}: {{ count }}, {{ day_on|date }}, {{ code|mask }}.",
    "# S {{ day_on|short_date }}\n\n{% if kind == \"name\" %}Tên {{ name }}{% else %}Khác {{ name }}{% endif %} {{ due_on|date }}",
    "# S\n\n- {{ name }}\n- **{{ kind }}** và *{{ code }}*\n\n1. {{ due_on|date }}\n2. x{{ name }}y\n\n> {{ name }}{{ kind }}",
    "# S\n\n[{{ kind }}]({{ refuse_url }}) {{ name }} [{{ name }}](https://a.example/{{ kind }}?{{ code }}) {{ due_on|date }}",
    "# S\n\n{% if code is defined %}{{ code }}{% endif %} {{ name }} {% if kind %}a{% endif %} {{ due_on|date }}",
    "# S\n\n{{ name|upper }} {{ name }} {{ name|length }} {{ due_on|date }}",
    "# S\n\n{% set x %}{{ kind }}{% endset %}{{ x|length }} {{ name }} {{ due_on|date }}",
    "# S\n\n{{ \"}}\" ~ name }} {{ name }} {{ due_on|date }}",
    "# S\n\n[{{ kind }}] {{ name }} {{ due_on|date }}\n\n[k]: https://k.example/",
];

/// Letters of one of these templates, in a folder of their own.
fn letters_of(source: &str) -> (Letters, Item) {
    let folder = tempfile::tempdir().unwrap();
    let items = folder.path().join("pipelines/items");
    std::fs::create_dir_all(items.join("driving_licence")).unwrap();
    let root: &Path = crate::root();
    for tag in ["vi", "en"] {
        let layout = format!("layout.{tag}.md");
        std::fs::copy(root.join("pipelines/items").join(&layout), items.join(&layout)).unwrap();
        let rest = "\n\n[làm]({{ procedure_url }})\n";
        std::fs::write(items.join(format!("driving_licence/message.{tag}.md")), format!("{source}{rest}")).unwrap();
    }
    let item = SAMPLE.pipeline.item("driving_licence").unwrap().clone();
    let names = ["kind", "code", "count", "day_on"].map(str::to_owned).into();
    let facts: FactNames = [(item.id.clone(), names)].into();
    let faults = Faults::default();
    let letters = Letters::read(folder.path(), std::slice::from_ref(&item), &facts, &faults);
    let told: Vec<String> = faults.into_vec().iter().map(ToString::to_string).collect();
    assert_eq!(told, Vec::<String>::new(), "{source}");
    (letters, item)
}

fn some_case() -> impl Strategy<Value = Case> {
    let text = || prop_oneof!["\\PC{0,40}", "[a-zạêệ *_#<>&|`\\[\\]()!\u{E200}\u{E150}]{1,12}", "name|k|https://a.b/"];
    let facts = (text(), text(), any::<i64>(), 0_i64..2000, any::<[bool; 4]>());
    let refuse = prop_oneof!["https://[a-z]{1,9}\\.example/\\PC{0,20}", text()];
    (text(), refuse, facts, 0_i64..2).prop_map(|(name, refuse, (kind, code, count, day, there), due)| {
        let facts = [
            ("kind", Fact::Text(kind)),
            ("code", Fact::Text(code)),
            ("count", Fact::Int(count)),
            ("day_on", Fact::Date(date(2024, 1, 1).saturating_add(day.days()))),
        ];
        let there = there.into_iter().chain([true]);
        // One in two values is left out in one letter of eight.
        let all = there.clone().take(3).any(|there| there);
        let facts = facts.into_iter().zip(there).filter(|(_, there)| all || *there);
        let facts = facts.map(|((name, fact), _)| (name.to_owned(), fact)).collect();
        let due_on = date(2026, 12, 6).saturating_add(due.days());
        Case { name, refuse, facts, due_on, stage: 1, days: 15 }
    })
}

#[test]
fn whatever_a_template_does_with_whatever_value_both_ways_give_the_same() {
    for source in SOURCES {
        let (letters, item) = letters_of(source);
        let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig {
            cases: 48,
            failure_persistence: None,
            ..ProptestConfig::default()
        });
        let mut filled_in = 0;
        let cases = proptest::collection::vec(some_case(), 1..6);
        let outcome = runner.run(&cases, |cases| {
            for case in cases {
                let (rendered, filled) = case.both(&letters, &item, Language::Vi);
                if let Some(filled) = filled {
                    prop_assert_eq!(Some(filled), rendered.ok());
                }
            }
            Ok(())
        });
        outcome.unwrap();
        let facts: BTreeMap<String, Fact> = [
            ("kind".to_owned(), Fact::Text("loại".into())),
            ("code".to_owned(), Fact::Text("97A-123.45".into())),
            ("count".to_owned(), Fact::Int(3)),
            ("day_on".to_owned(), Fact::Date(date(2026, 1, 1))),
        ]
        .into();
        for name in ["Trần Văn An", "Lê Thị Bình", "Ý"] {
            let (_, filled) = case(name, facts.clone()).both(&letters, &item, Language::Vi);
            filled_in += usize::from(filled.is_some());
        }
        // Where a source cannot be seen through, or a name is changed, every letter is rendered.
        let is_plain = !["upper", "endset", "~", "]:"].iter().any(|sign| source.contains(sign));
        assert_eq!(filled_in > 0, is_plain, "{source}");
    }
}

// ---- the message ---------------------------------------------------------------

macro_rules! text_header {
    ($type:ident, $name:literal) => {
        #[derive(Clone)]
        struct $type(String);

        impl Header for $type {
            fn name() -> HeaderName {
                HeaderName::new_from_ascii_str($name)
            }

            fn parse(text: &str) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
                Ok($type(text.to_owned()))
            }

            fn display(&self) -> HeaderValue {
                HeaderValue::new(Self::name(), self.0.clone())
            }
        }
    };
}

text_header!(ContentLanguage, "Content-Language");
text_header!(AutoSubmitted, "Auto-Submitted");
text_header!(ListUnsubscribe, "List-Unsubscribe");

/// The message as lettre writes it, with the boundary of ours.
fn by_lettre(letter: &Letter, head: &Head<'_>, message_id: &str, boundary: &str) -> Vec<u8> {
    let from = head.channel.from.parse().unwrap();
    let from_name = head.channel.from_name.get(letter.language).to_owned();
    let parts = MultiPart::alternative()
        .boundary(boundary)
        .singlepart(SinglePart::builder().header(ContentType::TEXT_PLAIN).body(letter.text.clone()))
        .singlepart(SinglePart::builder().header(ContentType::TEXT_HTML).body(letter.html.clone()));
    let message = lettre::Message::builder()
        .from(Mailbox::new(Some(from_name), from))
        .to(Mailbox::new(None, head.to.reveal().clone()))
        .subject(letter.subject.clone())
        .date(head.as_of.morning().into())
        .message_id(Some(format!("<{message_id}>")))
        .header(ContentLanguage(letter.language.tag().to_owned()))
        .header(AutoSubmitted("auto-generated".to_owned()))
        .header(ListUnsubscribe(format!("<{}>", head.agency.refuse)));
    message.multipart(parts).unwrap().formatted()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn a_message_is_byte_for_byte_the_one_that_lettre_writes(
        subject in "\\PC{1,80}|[a-z ệ]{1,200}",
        text in "([ -~]{0,90}[ \t]?\n){0,4}|([a-zđạêệ=. ]{0,120}\n?){0,6}|\\PC{0,300}",
        html in "([ -~]{70,80}\n){0,4}|([a-z<>=ệ. ]{0,160}[ \t=ệ]?\n?){0,6}",
        language in prop_oneof![Just(Language::Vi), Just(Language::En)],
    ) {
        let mut letter = wish("driving_licence", language).render().unwrap();
        (letter.subject, letter.text, letter.html) = (subject, text, html);
        let pipeline = &SAMPLE.pipeline;
        let to = Personal::new("van@example.com".parse().unwrap());
        let as_of = AsOf::new(date(2026, 11, 21));
        let head = Head { key: "k", channel: pipeline.channels.first().unwrap(), agency: &pipeline.agency, as_of, to: &to };
        let ours = delivery::build(&letter, &head).unwrap();
        let bytes = ours.in_seven_bits();
        let boundary = bytes.split("boundary=\"").nth(1).unwrap().split('"').next().unwrap();
        let theirs = String::from_utf8(by_lettre(&letter, &head, &ours.message_id, boundary)).unwrap();
        prop_assert_eq!(&bytes, &theirs);
        prop_assert!(bytes.split("\r\n").all(|line| line.len() <= 998));
    }
}
