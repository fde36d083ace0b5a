//! The store in tests: steps made one by one on a disk that loses power, then with its threads on a real one.
//!
//! | file | protects |
//! |---|---|
//! | `rig.rs` | what the others stand on: a store without threads, a decoder of lines, reading everything back |
//! | `append.rs` | receipts, duplicates, audit numbers, limits, failing disks |
//! | `durability.rs` | tenants that do not wait for the disk |
//! | `copy.rs` | a copied directory goes on under an id of its own |
//! | `script.rs` `truth.rs` `machine.rs` `tape.rs` | what clients send; what must then be there; a store on a simulated disk; a run whose every moment is kept |
//! | `crash.rs` `power.rs` | nothing acknowledged is lost, nothing shows twice, wherever the power goes |
//! | `cut.rs` | a log that is cut or damaged: told, the rest served |
//! | `faults.rs` | every operation of the disk fails: nothing lost, and it recovers |
//! | `compact.rs` | merging parts changes no row, files go when nobody needs them |
//! | `splice.rs` | parts that are copied encoded hold the same rows, and what is known of them is right |
//! | `erase.rs` `erase_beside.rs` | what is erased is gone, nothing else is, and nothing comes back, whatever goes on |
//! | `hold.rs` | what is held stays, and holds up nothing else |
//! | `late.rs` | times that are late, in the future or missing; clocks that jump |
//! | `retain.rs` | parts go by age and for space, and no others |
//! | `remote.rs` `flaky.rs` | files and documents in an object store that fails as real ones do |
//! | `damage.rs` | a damaged file is found, taken out of service and told; the rest is served |
//! | `flip.rs` | every flipped bit of parts, entries and checkpoints is found |
//! | `bucket.rs` | the whole store on such an object store, alone and shared by several servers |
//! | `outsider.rs` | what other readers of Delta tables see |
//! | `gather.rs` | small batches become larger ones unnoticed |
//! | `replay.rs` | a log larger than memory is read again within the limit |
//! | `backup.rs` | a backup holds what was acknowledged before it, and becomes a store again |
//! | `parts.rs` | what they stand on |
//! | `tap.rs` | taps see every request once per start, in order |
//! | `traces.rs` | a trace is looked for where it is, whatever is known of it |
//! | `race/` | servers on the same tables, interleaved from a seed |
//! | `stage.rs` | what stages count for `/metrics` |
//! | `door.rs` | the whole store with its threads |

mod append;
mod backup;
mod bucket;
mod compact;
mod copy;
mod crash;
mod cut;
mod damage;
mod door;
mod durability;
mod erase;
mod erase_beside;
mod faults;
mod flaky;
mod flip;
mod gather;
mod hold;
mod late;
mod machine;
mod outsider;
mod parts;
mod power;
mod race;
mod remote;
mod replay;
mod retain;
mod rig;
mod script;
mod splice;
mod stage;
mod tap;
mod tape;
mod traces;
mod truth;
mod values;
