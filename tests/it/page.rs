//! The pages that people see, as files: whole, linked with each other, in words where there is no figure.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may stop at the first surprise")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use chudong::language::Text;
use chudong::pipeline::Pipeline;
use chudong::publication::{self, Labels, Status};

use crate::publication::{QUARTER, YEAR, contents, pipeline, released, shelf};
use crate::support::world::World;

/// Every page of a shelf, by its path.
pub fn pages(shelf: &Path) -> BTreeMap<PathBuf, String> {
    let files = contents(shelf).into_iter().filter(|(path, _)| path.extension().is_some_and(|end| end == "html"));
    files.map(|(path, bytes)| (path, String::from_utf8(bytes).unwrap())).collect()
}

/// Publishes these months and writes their pages.
pub fn site(shelf: &Path, pipeline: &Pipeline, months: &[&str]) -> BTreeMap<PathBuf, String> {
    let (released, labels) = (released(pipeline, months), Labels::from(pipeline));
    publication::publish(shelf, &released, &labels).unwrap();
    publication::page(shelf, &released, &labels).unwrap();
    publication::catalogue(shelf, &labels, &publication::Issued::new()).unwrap();
    pages(shelf)
}

/// The first page in Vietnamese.
fn page(shelf: &Path, pipeline: &Pipeline, months: &[&str]) -> String {
    publication::page(shelf, &released(pipeline, months), &Labels::from(pipeline)).unwrap();
    fs::read_to_string(shelf.join("index.html")).unwrap()
}

/// A start or end tag with its attributes.
struct Tag {
    name: String,
    is_end: bool,
    is_closed: bool,
    attributes: BTreeMap<String, String>,
}

impl Tag {
    fn get(&self, attribute: &str) -> Option<&str> {
        self.attributes.get(attribute).map(String::as_str)
    }
}

/// Every tag of a page; strict, so that a value that was not escaped shows.
fn tags(html: &str) -> Vec<Tag> {
    let mut tags = Vec::new();
    let mut rest = html.trim_start().strip_prefix("<!doctype html>").unwrap();
    while let Some((text, after)) = rest.split_once('<') {
        assert!(
            !text.contains('>')
                || tags.last().is_some_and(|tag: &Tag| ["style", "script"].contains(&tag.name.as_str())),
            "a stray > in {text:?}"
        );
        let (tag, after) = after.split_once('>').unwrap();
        rest = after;
        let is_end = tag.starts_with('/');
        let is_closed = tag.ends_with('/');
        let tag = tag.trim_matches('/');
        let (name, mut fields) = tag.split_once(' ').unwrap_or((tag, ""));
        assert!(!name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric()), "a strange tag <{tag}>");
        let mut attributes = BTreeMap::new();
        while let Some((name, after)) = fields.trim().split_once("=\"") {
            let (value, after) = after.split_once('"').unwrap();
            assert!(attributes.insert(name.to_owned(), value.to_owned()).is_none(), "{name} twice in <{tag}>");
            fields = after;
        }
        assert!(fields.trim().is_empty(), "a strange attribute in <{tag}>");
        tags.push(Tag { name: name.to_owned(), is_end, is_closed, attributes });
    }
    tags
}

/// The file that a link leads to, and the place in it.
fn target(page: &Path, href: &str) -> (PathBuf, String) {
    let (file, id) = href.split_once('#').unwrap_or((href, ""));
    if file.is_empty() {
        return (page.to_path_buf(), id.to_owned());
    }
    let mut path = page.parent().unwrap().to_path_buf();
    for part in file.split('/') {
        if part == ".." {
            assert!(path.pop(), "{href} leaves the shelf");
        } else {
            path.push(part);
        }
    }
    (path, id.to_owned())
}

/// The ids of a page, each once.
fn ids(tags: &[Tag]) -> BTreeSet<String> {
    let ids: Vec<&str> = tags.iter().filter_map(|tag| tag.get("id")).collect();
    let unique: BTreeSet<String> = ids.iter().map(|id| (*id).to_owned()).collect();
    assert_eq!(ids.len(), unique.len(), "an id is not unique: {ids:?}");
    unique
}

