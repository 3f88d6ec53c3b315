//! Ours: landed tables through standard tables and items to contacts, in a process of its own.

use std::collections::HashSet;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Instant;

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::{Field, Schema};
use chudong::calendar::AsOf;
use chudong::check::{contract, due_name, due_table};
use chudong::landing::{self, Store};
use chudong::obligations;
use chudong::personal::PseudonymKey;
use chudong::pipeline::filter::Dates;
use chudong::pipeline::reader::Faults;
use chudong::pipeline::{self, Column, Pipeline};
use chudong::sql::ahead::Job;
use chudong::sql::engine::{Bound, given_tables};
use chudong::sql::through::{Keys, Sieve};
use chudong::sql::{Engine, Library, Model};
use chudong::tables::{Stored, Table, TableName};
use jiff::civil::{Date, date};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::{ArrowColumnChunk, ArrowColumnWriter, compute_leaves};
use parquet::basic::Compression;
use parquet::errors::ParquetError;
use parquet::file::properties::{EnabledStatistics, WriterProperties};

use super::contest::Measured;
use super::peers::measured;
use super::{Bench, Fallible, made};

/// The first argument of the process that does the work.
pub const CHILD: &str = "--child";

/// The agency's name in the installation.
const AGENCY: &str = "bench";

/// What is due in these days, both included: those of `benches/peers/due.sql`.
const WINDOW: (Date, Date) = (date(2026, 11, 22), date(2026, 12, 22));

/// A synthetic nation: its files at the source, an installation of ours, and what landed of them.
pub struct Nation {
    root: PathBuf,
    source: PathBuf,
    landed: PathBuf,
}

impl Nation {
    /// Makes it, and lands it, unless that was done.
    pub fn made(bench: &Bench, people: u64, due_among: u64) -> Fallible<Self> {
        let root = bench.folder.join(format!("nation-{people}-{due_among}"));
        made(&root, |root| {
            let [people, due_among] = [people.to_string(), due_among.to_string()];
            let source = root.join("drops");
            bench.peers.make("make_nation.py", &[people.as_ref(), due_among.as_ref(), source.as_ref()])
        })?;
        let nation = Nation { source: root.join("drops"), landed: root.join("landed"), root };
        // The texts of the installation are those of tonight's tree.
        for folder in ["pipelines", "sql"] {
            let link = nation.root.join(folder);
            if link.is_symlink() {
                std::fs::remove_file(&link)?;
            }
            let agency = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/obligations/agency");
            std::os::unix::fs::symlink(agency.join(folder), link)?;
        }
        made(&nation.landed, |aside| {
            let store = nation.root.join("var");
            if store.exists() {
                std::fs::remove_dir_all(&store)?;
            }
            nation.child("land", aside).map(drop)
        })?;
        Ok(nation)
    }

    /// The folder of the files as the source gave them.
    pub fn source(&self) -> &Path {
        &self.source
    }

    /// The folder of the files that landing made of them, under the same names.
    pub fn landed(&self) -> &Path {
        &self.landed
    }

    /// Finds what is due, and the contacts.
    pub fn due(&self) -> Fallible<Measured> {
        self.child("due", &self.landed)
    }

    fn child(&self, job: &str, folder: &Path) -> Fallible<Measured> {
        measured(Command::new(std::env::current_exe()?).arg(CHILD).arg(job).arg(&self.root).arg(folder))
    }
}

/// Every standard table of the project, full.
pub struct Catalogue {
    tables: PathBuf,
}

impl Catalogue {
    /// Makes the tables, unless that was done.
    pub fn made(bench: &Bench) -> Fallible<Self> {
        let tables = bench.folder.join(format!("catalogue-{}", bench.people));
        made(&tables, |tables| {
            let standard = Path::new(env!("CARGO_MANIFEST_DIR")).join("pipelines/standard-tables.toml");
            let people = bench.people.to_string();
            bench.peers.make("make_catalogue.py", &[people.as_ref(), standard.as_ref(), tables.as_ref()])
        })?;
        Ok(Catalogue { tables })
    }

    /// Runs all items.
    pub fn run(&self) -> Fallible<Measured> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        measured(Command::new(std::env::current_exe()?).arg(CHILD).arg("catalogue").arg(root).arg(&self.tables))
    }
}

