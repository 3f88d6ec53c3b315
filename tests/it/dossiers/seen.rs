//! The pages in a real browser: the whole way from the letter to the confirmed dossier, with the keyboard alone and
//! without scripts; no rule of WCAG 2.2 AA is broken, light and dark, on the narrowest phone.

use rusqlite::Connection;

use super::{Desk, NIGHT, confirmed, is_conflict, links, path, world};
use crate::support::browser::{Browser, Page};
use crate::support::world::World;

/// A night in which names disagree and residences are old.
fn night() -> World {
    let world = world(&["driving_licence"]);
    let open = |file: &str| Connection::open(world.root().join("data-samples/an-binh").join(file)).unwrap();
    let wrong = "update driving_licences set holder_name = 'Tôn Nữ Khác', holder_birth_date = null";
    open("transport.sqlite").execute_batch(wrong).unwrap();
    let old = "update citizens set residence = 'Số 7, thôn Cũ', residence_confirmed_on = '2019-05-04'";
    open("population.sqlite").execute_batch(old).unwrap();
    world.night(NIGHT).with(0);
    world
}

fn address(desk: &Desk, link: &str) -> String {
    format!("http://127.0.0.1:{}{}", desk.port, path(link))
}

/// No rule is broken, light and dark, wide and narrow, and nothing is wider than the phone.
fn is_accessible(page: &mut Page, what: &str) {
    page.evaluate("document.querySelectorAll('details').forEach(details => details.open = true)");
    for (width, scheme) in [(1280, "light"), (320, "dark"), (320, "light")] {
        page.viewport(width, 900);
        page.media("", &[("prefers-color-scheme", scheme)]);
        let found = page.axe();
        assert!(found.is_empty(), "{what} {scheme} at {width}: {found:#?}");
        let wide = page.evaluate("document.documentElement.scrollWidth").as_u64().unwrap();
        assert!(wide <= u64::from(width), "{what} is {wide} pixels wide in a window of {width}");
        picture(page, &format!("{what}-{scheme}-{width}"));
    }
    page.viewport(1280, 900);
}

fn picture(page: &mut Page, name: &str) {
    if let Ok(folder) = std::env::var("CHUDONG_SCREENSHOTS") {
        std::fs::write(format!("{folder}/{name}.png"), page.screenshot()).unwrap();
    }
}

/// Tabs until the element with this id has the focus; what has the focus on the way is seen.
fn tab_to(page: &mut Page, id: &str) {
    for _ in 0..120 {
        page.press("Tab");
        let focus = page.evaluate(
            "(() => { const e = document.activeElement; const s = getComputedStyle(e); return e.id + ' ' + e.outerHTML.slice(0, 200) + (['BODY', 'HTML'].includes(e.tagName) || s.outlineStyle !== 'none' ? ' seen' : ' unseen') })()",
        );
        let focus = focus.as_str().unwrap().to_owned();
        assert!(focus.ends_with(" seen"), "{focus}");
        if focus.split(' ').next() == Some(id) {
            return;
        }
    }
    unreachable!("the keyboard does not reach {id}");
}

/// Writes a text into what has the focus, key by key.
fn write(page: &mut Page, text: &str) {
    for key in text.chars() {
        page.press(&key.to_string());
    }
}

#[test]
fn with_the_keyboard_alone_and_without_scripts_a_dossier_is_confirmed() {
    let world = night();
    let link = links(&world).into_iter().next().unwrap();
    let desk = Desk::start(&world);
    let browser = Browser::start();
    let mut page = browser.empty();
    // The page has no script of its own, and needs none.
    page.scripts(false);
    page.go(&format!("{}?lang=vi", address(&desk, &link)));
    assert!(is_conflict(page.evaluate("document.documentElement.outerHTML").as_str().unwrap(), "full_name"));
    page.press("Tab");
    tab_to(&mut page, "f-full_name-0");
    page.press(" ");
    tab_to(&mut page, "f-phone");
    write(&mut page, "12");
    tab_to(&mut page, "sure");
    page.press(" ");
    page.press("Tab");
    page.press("Enter");
    // One answer is not sound: the page comes back, says so before anything else, and keeps what was written.
    page.wait_until("document.getElementById('faults') !== null");
    let said =
        page.evaluate("document.getElementById('faults').innerText + document.title").as_str().unwrap().to_owned();
    assert!(said.contains("Số điện thoại") && said.contains("Cần sửa"), "{said}");
    assert_eq!(page.evaluate("document.getElementById('f-phone').value"), "12");
    assert_eq!(page.evaluate("document.getElementById('f-full_name-0').checked"), true);
    assert_eq!(page.evaluate("document.getElementById('f-phone').getAttribute('aria-invalid')"), "true");
    tab_to(&mut page, "f-phone");
    // What is there is marked when the keyboard comes to it, and written over.
    write(&mut page, "0912345678");
    assert_eq!(page.evaluate("document.getElementById('f-phone').value"), "0912345678");
    tab_to(&mut page, "sure");
    page.press(" ");
    page.press("Tab");
    page.evaluate("document.documentElement.dataset.old = ''");
    page.press("Enter");
    page.wait_until(
        "document.readyState === 'complete' && document.title !== '' && !('old' in document.documentElement.dataset)",
    );
    let title = page.evaluate("document.title + (document.getElementById('faults')?.innerText ?? '')");
    assert!(title.as_str().unwrap().contains("Hồ sơ đã xác nhận"), "{title}");
    let fetched: Vec<String> =
        page.requests().iter().filter(|address| !address.contains("127.0.0.1")).cloned().collect();
    assert!(
        fetched.iter().all(|address| ["about:", "data:"].iter().any(|own| address.starts_with(own))),
        "{fetched:?}"
    );
    let all = confirmed(&world);
    let field = all.first().unwrap().fields.iter().find(|field| field.id == "phone").unwrap();
    assert_eq!(field.value.reveal(), "0912345678");
    world.ledger_is_sound();
}

#[test]
fn every_page_of_a_dossier_is_accessible() {
    let world = night();
    let all = links(&world);
    let link = all.first().unwrap();
    let desk = Desk::start(&world);
    let browser = Browser::start();
    let mut page = browser.empty();
    for language in ["vi", "en"] {
        page.go(&format!("{}?lang={language}", address(&desk, link)));
        is_accessible(&mut page, &format!("dossier-{language}"));
        assert_eq!(page.evaluate("document.documentElement.lang"), language);
    }
    // With faults.
    page.evaluate("document.querySelector('button[value=confirm]').click()");
    page.wait_until("document.getElementById('faults') !== null");
    is_accessible(&mut page, "dossier-faults");
    page.evaluate("document.querySelector('button[value=postpone]').click()");
    page.wait_until("document.title.startsWith('Recorded')");
    is_accessible(&mut page, "dossier-postponed");
    page.go(&format!("{}?lang=vi", address(&desk, link)));
    page.evaluate("document.getElementById('sure-to-refuse').checked = true");
    page.evaluate("document.querySelector('button[value=decline]').click()");
    page.wait_until("document.title.startsWith('Đã xóa')");
    is_accessible(&mut page, "dossier-refused");
    page.go(&format!("{}0", address(&desk, link)));
    is_accessible(&mut page, "dossier-no-link");
}
