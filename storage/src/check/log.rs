//! The write-ahead log, frame by frame.
//!
//! A torn tail is no damage: what stands there was never acknowledged.

use crate::check::report::{Finding, FindingKind};
use crate::check::run::Checker;
use crate::error::Error;
use crate::wal::id::Ids;
use crate::wal::reader;

/// A segment's missing frames, as a finding.
const REMEDY: &str =
    "acknowledged requests are lost unless their tables have them; the server steps over them, a backup may have them";

impl Checker<'_> {
    pub(crate) fn write_ahead_log(&mut self) -> Result<(), Error> {
        let dir = self.data_dir.join("wal");
        let mut frames = 0;
        let damage = if let Some(core) = self.core {
            let (sound, damage) = reader::inspect_running(self.disk.as_ref(), &core.ids, &core.segments.files())?;
            frames = sound;
            damage
        } else {
            let Some(ids) = Ids::read(self.disk.as_ref(), &dir) else { return Ok(()) };
            let mut count = |_| {
                frames += 1;
                Ok(())
            };
            reader::inspect(self.disk.as_ref(), &dir, &ids, &mut count)?.damage
        };
        self.report.wal_frames = frames;
        for damage in damage {
            let detail = format!("frames {} to {} cannot be read", damage.positions.start(), damage.positions.end());
            let path = damage.path.display().to_string();
            self.report.push(Finding::new(FindingKind::Wal, path, detail, REMEDY));
            self.progress.findings += 1;
        }
        Ok(())
    }
}