/// Elements are closed, nothing runs or is fetched, and every label is there.
fn is_whole(path: &Path, tags: &[Tag]) {
    let mut open = Vec::new();
    for tag in tags {
        let is_void = ["meta", "br", "link", "img"].contains(&tag.name.as_str());
        match (tag.is_end, is_void || tag.is_closed) {
            (true, _) => assert_eq!(open.pop(), Some(tag.name.as_str()), "{}", path.display()),
            (false, false) => open.push(&tag.name),
            (false, true) => {}
        }
        assert!(!["iframe", "form", "object", "img"].contains(&tag.name.as_str()), "<{}>", tag.name);
        assert!(tag.attributes.keys().all(|name| !name.starts_with("on") && name != "src" && name != "style"));
        // A block of data is no script; the other language is no file that a page needs.
        assert!(tag.is_end || tag.name != "script" || tag.get("type") == Some("application/ld+json"));
        assert!(tag.name != "link" || tag.get("rel") == Some("alternate"));
        if tag.get("role") == Some("region") {
            assert!(tag.get("tabindex") == Some("0") && tag.get("aria-label").is_some_and(|label| !label.is_empty()));
        }
    }
    assert!(open.is_empty(), "{open:?} is not closed");
    let count = |name: &str| tags.iter().filter(|tag| tag.name == name && !tag.is_end).count();
    assert_eq!(count("caption"), count("table"), "{}", path.display());
    assert_eq!((count("h1"), count("main")), (1, 1));
    assert!(tags.iter().filter(|tag| tag.name == "th" && !tag.is_end).all(|tag| tag.get("scope").is_some()));
}

#[test]
fn every_page_is_whole_and_every_link_leads_somewhere() {
    let (_folder, shelf) = shelf();
    let pages = site(&shelf, &pipeline(), &YEAR);
    // The first page, the downloads, the groups; eight communes and four groups; in two languages.
    assert_eq!(pages.len(), 2 * (3 + 8 + 4));
    let parsed: BTreeMap<&PathBuf, Vec<Tag>> = pages.iter().map(|(path, html)| (path, tags(html))).collect();
    let ids: BTreeMap<&PathBuf, BTreeSet<String>> = parsed.iter().map(|(path, tags)| (*path, ids(tags))).collect();
    let mut reached = BTreeSet::new();
    for (path, tags) in &parsed {
        is_whole(path, tags);
        assert!(pages.get(*path).unwrap().len() < 200_000, "{} is too large", path.display());
        for tag in tags.iter().filter(|tag| !tag.is_end) {
            for label in tag.get("aria-labelledby").into_iter().flat_map(|label| label.split(' ')) {
                assert!(ids.get(path).unwrap().contains(label), "{label} of {}", path.display());
            }
            let Some(href) = tag.get("href").map(|href| href.replace("&#x2f;", "/")) else { continue };
            let href = href.as_str();
            if href.starts_with("https:") {
                assert_eq!(tag.get("rel"), Some("license"));
                continue;
            }
            let (file, id) = target(path, href);
            assert!(shelf.join(&file).is_file(), "{href} of {} is not on the shelf", path.display());
            assert!(id.is_empty() || ids.get(&file).unwrap().contains(&id), "{href} of {}", path.display());
            reached.insert(file);
        }
    }
    // Nothing is an island: every page, and every published file with figures or words about them.
    for file in contents(&shelf).into_keys() {
        let name = file.to_string_lossy().into_owned();
        let is_figures = ["csv", "parquet", "html"].iter().any(|end| name.ends_with(&format!(".{end}")));
        assert!(!is_figures || reached.contains(&file), "no page links to {name}");
    }
}

