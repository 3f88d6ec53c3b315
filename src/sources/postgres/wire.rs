//! The bytes to and from a server, protected where they leave this machine.
//!
//! A server that is not on this machine is reached over TLS, with its
//! certificate and its name verified; there is no switch to trust less. On this
//! machine the connection is plain, unless the pipeline names the authority
//! that the server's certificate comes from. This module must not know what is
//! sent.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio_postgres::tls::{ChannelBinding, MakeTlsConnect, TlsConnect, TlsStream};
use tokio_postgres_rustls::MakeRustlsConnect;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use crate::pipeline::Server;
use crate::sources::Error;

/// What a client sends to ask for TLS (manual, "Message Formats", `SSLRequest`): its length, and a code.
const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f];

/// A protected stream; the library does not name it otherwise.
type Protected = <MakeRustlsConnect as MakeTlsConnect<TcpStream>>::Stream;

/// An open connection.
pub(super) enum Wire {
    Tcp(TcpStream),
    Unix(UnixStream),
    Tls(Box<Protected>),
}

/// How connections to one server are protected.
#[derive(Clone)]
pub(super) enum Protection {
    /// It does not leave this machine.
    None,
    /// With certificate and name verified.
    Tls(MakeRustlsConnect),
}

impl Protection {
    /// What the server's place and the pipeline ask for. `root` is the installation folder.
    pub(super) fn of(server: &Server, root: &Path) -> Result<Self, Error> {
        match &server.authority {
            _ if server.host.starts_with('/') => Ok(Protection::None),
            None if is_loopback(&server.host) => Ok(Protection::None),
            None => Ok(Protection::Tls(connector(authorities_of_system()?)?)),
            Some(path) => Ok(Protection::Tls(connector(authorities_of(root, path)?)?)),
        }
    }
}

/// After how long a silence the kernel asks whether the other machine is still there, and how often.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(30);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);

impl Wire {
    /// Connects. `name` is `host:port/database`, for messages.
    pub(super) async fn open(server: &Server, name: &str, protection: &Protection) -> Result<Self, Error> {
        let lost = |error: io::Error| unreachable(name, &error);
        if server.host.starts_with('/') {
            let path = Path::new(&server.host).join(format!(".s.PGSQL.{}", server.port));
            return Ok(Wire::Unix(UnixStream::connect(path).await.map_err(lost)?));
        }
        let stream = TcpStream::connect((server.host.as_str(), server.port)).await.map_err(lost)?;
        stream.set_nodelay(true).map_err(lost)?;
        // A server whose machine is gone sends no farewell: the kernel asks after it, on our side as on the server's.
        let alive = TcpKeepalive::new().with_time(KEEPALIVE_IDLE).with_interval(KEEPALIVE_INTERVAL);
        SockRef::from(&stream).set_tcp_keepalive(&alive).map_err(lost)?;
        match protection {
            // A name may be that of this machine and lead elsewhere.
            Protection::None if !stream.peer_addr().is_ok_and(|address| is_this_machine(&address)) => {
                Err(Error::NotProtected { server: name.to_owned() })
            }
            Protection::None => Ok(Wire::Tcp(stream)),
            Protection::Tls(connector) => protect(stream, &server.host, name, connector.clone()).await,
        }
    }
}

fn unreachable(name: &str, error: &io::Error) -> Error {
    Error::Unreachable { server: name.to_owned(), said: format!("error connecting to server: {error}") }
}

/// Asks the server for TLS and shakes hands; the certificate must be for `host`.
async fn protect(
    mut stream: TcpStream,
    host: &str,
    name: &str,
    mut connector: MakeRustlsConnect,
) -> Result<Wire, Error> {
    let lost = |error: io::Error| unreachable(name, &error);
    stream.write_all(&SSL_REQUEST).await.map_err(lost)?;
    // One byte and no more: whatever somebody slipped in behind it is read as part of the handshake, which fails.
    if stream.read_u8().await.map_err(lost)? != b'S' {
        return Err(Error::NotProtected { server: name.to_owned() });
    }
    let connect = match MakeTlsConnect::<TcpStream>::make_tls_connect(&mut connector, host) {
        Ok(connect) => connect,
        Err(never) => match never {},
    };
    let failed = |error: io::Error| Error::Certificate { server: name.to_owned(), said: error.to_string() };
    Ok(Wire::Tls(Box::new(connect.connect(stream).await.map_err(failed)?)))
}

fn connector(roots: RootCertStore) -> Result<MakeRustlsConnect, Error> {
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| Error::Authority { path: None, said: error.to_string() })?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(MakeRustlsConnect::new(config))
}

fn authorities_of_system() -> Result<RootCertStore, Error> {
    let mut roots = RootCertStore::empty();
    let (added, _) = roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if added == 0 {
        let said = "this machine has no certificates of authorities (package ca-certificates)".to_owned();
        return Err(Error::Authority { path: None, said });
    }
    Ok(roots)
}

fn authorities_of(root: &Path, path: &PathBuf) -> Result<RootCertStore, Error> {
    let failed = |said: String| Error::Authority { path: Some(path.clone()), said };
    let bytes = std::fs::read(root.join(path)).map_err(|error| failed(error.to_string()))?;
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&bytes) {
        let certificate = certificate.map_err(|error| failed(error.to_string()))?;
        roots.add(certificate).map_err(|error| failed(error.to_string()))?;
    }
    if roots.is_empty() { Err(failed("there is no certificate in it".to_owned())) } else { Ok(roots) }
}

/// Whether the host says that it is this machine.
fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

fn is_this_machine(address: &SocketAddr) -> bool {
    address.ip().to_canonical().is_loopback()
}

impl TlsStream for Wire {
    fn channel_binding(&self) -> ChannelBinding {
        match self {
            Wire::Tcp(_) | Wire::Unix(_) => ChannelBinding::none(),
            Wire::Tls(stream) => stream.channel_binding(),
        }
    }
}

impl AsyncRead for Wire {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Wire::Tcp(stream) => Pin::new(stream).poll_read(cx, buf),
            Wire::Unix(stream) => Pin::new(stream).poll_read(cx, buf),
            Wire::Tls(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Wire {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Wire::Tcp(stream) => Pin::new(stream).poll_write(cx, buf),
            Wire::Unix(stream) => Pin::new(stream).poll_write(cx, buf),
            Wire::Tls(stream) => Pin::new(stream).poll_write(cx, buf),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Wire::Tcp(stream) => Pin::new(stream).poll_flush(cx),
            Wire::Unix(stream) => Pin::new(stream).poll_flush(cx),
            Wire::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Wire::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
            Wire::Unix(stream) => Pin::new(stream).poll_shutdown(cx),
            Wire::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
