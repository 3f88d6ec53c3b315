//! The HTML part of every letter in a real browser: no rule of WCAG 2.2 AA is broken, as axe-core finds them, nothing is
//! fetched, and a narrow window needs no scrolling to the side.

#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use std::collections::BTreeSet;

use chudong::calendar::AsOf;
use chudong::check::catalogue::{Catalogue, catalogue};
use chudong::language::Language;
use chudong::pipeline::Item;
use chudong::reminders::letter::{Error, Letter, Occasion, Reason, RuleReference, Worst};
use jiff::ToSpan;

use crate::messages::SAMPLE;
use crate::support::browser::{Browser, Page};

/// The width that content must fit into without scrolling to the side: 1,280 CSS pixels at 400 % (WCAG 2.2, 1.4.10).
const NARROW: u32 = 320;

/// Every item, proved and compiled, whether an agency uses it or not.
fn every_item() -> Catalogue {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (catalogue, faults) = runtime.block_on(catalogue(crate::root()));
    assert!(faults.is_empty(), "{faults:?}");
    catalogue
}

/// The letter of an item in the worst case, or what `show` makes of its occasion.
fn in_the_worst<T>(
    catalogue: &Catalogue,
    item: &Item,
    language: Language,
    worst: Worst,
    show: impl FnOnce(&Occasion<'_>) -> T,
) -> T {
    let names: BTreeSet<String> = catalogue.facts.get(&item.id).cloned().unwrap();
    let (stage, days) = (1_u16..).zip(&item.notice_days).last().map_or((1, 0), |(stage, days)| (stage, *days));
    let as_of = AsOf::new(worst.due_on().saturating_sub(i64::from(days).days()));
    let pipeline = &SAMPLE.pipeline;
    let reasons: Vec<Reason> = pipeline.sources.iter().map(Reason::of).collect();
    show(&Occasion {
        item,
        agency: &pipeline.agency,
        language,
        as_of,
        name: &worst.name(),
        due_on: worst.due_on(),
        stage,
        facts: &worst.facts(&names),
        reasons: &reasons,
        rules: &RuleReference::in_force(&catalogue.pipeline.law, item, as_of),
        // Late ones say more than others.
        is_late: true,
        told_before: Some(jiff::civil::date(2026, 12, 4)),
        assumed_year: Some(2027),
        options: None,
    })
}

/// Looks at a letter as the person does who gets it.
fn is_accessible(page: &mut Page, what: &str, letter: &Letter) {
    page.show(&letter.html);
    let found = page.axe();
    assert!(found.is_empty(), "{what}: {found:#?}");
    let shown = page.evaluate("[document.documentElement.lang, document.title, document.compatMode]");
    assert_eq!(shown, serde_json::json!([letter.language.tag(), letter.subject, "CSS1Compat"]), "{what}");
    let wide = page.evaluate("document.documentElement.scrollWidth");
    assert_eq!(wide, NARROW, "{what}: wider than the window");
}

#[test]
fn every_letter_of_every_item_is_accessible() {
    let catalogue = every_item();
    let browser = Browser::start();
    let seen: usize = std::thread::scope(|scope| {
        let halves = Language::ALL.map(|language| {
            let (catalogue, browser) = (&catalogue, &browser);
            scope.spawn(move || letters_seen(catalogue, browser, language))
        });
        halves.into_iter().map(|half| half.join().unwrap()).sum()
    });
    // Both languages, each with long values and with odd ones; without values where the template can do without.
    assert!(seen >= catalogue.pipeline.items.len() * 4, "{seen}");
}

fn letters_seen(catalogue: &Catalogue, browser: &Browser, language: Language) -> usize {
    let mut page = browser.empty();
    page.viewport(NARROW, 640);
    let mut seen = 0;
    for item in &catalogue.pipeline.items {
        for worst in Worst::ALL {
            let what = format!("{} {} {}", item.id, language.tag(), worst.word());
            let letter = in_the_worst(catalogue, item, language, worst, |occasion| catalogue.letters.render(occasion));
            match letter {
                Ok(letter) => {
                    is_accessible(&mut page, &what, &letter);
                    seen += 1;
                }
                Err(error) => assert!(matches!(error, Error::Missing { .. }) && worst == Worst::Empty, "{what}"),
            }
        }
    }
    let fetched: Vec<&String> = page.requests().iter().filter(|address| *address != "about:blank").collect();
    assert!(fetched.is_empty(), "{fetched:?}");
    seen
}

#[test]
fn a_letter_of_several_is_accessible() {
    let catalogue = every_item();
    let browser = Browser::start();
    let mut page = browser.empty();
    page.viewport(NARROW, 640);
    for (language, worst) in
        Language::ALL.into_iter().flat_map(|language| [(language, Worst::Longest), (language, Worst::Odd)])
    {
        let items = &catalogue.pipeline.items;
        let [first, second, third, ..] = items.as_slice() else { return };
        let letter = in_the_worst(&catalogue, first, language, worst, |first| {
            in_the_worst(&catalogue, second, language, worst, |second| {
                in_the_worst(&catalogue, third, language, worst, |third| {
                    catalogue.letters.render_several(&[first.clone(), second.clone(), third.clone()]).unwrap()
                })
            })
        });
        // In the dark too: a letter names no colour of its own, so that it is read as the person has set it.
        for scheme in ["light", "dark"] {
            page.media("", &[("prefers-color-scheme", scheme)]);
            // The checker takes a page without a ground of its own to be white; the browser's is what people see.
            let html = letter.html.replace("<body style=\"", "<body style=\"background:Canvas;");
            let grounded = Letter { html, ..letter.clone() };
            is_accessible(&mut page, &format!("several {} {} {scheme}", language.tag(), worst.word()), &grounded);
        }
    }
}

/// What the checker finds on a page that is bad on purpose: were it asleep, the tests above would say nothing.
#[test]
fn the_checker_finds_what_is_wrong() {
    let browser = Browser::start();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("bad.html");
    let bad = "<!DOCTYPE html><html><head><title></title><style>p { color: #aaa; background: #fff }</style></head>\
               <body><p>Chữ nhạt</p><img src=\"missing.png\"><a href=\"#\"></a><input></body></html>";
    std::fs::write(&file, bad).unwrap();
    let address = format!("file://{}", file.display());
    let mut page = browser.open(&address);
    let rules: BTreeSet<String> = page.axe().into_iter().map(|violation| violation.rule).collect();
    let expected = ["color-contrast", "document-title", "html-has-lang", "image-alt", "label", "link-name"];
    assert_eq!(rules, expected.map(str::to_owned).into());
    let asked = page.requests();
    assert!(asked.contains(&address) && asked.iter().any(|address| address.ends_with("/missing.png")), "{asked:?}");
}

#[test]
fn the_browser_does_what_it_is_asked() {
    let browser = Browser::start();
    let mut page = browser.empty();
    page.viewport(400, 300);
    page.media("", &[("prefers-color-scheme", "dark")]);
    page.show(
        "<!DOCTYPE html><html lang=\"vi\"><title>t</title><style>@media (prefers-color-scheme: dark) { body { \
         margin: 7px } }</style><button>a</button><input><a href=\"#x\">x</a></html>",
    );
    let text = |page: &mut Page, script: &str| page.evaluate(script).to_string();
    assert_eq!(text(&mut page, "[innerWidth, innerHeight]"), "[400,300]");
    assert_eq!(text(&mut page, "getComputedStyle(document.body).margin"), "\"7px\"");
    page.media("print", &[]);
    assert_eq!(text(&mut page, "matchMedia('print').matches"), "true");
    // Keys go where the focus is.
    page.media("", &[]);
    page.press("Tab");
    assert_eq!(text(&mut page, "document.activeElement.tagName"), "\"BUTTON\"");
    page.evaluate("window.clicks = 0; document.querySelector('button').onclick = () => { window.clicks += 1 }");
    page.press("Enter");
    page.press("Space");
    page.wait_until("window.clicks === 2");
    page.press("Tab");
    page.press("a");
    assert_eq!(text(&mut page, "document.querySelector('input').value"), "\"a\"");
    page.press("Shift+Tab");
    assert_eq!(text(&mut page, "document.activeElement.tagName"), "\"BUTTON\"");
    assert_eq!(text(&mut page, "new Promise(done => setTimeout(() => done(3), 20))"), "3");
    assert!(page.screenshot().starts_with(b"\x89PNG") && page.pdf().starts_with(b"%PDF"));
    page.scripts(false);
    page.show("<!DOCTYPE html><title>t</title><p>a</p><script>document.querySelector('p').textContent = 'b'</script>");
    assert_eq!(text(&mut page, "document.querySelector('p').textContent"), "\"a\"");
}
