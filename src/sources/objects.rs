//! Parquet files in an S3-compatible store.
//!
//! A table is one object, or all objects below a name that ends in `/`. The footer
//! of each is fetched first, and then, of each row group, the granted columns and
//! no others. Every request names the version that was found first: an object that
//! is replaced while it is read is an error, and never half of each. The store has
//! to be on this machine or is reached over TLS, and the keys are resolved when
//! connecting. What the store says is not shown to people: it may quote a request.

use std::collections::BTreeMap;
use std::io::{Cursor, Read};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use ::parquet::errors::ParquetError;
use ::parquet::file::metadata::ParquetMetaDataReader;
use ::parquet::file::reader::{ChunkReader, Length};
use futures::StreamExt;
use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::path::Path as Key;
use object_store::{ClientOptions, GetOptions, GetRange, ObjectMeta, ObjectStore, ObjectStoreExt, RetryConfig};
use tokio::runtime::Runtime;

use super::parquet::{Footed, Parts, footer, found, read_all};
use super::{Answer, Error, Found, Request, Take, files};
use crate::pipeline::{Bucket, SourceTable};

/// How long to wait for a store that does not answer.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// How long one request may take: a row group of any size, and shorter than a night.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(600);

/// How long to try again what failed for a moment.
const RETRY_TIMEOUT: Duration = Duration::from_secs(30);

/// As much of the end of a file as most footers are.
const FOOTER_BYTES: u64 = 64 << 10;

/// The largest footer.
const FOOTER_BYTES_MAX: u64 = 256 << 20;

/// The most objects that one table may be: more are a wrong name, such as that of the whole bucket.
const OBJECTS_MAX: usize = 10_000;

/// The bytes that the store gives, by the name that it gives them.
type Bytes = <object_store::PutPayload as IntoIterator>::Item;

/// An open bucket.
pub struct Store {
    runtime: Runtime,
    client: AmazonS3,
    prefix: String,
    /// `endpoint/bucket`, for messages.
    shown: String,
    /// By the name of a table, its objects in the versions that were found first.
    found: BTreeMap<String, Vec<ObjectMeta>>,
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").field("shown", &self.shown).finish_non_exhaustive()
    }
}

impl Store {
    /// Resolves the keys; nothing is asked of the store yet.
    pub(super) fn open(bucket: &Bucket, _root: &Path) -> Result<Self, Error> {
        let shown = format!("{}/{}", bucket.endpoint.trim_end_matches('/'), bucket.bucket);
        let is_clear = !bucket.endpoint.starts_with("https://");
        if is_clear && !is_local(&bucket.endpoint) {
            return Err(Error::ClearStore { store: shown });
        }
        let client = AmazonS3Builder::new()
            .with_endpoint(&bucket.endpoint)
            .with_region(&bucket.region)
            .with_bucket_name(&bucket.bucket)
            .with_access_key_id(bucket.access_key.resolve()?.reveal())
            .with_secret_access_key(bucket.secret_key.resolve()?.reveal())
            .with_allow_http(is_clear)
            .with_retry(RetryConfig { retry_timeout: RETRY_TIMEOUT, max_retries: 3, ..RetryConfig::default() })
            .with_client_options(
                ClientOptions::new()
                    .with_allow_http(is_clear)
                    .with_connect_timeout(CONNECT_TIMEOUT)
                    .with_timeout(REQUEST_TIMEOUT),
            )
            .build()
            .map_err(|error| failed(&shown, &error))?;
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.map_err(|source| Error::Runtime { source })?;
        Ok(Store { runtime, client, prefix: bucket.prefix.clone(), shown, found: BTreeMap::new() })
    }

    pub(super) fn tables(&mut self) -> Result<Vec<String>, Error> {
        let all = self.list(&self.prefix)?;
        let name = |found: &ObjectMeta| found.location.as_ref().strip_prefix(self.prefix.as_str()).map(str::to_owned);
        let mut names: Vec<_> = all.iter().filter_map(name).collect();
        names.sort();
        Ok(names)
    }

    pub(super) fn describe(&mut self, table: &SourceTable) -> Result<Option<Vec<Found>>, Error> {
        let objects = self.versions(table)?;
        let Some(first) = objects.first() else { return Ok(None) };
        let columns = found(&self.footed(first)?.footer);
        for object in objects.iter().skip(1) {
            let others = found(&self.footed(object)?.footer);
            // The files of one table are one table.
            if others.len() != columns.len() || !columns.iter().all(|column| others.contains(column)) {
                return Err(Error::Unlike { path: self.path_of(object) });
            }
        }
        Ok(Some(columns))
    }

