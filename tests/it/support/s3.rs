//! A real S3-compatible server (moto) of the test's own, on a free port of 127.0.0.1.
#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use chudong::pipeline::Bucket;
use chudong::pipeline::secret::SecretRef;
use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::{ObjectStoreExt, path::Path};

/// The server; it stops when it is dropped.
pub struct Store {
    process: Child,
    endpoint: String,
    keys: tempfile::TempDir,
    client: AmazonS3,
    runtime: tokio::runtime::Runtime,
}

impl Store {
    /// A server with one empty bucket, `agency`.
    pub fn start() -> Store {
        Self::start_with(&[])
    }

    /// A server that knows nobody's keys: it refuses whatever comes after the bucket was made.
    pub fn start_without_keys() -> Store {
        Self::start_with(&[("INITIAL_NO_AUTH_ACTION_COUNT", "1")])
    }

    fn start_with(settings: &[(&str, &str)]) -> Store {
        let (mut port, mut process) = serve(settings);
        // Another process may have taken the port before the server could: then it ends at once, and tries another.
        let mut attempts = 1;
        while !answers(port, &mut process) {
            attempts += 1;
            assert!(attempts < 10, "the S3 server ends as soon as it is started");
            (port, process) = serve(settings);
        }
        let endpoint = format!("http://127.0.0.1:{port}");
        let keys = tempfile::tempdir().unwrap();
        for name in ["access", "secret"] {
            chudong::files::replace(&keys.path().join(name), b"synthetic").unwrap();
        }
        let client =
            AmazonS3Builder::new().with_endpoint(&endpoint).with_region("us-east-1").with_bucket_name("agency");
        let client = client.with_access_key_id("synthetic").with_secret_access_key("synthetic").with_allow_http(true);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        Store { process, endpoint, keys, client: client.build().unwrap(), runtime }
    }

    /// Puts an object in place of what was there.
    pub fn put(&self, name: &str, bytes: Vec<u8>) {
        self.runtime.block_on(self.client.put(&Path::from(name), bytes.into())).unwrap();
    }

    /// The bucket as a pipeline names it.
    pub fn bucket(&self, prefix: &str) -> Bucket {
        Bucket {
            endpoint: self.endpoint.clone(),
            region: "us-east-1".into(),
            bucket: "agency".into(),
            prefix: prefix.into(),
            access_key: SecretRef::File(self.keys.path().join("access")),
            secret_key: SecretRef::File(self.keys.path().join("secret")),
        }
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Starts the server on a port that is free at this moment.
fn serve(settings: &[(&str, &str)]) -> (u16, Child) {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut server = Command::new(program());
    server.args(["-H", "127.0.0.1", "-p", &port.to_string()]).envs(settings.iter().copied());
    (port, server.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap())
}

/// Makes the bucket as soon as the server answers; no when it has ended because its port was taken.
fn answers(port: u16, process: &mut Child) -> bool {
    const MAKE: &str = "PUT /agency HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    let begun = Instant::now();
    loop {
        // Whoever answers while our process is there is our process: a port has one listener.
        let answered = TcpStream::connect(("127.0.0.1", port));
        if process.try_wait().unwrap().is_some() {
            return false;
        }
        if let Ok(mut stream) = answered {
            stream.write_all(MAKE.as_bytes()).unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).unwrap();
            assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
            return true;
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "the S3 server did not start");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Where `test.sh` installs it.
fn program() -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let here = std::iter::once(crate::root().join("target/test-tools/bin"));
    let found =
        here.chain(std::env::split_paths(&path)).map(|folder| folder.join("moto_server")).find(|file| file.is_file());
    assert!(found.is_some(), "moto_server is missing: run ./test.sh --install");
    found.unwrap()
}
