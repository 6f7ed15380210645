// Package driver is Docker's side: it speaks the engine's volume plugin protocol over a
// unix socket, remembers volumes and who holds them, and asks a Mounter for everything
// else. It knows neither FUSE nor S3.
//
// # The life of a volume
//
//	          Create                first Mount             Mount, Unmount
//	(unknown) ------> unmounted --> mounting --> mounted <----------------+
//	    ^               |  ^            |           |                     | counted only
//	    |    Remove     |  +------------+           | last Unmount        |
//	    +-- removing <--+  |  it failed             v                     |
//	                       +------------------- draining -----------------+
//	                          empty, or 50 s         a new Mount came
//
// A volume that is being created is not known yet: Get and List do not show it. Create
// asks the Mounter to prepare the bucket; nothing is mounted before the first Mount.
//
// # References
//
// The engine names each mount by an ID: one per mount point of a container, kept over
// restarts of the engine, and used again by "docker cp" while the container runs. So
// references are counted per (volume, ID), and the volume is mounted while any count is
// above zero. Engines before 1.12 send no ID: it counts as the empty one.
//
// An engine that was killed never sends the Unmounts of its containers, but mounts with
// the old IDs again. A new engine is seen by its Plugin.Activate, which starts an epoch:
// the first Mount of an ID in an epoch sets the count to 1, and an Unmount of an ID from an
// earlier epoch ends all of its count, because what else held it died with that engine.
// The start of this process is no epoch: the engine may have outlived the driver, and then
// its IDs are what they were. A managed plugin never sees Plugin.Activate but ends with its
// engine: there the program calls Activate at each start.
//
// A Mount that the caller no longer waits for is taken back, because the engine forgets
// the ID of a Mount that it gave up and never unmounts it. An Unmount drops the reference
// first, on disk, and drains then: however the draining ends, a repeated Unmount succeeds.
// Unmount of an ID that holds nothing succeeds, and so does Unmount of a volume that
// nobody knows: there is nothing left to release, and an error would only make the engine
// keep the mount point for active.
//
// # What survives a restart
//
//	<state-dir>/driver.json     volumes, where they lie, options, references; no secrets
//	<state-dir>/secrets/<id>    keys that were given as options, 0600
//	<state-dir>/mnt/<volume>    mountpoints; <volume> is the escaped name
//	<state-dir>/lock            held while a driver lives, holds its process id
//
// driver.json is replaced atomically and carries a version. Where a volume lies (endpoint,
// region, bucket, prefix) is fixed at Create; every other option that was not given follows
// the plugin's defaults of the day, so credentials and cache sizes can be changed by a
// restart. At start, FUSE mounts that a dead driver left below mnt are detached, and volumes
// with references are mounted again in the background. A graceful stop unmounts everything
// and keeps the references.
//
// # Locks
//
// Taken in this order only:
//
//	volume.turn   one operation on the volume at a time; spans a mount and a drain, so it
//	              is waited for with a context
//	Driver.mu     which volumes there are
//	state.save    one writer of driver.json at a time; spans an fsync
//	state.mu      the content of driver.json in memory
//	volume.mu     what Get tells; a leaf
//
// Get, List, Path and Capabilities take only Driver.mu, state.mu and volume.mu, which are held
// over no I/O. So a dead endpoint delays neither them nor another volume.
//
// What may hang is run in a goroutine of its own, and the answer goes out at the deadline
// whether it is done or not: the goroutine keeps the volume's turn and cleans up when it
// comes back. Close waits for these goroutines as long as its context allows.
package driver
