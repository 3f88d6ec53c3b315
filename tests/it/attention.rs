#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use std::collections::{BTreeMap, BTreeSet};

use std::path::Path;

use chudong::language::Language;
use chudong::pipeline::attention::{Consequence, Quiet};
use chudong::pipeline::reader::Faults;
use chudong::reminders::attention::{Job, Limits, WEEK_DAYS, today};
use chudong::reminders::window::{Hour, Window};
use jiff::civil::{Date, date, time};
use jiff::{Timestamp, ToSpan};
use proptest::prelude::*;

use crate::support::world::{ANY_TIME, World};

const START: Date = date(2026, 2, 1);

fn day(offset: i32) -> Date {
    START.saturating_add(offset.days())
}

/// An instant, by the clock in Vietnam.
fn at(text: &str) -> Timestamp {
    format!("{text}+07:00").parse().unwrap()
}

// ---- the window -----------------------------------------------------------------

#[test]
fn nobody_is_written_to_at_night() {
    let window = Window::new(Some(Quiet::NIGHT), BTreeSet::new());
    let hour = |now| window.at(at(now));
    assert_eq!(hour("2026-11-21T02:00:00"), Hour::Closed(at("2026-11-21T08:00:00")));
    assert_eq!(hour("2026-11-21T07:59:59"), Hour::Closed(at("2026-11-21T08:00:00")));
    assert_eq!(hour("2026-11-21T08:00:00"), Hour::Open(Some(at("2026-11-21T21:00:00"))));
    assert_eq!(hour("2026-11-21T20:59:59"), Hour::Open(Some(at("2026-11-21T21:00:00"))));
    assert_eq!(hour("2026-11-21T21:00:00"), Hour::Closed(at("2026-11-22T08:00:00")));
    assert_eq!(window.opened(at("2026-11-21T07:00:00")), None);
    assert_eq!(window.opened(at("2026-11-21T20:00:00")), Some(at("2026-11-21T08:00:00")));
    assert_eq!(Window::default().at(at("2026-11-21T02:00:00")), Hour::Open(None));
    // Quiet hours that do not go over midnight.
    let noon = Quiet { from: time(12, 0, 0, 0), to: time(13, 30, 0, 0) };
    let noon = Window::new(Some(noon), BTreeSet::new());
    assert_eq!(noon.at(at("2026-11-21T12:30:00")), Hour::Closed(at("2026-11-21T13:30:00")));
    assert_eq!(noon.at(at("2026-11-21T13:30:00")), Hour::Open(Some(at("2026-11-22T12:00:00"))));
    assert_eq!(noon.opened(at("2026-11-21T11:00:00")), Some(at("2026-11-20T13:30:00")));
}

#[test]
fn tet_is_closed_as_the_calendar_says() {
    let faults = Faults::default();
    let pipeline = chudong::pipeline::read(crate::root(), "an-binh", &faults).unwrap();
    let tet: Vec<String> = pipeline.calendar.tet(date(2026, 11, 21)).into_iter().map(|day| day.to_string()).collect();
    assert!(tet.windows(2).all(|pair| matches!(pair, [a, b] if a < b)));
    let of_2026: Vec<&str> = tet.iter().map(String::as_str).filter(|day| day.starts_with("2026")).collect();
    assert_eq!(of_2026, ["2026-02-16", "2026-02-17", "2026-02-18", "2026-02-19", "2026-02-20"]);
    // What was decided in October 2025 is not known in the years before.
    assert!(pipeline.calendar.tet(date(2022, 1, 1)).is_empty());
}

// ---- the budget -----------------------------------------------------------------

/// Something to write of: when its notice is, when it is due, since when it is known.
#[derive(Debug, Clone)]
struct Task {
    planned: i32,
    due: i32,
    known: i32,
    consequence: Consequence,
}

fn tasks(most: usize) -> impl Strategy<Value = Vec<Task>> {
    let consequence =
        prop_oneof![Just(Consequence::Fine), Just(Consequence::LossOfRight), Just(Consequence::Inconvenience)];
    let task = (0_i32..40, 0_i32..30, 0_i32..30, consequence).prop_map(|(planned, notice, lead, consequence)| Task {
        planned,
        due: planned + notice,
        known: planned - lead,
        consequence,
    });
    prop::collection::vec(task, 0..most)
}

fn window() -> impl Strategy<Value = Window> {
    prop::collection::btree_set(0_i32..45, 0..8).prop_map(|days| Window::new(None, days.into_iter().map(day).collect()))
}

const LEAD_DAYS: i32 = 14;

