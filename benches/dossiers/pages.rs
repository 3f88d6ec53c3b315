//! The review page: the serving process with the ledger of the night, and readers who ask for page after page.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use chudong::calendar::AsOf;
use chudong::personal::dossier_links::{DossierLink, DossierLinks};
use chudong::personal::links::Links;
use chudong::serve::{self, Desk};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Barrier;

use super::data::NIGHT;
use super::ours::{CHILD, checked, keys};
use super::{Fallible, say};

/// How many read at once.
pub const READERS: usize = 200;
/// One dossier in so many is read, so that every page has a link of its own.
const ONE_IN: i64 = 5;
const BASE: &str = "https://nhac.example";

/// How long pages took.
pub struct Pages {
    pub pages: usize,
    pub per_second: f64,
    pub p50_ms: f64,
    pub p90_ms: f64,
    pub p99_ms: f64,
    pub worst_ms: f64,
}

/// The serving process, ended with the measurement.
struct Serving(Child);

impl Drop for Serving {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// Serves, until it is killed; says on which port.
pub fn serve(data: &Path) -> Fallible<()> {
    let (pipeline, _) = checked(data)?;
    let (key, sealing) = keys();
    let links = DossierLinks::new(&key, BASE);
    let desk = Desk::new(data.join("state"), pipeline, Links::new(&key, BASE));
    let desk = desk.with_dossiers(links, sealing, Some(AsOf::new(NIGHT)));
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = serve::listen(([127, 0, 0, 1], 0).into()).await?;
        say(&listener.local_addr()?.port().to_string())?;
        Ok(serve::serve(desk, listener, std::future::pending()).await?)
    })
}

/// Has the pages read.
pub fn run(data: &Path) -> Fallible<Pages> {
    let mut serving = Command::new(std::env::current_exe()?);
    let serving = serving.args([CHILD, "serve", "0"]).arg(data).stdout(Stdio::piped()).spawn()?;
    let mut serving = Serving(serving);
    let mut line = String::new();
    BufReader::new(serving.0.stdout.take().ok_or("no port")?).read_line(&mut line)?;
    let port: u16 = line.trim().parse()?;
    let asked = requests(&data.join("state/ledger.sqlite"))?;
    let (mut took, seconds) = tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
        let together = Arc::new(Barrier::new(READERS + 1));
        let readers: Vec<_> = asked
            .chunks(asked.len().div_ceil(READERS))
            .map(|asked| tokio::spawn(read(port, asked.to_vec(), Arc::clone(&together))))
            .collect();
        if readers.len() != READERS {
            return Err(format!("there are links for {} readers", readers.len()).into());
        }
        together.wait().await;
        let begun = Instant::now();
        let mut took = Vec::new();
        for reader in readers {
            took.extend(reader.await?.map_err(|what| -> Box<dyn std::error::Error> { what.into() })?);
        }
        Fallible::Ok((took, begun.elapsed().as_secs_f64()))
    })?;
    took.sort_unstable();
    let at = |share: f64| {
        let place = ((took.len() as f64 * share) as usize).min(took.len().saturating_sub(1));
        took.get(place).map_or(f64::NAN, |took| took.as_secs_f64() * 1_000.0)
    };
    Ok(Pages {
        pages: took.len(),
        per_second: took.len() as f64 / seconds,
        p50_ms: at(0.5),
        p90_ms: at(0.9),
        p99_ms: at(0.99),
        worst_ms: at(1.0),
    })
}

/// What is asked, and what its page must hold: the version of the dossier.
type Asked = (String, String);

fn requests(ledger: &PathBuf) -> Fallible<Vec<Asked>> {
    let (key, _) = keys();
    let links = DossierLinks::new(&key, BASE);
    let connection = rusqlite::Connection::open(ledger)?;
    // Their numbers are random, and in no order that a reader would follow.
    let mut select = connection
        .prepare("select dossier, subject, due_on, version from dossier where rowid % ?1 = 2 order by version")?;
    let rows = select.query_map([ONE_IN], |row| {
        let link = |due_on: String| DossierLink {
            dossier: row.get(0).unwrap_or_default(),
            subject: row.get(1).unwrap_or_default(),
            issued_on: NIGHT,
            expires_on: due_on.parse().unwrap_or(NIGHT),
        };
        Ok((link(row.get(2)?), row.get::<_, String>(3)?))
    })?;
    let mut asked = Vec::new();
    for row in rows {
        let (link, version) = row?;
        let url = links.make(&link)?;
        let path = url.strip_prefix(BASE).unwrap_or(&url).to_owned();
        asked.push((format!("GET {path} HTTP/1.1\r\nHost: nhac.example\r\nAccept-Language: vi\r\n\r\n"), version));
    }
    Ok(asked)
}

/// One reader: page after page, each as soon as the one before has come.
async fn read(port: u16, asked: Vec<Asked>, together: Arc<Barrier>) -> Result<Vec<Duration>, String> {
    let failed = |error: std::io::Error| error.to_string();
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.map_err(failed)?;
    stream.set_nodelay(true).map_err(failed)?;
    let mut page = Vec::with_capacity(64 << 10);
    let mut took = Vec::with_capacity(asked.len());
    together.wait().await;
    for (request, version) in &asked {
        let begun = Instant::now();
        stream.write_all(request.as_bytes()).await.map_err(failed)?;
        page.clear();
        let mut end = None;
        while end.is_none_or(|end| page.len() < end) {
            if stream.read_buf(&mut page).await.map_err(failed)? == 0 {
                return Err("the connection was closed".into());
            }
            end = end.or_else(|| whole(&page));
        }
        took.push(begun.elapsed());
        let text = String::from_utf8_lossy(&page);
        if !text.starts_with("HTTP/1.1 200") || !text.contains(version.as_str()) {
            return Err(format!("not the page of the link: {}", text.lines().next().unwrap_or_default()));
        }
    }
    Ok(took)
}

/// How long the answer is with its head; none while the head has not come.
fn whole(page: &[u8]) -> Option<usize> {
    let head = page.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
    let text = std::str::from_utf8(page.get(..head)?).ok()?;
    let length =
        text.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length:")?.trim().parse().ok());
    Some(head + length.unwrap_or(0))
}
