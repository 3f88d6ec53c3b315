//! The one integration binary.

/// Several tables made at once.
mod ahead;
/// What waits for a person, what is restated, what is withdrawn.
mod amendments;
/// Whom, when, and how often: the sending window, and the budget of a person's attention.
mod attention;
/// What comes back: reports of every common server, complaints, forgeries, and what follows from them.
mod bounces;
/// Working days, counted days, ages and months in SQL, and the calendar known on a day.
mod calendar;
/// Counts for analysts: the noise table, the aggregate, and what may be asked.
mod cell_key;
/// Zalo, an SMS gateway and a webhook: which channel a message takes, and what becomes of it.
mod channels;
/// Control characters in texts, from every kind of source.
mod controls;
/// How messages leave: the bytes of a message, the folder, and a conversation with a mail server.
mod counting;
mod delivery;
/// From private to public: bounding, noise, roll-up, and what is said about it.
mod disclosure;
/// Dossiers that are prepared for a person, up to the person's decision.
mod dossiers;
/// One person leaves the landed tables.
mod erasure;
/// Exact tables of closed months, through the real binary: withheld, attacked, frozen, killed.
mod exact;
/// How a due date came about, in words that can be done again.
mod explain;
/// What a clerk is told when a file is wrong, and what a night does when its disk or a source fails.
mod faults;
/// Sources that are files, and row filters over them.
mod files;
/// Which rows a filter asks for.
mod filters;
/// All releases of a period together.
mod gate;
/// What would harm a person if it went wrong, found by attacking a whole night.
mod harms;
/// A window of due dates reaches in the tables as far as the law says.
mod horizon;
/// A night in parts: the same plan, and no message twice after a crash between them.
mod in_parts;
/// Score sheets of service quality: definitions, exact scores, cases, the verb.
mod indices;
/// An interval is the same after it has landed.
mod intervals;
/// Files with one fault each: what lands, what is set aside, what is refused.
mod landing;
/// What a pull leaves behind when it cannot go on, and how one person leaves.
mod landing_faults;
/// Nights that follow each other: increments, deletions, moving windows.
mod landing_nights;
mod landing_order;
/// Dated rules: in force on a day, as known on a day.
mod law;
/// What leaves, and what does not any more.
mod leaving;
/// Letters in a real browser, before an accessibility checker that is not ours.
mod letters_accessible;
/// A filled-in letter is the one of its template, and its message the one that lettre writes.
mod letters_filled;
/// What becomes of an obligation from night to night, and what no longer stands when a message is to leave.
mod life;
/// Which column reaches which, who may use it for what, and how it is told.
mod lineage;
/// The signed addresses by which a person refuses.
mod links;
/// The log of the ledger while groups are sent.
mod log;
/// The lunar calendar against published tables.
mod lookup;
mod lunar;
/// A night of more people than are looked at together.
mod many;
/// What a person receives: both parts of every letter, in both languages.
mod messages;
/// A source on a real MariaDB server.
mod moved;
mod mysql;
/// Whole nights through the binary: repeated, killed, at once, over other sources and channels.
mod night;
/// The key of an obligation, the same every night.
mod obligations;
/// Sources behind real ODBC drivers.
mod odbc;
/// Published files as others read them: CSV on the Web, Frictionless, DCAT, signatures.
mod open_data;
/// The recommended option: decided without harm, explained truly, written down.
mod options;
/// What falls due, computed a second time, row by row from the law.
mod oracle;
/// Every message once: under kill -9, after a restored backup, with two senders, through an outage.
mod outbox;
mod pace;
/// The pages that people see, as files.
mod page;
/// The same in a real browser, before an accessibility checker that is not ours.
mod page_seen;
/// A confirmed dossier as an accessible PDF, read back by programs that are not ours.
mod paper;
/// The pipelines of the repository have no fault.
mod pipelines;

mod pipelining;
/// A whole way through a real Postfix: signed, over TLS, into a maildir, and back.
mod postfix;
/// A source on a real PostgreSQL server.
mod postgres;
/// What a PostgreSQL server does to a reader: it hides, dies, hangs, changes, has no room.
mod postgres_faults;
/// Nights over a PostgreSQL server that go wrong on our side: killed, without room, two at once, a clock put back.
mod postgres_nights;
/// Every type of PostgreSQL there and back, and the totals that prove it.
mod postgres_types;
/// Proofs on the real binary: killed, without power, restored, and searched for people.
mod proof;
/// Released tables on the shelf.
mod publication;
/// What a pull leaves in the ledger, and when a table waits for a person.
mod pulls;
/// The rating system is told of what is published.
mod push;
/// Ratings without raters: what is taken in, what is kept, and what an attacker makes of it.
mod ratings;
/// Messages are safe: signatures, addresses, subjects, and what they look like in the worst case.
mod reserve;

mod safe_messages;
/// The synthetic data: the same from the same seed, and shaped as it should be.
mod samples;
/// A secret is nowhere but where it is needed.
mod secrets;
/// What would land otherwise than it stands at the source.
mod silence;
/// A confirmed dossier goes to the portal, and what becomes of it comes back.
mod submission;
/// What several chapters' tests need: a world, a database server, a mail server.
mod support;
/// Exact counts with suppression: what is withheld, what an attacker finds, a year of releases.
mod suppression;
/// Large tables are read where they lie.
mod through;
/// Every declared type from sources with types and without, and the golden table of awkward dates.
mod trace;
mod types;

/// The case files prove the models, and a changed law is noticed.
mod cases;
/// Tonight beside the last night, and what waits for a person.
mod changes;
/// How far a large ledger was verified, and what is noticed since.
mod checkpoint;
mod checks;
/// Who may import whom, and where each heavy library lives.
mod layering;
/// What happened stays what happened: chain, outbox, budget, lock, crash.
mod ledger;
/// What a person may ask, in three forms, and what is refused.
mod queries;
/// Releases of figures over nights: late records, editions, kills, replays, what is spent.
mod releases;
/// A new obligation, without Rust.
mod scaffold;
/// When a night is due: cron lines and missing nights.
mod schedule;
/// People who refuse: pages, links, files.
mod serve;
/// Weekly increments of protected figures.
mod weeks;
/// A plan of many nights.
mod windows;

/// The installation folder: the repository itself.
pub fn root() -> &'static std::path::Path {
    std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
}
