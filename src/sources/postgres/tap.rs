//! Takes the rows of a copy off the wire before the library sees them.
//!
//! A server sends each row as a message of its own. The library would make an
//! owned buffer of each; here the rows are decoded where they lie, out of large
//! reads, and every other message goes through untouched. This module must not
//! know what a row holds.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_postgres::tls::{ChannelBinding, TlsConnect, TlsStream};

use super::decode::{CopyRows, Malformed};
use super::wire::Wire;

/// How many bytes are read at once, where so many have arrived.
const READ_BYTES: usize = 256 * 1024;

/// The tag and the length that every message begins with.
const HEADER_BYTES: usize = 5;

/// What the reader of a connection and its tap share.
#[derive(Default)]
pub(super) struct Basin {
    /// Where rows go; while there is none, they go through like any message.
    pub(super) rows: Option<CopyRows>,
    /// How often bytes arrived: while it stands still, the server is silent.
    pub(super) heard: u64,
    /// The server sent what the format does not allow.
    pub(super) malformed: bool,
}

/// A connection whose rows are taken off.
pub(super) struct Tap {
    wire: Wire,
    basin: Arc<Mutex<Basin>>,
    /// What was read; `start..end` is not yet handled.
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    /// How many bytes of the message under way still go through.
    through: usize,
}

/// What is to be done next.
enum Next {
    /// Bytes went through.
    Given,
    /// A batch is full and has to be taken first.
    Wait,
    /// More bytes are needed.
    Read,
}

impl Tap {
    pub(super) fn new(wire: Wire, basin: Arc<Mutex<Basin>>) -> Self {
        Tap { wire, basin, buffer: vec![0; READ_BYTES], start: 0, end: 0, through: 0 }
    }

    /// Handles what was read.
    fn handle(&mut self, out: &mut ReadBuf<'_>) -> Result<Next, Malformed> {
        let mut basin = self.basin.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            let held = self.buffer.get(self.start..self.end).ok_or(Malformed)?;
            if self.through > 0 {
                let given = held.len().min(self.through).min(out.remaining());
                out.put_slice(held.get(..given).ok_or(Malformed)?);
                self.start += given;
                self.through -= given;
                return Ok(if given == 0 { Next::Read } else { Next::Given });
            }
            let Some(([tag, l0, l1, l2, l3], rest)) = held.split_first_chunk::<HEADER_BYTES>() else {
                return Ok(Next::Read);
            };
            let length = u32::from_be_bytes([*l0, *l1, *l2, *l3]);
            let body = usize::try_from(length).ok().and_then(|length| length.checked_sub(4)).ok_or(Malformed)?;
            match &mut basin.rows {
                Some(rows) if *tag == b'd' => {
                    if rows.is_full() {
                        return Ok(Next::Wait);
                    }
                    let Some(row) = rest.get(..body) else { return Ok(Next::Read) };
                    rows.message(row)?;
                    self.start += HEADER_BYTES + body;
                }
                _ => self.through = HEADER_BYTES + body,
            }
        }
    }

    /// Makes room behind what is not yet handled. The buffer grows only by what has really arrived.
    fn make_room(&mut self) {
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
            if self.buffer.len() > READ_BYTES {
                self.buffer.truncate(READ_BYTES);
                self.buffer.shrink_to_fit();
            }
        } else if self.start > 0 {
            self.buffer.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
        if self.end == self.buffer.len() {
            self.buffer.resize(self.end * 2, 0);
        }
    }
}

impl AsyncRead for Tap {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let tap = self.get_mut();
        loop {
            match tap.handle(out) {
                Ok(Next::Given) => return Poll::Ready(Ok(())),
                // Whoever takes the batch asks again.
                Ok(Next::Wait) => return Poll::Pending,
                Ok(Next::Read) => {}
                Err(Malformed) => {
                    tap.basin.lock().unwrap_or_else(PoisonError::into_inner).malformed = true;
                    return Poll::Ready(Err(io::ErrorKind::InvalidData.into()));
                }
            }
            tap.make_room();
            let room = tap.buffer.get_mut(tap.end..).unwrap_or_default();
            let mut read = ReadBuf::new(room);
            ready!(Pin::new(&mut tap.wire).poll_read(cx, &mut read))?;
            let count = read.filled().len();
            if count == 0 {
                return Poll::Ready(Ok(()));
            }
            tap.end += count;
            tap.basin.lock().unwrap_or_else(PoisonError::into_inner).heard += 1;
        }
    }
}

impl AsyncWrite for Tap {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().wire).poll_write(cx, buf)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().wire).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().wire).poll_shutdown(cx)
    }
}

impl TlsStream for Tap {
    fn channel_binding(&self) -> ChannelBinding {
        self.wire.channel_binding()
    }
}

/// Hands a tap to the library as the protected stream that it asks for: the wire below it already is.
pub(super) struct Tapped;

impl TlsConnect<Tap> for Tapped {
    type Stream = Tap;
    type Error = Infallible;
    type Future = Ready<Result<Tap, Infallible>>;

    fn connect(self, tap: Tap) -> Self::Future {
        ready(Ok(tap))
    }
}