#[test]
fn the_first_page_tells_search_engines_of_every_table() {
    let (_folder, shelf) = shelf();
    let pages = site(&shelf, &pipeline(), &QUARTER);
    for name in ["index.html", "index.en.html"] {
        let html = pages.get(Path::new(name)).unwrap();
        let (_, after) = html.split_once("<script type=\"application/ld+json\">").unwrap();
        let data: serde_json::Value = serde_json::from_str(after.split_once("</script>").unwrap().0).unwrap();
        let datasets = data.get("dataset").unwrap().as_array().unwrap();
        assert_eq!(datasets.len(), 8);
        for dataset in datasets {
            assert_eq!(dataset.get("@type").unwrap(), "Dataset");
            assert_eq!(dataset.get("temporalCoverage").unwrap(), "2026-07-01/2026-09-30");
            for download in dataset.get("distribution").unwrap().as_array().unwrap() {
                let address = download.get("contentUrl").unwrap().as_str().unwrap();
                let base = Labels::from(&pipeline()).base_url;
                assert!(shelf.join(address.strip_prefix(&format!("{base}/")).unwrap()).is_file(), "{address}");
            }
        }
    }
}

#[test]
fn the_pages_read_well_in_both_languages() {
    let (_folder, shelf) = shelf();
    let pages = site(&shelf, &pipeline(), &YEAR);
    for (language, end) in [("vi", ".html"), ("en", ".en.html")] {
        let between = |page: &str, from: &str, to: &str| {
            let html = pages.get(Path::new(&format!("{page}{end}"))).unwrap();
            let (_, after) = html.split_once(from).unwrap();
            format!("{from}{}{to}", after.split_once(to).unwrap().0)
        };
        let overview = between("index", "<section class=\"overview\"", "</section>");
        insta::assert_snapshot!(format!("overview_{language}"), overview);
        let method = between("index", "<section class=\"method\"", "</section>");
        insta::assert_snapshot!(format!("method_{language}"), method);
        insta::assert_snapshot!(format!("bands_{language}"), between("index", "<table class=\"bands\">", "</table>"));
        let within = between("communes/97004", "<section class=\"within\"", "</section>");
        insta::assert_snapshot!(format!("within_{language}"), within);
    }
}

#[test]
fn names_are_text_and_never_markup() {
    let (_folder, shelf) = shelf();
    let mut pipeline = pipeline();
    let evil = "</text></script><script>alert(\"1\")</script>&'";
    for commune in &mut pipeline.unit.communes {
        commune.name.vi = evil.into();
    }
    for group in &mut pipeline.procedure_groups {
        group.name = Text::new(evil, evil);
    }
    pipeline.agency.name.en = evil.into();
    pipeline.agency.contact.vi = evil.into();
    pipeline.unit.name = Text::new(evil, evil);
    for (path, html) in site(&shelf, &pipeline, &QUARTER) {
        assert!(!html.contains("<script>") && html.contains("&lt;script&gt;"), "{}", path.display());
        is_whole(&path, &tags(&html));
    }
}

#[test]
fn codes_that_are_no_names_of_files_get_pages_all_the_same() {
    let (folder, shelf) = shelf();
    let mut pipeline = pipeline();
    let odd = ["../../etc", "index", "a b", "", "Ấ", "..", "con/x", "97001"];
    for (commune, code) in pipeline.unit.communes.iter_mut().zip(odd) {
        commune.code = code.into();
    }
    publication::page(&shelf, &released(&pipeline, &["2026-09"]), &Labels::from(&pipeline)).unwrap();
    let names: Vec<String> =
        pages(&shelf.join("communes")).into_keys().map(|name| name.to_string_lossy().into_owned()).collect();
    let expected = (1..8).map(|number| format!("no.{number}")).chain(["97001".to_owned()]);
    let expected: BTreeSet<String> =
        expected.flat_map(|name| [format!("{name}.html"), format!("{name}.en.html")]).collect();
    assert_eq!(names.into_iter().collect::<BTreeSet<_>>(), expected);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "something stands beside the shelf");
}