/// Lives through the nights, each with what is known on it; gives the day on which each task left.
fn live(tasks: &[Task], order: &[usize], window: &Window, limits: Limits) -> Vec<Option<Date>> {
    let keys: Vec<String> = (0..tasks.len()).map(|at| format!("{at:04}")).collect();
    let mut left: Vec<Option<Date>> = vec![None; tasks.len()];
    let mut sent: Vec<Date> = Vec::new();
    for night in 0..80 {
        let known: Vec<usize> = order
            .iter()
            .copied()
            .filter(|at| {
                let task = tasks.get(*at).unwrap();
                let is_known = task.known <= night && task.planned - LEAD_DAYS <= night && night <= task.due;
                left.get(*at).unwrap().is_none() && is_known
            })
            .collect();
        let jobs: Vec<Job<'_>> = known
            .iter()
            .map(|at| {
                let task = tasks.get(*at).unwrap();
                let key = keys.get(*at).unwrap();
                Job { planned_on: day(task.planned), due_on: day(task.due), consequence: task.consequence, key }
            })
            .collect();
        let goes = today(&jobs, &sent, window, limits, day(night));
        let going: Vec<usize> = known.into_iter().zip(goes).filter(|(_, goes)| *goes).map(|(at, _)| at).collect();
        let messages = if limits.is_digested { going.len().min(1) } else { going.len() };
        sent.extend(std::iter::repeat_n(day(night), messages));
        for at in going {
            *left.get_mut(at).unwrap() = Some(day(night));
        }
    }
    left
}

/// The first day on which a task can be sent and must be: its notice, or the first night on which it is known.
fn must_leave(task: &Task, window: &Window) -> Date {
    let by = window.open_until(day(task.planned));
    let first = day(task.known.max(task.planned - LEAD_DAYS).max(0));
    if by >= first {
        return by;
    }
    // It became known on a closed day, or later than its notice: the next open day, or at once if it is due by then.
    let planned = day(task.planned).max(first);
    let reopens = window.open_from(planned);
    if day(task.due) <= reopens { planned } else { reopens }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    /// Whatever the budget and the closed days: each message leaves on its day or before, and leaves.
    #[test]
    fn nobody_is_late(tasks in tasks(12), window in window(), most in prop::option::of(1_u16..4), is_digested in any::<bool>()) {
        let order: Vec<usize> = (0..tasks.len()).collect();
        let left = live(&tasks, &order, &window, Limits { most_per_week: most, is_digested });
        for (task, left) in tasks.iter().zip(&left) {
            // What is due before it can be known is no work of ours.
            if task.due < 0 || task.known > task.due {
                continue;
            }
            let must = must_leave(task, &window);
            prop_assert!(left.is_some_and(|left| left <= must), "{:?} left on {:?}, not by {}", task, left, must);
        }
    }

    /// Whoever gets more than the budget within seven days gets what was due that very day.
    #[test]
    fn nobody_is_over_budget_unless_due(tasks in tasks(12), window in window(), most in 1_u16..4, is_digested in any::<bool>()) {
        let order: Vec<usize> = (0..tasks.len()).collect();
        let left = live(&tasks, &order, &window, Limits { most_per_week: Some(most), is_digested });
        let mut by_day: BTreeMap<Date, Vec<&Task>> = BTreeMap::new();
        for (task, left) in tasks.iter().zip(&left) {
            left.iter().for_each(|left| by_day.entry(*left).or_default().push(task));
        }
        for (on, going) in &by_day {
            let week: Vec<(&Date, &Vec<&Task>)> = by_day.range(on.saturating_sub((WEEK_DAYS - 1).days())..=*on).collect();
            let messages: usize = week.iter().map(|(_, tasks)| if is_digested { 1 } else { tasks.len() }).sum();
            let is_due = |task: &&Task, on: Date| window.open_until(day(task.planned)) <= on;
            let over = messages.saturating_sub(most.into());
            if over > 0 {
                prop_assert!(going.iter().any(|task| is_due(task, *on)), "nothing was due on {on}, the {messages}. of its week");
            }
            // What is over the budget was due: taking away what left early would not help it.
            let due = week.iter().map(|(on, tasks)| tasks.iter().filter(|task| is_due(task, **on)).count()).sum::<usize>();
            prop_assert!(over <= due, "{over} too many by {on}, and {due} were due");
        }
    }

    /// With digests, whatever is known a week before its day never makes a week too full.
    #[test]
    fn a_digest_keeps_every_week_within_the_budget(tasks in tasks(12), most in 1_u16..4) {
        let tasks: Vec<Task> = tasks
            .into_iter()
            .map(|task| Task { planned: task.planned + LEAD_DAYS, due: task.due + LEAD_DAYS, known: 0, ..task })
            .collect();
        let order: Vec<usize> = (0..tasks.len()).collect();
        let left = live(&tasks, &order, &Window::default(), Limits { most_per_week: Some(most), is_digested: true });
        let days: BTreeSet<Date> = left.into_iter().flatten().collect();
        for on in &days {
            let week = days.range(on.saturating_sub((WEEK_DAYS - 1).days())..=*on).count();
            prop_assert!(week <= usize::from(most), "{week} messages by {on}");
        }
    }

    /// The order in which reminders are given decides nothing.
    #[test]
    fn the_order_decides_nothing(
        (tasks, order) in tasks(10).prop_flat_map(|tasks| {
            let order: Vec<usize> = (0..tasks.len()).collect();
            (Just(tasks), Just(order).prop_shuffle())
        }),
        window in window(),
        most in prop::option::of(1_u16..4),
        is_digested in any::<bool>(),
    ) {
        let limits = Limits { most_per_week: most, is_digested };
        let straight: Vec<usize> = (0..tasks.len()).collect();
        prop_assert_eq!(live(&tasks, &straight, &window, limits), live(&tasks, &order, &window, limits));
    }
}

