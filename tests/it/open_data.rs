//! Published files as others read them: every form is checked by a program that we did not write.
#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use chudong::publication::{self, Issued, Labels};

use crate::publication::{QUARTER, contents, pipeline, released, shelf};

/// A key of nobody, made by `openssl genpkey -algorithm ed25519`.
pub const KEY: &str = "-----BEGIN PRIVATE KEY-----\n\
    MC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g\n\
    -----END PRIVATE KEY-----\n";

/// A shelf with a quarter, signed, and its catalogue.
fn full_shelf() -> (tempfile::TempDir, PathBuf, Labels) {
    let (folder, shelf) = shelf();
    let pipeline = pipeline();
    let labels = Labels::from(&pipeline).signed_with(KEY).unwrap();
    publication::publish(&shelf, &released(&pipeline, &QUARTER), &labels).unwrap();
    let issued: Issued = [("2026-Q3".to_owned(), "2026-10-11".to_owned())].into();
    publication::catalogue(&shelf, &labels, &issued).unwrap();
    (folder, shelf, labels)
}

/// A program that `test.sh` installs, or one of the system.
#[track_caller]
fn program(name: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let here = std::iter::once(crate::root().join("target/test-tools/bin"));
    let mut folders = here.chain(std::env::split_paths(&path));
    let found = folders.find_map(|folder| Some(folder.join(name)).filter(|file| file.is_file()));
    assert!(found.is_some(), "{name} is missing: run ./test.sh --install");
    found.unwrap()
}

/// Runs a program in a folder; it must end well. Gives what it printed.
#[track_caller]
fn runs(folder: &Path, name: &str, arguments: &[&str]) -> String {
    let output = Command::new(program(name)).args(arguments).current_dir(folder).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{name} {arguments:?}: {said}");
    said
}

fn fails(folder: &Path, name: &str, arguments: &[&str]) -> bool {
    !Command::new(program(name)).args(arguments).current_dir(folder).output().unwrap().status.success()
}

#[test]
fn the_data_package_is_valid_to_frictionless_and_a_changed_file_is_not() {
    let (_folder, shelf, _) = full_shelf();
    let period = shelf.join("2026-Q3");
    runs(&period, "frictionless", &["validate", "datapackage.json"]);
    // A cell that is no number, and one more byte than the hash knows.
    let file = period.join("satisfaction_by_commune.csv");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, text.replacen("published,,", "published,,many", 1)).unwrap();
    assert!(fails(&period, "frictionless", &["validate", "datapackage.json"]));
}

#[test]
fn each_table_is_valid_to_a_reader_of_csv_on_the_web() {
    let (_folder, shelf, _) = full_shelf();
    let period = shelf.join("2026-09");
    let tables: Vec<String> = contents(&period)
        .keys()
        .map(|path| path.display().to_string())
        .filter(|name| name.ends_with(".csv-metadata.json"))
        .collect();
    assert_eq!(tables.len(), 8);
    // One process reads all of them; each is found from its CSV file by name, as the recommendation says.
    let script = "import sys\nfrom csvw import CSVW\nfor name in sys.argv[1:]:\n    csvw = CSVW(name, validate=True)\n    \
                  assert csvw.is_valid, (name, csvw.warnings)\n    rows = list(csvw.tables[0])\n    assert rows, name\n    \
                  print(name, sum(value is None for row in rows for value in row.values()))\n";
    let csvs: Vec<String> = tables.iter().map(|name| name.replace("-metadata.json", "")).collect();
    let mut arguments = vec!["-c", script];
    arguments.extend(csvs.iter().map(String::as_str));
    let said = runs(&period, "python3", &arguments);
    // Đảo Yến is too small for a month: its figures are null to the reader, and not zero.
    let nulls = said.lines().find_map(|line| line.strip_prefix("satisfaction_by_commune.csv ")).unwrap();
    assert!(nulls.parse::<usize>().unwrap() > 5, "{said}");
    // A blank in a column that must have a value is found.
    let file = period.join("satisfaction_by_commune.csv");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, text.replacen("97001", "", 1)).unwrap();
    assert!(fails(&period, "python3", &["-c", script, "satisfaction_by_commune.csv"]));
}