#[test]
fn pages_change_only_when_a_period_is_added_and_go_with_their_place() {
    let (folder, shelf) = shelf();
    let mut pipeline = pipeline();
    let write = |pipeline: &Pipeline, months: &[&str]| {
        publication::page(&shelf, &released(pipeline, months), &Labels::from(pipeline)).unwrap()
    };
    let all = 2 * (3 + 8 + 4) + 1;
    assert_eq!(write(&pipeline, &["2026-07", "2026-08"]).count(Status::Written), all);
    assert_eq!(write(&pipeline, &["2026-07", "2026-08"]).count(Status::Unchanged), all);
    assert_eq!(write(&pipeline, &QUARTER).count(Status::Unchanged), 1, "codes.json alone");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "something is left beside the shelf");
    pipeline.unit.communes.pop().unwrap();
    write(&pipeline, &QUARTER);
    assert_eq!(pages(&shelf.join("communes")).len(), 2 * 7);
}

#[test]
fn before_anything_is_published_the_page_says_so() {
    let (_folder, shelf) = shelf();
    let vi = page(&shelf, &pipeline(), &[]);
    let en = fs::read_to_string(shelf.join("index.en.html")).unwrap();
    assert!(vi.contains("Chưa có số liệu nào được công bố.") && en.contains("No figures have been published yet."));
    assert_eq!(vi.matches("<svg").count() + en.matches("<svg").count(), 0);
    // Of what is not there it does not say how it is protected.
    assert!(!en.contains("exact counts") && !en.contains("How people are protected"));
    for (path, html) in pages(&shelf) {
        is_whole(&path, &tags(&html));
    }
}

#[test]
fn a_month_with_too_few_records_is_a_gap_and_never_zero() {
    let (_folder, shelf) = shelf();
    let mut pipeline = pipeline();
    for measure in &mut pipeline.privacy.as_mut().unwrap().measures {
        measure.min_count = 1_000_000;
    }
    let pages = site(&shelf, &pipeline, &QUARTER);
    let first = pages.get(Path::new("index.html")).unwrap();
    assert!(first.contains("Quá ít để công bố riêng: tính gộp vào số của quý."));
    assert!(first.contains("chưa có nơi nào đủ số liệu để so sánh"));
    for (path, html) in &pages {
        // Nor is an empty frame drawn: the sentence and the table say it.
        assert!(!html.contains("class=\"trend\""), "{}", path.display());
        assert!(!html.contains("class=\"dot\"") && !html.contains("class=\"number\""), "{}", path.display());
        assert!(!html.contains("NaN") && !html.contains("\"inf") && !html.contains(">inf"), "{}", path.display());
        assert!(!html.contains("<b>") && !html.contains("class=\"num main\""), "{}", path.display());
    }
}

/// A place is never above another whose interval overlaps its own: bands are those of the released table.
#[test]
fn units_are_ranked_in_bands_and_in_no_other_order() {
    let (_folder, shelf) = shelf();
    let pipeline = pipeline();
    let html = page(&shelf, &pipeline, &["2026-09"]);
    let (_, after) = html.split_once("id=\"satisfied\"").unwrap();
    let table = after.split_once("<table class=\"bands\">").unwrap().1.split_once("</table>").unwrap().0;
    let order = |name: &str| pipeline.unit.communes.iter().position(|commune| commune.name.vi == name).unwrap();
    let bodies: Vec<&str> = table.split("<tbody>").skip(1).collect();
    let mut shown = 0;
    for body in &bodies {
        let names = body.split(".html\">").skip(1).map(|rest| rest.split_once("</a>").unwrap().0);
        let places: Vec<usize> = names.map(order).collect();
        assert!(places.is_sorted(), "within a band the order is that of the public list: {places:?}");
        shown += places.len();
    }
    assert_eq!(shown, pipeline.unit.communes.len());
    assert!(bodies.last().unwrap().contains("Không xếp bậc") && bodies.first().unwrap().contains("Bậc 1: "));
}

