//! Exact tables of closed months, through the real binary: withheld, attacked, frozen, killed.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may stop at the first surprise")]

use std::collections::BTreeMap;
use std::path::Path;

use chudong::disclosure::Released;
use chudong::disclosure::exact::Decided;

use crate::support::world::World;

/// The night on which July to October 2026 have closed.
const NIGHT: &str = "2026-11-15";

const PIPELINE: &str = "pipelines/an-binh/pipeline.toml";

/// Exact tables by commune and group, and a score sheet, of two months.
const EXACT: &str = r#"
[exact]
policy = "an-binh-exact-1"
first_month = 2026-09-01
sensitive_groups = ["civil_status", "social_affairs"]

[[exact.tables]]
table = "dossiers_by_commune"
title = { vi = "Hồ sơ đến hạn theo xã, phường", en = "Dossiers due by commune" }
by = ["commune"]
measures = ["dossiers", "on_time", "online"]

[[exact.tables]]
table = "dossiers_by_commune_and_group"
title = { vi = "Hồ sơ đến hạn theo xã, phường và nhóm thủ tục", en = "Dossiers due by commune and procedure group" }
by = ["commune", "procedure_group"]
measures = ["dossiers", "on_time"]

[[exact.scores]]
table = "scores_766"
title = { vi = "Chỉ số 766 theo xã, phường", en = "Index 766 by commune" }
decision = "decision_766"
metrics = ["PROCESSED_ON_TIME", "DOSSIERS_ONLINE"]
"#;

/// A world without noisy figures, with these exact ones.
fn world(people: u64, exact: &str) -> World {
    let world = World::small(people);
    world.without_figures();
    let text = std::fs::read_to_string(world.root().join(PIPELINE)).unwrap();
    world.put(PIPELINE, format!("{text}{exact}").as_bytes());
    world
}

/// The rows of a published table, by column.
fn rows(world: &World, table: &str, month: &str) -> Vec<BTreeMap<String, String>> {
    let path = world.state().join(format!("published/exact/{table}/{month}/{table}.csv"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut lines = text.trim_start_matches('\u{feff}').lines();
    let header: Vec<String> = lines.next().unwrap().split(',').map(str::to_owned).collect();
    let row = |line: &str| header.iter().cloned().zip(line.split(',').map(str::to_owned)).collect();
    lines.map(row).collect()
}

fn decided(world: &World) -> Vec<Decided> {
    let kept = world.ledger().exact_tables().unwrap();
    kept.iter().map(|kept| Decided::from_bytes(&kept.bytes).unwrap()).collect()
}

#[test]
fn a_closed_month_is_decided_once_and_stays() {
    let world = world(400, EXACT);
    let ended = world.night(NIGHT).with(0);
    println!("{}", ended.out);
    assert!(ended.out.contains("Exact figures"), "{}", ended.out);
    for row in rows(&world, "dossiers_by_commune_and_group", "2026-10") {
        println!("{row:?}");
    }
    for row in rows(&world, "scores_766", "2026-10") {
        println!("{row:?}");
    }
    let shelf = world.published();
    let again = world.night(NIGHT).with(0);
    assert!(again.out.contains("Nothing was left to do"), "{}", again.out);
    assert!(crate::support::world::differences(&shelf, &world.published()).is_empty());
    world.ledger_is_sound();
    assert_eq!(decided(&world).len(), 6);
    for one in decided(&world) {
        Released::exact(&one).unwrap();
    }
    let _ = Path::new("");
}
