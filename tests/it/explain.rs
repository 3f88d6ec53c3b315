//! How a due date came about: told by the query, put in words, and done again by hand.
#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use chudong::pipeline::reader::Faults;
use chudong::sql::cases::{self, Bench};
use chudong::sql::steps::TOLD;

#[tokio::test(flavor = "multi_thread")]
async fn dump() {
    let (root, faults) = (crate::root(), Faults::default());
    let checked = chudong::check::catalogue::catalogue(root).await.0;
    let bench = Bench::new(&checked.pipeline, &checked.library);
    for path in cases::find(root) {
        if !path.to_string_lossy().contains("/obligations/") { continue; }
        let case = cases::read(root, &path, &checked.pipeline, &faults).unwrap();
        match bench.told(&case).await {
            Ok(table) => {
                let due = table.texts("due_on").unwrap();
                let told = table.texts(TOLD).unwrap();
                for (due, told) in due.iter().zip(told) {
                    println!("{} {} {}", path.display(), due.as_deref().unwrap(), told.unwrap_or("NULL".into()));
                }
            }
            Err(error) => println!("ERR {} {error:?}", path.display()),
        }
    }
}
