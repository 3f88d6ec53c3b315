//! Moves the pages of the log into the file beside a sender at work, so that no group waits for it.
//!
//! SQLite moves them in the commit that makes the log too long, for a tenth of a second and more while messages wait. Here
//! a thread with a connection of its own moves what is committed, which hinders nobody, and leaves that commit the last
//! few. It changes nothing of what is durable when: a commit is in the log, and synced, before anything is given out.

use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use rusqlite::{Connection, OpenFlags};

/// Messages that are recorded or settled between two times of moving.
const MESSAGES: usize = 12288;

/// Bytes of the log beyond which the thread is asked no more: a disk on which it is always at work would let no commit
/// take the last pages, and the log would not end. Commits move everything then, as they do otherwise.
const LOG_BYTES_MAX: u64 = 512 << 20;

/// The thread that moves, begun when there is enough to move: a short sending needs none. It has ended, and closed its connection, when this is dropped.
#[derive(Debug, Default)]
pub(super) struct Mover {
    asks: Option<SyncSender<()>>,
    thread: Option<JoinHandle<()>>,
    /// Messages since it was last asked.
    messages: usize,
}

impl Mover {
    /// So many messages were committed to the ledger at this path. It is asked to move where they are enough.
    pub(super) fn has_committed(&mut self, path: &Path, messages: usize) {
        self.messages = self.messages.saturating_add(messages);
        if self.messages < MESSAGES {
            return;
        }
        self.messages = 0;
        if std::fs::metadata(path.with_extension("sqlite-wal")).is_ok_and(|log| log.len() > LOG_BYTES_MAX) {
            return;
        }
        let asks = self.asks.get_or_insert_with(|| {
            let (asks, asked) = sync_channel(1);
            let path = path.to_path_buf();
            // Where no thread can be had, commits move the pages as they do otherwise.
            self.thread = std::thread::Builder::new().name("log".into()).spawn(move || work(path, &asked)).ok();
            asks
        });
        // It is at work where this one finds no room, and does not forget that it was asked.
        let _ = asks.try_send(());
    }
}

impl Drop for Mover {
    fn drop(&mut self) {
        self.asks = None;
        // A panic of the thread has changed nothing that is durable.
        self.thread.take().into_iter().for_each(|thread| drop(thread.join()));
    }
}

fn work(path: PathBuf, asked: &Receiver<()>) {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let Ok(connection) = Connection::open_with_flags(path, flags) else { return };
    // What cannot be moved now stays in the log, where it is as durable.
    if connection.pragma_update(None, "synchronous", "full").is_err() {
        return;
    }
    while asked.recv().is_ok() {
        drop(connection.query_row("pragma wal_checkpoint(passive)", [], |_| Ok(())));
    }
}