/// Exact tables and score sheets of two months.
pub const EXACT: &str = r#"
[exact]
policy = "an-binh-exact-1"
first_month = 2026-09-01

[[exact.tables]]
table = "dossiers_by_commune"
title = { vi = "Hồ sơ đến hạn theo xã, phường", en = "Dossiers due by commune" }
by = ["commune"]
measures = ["dossiers", "on_time"]

[[exact.scores]]
table = "scores_766"
title = { vi = "Chỉ số 766 theo xã, phường", en = "Index 766 by commune" }
decision = "decision_766"
metrics = ["PROCESSED_ON_TIME", "DOSSIERS_ONLINE"]
"#;

/// Through the real binary: the night that decides about exact tables shows them, by commune and for the whole area.
#[test]
fn score_sheets_are_shown_by_group_with_what_is_withheld_in_words() {
    let world = World::small(2000);
    world.without_figures();
    let path = "pipelines/an-binh/pipeline.toml";
    let text = fs::read_to_string(world.root().join(path)).unwrap();
    world.put(path, format!("{text}{EXACT}").as_bytes());
    world.night("2026-11-15").with(0);
    let shelf = world.state().join("published");
    let pages = pages(&shelf);
    let first = pages.get(Path::new("index.en.html")).unwrap();
    assert!(first.contains("Score by group of the index") && first.contains("October 2026"));
    assert!(
        !first.contains("No figures have been published yet.") && first.contains("The figures here are exact counts")
    );
    assert!(first.contains("received in the period") && !first.contains("groups/index"));
    // Each commune is reached from the first page, and says nothing of figures that are not published in this way.
    for (path, html) in pages.iter().filter(|(path, _)| path.starts_with("communes") && is_english(path)) {
        let link = format!("<a href=\"{}\">", path.to_string_lossy().replace('/', "&#x2f;"));
        assert!(first.contains(&link), "{}", path.display());
        assert!(!html.contains("id=\"overview\""), "{}", path.display());
    }
    let csv = fs::read_to_string(shelf.join("exact/scores_766/2026-10/scores_766.csv")).unwrap();
    let whole: Vec<&str> = csv.lines().filter(|line| line.starts_with("2026-10,97,")).collect();
    assert_eq!(whole.len(), 2, "{csv}");
    for line in whole {
        let cells: Vec<&str> = line.split(',').collect();
        let [_, _, _, status, numerator, denominator, ..] = cells.as_slice() else { unreachable!() };
        let said = match *status {
            "published" => format!("{numerator} &#x2f; {denominator}"),
            _ => "withheld to protect people".to_owned(),
        };
        assert!(first.replace(',', "").contains(&said), "{line}");
    }
    let withheld = csv.lines().filter(|line| line.contains(",withheld,") && line.starts_with("2026-10,9700")).count();
    let said: usize = pages
        .iter()
        .filter(|(path, _)| path.starts_with("communes") && is_english(path))
        .map(|(_, html)| html.matches("withheld to protect people").count())
        .sum();
    assert_eq!(said, withheld);
    let downloads = pages.get(Path::new("downloads.html")).unwrap();
    for table in ["scores_766", "dossiers_by_commune"] {
        assert!(downloads.contains(&format!("exact&#x2f;{table}&#x2f;2026-10/{table}.csv")), "{table}");
    }
    for (path, html) in &pages {
        is_whole(path, &tags(html));
    }
}

fn is_english(path: &Path) -> bool {
    path.to_string_lossy().ends_with(".en.html")
}