/// The process that does the work and prints what it measured: JOB ROOT FOLDER.
pub fn child(mut words: impl Iterator<Item = String>) -> Fallible<()> {
    let (Some(job), Some(root), Some(folder)) = (words.next(), words.next(), words.next()) else {
        return Err("the work is not named".into());
    };
    let (root, folder) = (PathBuf::from(root), PathBuf::from(folder));
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let begun = Instant::now();
    let rows = match job.as_str() {
        "land" => land(&root, &folder)?,
        "due" => runtime.block_on(due(&root, &folder))?,
        "catalogue" => runtime.block_on(catalogue(&root, &folder))?,
        other => return Err(format!("there is no work {other}").into()),
    };
    let wall_seconds = begun.elapsed().as_secs_f64();
    let measured = Measured {
        wall_seconds,
        cpu_seconds: cpu_seconds()?,
        server_cpu_seconds: None,
        peak_mb: Some(peak_mb()?),
        rows,
    };
    writeln!(std::io::stdout().lock(), "{}", serde_json::to_string(&measured)?)?;
    Ok(())
}

/// Lands the tables as a night does, and links their files under the names of the source's.
fn land(root: &Path, folder: &Path) -> Fallible<u64> {
    let (pipeline, _) = read(root, AGENCY)?;
    let (as_of, until) = WINDOW;
    let dates = Dates { as_of, until, since: as_of, known_on: as_of, law: &pipeline.law };
    let mut rows = 0;
    for source in &pipeline.sources {
        let pulled = landing::pull(source, root, dates, &Store::Folder(root.join("var/landing")))?;
        if let Some((name, error)) = pulled.failed.first() {
            return Err(format!("{name}: {error}").into());
        }
        for table in pulled.tables {
            rows += table.rows_landed;
            let [file] = table.stored.base.as_slice() else { return Err("it did not land as one file".into()) };
            std::os::unix::fs::symlink(file, folder.join(format!("{}.parquet", table.name.table)))?;
        }
    }
    Ok(rows)
}

/// The five rules, and the contacts of everybody found, into a file beside the landed ones.
async fn due(root: &Path, folder: &Path) -> Fallible<u64> {
    let (pipeline, library) = read(root, AGENCY)?;
    let night = Night::begin(pipeline, library)?;
    let mut keys = Keys::new();
    for source in &night.pipeline.sources {
        for table in &source.tables {
            let name = TableName::new(&source.name, &table.name);
            keys.insert(name.clone(), table.key.clone());
            let file = folder.join(format!("{}.parquet", table.name));
            let stored = stored(&table.columns, &table.key, table.driving_date.as_deref(), file);
            night.engine.register_stored(&name, &stored)?;
        }
    }
    for model in night.library.folder("staging") {
        let found = night.pipeline.standard_tables.iter().find(|table| table.name == model.name.table);
        let standard = found.ok_or("a staging file has no standard table")?;
        let required = standard.columns.iter().filter(|column| !column.nullable);
        let required: Vec<&str> = required.map(|column| column.name.as_str()).collect();
        let sieve = Sieve { required: &required, grain: &standard.grain, keys: &keys };
        let contract = contract(&night.pipeline, model);
        let left_out = night.engine.build_through(model, &night.bound, contract.as_ref(), sieve).await?;
        if !left_out.reasons.is_empty() {
            return Err("the data is not clean".into());
        }
        night.tell(&model.name.to_string())?;
    }
    let mut tables = Vec::new();
    let mut selects = Vec::new();
    let models: Vec<&Model> = night.library.folder("obligations").collect();
    let jobs = models.iter().map(|model| night.job(model, night.bound.clone()));
    for (model, begun) in models.iter().zip(night.engine.build_ahead(jobs.collect())?) {
        tables.push(begun.made().await?);
        selects.push(format!("select subject_id, '{}' as item, due_on from {}", model.name.table, model.name));
        night.tell(&model.name.to_string())?;
    }
    night.contacts(tables.iter().flat_map(subjects).collect()).await?;
    let query = format!(
        "select p.province, d.item, d.subject_id, d.due_on, p.email, p.phone, p.language \
         from ({}) d join reminders.recipients p on p.subject_id = d.subject_id where p.consents",
        selects.join(" union all ")
    );
    let found = night.engine.query(&query, None).await?;
    night.tell("joined")?;
    let path = folder.join("ours.parquet");
    write(&found, &path)?;
    night.tell("written")?;
    std::fs::remove_file(&path)?;
    Ok(found.rows() as u64)
}

