//! The simulated disk behind the seam.
//!
//! A create of zeros is made of its steps, as on a real disk, so that power and faults may come between them. Failed
//! operations leave what a real disk leaves: a write without space may be short, a failed sync forgets what it had.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::{Mutex, MutexGuard};
use rand::SeedableRng;
use rand::rngs::SmallRng;
use tracelake_model::{Clock as _, ManualClock, UnixNano};

use crate::disk::{About, Disk, DiskFile, Lock};
use crate::simulation::fault::{Fault, Lasting, Plan};
use crate::simulation::world::World;

/// Bytes that the disk can hold, as far as it tells.
const SPACE_BYTES: u64 = 1 << 40;

/// The simulated disk. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct SimDisk(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    world: World,
    plan: Plan,
    clock: ManualClock,
    full: bool,
    used_bytes: u64,
    mark: Option<String>,
    images: Option<Vec<Image>>,
}

/// The disk at the moment before an operation.
#[derive(Clone, Debug)]
pub(crate) struct Image {
    world: World,
    /// What the clock showed.
    pub(crate) now: UnixNano,
    /// The operation that came next, for messages.
    pub(crate) next: String,
}

#[derive(Debug)]
struct SimFile {
    disk: SimDisk,
    path: PathBuf,
    inode: usize,
    epoch: u64,
}

#[derive(Debug)]
struct SimLock;

impl Lock for SimLock {}

impl Default for SimDisk {
    fn default() -> Self {
        Self::new(ManualClock::new(UnixNano(0)))
    }
}

impl Image {
    /// Operations that were done.
    pub(crate) fn operations(&self) -> u64 {
        self.world.operations
    }

    /// Whether everything is durable: a power cut changes nothing.
    pub(crate) fn is_settled(&self) -> bool {
        self.world.is_settled()
    }
}

impl SimDisk {
    /// An empty disk whose files are dated by `clock`.
    pub(crate) fn new(clock: ManualClock) -> Self {
        Self::with(World::default(), clock)
    }

    /// A disk of its own that begins as an image shows.
    pub(crate) fn of(image: &Image, clock: ManualClock) -> Self {
        Self::with(image.world.clone(), clock)
    }

    fn with(world: World, clock: ManualClock) -> Self {
        let plan = Plan::default();
        Self(Arc::new(Mutex::new(State { world, plan, clock, full: false, used_bytes: 0, mark: None, images: None })))
    }

    /// The disk as it is now.
    pub(crate) fn image(&self) -> Image {
        self.0.lock().image("nothing".to_owned())
    }

    /// Keeps an image of the moment before every changing operation from now on.
    pub(crate) fn record(&self) {
        self.0.lock().images = Some(Vec::new());
    }

    /// What was kept, and the moment now.
    pub(crate) fn recorded(&self) -> Vec<Image> {
        let mut images = self.0.lock().images.take().unwrap_or_default();
        images.push(self.image());
        images
    }

    /// Changing operations so far.
    pub(crate) fn operations(&self) -> u64 {
        self.0.lock().world.operations
    }

    /// Cuts the power when that many further changing operations are done.
    pub(crate) fn cut_after(&self, operations: u64) {
        let mut state = self.0.lock();
        let at = state.world.operations + operations;
        state.plan.cut(at);
    }

    /// Loses power and comes back: of everything unsynced any part may remain, chosen by the seed.
    pub(crate) fn crash(&self, seed: u64) {
        let mut state = self.0.lock();
        state.world.lose_power(&mut SmallRng::seed_from_u64(seed));
        state.plan.mend();
    }

    /// The changing operation after so many further ones fails, alone or with all that follow.
    pub(crate) fn fail_after(&self, operations: u64, fault: Fault, lasting: Lasting) {
        let mut state = self.0.lock();
        let at = state.world.operations + operations;
        state.plan.fail(at, fault, lasting);
    }

    /// The next sync fails; what it should have kept is seen, and gone after a crash.
    pub(crate) fn fail_next_sync(&self) {
        self.0.lock().plan.fail_sync();
    }

    /// Nothing fails any more.
    pub(crate) fn mend(&self) {
        self.0.lock().plan.mend();
    }

    /// Leaves so many bytes free, as far as it tells.
    pub(crate) fn set_free(&self, bytes: u64) {
        self.0.lock().used_bytes = SPACE_BYTES - bytes;
    }

    /// What tells its directories from copies, from now on.
    pub(crate) fn set_mark(&self, mark: Option<&str>) {
        self.0.lock().mark = mark.map(str::to_owned);
    }

    /// No space for new bytes, or space again.
    pub(crate) fn set_full(&self, full: bool) {
        self.0.lock().full = full;
    }

    /// Changes one byte under everybody's feet.
    pub(crate) fn flip(&self, path: &Path, offset: usize) {
        self.damage(path, |content| content[offset] ^= 0x40);
    }

    /// Changes a file's content under everybody's feet.
    pub(crate) fn damage(&self, path: &Path, change: impl Fn(&mut Vec<u8>)) {
        let world = &mut self.0.lock().world;
        let inode = world.inode(path).expect("a file");
        world.damage(inode, change);
    }