// ---- through the binary -----------------------------------------------------------

const PIPELINE: &str = "pipelines/binh-minh/pipeline.toml";

#[test]
fn outside_the_window_a_night_decides_and_sends_nothing() {
    let world = World::of("binh-minh");
    let clock = chudong::calendar::now().to_zoned(chudong::calendar::vietnam());
    let hour = |ahead: i64| clock.saturating_add(ahead.hours()).strftime("%H:%M").to_string();
    let quiet = |from, to| format!("attention = {{ quiet = {{ from = \"{}\", to = \"{}\" }} }}", hour(from), hour(to));
    world.edit(PIPELINE, ANY_TIME, &quiet(-1, 2));
    let ended = world.night("2026-11-21").with(0);
    assert!(world.outbox().is_empty() && world.messages().is_empty());
    assert!(ended.out.contains(&format!("reminders wait for {}", hour(2))), "{}", ended.out);
    assert!(ended.out.contains("waits for the sending window"), "{}", ended.out);
    // The window opens: what was decided is sent, once.
    world.edit(PIPELINE, &quiet(-1, 2), &quiet(2, 3));
    world.night("2026-11-21").with(0);
    let sent = world.outbox().len();
    assert!(sent > 0);
    world.night("2026-11-21").with(0);
    assert_eq!(world.outbox().len(), sent);
    world.ledger_is_sound();
}

#[test]
fn a_sending_run_is_due_once_after_the_window_opened() {
    use chudong::schedule::sending;
    let window = Window::new(Some(Quiet::NIGHT), BTreeSet::new());
    let proven = Some(date(2026, 11, 21));
    let due =
        |start: &str, now: &str| sending(&window, proven, Some(at(start)), at(now)).map(|as_of| as_of.to_string());
    let night = "2026-11-21T02:00:00";
    assert_eq!(due(night, "2026-11-21T07:59:59"), None);
    assert_eq!(due(night, "2026-11-21T08:00:00"), Some("2026-11-21".to_owned()));
    assert_eq!(due(night, "2026-11-21T20:59:59"), Some("2026-11-21".to_owned()));
    assert_eq!(due(night, "2026-11-21T21:00:00"), None);
    assert_eq!(due("2026-11-21T08:00:01", "2026-11-21T12:00:00"), None);
    assert_eq!(due("2026-11-21T08:00:01", "2026-11-22T08:00:00"), Some("2026-11-22".to_owned()));
    // A clock that was put back sends once more, and nothing twice: the outbox knows what left.
    assert_eq!(due("2026-11-21T15:00:00", "2026-11-21T12:00:00"), Some("2026-11-21".to_owned()));
    // Nothing was decided yet; or every night sends by itself.
    assert_eq!(sending(&window, None, None, at("2026-11-21T12:00:00")), None);
    assert_eq!(sending(&Window::default(), proven, None, at("2026-11-21T12:00:00")), None);
}

#[test]
fn a_sending_run_sends_what_waited_and_proves_no_night() {
    let world = World::of("binh-minh");
    let clock = chudong::calendar::now().to_zoned(chudong::calendar::vietnam());
    let hour = |ahead: i64| clock.saturating_add(ahead.hours()).strftime("%H:%M").to_string();
    let quiet = |from, to| format!("attention = {{ quiet = {{ from = \"{}\", to = \"{}\" }} }}", hour(from), hour(to));
    world.edit(PIPELINE, ANY_TIME, &quiet(-1, 2));
    world.night("2026-11-20").with(0);
    let send = ["run", "--send", "--as-of", "2026-11-21"];
    let ended = world.chudong(&send).with(1);
    assert!(ended.said().contains("error[run.window-closed]") && ended.said().contains(&hour(2)), "{}", ended.err);
    world.edit(PIPELINE, &quiet(-1, 2), &quiet(2, 3));
    world.chudong(&send).with(0);
    assert!(!world.outbox().is_empty());
    let runs = world.ledger().runs().unwrap();
    let outcomes: Vec<_> = runs.iter().map(|run| (run.as_of.as_str(), run.outcome.as_deref().unwrap())).collect();
    assert_eq!(outcomes, [("2026-11-20", "done"), ("2026-11-21", "sent")]);
    let proven = world.ledger().newest_proven("2026-11-30".parse().unwrap()).unwrap();
    assert_eq!(proven, Some(date(2026, 11, 20)));
    world.ledger_is_sound();
}

