//! Holds as documents: read before anything is removed, changed only while nothing is being removed.
//!
//! So a hold that is answered is seen by every removal from then on. Deliberately keeps none in memory: they are few,
//! and removals are rare.

use object_store::path::Path as Location;
use tracelake_model::TenantId;

use crate::core::Core;
use crate::document::{ENDING, ID_CHARS_MAX, valid};
use crate::error::Error;
use crate::hold::{Hold, Holds};

const KIND: &str = "holds";
/// Holds of a tenant at most.
const HOLDS_MAX: usize = 1_000;

impl Core {
    /// The holds of a tenant. What cannot be read is among the unreadable ones, never passed over.
    pub(crate) fn holds(&self, tenant: &TenantId) -> Holds {
        let directory = Location::from(format!("{tenant}/{KIND}"));
        let mut found = Holds::default();
        let names = match self.documents.list(&directory) {
            Ok(names) => names,
            Err(error) => {
                tracing::error!(%tenant, %error, "holds cannot be listed: nothing is removed");
                found.unreadable.push("*".to_owned());
                return found;
            }
        };
        let mut ids: Vec<String> = names.iter().filter_map(|file| id_of(&file.name)).collect();
        ids.sort_unstable();
        for id in ids {
            let text = self.documents.read(&place(tenant, &id)).map_err(|error| error.to_string());
            let hold = text.and_then(|text| Hold::parse(&String::from_utf8_lossy(&text)));
            match hold.and_then(|hold| if hold.id == id { Ok(hold) } else { Err(format!("its id is {:?}", hold.id)) }) {
                Ok(hold) => found.holds.push(hold),
                Err(detail) => {
                    tracing::error!(%tenant, id, detail, "a hold cannot be read: nothing of its tenant is removed");
                    found.unreadable.push(id);
                }
            }
        }
        found
    }

    /// Holds from now on.
    pub(crate) fn begin_hold(&self, tenant: &TenantId, hold: &Hold) -> Result<(), Error> {
        hold.check().map_err(Error::Hold)?;
        let id = &hold.id;
        if !valid(id) {
            let detail = format!("id {id:?}: use 1 to {ID_CHARS_MAX} of A-Z, a-z, 0-9, '.', '_' and '-', no dot first");
            return Err(Error::Hold(detail));
        }
        let _nothing_is_removed = self.removing.write();
        let stand = self.holds(tenant);
        if stand.holds.len() + stand.unreadable.len() >= HOLDS_MAX {
            return Err(Error::Hold(format!("{HOLDS_MAX} holds stand, which is the limit; release some")));
        }
        let at = place(tenant, id);
        let text = hold.to_json().to_string();
        match self.documents.put_new(&at, text.as_bytes()) {
            Ok(true) => Ok(()),
            Ok(false) => Err(Error::HoldStands(id.clone())),
            Err(error) => Err(Error::io("write", &self.documents.path(&at))(error)),
        }
    }

    /// Ends a hold; whether there was one.
    pub(crate) fn end_hold(&self, tenant: &TenantId, id: &str) -> Result<bool, Error> {
        if !valid(id) {
            return Ok(false);
        }
        let _nothing_is_removed = self.removing.write();
        let at = place(tenant, id);
        let removed = self.documents.remove(&at).map_err(Error::io("remove", &self.documents.path(&at)))?;
        if removed {
            let directory = Location::from(format!("{tenant}/{KIND}"));
            self.documents.sync(&directory).map_err(Error::io("sync", &self.documents.path(&directory)))?;
        }
        Ok(removed)
    }
}

fn place(tenant: &TenantId, id: &str) -> Location {
    Location::from(format!("{tenant}/{KIND}/{id}{ENDING}"))
}

/// The id that a file's name tells.
fn id_of(name: &str) -> Option<String> {
    name.strip_suffix(ENDING).filter(|id| valid(id)).map(str::to_owned)
}
