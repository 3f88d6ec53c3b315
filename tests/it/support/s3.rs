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
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut process = Command::new(program());
        process.args(["-H", "127.0.0.1", "-p", &port.to_string()]);
        let process = process.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let endpoint = format!("http://127.0.0.1:{port}");
        let keys = tempfile::tempdir().unwrap();
        for name in ["access", "secret"] {
            chudong::files::replace(&keys.path().join(name), b"synthetic").unwrap();
        }
        let client =
            AmazonS3Builder::new().with_endpoint(&endpoint).with_region("us-east-1").with_bucket_name("agency");
        let client = client.with_access_key_id("synthetic").with_secret_access_key("synthetic").with_allow_http(true);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let store = Store { process, endpoint, keys, client: client.build().unwrap(), runtime };
        store.make_bucket(port);
        store
    }

    fn make_bucket(&self, port: u16) {
        let begun = Instant::now();
        loop {
            if let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)) {
                write!(
                    stream,
                    "PUT /agency HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
                )
                .unwrap();
                let mut answer = String::new();
                stream.read_to_string(&mut answer).unwrap();
                assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
                return;
            }
            assert!(begun.elapsed() < Duration::from_secs(30), "the S3 server did not start");
            std::thread::sleep(Duration::from_millis(50));
        }
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

/// Where `test.sh` installs it.
fn program() -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let here = std::iter::once(crate::root().join("target/test-tools/bin"));
    let found =
        here.chain(std::env::split_paths(&path)).map(|folder| folder.join("moto_server")).find(|file| file.is_file());
    assert!(found.is_some(), "moto_server is missing: run ./test.sh --install");
    found.unwrap()
}