/// All items over standard tables that lie as files, and the contacts.
async fn catalogue(root: &Path, folder: &Path) -> Fallible<u64> {
    let faults = Faults::default();
    let mut pipeline = pipeline::catalogue(root, &faults);
    // No agency fills these tables by a staging file: they lie there already.
    pipeline.standard_tables.iter_mut().for_each(|table| table.optional = true);
    let library = Library::read(root, &pipeline, &faults);
    let night = Night::begin(pipeline, library)?;
    let sorted_by = std::fs::read_to_string(folder.join("sorted-by.txt"))?;
    for table in &night.pipeline.standard_tables {
        let file = folder.join(format!("{}.parquet", table.name));
        let line = sorted_by.lines().find_map(|line| line.strip_prefix(table.name.as_str())?.strip_prefix(' '));
        // Those that no item reads are empty.
        let Some(column) = line else { continue };
        let driving = Some(column).filter(|column| !column.is_empty());
        let stored = stored(&table.columns, &table.grain, driving, file);
        night.engine.register_stored(&TableName::new("staging", &table.name), &stored)?;
    }
    let key = PseudonymKey::new([7; 32]);
    let mut jobs = Vec::new();
    for item in &night.pipeline.items {
        let model = night.library.model(&TableName::new("obligations", &item.id)).ok_or("an item has no select")?;
        let (since, until) = item.window(AsOf::new(WINDOW.0));
        jobs.push(night.job(model, [("$as_of", WINDOW.0), ("$until", until), ("$since", since)].into()));
    }
    let (mut subjects, mut rows) = (Vec::new(), 0);
    for (item, begun) in night.pipeline.items.iter().zip(night.engine.build_ahead(jobs)?) {
        let table = begun.made().await?;
        let found = obligations::read(item, &night.pipeline.law, &table, &key)?;
        rows += found.len() as u64;
        subjects.extend(found.into_iter().map(|obligation| obligation.subject_id.reveal().to_string()));
        night.tell(&format!("{}: {}", item.id, table.rows()))?;
    }
    night.contacts(subjects.iter().map(String::as_str).collect()).await?;
    Ok(rows)
}

/// The people of a table of obligations.
fn subjects(table: &Table) -> impl Iterator<Item = &str> {
    let columns = table.batches.iter().filter_map(|batch| batch.column_by_name("subject_id")?.as_string_opt::<i32>());
    columns.flat_map(|texts| texts.iter().flatten())
}

/// Writes a table into one file, encoded on all cores, and makes it durable.
fn write(table: &Table, path: &Path) -> Fallible<()> {
    let cores = std::thread::available_parallelism()?.get();
    // Most columns hold a value once or seldom: a dictionary is given up as early as that of a landed table.
    let properties = WriterProperties::builder()
        .set_compression(Compression::SNAPPY)
        .set_dictionary_page_size_limit(32 << 10)
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .build();
    let writer = ArrowWriter::try_new(File::create(path)?, Arc::clone(&table.schema), Some(properties))?;
    let (mut file, encoders) = writer.into_serialized_writer()?;
    let encode = |group: usize, batches: &[RecordBatch]| -> Result<Vec<ArrowColumnChunk>, ParquetError> {
        let mut columns = encoders.create_column_writers(group)?;
        for batch in batches {
            for ((column, array), field) in columns.iter_mut().zip(batch.columns()).zip(table.schema.fields()) {
                compute_leaves(field, array)?.iter().try_for_each(|leaf| column.write(leaf))?;
            }
        }
        columns.into_iter().map(ArrowColumnWriter::close).collect()
    };
    let share = table.batches.len().div_ceil(cores).max(1);
    std::thread::scope(|scope| -> Fallible<()> {
        let groups = table.batches.chunks(share).enumerate();
        let running: Vec<_> = groups.map(|(group, batches)| scope.spawn(move || encode(group, batches))).collect();
        for group in running {
            let columns = group.join().map_err(|_| "an encoder ended")??;
            let mut group = file.next_row_group()?;
            columns.into_iter().try_for_each(|column| column.append_to_row_group(&mut group))?;
            group.close()?;
        }
        Ok(())
    })?;
    Ok(file.into_inner()?.sync_all()?)
}

