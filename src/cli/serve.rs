//! The verb `serve`: answers people who refuse or rate, until it is asked to stop.

use std::path::{Path, PathBuf};

use super::keeper::Stop;
use super::{Ended, explained, print, read_pipeline, thread_fault};
use crate::calendar::AsOf;
use crate::fault::{Fault, Place};
use crate::personal::dossier_links::DossierLinks;
use crate::personal::links::Links;
use crate::serve::{self, Desk, Rating, Receipts};
use crate::world::World;

pub(super) async fn serve(root: &Path, agency: &str, state: PathBuf, today: Option<AsOf>) -> Result<Ended, Vec<Fault>> {
    let pipeline = read_pipeline(root, agency)?;
    let Some(said) = pipeline.serve.clone() else {
        let place = Place::file(&pipeline.path);
        let next = "add [serve] with base_url = \"https://...\", the address at which people reach this process";
        return Err(vec![Fault::new("serve.not-said", place, "the pipeline has no table [serve]", next)]);
    };
    let world = World::new(root.to_path_buf(), state.clone());
    // The key of the letters that are out: a new one would open none of their links.
    let key = world.opening_pseudonym_key().map_err(explained)?;
    let mut stop = Stop::listen().map_err(|error| vec![thread_fault(&error)])?;
    let listener = serve::listen(said.listen).await.map_err(explained)?;
    if let Ok(address) = listener.local_addr() {
        print(&format!("listening on http://{address}\n"))?;
    }
    let rating = match said.ratings {
        Some(scale) => Some(Rating {
            scale,
            key: world.opening_pseudonym_key().map_err(explained)?,
            seal: world.sealing_key().map_err(explained)?,
        }),
        None => None,
    };
    let prepares = !pipeline.dossiers.is_empty();
    let receipts = Receipts::of(&pipeline).map_err(explained)?;
    let desk = Desk::new(state, pipeline, Links::new(&key, &said.base_url)).with_rating(rating).with_receipts(receipts);
    let desk = match prepares {
        true => {
            let links = DossierLinks::new(&key, &said.base_url);
            desk.with_dossiers(links, world.sealing_key().map_err(explained)?, today)
        }
        false => desk,
    };
    serve::serve(desk, listener, async move { stop.asked().await }).await.map_err(explained)?;
    Ok(Ended::Done)
}
