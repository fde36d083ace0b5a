//! Whether an object store keeps the promise that commits and documents stand on: of writers that put one object under
//! the condition that nothing (or a certain version) stands there, exactly one succeeds.
//!
//! Some S3-compatible stores ignore `If-None-Match` and `If-Match` and answer 200. Two servers would then commit the
//! same version of a table, and one's rows would be gone: such a store is refused before anything is written.

use bytes::Bytes;
use futures::future::join_all;
use object_store::Error;
use object_store::path::Path as Location;

use crate::bucket::client::Client;

/// Puts of one object at the same time.
const RIVALS: usize = 4;

/// What the store did wrong; the remedy is the caller's to say.
#[derive(Debug)]
pub(crate) enum Flaw {
    /// It cannot be reached or refuses us.
    Failed(Error),
    /// It does not do conditional puts as it should; which.
    Unconditional(String),
}

/// Tries conditional puts with objects of our own below `probe/`, which are gone afterwards. About eight requests.
pub(crate) async fn probe(client: &Client) -> Result<(), Flaw> {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes).map_err(|fault| Flaw::Failed(crate::bucket::patience::unsettled(fault)))?;
    let at = Location::from(format!("probe/{}", tracelake_model::to_hex(&bytes)));
    let found = try_conditions(client, &at).await;
    let removed = client.remove(&at).await;
    found?;
    removed.map(drop).map_err(Flaw::Failed)
}

async fn try_conditions(client: &Client, at: &Location) -> Result<(), Flaw> {
    let content = |writer: usize| Bytes::from(format!("tracelake tries a conditional put, writer {writer}"));
    let rivals = (0..RIVALS).map(|writer| async move { client.create(at, &content(writer)).await });
    let mut tags = Vec::new();
    for outcome in join_all(rivals).await {
        tags.extend(outcome.map_err(failed)?);
    }
    let [tag] = tags.as_slice() else {
        let detail =
            format!("{} of {RIVALS} puts with `If-None-Match: *` of one object succeeded, not one", tags.len());
        return Err(Flaw::Unconditional(detail));
    };
    let later = client.update(at, &content(RIVALS), tag).await.map_err(failed)?;
    if later.is_none() {
        return Err(Flaw::Unconditional("a put with the object's own tag in `If-Match` was refused".to_owned()));
    }
    if client.update(at, &content(RIVALS + 1), tag).await.map_err(failed)?.is_some() {
        return Err(Flaw::Unconditional("a put with a tag in `If-Match` that is past succeeded".to_owned()));
    }
    Ok(())
}

fn failed(fault: Error) -> Flaw {
    match fault {
        Error::NotImplemented { .. } | Error::NotSupported { .. } => Flaw::Unconditional(fault.to_string()),
        fault if fault.to_string().contains("NotImplemented") => Flaw::Unconditional(fault.to_string()),
        fault => Flaw::Failed(fault),
    }
}