/// What the work needs: everything that was read, and an engine that knows the law of the day.
struct Night {
    pipeline: Pipeline,
    library: Library,
    engine: Engine,
    bound: Bound,
    begun: Instant,
}

impl Night {
    fn begin(pipeline: Pipeline, library: Library) -> Fallible<Self> {
        let (as_of, until) = WINDOW;
        let engine = Engine::with_calendar(pipeline.calendar.known_on(as_of))?;
        for (name, table) in given_tables(&pipeline, AsOf::new(as_of)) {
            engine.register(&name, &table)?;
        }
        let bound = [("$as_of", as_of), ("$until", until), ("$since", as_of)].into();
        Ok(Night { pipeline, library, engine, bound, begun: Instant::now() })
    }

    /// What making a table takes.
    fn job(&self, model: &Model, bound: Bound) -> Job {
        Job { model: model.clone(), bound, contract: contract(&self.pipeline, model) }
    }

    /// Looks up those who have something due.
    async fn contacts(&self, mut due: Vec<&str>) -> Fallible<()> {
        let mut seen = HashSet::with_capacity(due.len());
        due.retain(|subject| seen.insert(*subject));
        self.engine.register(&due_name(), &due_table(&due))?;
        self.tell("obligations.due")?;
        for model in self.library.folder("reminders") {
            self.engine.look_up(model, &self.bound, None).await?;
            self.tell(&model.name.to_string())?;
        }
        Ok(())
    }

    /// Where the time goes, for whoever sets `CHUDONG_BENCH_STEPS`.
    fn tell(&self, what: &str) -> Fallible<()> {
        if std::env::var_os("CHUDONG_BENCH_STEPS").is_some() {
            let (seconds, cpu, peak_mb) = (self.begun.elapsed().as_secs_f64(), cpu_seconds()?, peak_mb()?);
            writeln!(std::io::stderr().lock(), "    {seconds:.3} s {cpu:.2} CPU s {peak_mb} MB: {what}")?;
        }
        Ok(())
    }
}

fn stored(columns: &[Column], key: &[String], driving: Option<&str>, file: PathBuf) -> Stored {
    let is_key = |name: &String| key.contains(name);
    let fields = columns.iter().map(|column| Field::new(&column.name, column.kind.arrow(), !is_key(&column.name)));
    let mut sorted_by: Vec<String> = driving.map(str::to_owned).into_iter().collect();
    sorted_by.extend(key.iter().filter(|name| driving != Some(name.as_str())).cloned());
    Stored {
        schema: Arc::new(Schema::new(fields.collect::<Vec<_>>())),
        base: vec![file],
        changes: None,
        key: key.to_vec(),
        sorted_by,
        condition: None,
    }
}

fn read(root: &Path, agency: &str) -> Fallible<(Pipeline, Library)> {
    let faults = Faults::default();
    let pipeline = pipeline::read(root, agency, &faults).ok_or("the pipeline cannot be read")?;
    let library = Library::read(root, &pipeline, &faults);
    let faults = faults.into_vec();
    if !faults.is_empty() {
        return Err(format!("the pipeline has faults: {faults:?}").into());
    }
    Ok((pipeline, library))
}

/// Processor seconds of this process.
fn cpu_seconds() -> Fallible<f64> {
    // Everywhere that Rust builds for, Linux counts in hundredths of a second here.
    const TICKS: f64 = 100.0;
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    // The second field is the program's name in brackets, and may hold spaces.
    let rest = stat.rsplit_once(')').map(|(_, rest)| rest).ok_or("/proc/self/stat is not as it was")?;
    let ticks = rest.split_whitespace().skip(11).take(2).map(str::parse::<f64>).sum::<Result<f64, _>>()?;
    Ok(ticks / TICKS)
}

/// The largest resident memory of this process so far.
fn peak_mb() -> Fallible<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).ok_or("/proc/self/status has no VmHWM")?;
    Ok(line.split_whitespace().next().unwrap_or_default().parse::<u64>()? / 1024)
}