#[test]
fn the_catalogue_is_dcat_with_all_that_dcat_ap_wants() {
    let (_folder, shelf, _) = full_shelf();
    let script = r#"
import hashlib, os, sys
from rdflib import Graph, Namespace, RDF
from rdflib.namespace import DCAT, DCTERMS, FOAF, XSD
SPDX = Namespace("http://spdx.org/rdf/terms#")
g = Graph().parse("catalog.jsonld", format="json-ld")
[catalogue] = g.subjects(RDF.type, DCAT.Catalog)
for p in (DCTERMS.title, DCTERMS.description, DCTERMS.publisher, DCTERMS.license, DCTERMS.spatial, DCAT.themeTaxonomy, FOAF.homepage):
    assert g.value(catalogue, p) is not None, p
datasets = list(g.subjects(RDF.type, DCAT.Dataset))
assert len(datasets) == 32, len(datasets)
listed = set(g.objects(catalogue, DCAT.dataset))
for d in datasets:
    assert d in listed
    for p in (DCTERMS.title, DCTERMS.description, DCTERMS.publisher, DCAT.contactPoint, DCAT.theme, DCTERMS.identifier,
              DCTERMS.accrualPeriodicity, DCTERMS.spatial, DCAT.landingPage, DCTERMS.conformsTo, DCTERMS.provenance, DCAT.inSeries):
        assert g.value(d, p) is not None, (d, p)
    t = g.value(d, DCTERMS.temporal)
    start, end = g.value(t, DCAT.startDate), g.value(t, DCAT.endDate)
    assert start.datatype == XSD.date and start.toPython() < end.toPython()
    assert len(list(g.objects(d, DCAT.distribution))) == 2
checked = 0
for d in g.subjects(RDF.type, DCAT.Distribution):
    url = str(g.value(d, DCAT.downloadURL))
    path = url.removeprefix("https://dichvucong.anbinh.example/so-lieu/")
    assert path != url
    bytes_ = open(path, "rb").read()
    checksum = g.value(d, SPDX.checksum)
    assert g.value(checksum, SPDX.algorithm) == SPDX.checksumAlgorithm_sha256
    assert str(g.value(checksum, SPDX.checksumValue)).lower() == hashlib.sha256(bytes_).hexdigest()
    assert int(g.value(d, DCAT.byteSize)) == len(bytes_)
    for p in (DCTERMS.license, DCTERMS["format"], DCAT.mediaType, DCAT.accessURL):
        assert g.value(d, p) is not None
    checked += 1
assert checked == 64, checked
issued = [o for o in g.objects(None, DCTERMS.issued)]
assert len(issued) == 8 and {str(o) for o in issued} == {"2026-10-11"}, issued
print("ok")
"#;
    assert!(runs(&shelf, "python3", &["-c", script]).contains("ok"));
}

#[test]
fn a_year_stands_on_the_shelf_beside_its_months() {
    let (_folder, shelf, labels) = full_shelf();
    let pipeline = pipeline();
    let months: Vec<String> = (1..=12).map(|month| format!("2025-{month:02}")).collect();
    let months: Vec<&str> = months.iter().map(String::as_str).collect();
    let mut released = released(&pipeline, &months);
    released.retain(|table| ["2025", "2025-12"].contains(&table.period().to_string().as_str()));
    assert_eq!(released.len(), 16);
    publication::publish(&shelf, &released, &labels).unwrap();
    let issued: Issued = [("2025".to_owned(), "2026-02-11".to_owned())].into();
    publication::catalogue(&shelf, &labels, &issued).unwrap();
    let catalogue = std::fs::read_to_string(shelf.join("catalog.jsonld")).unwrap();
    assert_eq!(catalogue.matches("frequency/ANNUAL").count(), 8);
    for said in ["\"2025-01-01\"", "\"2025-12-31\"", "2025/satisfaction_by_commune#dataset", "2026-02-11"] {
        assert!(catalogue.contains(said), "{said}");
    }
    let table = std::fs::read_to_string(shelf.join("2025/service_quality_in_province.csv")).unwrap();
    assert!(table.contains("\n2025,"), "{table}");
    runs(&shelf.join("2025"), "frictionless", &["validate", "datapackage.json"]);
    let standing = publication::standing(&shelf, "2025").unwrap().unwrap();
    assert_eq!((standing.kind, standing.year, standing.number, standing.tables.len()), ("year", 2025, 1, 8));
}

#[test]
fn search_engines_find_each_table_once_in_the_words_of_schema_org() {
    let (_folder, shelf, _) = full_shelf();
    let text = fs::read_to_string(shelf.join("dataset.jsonld")).unwrap();
    let catalogue: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(catalogue.pointer("/@context").unwrap(), "https://schema.org/");
    let datasets = catalogue.get("dataset").unwrap().as_array().unwrap();
    assert_eq!(datasets.len(), 32);
    let ids: BTreeSet<&str> = datasets.iter().map(|one| one.get("@id").unwrap().as_str().unwrap()).collect();
    assert_eq!(ids.len(), 32);
    for dataset in datasets {
        // What Google's guide of structured data asks for: a name, and a description of 50 to 5,000 characters.
        let length = dataset.get("description").unwrap().as_str().unwrap().chars().count();
        assert!(
            (50..=5000).contains(&length) && dataset.get("name").unwrap().as_str().is_some_and(|name| !name.is_empty())
        );
        assert!(dataset.pointer("/distribution/0/contentUrl").is_some() && dataset.get("license").is_some());
    }
}