    pub(super) fn read(&mut self, request: Request<'_>, take: &Take<'_>) -> Result<Answer, Error> {
        let objects = self.versions(request.table)?;
        if objects.is_empty() {
            return Err(Error::NoFile {
                path: PathBuf::from(format!("{}/{}{}", self.shown, self.prefix, request.table.from)),
            });
        }
        let footed = objects.iter().map(|object| self.footed(object)).collect::<Result<Vec<_>, _>>()?;
        let name = format!("{}/{}{}", self.shown, self.prefix, request.table.from);
        let asked = files::asked(&name, request);
        read_all(&footed, asked, request, take)
    }

    /// The objects of a table, in the versions that were found when it was first asked for.
    fn versions(&mut self, table: &SourceTable) -> Result<Vec<ObjectMeta>, Error> {
        if let Some(found) = self.found.get(&table.from) {
            return Ok(found.clone());
        }
        let found = self.objects(table)?;
        self.found.insert(table.from.clone(), found.clone());
        Ok(found)
    }

    /// The objects of a table, by name: the one that it names, or those below it.
    fn objects(&self, table: &SourceTable) -> Result<Vec<ObjectMeta>, Error> {
        let name = format!("{}{}", self.prefix, table.from);
        if table.from.ends_with('/') {
            let mut objects = self.list(&name)?;
            // An empty object is how some programs write a folder, or that they have finished.
            objects.retain(|object| object.size > 0);
            objects.sort_by(|a, b| a.location.cmp(&b.location));
            return Ok(objects);
        }
        for name in [name.clone(), format!("{name}.parquet")] {
            let Ok(key) = Key::parse(&name) else { continue };
            match self.runtime.block_on(self.client.head(&key)) {
                Ok(found) => return Ok(vec![found]),
                Err(object_store::Error::NotFound { .. }) => {}
                Err(error) => return Err(failed(&self.shown, &error)),
            }
        }
        Ok(Vec::new())
    }

    /// All objects whose name begins so. The store is asked for whole parts of a name.
    fn list(&self, prefix: &str) -> Result<Vec<ObjectMeta>, Error> {
        let folder = prefix.rsplit_once('/').map(|(folder, _)| Key::from(folder));
        self.runtime.block_on(async {
            let mut found = Vec::new();
            let mut listed = self.client.list(folder.as_ref());
            while let Some(object) = listed.next().await {
                let object = object.map_err(|error| failed(&self.shown, &error))?;
                if object.location.as_ref().starts_with(prefix) {
                    found.push(object);
                }
                if found.len() > OBJECTS_MAX {
                    return Err(Error::TooManyFiles { path: PathBuf::from(format!("{}/{prefix}", self.shown)) });
                }
            }
            Ok(found)
        })
    }

    fn path_of(&self, object: &ObjectMeta) -> PathBuf {
        PathBuf::from(format!("{}/{}", self.shown, object.location))
    }

    /// Reads the footer of an object.
    fn footed(&self, object: &ObjectMeta) -> Result<Footed<Object<'_>>, Error> {
        let parts = Object { store: self, object: object.clone(), path: self.path_of(object) };
        let mut reader = ParquetMetaDataReader::new();
        let mut wanted = FOOTER_BYTES.min(object.size);
        loop {
            let end = parts.parts(std::slice::from_ref(&(object.size.saturating_sub(wanted)..object.size)))?;
            match reader.try_parse_sized(&end.end(), object.size) {
                Ok(()) => break,
                Err(ParquetError::NeedMoreData(more)) => {
                    let more = u64::try_from(more).unwrap_or(u64::MAX);
                    if more <= wanted || more > object.size || more > FOOTER_BYTES_MAX {
                        return Err(parts.failed(ParquetError::EOF("the footer is damaged".to_owned())));
                    }
                    wanted = more;
                }
                Err(source) => return Err(parts.failed(source)),
            }
        }
        let metadata = reader.finish().and_then(footer).map_err(|source| parts.failed(source))?;
        Ok(Footed { parts, footer: metadata })
    }
}

/// An error of the store in our words.
fn failed(shown: &str, error: &object_store::Error) -> Error {
    let store = shown.to_owned();
    match error {
        object_store::Error::NotFound { path, .. } => Error::NoFile { path: PathBuf::from(format!("{shown}/{path}")) },
        object_store::Error::Precondition { path, .. } => {
            Error::Changed { path: PathBuf::from(format!("{shown}/{path}")) }
        }
        object_store::Error::PermissionDenied { .. } | object_store::Error::Unauthenticated { .. } => {
            Error::StoreRefuses { store }
        }
        other if is_refusal(other) => Error::StoreRefuses { store },
        _ => Error::Store { store },
    }
}