    /// Counts an operation; with the fault that it must have.
    fn begin(&self, what: &str, path: &Path, is_sync: bool) -> io::Result<(MutexGuard<'_, State>, Option<Fault>)> {
        let mut state = self.0.lock();
        let operation = state.world.operations;
        if state.plan.is_off(operation) {
            return Err(io::Error::other("power is off"));
        }
        if state.images.is_some() {
            let image = state.image(format!("{what} {}", path.display()));
            state.images.get_or_insert_default().push(image);
        }
        state.world.operations += 1;
        let fault = state.plan.fault(operation, is_sync);
        Ok((state, fault))
    }

    /// Counts an operation that has no effect when it fails.
    fn change(&self, what: &str, path: &Path) -> io::Result<MutexGuard<'_, State>> {
        match self.begin(what, path, false)? {
            (_, Some(fault)) => Err(fault.error()),
            (state, None) => Ok(state),
        }
    }

    fn file(&self, path: &Path, inode: usize, epoch: u64) -> SimFile {
        SimFile { disk: self.clone(), path: path.to_owned(), inode, epoch }
    }
}

impl State {
    fn image(&self, next: String) -> Image {
        Image { world: self.world.clone(), now: self.clock.now(), next }
    }
}

impl Disk for SimDisk {
    fn create_dir(&self, path: &Path) -> io::Result<()> {
        if self.0.lock().world.is_directory(path) {
            return Ok(());
        }
        let parent = path.parent().expect("a path below the root");
        self.create_dir(parent)?;
        self.change("make the directory", path)?.world.make_directory(path)?;
        self.sync_dir(parent)
    }

    fn create(&self, path: &Path, bytes: u64) -> io::Result<Arc<dyn DiskFile>> {
        let (inode, epoch) = {
            let mut state = self.change("create", path)?;
            if state.full {
                return Err(Fault::Space.error());
            }
            let now = state.clock.now();
            (state.world.add(path, now)?, state.world.epoch)
        };
        let file = self.file(path, inode, epoch);
        if bytes > 0 {
            let zeros = vec![0; usize::try_from(bytes).expect("small files")];
            if let Err(error) = file.write_at(0, &zeros).and_then(|()| file.sync_data()) {
                let _ = self.remove(path);
                return Err(error);
            }
        }
        Ok(Arc::new(file))
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let state = self.0.lock();
        Ok(Arc::new(self.file(path, state.world.inode(path)?, state.world.epoch)))
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        let state = self.0.lock();
        Ok(state.world.seen(state.world.inode(path)?).to_vec())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.change("rename to", to)?.world.rename(from, to)
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.change("link to", to)?.world.link(from, to)
    }

    fn about(&self, path: &Path) -> io::Result<About> {
        self.0.lock().world.about(path)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.change("remove", path)?.world.remove(path)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        self.0.lock().world.list(dir)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.change("sync the names of", dir)?.world.sync_names(dir)
    }

    fn free_bytes(&self, _dir: &Path) -> io::Result<u64> {
        Ok(SPACE_BYTES - self.0.lock().used_bytes)
    }

    fn mark(&self, _dir: &Path) -> io::Result<Option<String>> {
        Ok(self.0.lock().mark.clone())
    }

    fn lock(&self, _path: &Path) -> io::Result<Box<dyn Lock>> {
        Ok(Box::new(SimLock))
    }
}

impl DiskFile for SimFile {
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let (mut state, fault) = self.disk.begin("write", &self.path, false)?;
        assert_eq!(state.world.epoch, self.epoch, "a file must not be used across a crash");
        let offset = usize::try_from(offset).expect("small files");
        let now = state.clock.now();
        let no_room = state.full && state.world.seen(self.inode).len() < offset + bytes.len();
        let fault = fault.or(no_room.then_some(Fault::Space));
        match fault {
            None => state.world.write(self.inode, offset, bytes, now),
            // What fitted is written: nothing, a part, all but the end.
            Some(Fault::Space) => {
                let fitted = bytes.len() * usize::try_from(state.world.operations % 4).expect("small") / 4;
                state.world.write(self.inode, offset, &bytes[..fitted], now);
            }
            Some(Fault::Device) => {}
        }
        fault.map_or(Ok(()), |fault| Err(fault.error()))
    }

    fn read_at(&self, offset: u64, bytes: usize) -> io::Result<Vec<u8>> {
        let state = self.disk.0.lock();
        let content = state.world.seen(self.inode);
        let start = usize::try_from(offset).expect("small files").min(content.len());
        Ok(content[start..content.len().min(start + bytes)].to_vec())
    }

    fn bytes(&self) -> io::Result<u64> {
        Ok(self.disk.0.lock().world.seen(self.inode).len() as u64)
    }

    fn sync_data(&self) -> io::Result<()> {
        let (mut state, fault) = self.disk.begin("sync", &self.path, true)?;
        match fault {
            None => state.world.sync(self.inode),
            Some(_) => state.world.fail_sync(self.inode),
        }
        fault.map_or(Ok(()), |fault| Err(fault.error()))
    }
}