// ---- signatures -------------------------------------------------------------------

#[test]
fn checksums_are_verified_by_sha256sum_and_signatures_by_minisign_and_openssl() {
    let (_folder, shelf, _) = full_shelf();
    let key = contents(&shelf.join("keys")).into_keys().find(|path| path.extension().unwrap() == "pub").unwrap();
    let key = shelf.join("keys").join(key);
    let public = key.display().to_string();
    for folder in [shelf.clone(), shelf.join("2026-Q3"), shelf.join("2026-09")] {
        runs(&folder, "sha256sum", &["--check", "--strict", "--quiet", "SHA256SUMS"]);
        let said = runs(&folder, "minisign", &["-V", "-p", &public, "-m", "SHA256SUMS"]);
        assert!(said.contains("Signature and comment signature verified"), "{said}");
        // The second line of the signature, without its two marks and the number of the key, is Ed25519 over the list.
        let script = "sed -n 2p SHA256SUMS.minisig | base64 -d | tail -c 64 > \"$0\" && \
                      openssl pkeyutl -verify -pubin -inkey \"$1\" -rawin -in SHA256SUMS -sigfile \"$0\"";
        let (raw, pem) = (key.with_extension("raw"), key.with_extension("pem"));
        let said = runs(&folder, "sh", &["-c", script, &raw.display().to_string(), &pem.display().to_string()]);
        assert!(said.contains("Verified Successfully"), "{said}");
        fs::remove_file(raw).unwrap();
    }
    // Every file of the shelf but the two about themselves is in its list.
    let list = fs::read_to_string(shelf.join("SHA256SUMS")).unwrap();
    assert_eq!(list.lines().count(), contents(&shelf).len() - 2);
    // A changed list, and a changed comment, are not ours.
    let period = shelf.join("2026-Q3");
    let signature = fs::read_to_string(period.join("SHA256SUMS.minisig")).unwrap();
    fs::write(period.join("SHA256SUMS.minisig"), signature.replace("of 2026-Q3", "of 2026-Q4")).unwrap();
    assert!(fails(&period, "minisign", &["-V", "-p", &public, "-m", "SHA256SUMS"]));
    fs::write(period.join("SHA256SUMS.minisig"), signature).unwrap();
    let list = fs::read_to_string(period.join("SHA256SUMS")).unwrap();
    fs::write(period.join("SHA256SUMS"), list.replacen('a', "b", 1)).unwrap();
    assert!(fails(&period, "minisign", &["-V", "-p", &public, "-m", "SHA256SUMS"]));
}

#[test]
fn signing_again_gives_the_same_bytes_and_no_key_gives_no_signature() {
    let (_folder, shelf, labels) = full_shelf();
    let before = contents(&shelf);
    let pipeline = pipeline();
    publication::publish(&shelf, &released(&pipeline, &QUARTER), &labels).unwrap();
    publication::catalogue(&shelf, &labels, &[("2026-Q3".to_owned(), "2026-10-11".to_owned())].into()).unwrap();
    assert_eq!(before, contents(&shelf));
    let unsigned = Labels { signer: None, ..labels };
    publication::catalogue(&shelf, &unsigned, &Issued::new()).unwrap();
    assert!(!shelf.join("SHA256SUMS.minisig").exists() && shelf.join("2026-Q3/SHA256SUMS.minisig").exists());
    runs(&shelf, "sha256sum", &["--check", "--strict", "--quiet", "SHA256SUMS"]);
}

#[test]
fn a_key_that_is_none_is_refused_without_being_said() {
    use chudong::fault::Explain;
    let refused = |pem: &str| {
        let error = Labels::from(&pipeline()).signed_with(pem).unwrap_err();
        assert_eq!(error.code(), "publication.signing-key");
        let said = format!("{} {error:?}", error.fault());
        assert!(!said.contains("MC4C") && !said.contains("hunter2"), "{said}");
    };
    refused("hunter2");
    refused(&KEY.replace("PRIVATE", "PUBLIC"));
    refused(&KEY.replace("MC4CAQAw", "MC4CAQAx"));
    let rsa = fs::read_to_string(crate::root().join("tests/it/keys/dkim-rsa-pkcs8.pem")).unwrap();
    refused(&rsa);
    let shown = format!("{:?}", Labels::from(&pipeline()).signed_with(KEY).unwrap());
    assert!(!shown.contains("J1hsZ3v") && shown.contains("Signer"), "{shown}");
}
