//! The pages in a real browser: no rule of WCAG 2.2 AA is broken, light and dark, on a narrow phone and at 200 %; with
//! the keyboard alone everything is reached and seen; nothing is fetched; what is folded is printed.
//!
//! With `CHUDONG_SCREENSHOTS=<folder>` it leaves pictures there for a person to look at.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may stop at the first surprise")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use chudong::disclosure::Released;
use chudong::pipeline::{self, Pipeline, reader::Faults};
use chudong::publication::{self, Issued, Labels};

use crate::publication::{QUARTER, YEAR, released, shelf};
use crate::support::browser::{Browser, Page};
use crate::support::world::World;

/// The narrowest phone (WCAG 2.2, 1.4.10), and a desk of 1280 pixels at 200 % (1.4.4).
const WIDTHS: [u32; 2] = [320, 640];

/// So many tabs look at pages at the same time.
const TABS: usize = 3;

fn agency(name: &str) -> Pipeline {
    pipeline::read(crate::root(), name, &Faults::default()).unwrap()
}

/// The pages of an agency, as `file:` addresses.
fn addresses(shelf: &Path, released: &[Released], labels: &Labels) -> Vec<String> {
    publication::publish(shelf, released, labels).unwrap();
    publication::page(shelf, released, labels).unwrap();
    publication::catalogue(shelf, labels, &Issued::new()).unwrap();
    crate::page::pages(shelf).into_keys().map(|path| address(&shelf.join(path))).collect()
}

fn address(path: &Path) -> String {
    format!("file://{}", path.display())
}

/// Everything that is the same for every page and every way of looking at it.
fn is_accessible(page: &mut Page, address: &str) {
    page.viewport(1280, 900);
    page.media("", &[("prefers-color-scheme", "light")]);
    page.go(address);
    // What is folded is looked at as well.
    page.evaluate("document.querySelectorAll('details').forEach(details => details.open = true)");
    for (width, scheme) in [(1280, "light"), (320, "dark")] {
        page.viewport(width, 900);
        page.media("", &[("prefers-color-scheme", scheme)]);
        let found = page.axe();
        assert!(found.is_empty(), "{address} {scheme} at {width}: {found:#?}");
    }
    for width in WIDTHS {
        page.viewport(width, 900);
        let wide = page.evaluate("document.documentElement.scrollWidth").as_u64().unwrap();
        assert!(wide <= u64::from(width), "{address} is {wide} pixels wide in a window of {width}");
    }
}

#[test]
fn every_page_of_both_agencies_is_accessible() {
    let browser = Browser::start();
    for name in ["an-binh", "binh-minh"] {
        let pipeline = agency(name);
        let (_folder, shelf) = shelf();
        let released = if pipeline.privacy.is_some() { released(&pipeline, &QUARTER) } else { Vec::new() };
        let all = addresses(&shelf, &released, &Labels::from(&pipeline));
        let labels = Labels::from(&pipeline);
        assert_eq!(all.len(), 2 * (3 + labels.communes.len() + labels.procedure_groups.len()));
        std::thread::scope(|scope| {
            for part in all.chunks(all.len().div_ceil(TABS)) {
                let browser = &browser;
                scope.spawn(move || {
                    let mut page = browser.empty();
                    for address in part {
                        is_accessible(&mut page, address);
                    }
                    let fetched: BTreeSet<String> = page.requests().iter().cloned().collect();
                    let own: BTreeSet<String> = part.iter().cloned().chain(["about:blank".to_owned()]).collect();
                    assert!(fetched.is_subset(&own), "{:?}", fetched.difference(&own));
                });
            }
        });
    }
}

/// The pages of exact tables, with scores and with cells that are withheld, as a night makes them.
#[test]
fn every_page_of_exact_tables_is_accessible() {
    let world = World::small(2000);
    world.without_figures();
    let path = "pipelines/an-binh/pipeline.toml";
    let text = std::fs::read_to_string(world.root().join(path)).unwrap();
    world.put(path, format!("{text}{}", crate::page::EXACT).as_bytes());
    world.night("2026-11-15").with(0);
    let shelf = world.state().join("published");
    let all: Vec<String> = crate::page::pages(&shelf).into_keys().map(|path| address(&shelf.join(path))).collect();
    let scored: Vec<&String> = all.iter().filter(|address| address.contains("/communes/")).collect();
    assert_eq!(scored.len(), 16);
    let browser = Browser::start();
    let mut page = browser.empty();
    all.iter().filter(|address| !address.contains("/groups/")).for_each(|address| is_accessible(&mut page, address));
}