/// Whether the store refused a listing. The library gives a kind to what was refused of one object alone; here the
/// status stands in its words, before anything that the store said. They are not repeated.
fn is_refusal(error: &object_store::Error) -> bool {
    let said = error.to_string();
    let status = said.split_once("status code: ").map_or("", |(_, status)| status);
    status.starts_with("401") || status.starts_with("403")
}

/// Whether the endpoint is on this machine.
fn is_local(endpoint: &str) -> bool {
    let host = endpoint.split_once("://").map_or(endpoint, |(_, rest)| rest);
    let host = host.split('/').next().unwrap_or_default();
    if let Some(six) = host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        return six.0.parse::<std::net::Ipv6Addr>().is_ok_and(|address| address.is_loopback());
    }
    let host = host.rsplit_once(':').map_or(host, |(host, _)| host);
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// One version of one object.
struct Object<'a> {
    store: &'a Store,
    object: ObjectMeta,
    path: PathBuf,
}

impl Parts for Object<'_> {
    type Reader = Held;

    fn parts(&self, ranges: &[Range<u64>]) -> Result<Held, Error> {
        let get = |range: Range<u64>| {
            let options = GetOptions {
                range: Some(GetRange::Bounded(range)),
                if_match: self.object.e_tag.clone(),
                version: self.object.version.clone(),
                ..GetOptions::default()
            };
            async {
                let got = self.store.client.get_opts(&self.object.location, options).await?;
                let start = got.range.start;
                Ok::<_, object_store::Error>((start, got.bytes().await?))
            }
        };
        let within = ranges.iter().map(|range| range.start..range.end.min(self.object.size));
        let ranges: Vec<_> = within.filter(|range| range.start < range.end).collect();
        let parts = self.store.runtime.block_on(async {
            let mut parts = Vec::with_capacity(ranges.len());
            let mut coming = futures::stream::iter(joined(ranges).into_iter().map(get)).buffered(4);
            while let Some(part) = coming.next().await {
                parts.push(part?);
            }
            Ok(parts)
        });
        let parts = parts.map_err(|error| failed(&self.store.shown, &error))?;
        Ok(Held { length: self.object.size, parts: Arc::new(parts) })
    }

    fn failed(&self, source: ParquetError) -> Error {
        Error::Parquet { path: self.path.clone(), source }
    }
}

/// Ranges that touch each other as one: one request for neighbouring columns.
fn joined(mut ranges: Vec<Range<u64>>) -> Vec<Range<u64>> {
    ranges.sort_by_key(|range| range.start);
    let mut joined: Vec<Range<u64>> = Vec::with_capacity(ranges.len());
    for range in ranges {
        match joined.last_mut() {
            Some(last) if range.start <= last.end => last.end = last.end.max(range.end),
            _ => joined.push(range),
        }
    }
    joined
}

/// The parts of an object that were fetched.
#[derive(Clone)]
pub(super) struct Held {
    length: u64,
    parts: Arc<Vec<(u64, Bytes)>>,
}

impl Held {
    /// The last part alone, as a file of its own: what the footer is read from.
    fn end(&self) -> Held {
        let last = self.parts.last().map(|(_, bytes)| (0, bytes.clone()));
        Held {
            length: last.as_ref().map_or(0, |(_, bytes)| bytes.len() as u64),
            parts: Arc::new(last.into_iter().collect()),
        }
    }

    fn from(&self, start: u64) -> Result<Bytes, ParquetError> {
        let part = self.parts.iter().find_map(|(begin, bytes)| {
            let skip = usize::try_from(start.checked_sub(*begin)?).ok()?;
            (skip <= bytes.len()).then(|| bytes.slice(skip..))
        });
        part.ok_or_else(|| ParquetError::EOF("a part of the file that its footer does not name".to_owned()))
    }
}

impl Length for Held {
    fn len(&self) -> u64 {
        self.length
    }
}

impl ChunkReader for Held {
    type T = Box<dyn Read + Send>;

    fn get_read(&self, start: u64) -> Result<Self::T, ParquetError> {
        Ok(Box::new(Cursor::new(self.from(start)?)))
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes, ParquetError> {
        let bytes = self.from(start)?;
        if length > bytes.len() {
            return Err(ParquetError::EOF("the file is shorter than its footer says".to_owned()));
        }
        Ok(bytes.slice(..length))
    }
}