/// A province of a hundred communes and three hundred procedure groups.
#[test]
fn the_page_of_a_large_province_is_small() {
    let (_folder, shelf) = shelf();
    let mut pipeline = pipeline();
    let (commune, group) = (pipeline.unit.communes[0].clone(), pipeline.procedure_groups[0].clone());
    pipeline.unit.communes = (0..98)
        .map(|at| {
            let mut commune = commune.clone();
            commune.code = format!("{:05}", 10_000 + at);
            commune.name = Text::new(format!("Xã Thạnh Phước Đông {at}"), format!("Thanh Phuoc Dong commune {at}"));
            commune
        })
        .collect();
    pipeline.procedure_groups = (0..300)
        .map(|at| {
            let mut group = group.clone();
            group.id = format!("group_{at}");
            group.name = Text::new(format!("Nhóm thủ tục số {at}"), format!("Procedure group number {at}"));
            group
        })
        .collect();
    let (released, labels) = (released(&pipeline, &["2026-09"]), Labels::from(&pipeline));
    let begun = Instant::now();
    let written = publication::page(&shelf, &released, &labels).unwrap();
    let took = begun.elapsed();
    let size = |name: &str| written.files.iter().find(|file| file.path == Path::new(name)).unwrap().bytes;
    assert_eq!(written.files.len(), 2 * (3 + 98 + 300) + 1);
    assert!(size("index.html") < 200_000 && size("index.en.html") < 200_000, "{}", size("index.html"));
    // Without optimisation and beside other tests; the figure is that of a release build.
    assert!(took < Duration::from_secs(60), "{took:?}");
}

#[test]
fn letters_and_marks_can_be_seen_in_light_and_in_dark() {
    let (_folder, shelf) = shelf();
    let html = page(&shelf, &pipeline(), &[]);
    let schemes: Vec<BTreeMap<&str, &str>> = html
        .split(":root{")
        .skip(1)
        .map(|rest| {
            let declarations = rest.split_once('}').unwrap().0.split(';');
            declarations.filter_map(|d| d.split_once(':')).filter(|(_, value)| value.starts_with('#')).collect()
        })
        .collect();
    assert_eq!(schemes.len(), 3, "light, dark and print");
    for scheme in schemes {
        let colour = |name: &str| luminance_parts(scheme.get(name).unwrap());
        for ground in ["--paper", "--card"] {
            for text in ["--ink", "--soft", "--satisfied", "--on-time", "--online"] {
                let ratio = contrast(colour(text), colour(ground));
                assert!(ratio >= 4.5, "{text} on {ground}: {ratio:.2} (WCAG 2.2, 1.4.3)");
            }
        }
        for mark in ["--satisfied", "--on-time", "--online"] {
            // Intervals are drawn with an opacity of 0.7.
            let mixed = std::array::from_fn(|i| {
                let part = |colour: [f64; 3]| colour.get(i).copied().unwrap();
                part(colour(mark)) * 0.7 + part(colour("--paper")) * 0.3
            });
            let ratio = contrast(mixed, colour("--paper"));
            assert!(ratio >= 3.0, "interval of {mark}: {ratio:.2} (WCAG 2.2, 1.4.11)");
        }
    }
}

/// Red, green and blue of `#rgb` or `#rrggbb`, 0 to 255.
fn luminance_parts(colour: &str) -> [f64; 3] {
    let digits: Vec<u8> = colour.trim_start_matches('#').chars().map(|c| c.to_digit(16).unwrap() as u8).collect();
    let digits = if digits.len() == 3 { digits.iter().flat_map(|d| [*d, *d]).collect() } else { digits };
    let parts: Vec<f64> = digits.chunks(2).map(|pair| f64::from(pair.iter().fold(0, |sum, d| sum * 16 + d))).collect();
    parts.try_into().unwrap()
}

/// The contrast ratio of WCAG 2.2.
fn contrast(a: [f64; 3], b: [f64; 3]) -> f64 {
    let luminance = |colour: [f64; 3]| {
        let linear = colour.map(|part| {
            let part = part / 255.0;
            if part <= 0.04045 { part / 12.92 } else { ((part + 0.055) / 1.055).powf(2.4) }
        });
        linear.iter().zip([0.2126, 0.7152, 0.0722]).map(|(part, weight)| part * weight).sum::<f64>()
    };
    let (a, b) = (luminance(a), luminance(b));
    (a.max(b) + 0.05) / (a.min(b) + 0.05)
}