/// With the tabulator every link, every folded part and every table that scrolls is reached, in the order of the page,
/// and each shows where one is.
#[test]
fn the_keyboard_alone_reaches_everything() {
    let (_folder, shelf) = shelf();
    let pipeline = agency("an-binh");
    addresses(&shelf, &released(&pipeline, &QUARTER), &Labels::from(&pipeline));
    let browser = Browser::start();
    let mut page = browser.empty();
    for name in ["index.html", "communes/97004.en.html", "groups/index.html"] {
        page.viewport(1280, 900);
        page.go(&address(&shelf.join(name)));
        page.evaluate(
            "window.wanted = [...document.querySelectorAll('a[href], summary, [tabindex=\"0\"]')]
                .filter(element => element.checkVisibility()); window.wanted.length",
        );
        let many = page.evaluate("window.wanted.length").as_u64().unwrap();
        assert!(many > 20, "{name} has {many} places to go");
        for place in 0..many {
            page.press("Tab");
            let found = page.evaluate(
                "(() => { const at = document.activeElement; const style = getComputedStyle(at);
                    const seen = style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2;
                    return [window.wanted.indexOf(at), seen, at.outerHTML.slice(0, 120)]; })()",
            );
            assert_eq!((found[0].as_u64(), found[1].as_bool()), (Some(place), Some(true)), "{name}: {found}");
        }
        // The first of them skips the head of the page.
        page.go(&format!("{}?", address(&shelf.join(name))));
        page.press("Tab");
        page.press("Enter");
        page.wait_until("document.activeElement.id === 'content'");
        // A folded part opens with a key.
        page.evaluate("document.querySelector('summary').focus()");
        page.press("Enter");
        page.wait_until("document.querySelector('details').open");
    }
}

/// Without scripts the page is the same; on paper the folded tables are there and the way around the site is not.
#[test]
fn it_is_printed_whole_and_needs_no_script() {
    let (_folder, shelf) = shelf();
    let pipeline = agency("an-binh");
    addresses(&shelf, &released(&pipeline, &QUARTER), &Labels::from(&pipeline));
    let browser = Browser::start();
    let mut page = browser.empty();
    page.scripts(false);
    page.viewport(800, 1100);
    page.go(&address(&shelf.join("index.html")));
    let is_shown = |page: &mut Page, what: &str| {
        page.evaluate(&format!("document.querySelector('{what}').checkVisibility()")) == true
    };
    assert!(is_shown(&mut page, "header nav") && !is_shown(&mut page, "details.data table"));
    page.media("print", &[("prefers-color-scheme", "dark")]);
    assert!(!is_shown(&mut page, "header nav") && is_shown(&mut page, "details.data table"));
    let white = page.evaluate("getComputedStyle(document.body).backgroundColor");
    assert_eq!(white, "rgb(255, 255, 255)", "nobody prints a dark page");
    assert!(page.pdf().starts_with(b"%PDF-"));
}

/// Shapes stay where a person has set colours of their own.
#[test]
fn with_forced_colours_the_charts_are_still_seen() {
    let (_folder, shelf) = shelf();
    let pipeline = agency("an-binh");
    addresses(&shelf, &released(&pipeline, &QUARTER), &Labels::from(&pipeline));
    let browser = Browser::start();
    let mut page = browser.empty();
    page.media("", &[("forced-colors", "active")]);
    page.go(&address(&shelf.join("index.html")));
    for mark in [".bands .dot", ".bands .range", ".trend .line"] {
        let differs = page.evaluate(&format!(
            "(() => {{ const style = getComputedStyle(document.querySelector('{mark}'));
                const ground = getComputedStyle(document.body).backgroundColor;
                return [style.fill, style.stroke].some(colour => colour !== 'none' && colour !== ground); }})()"
        ));
        assert_eq!(differs, true, "{mark} cannot be seen");
    }
}

/// Pictures for a person; without the variable it only proves that each view can be drawn.
#[test]
fn the_pages_can_be_looked_at() {
    let (_folder, shelf) = shelf();
    let pipeline = agency("an-binh");
    addresses(&shelf, &released(&pipeline, &YEAR), &Labels::from(&pipeline));
    let browser = Browser::start();
    let mut page = browser.empty();
    let folder = std::env::var_os("CHUDONG_SCREENSHOTS").map(PathBuf::from);
    let views = [
        ("overview", "index.html", 1280, 1250, "light"),
        ("whole", "index.html", 1280, 5200, "light"),
        ("commune", "communes/97004.html", 1280, 2600, "light"),
        ("groups", "groups/index.en.html", 1280, 1800, "dark"),
        ("phone", "index.html", 360, 3600, "dark"),
        ("phone-commune", "communes/97004.html", 360, 2600, "light"),
    ];
    for (name, file, width, height, scheme) in views {
        page.viewport(width, height);
        page.media("", &[("prefers-color-scheme", scheme)]);
        page.go(&address(&shelf.join(file)));
        let picture = page.screenshot();
        assert!(picture.starts_with(b"\x89PNG") && picture.len() > 10_000, "{name}");
        if let Some(folder) = &folder {
            std::fs::write(folder.join(format!("{name}.png")), picture).unwrap();
        }
    }
}