#[test]
fn agencies_that_share_a_folder_share_the_budget() {
    use chudong::ledger::Shared;
    use chudong::personal::Personal;
    let folder = tempfile::tempdir().unwrap();
    let person = |shared: &Shared, number: &str| shared.person(&Personal::new(number.to_owned()));
    let mut police = Shared::open(folder.path(), "police").unwrap();
    let tax = Shared::open(folder.path(), "tax").unwrap();
    let an = person(&police, "001");
    assert_eq!(an, person(&tax, "001"));
    let on = date(2026, 11, 21);
    let messages = [("a".to_owned(), an.clone()), ("b".to_owned(), an.clone())];
    police.note(on, &messages).unwrap();
    police.note(on, &messages).unwrap();
    let week = |shared: &Shared, to: Date| shared.sent_elsewhere(to.saturating_sub(7.days()), to).unwrap();
    assert_eq!(week(&tax, on).get(&an).map(Vec::len), Some(2));
    assert!(week(&police, on).is_empty());
    assert!(week(&tax, on.saturating_add(7.days())).is_empty());
    // Another account of the folder's group can write there, whatever the umask of the first was.
    use std::os::unix::fs::PermissionsExt;
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let group = tempfile::tempdir().unwrap();
    std::fs::set_permissions(group.path(), PermissionsExt::from_mode(0o2770)).unwrap();
    let mut first = Shared::open(group.path(), "police").unwrap();
    first.note(on, &messages).unwrap();
    for (name, expected) in [
        ("attention.sqlite", 0o660),
        ("attention.sqlite-wal", 0o660),
        ("attention.sqlite-shm", 0o660),
        ("attention.key", 0o640),
    ] {
        assert_eq!(mode(&group.path().join(name)), expected, "{name}");
    }
    // A folder of one account stays its own.
    std::fs::set_permissions(group.path(), PermissionsExt::from_mode(0o700)).unwrap();
    drop(Shared::open(group.path(), "police").unwrap());
    assert_eq!(mode(&group.path().join("attention.sqlite")), 0o600);
    // After a week nothing is kept.
    police.note(on.saturating_add(7.days()), &[("c".to_owned(), an.clone())]).unwrap();
    assert!(week(&tax, on).is_empty());

    // Through the binary: whoever had the week's message from another agency gets one here only when it is due.
    let world = World::of("binh-minh");
    let path = folder.path().display();
    world.edit(
        PIPELINE,
        ANY_TIME,
        &format!("attention = {{ quiet = \"never\", tet = \"open\", most_per_week = 1, shared = \"{path}\" }}"),
    );
    world.night("2026-11-21").with(0);
    let sent = world.outbox().len();
    let told: usize = week(&tax, on).values().map(Vec::len).sum();
    assert!(sent > 0 && told == sent, "{told} of {sent}");
    world.ledger_is_sound();
}

#[test]
fn a_language_chosen_for_one_item_or_channel_is_that_of_nothing_else() {
    use chudong::reminders::plan::{Chosen, History};
    let said = |item: &str, channel: &str, language| Chosen { item: item.into(), channel: channel.into(), language };
    let chosen = vec![
        said("*", "*", Language::Vi),
        said("passport", "*", Language::En),
        said("*", "sms", Language::En),
        said("passport", "sms", Language::Vi),
    ];
    let mut history = History::default();
    history.languages.insert("a".into(), chosen);
    history.languages.insert("b".into(), vec![said("passport", "*", Language::En)]);
    let of = |subject: &str, item: &str, channel: &str| history.language(subject, item, channel);
    assert_eq!(of("a", "passport", "smtp"), Some(Language::En));
    assert_eq!(of("a", "passport", "sms"), Some(Language::Vi));
    assert_eq!(of("a", "identity_card", "sms"), Some(Language::En));
    assert_eq!(of("a", "identity_card", "smtp"), Some(Language::Vi));
    // Nothing was said of other items: the register's holds.
    assert_eq!((of("b", "passport", "smtp"), of("b", "identity_card", "smtp")), (Some(Language::En), None));
}
