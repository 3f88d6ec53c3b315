//! No image of this process on a disk: it would hold persons, passwords and the pseudonym key.

use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};

use crate::fault::{Fault, Place};

/// Sees to it that the process leaves no core dump, and that no other process of the same account looks into it.
///
/// Two ways, because each is open to be turned off by the other side: the limit
/// keeps the system from writing a file, and a process that is not dumpable is
/// not handed to a collector of dumps either. Neither can be raised again from outside.
pub(super) fn refuse() -> Result<(), Fault> {
    let none = Rlimit { current: Some(0), maximum: Some(0) };
    let refused = setrlimit(Resource::Core, none).and_then(|()| set_dumpable_behavior(DumpableBehavior::NotDumpable));
    refused.map_err(|error| {
        let what = format!("core dumps cannot be switched off: {error}");
        let next = "let the process lower its limits (prctl and setrlimit), or set LimitCORE=0 and remove the filter";
        Fault::new("cli.core-dump", Place::Thing("the operating system".into()), what, next)
    })
}
