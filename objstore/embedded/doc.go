// Package embedded is the S3 server inside the driver, so that the first volume needs
// no set-up. It is versitygw (Apache-2.0), run by its embedgw package over its posix
// backend, and it is the only room that knows versitygw. A build with the tag
// noembedded leaves it out: [Start] then fails with [ErrLeftOut].
//
// # Life of a server
//
// [Start] makes the folder, locks it, checks it, loads the credentials, sweeps up after
// a crash, syncs, and listens. [Server.Durable] wraps every bucket that is opened on the
// socket. [Server.Close] ends it. One server per process: the library allows no more.
//
//	<dir>/                   0700, locked while a process serves it
//	<dir>/s3.sock            0600, at most 107 bytes of path: a limit of Linux
//	<dir>/credentials.json   0600, made once
//	<dir>/objects/<bucket>/  one file per object, its attributes in user xattrs
//
// The library's paths are relative, so Start moves the process's working directory to
// <dir>/objects and nothing may move it away until Close, which puts it back. Whoever
// starts a store makes other relative paths absolute before.
//
// File systems without user xattrs are refused. The library's other way, a folder of
// attributes beside the objects, changes an object's bytes and its attributes in
// separate steps by name: a crash or a refused write would leave the one without the
// other.
//
// Messages go to the slog.Logger: the library's own log is off, its account service is
// made here because it would announce its own, errors that it would print are caught in
// backend.go and finish.go. It uses the standard logger for nothing that can happen here.
// Metrics, events, access logs, the web page and the admin API are off; nothing listens
// but the socket, and Options.Listen if given.
//
// # Durability
//
// The library never syncs. A write is answered when it is in the kernel's cache, and
// done when syncfs(2) has returned that was called after the answer. [Server.Durable]
// waits for that: one sync serves all that were answered before it began. A sync that
// fails once has failed for good, because the kernel says it only once; the server must
// be started again.
//
// # What the backend does wrong, and what is done about it here
//
//   - A refused body of more than 256 KiB ends in a broken connection: read to its end.
//   - A body whose connection breaks is stored as far as it came: counted.
//   - Reads take ETag, attributes and bytes by name one after the other, and mix two
//     objects if one replaces the other meanwhile: repeated until nothing changed.
//   - If-Match of a delete is compared before the removal, which may hit a newer object:
//     a delete waits for the writes of its key, and they for it.
//   - A copy of an object onto itself compares its ETag before it changes the attributes,
//     which may be those of a newer object: like a delete it waits for the writes of its key.
//     It keeps headers that are not given, and LastModified: removed, set.
//   - A delete removes emptied folders, also one that has become a marker meanwhile: one
//     at a time.
//   - A delete with If-Match of nothing succeeds: NoSuchKey. A delete of a folder that
//     is no object fails while it is not empty: succeeds.
//   - Completing an unknown upload succeeds if its key holds an object: NoSuchUpload.
//     Where a file cannot lie it fails as an internal error: told apart.
//   - An upload of more than about 700 parts needs larger xattrs than ext4 has:
//     the list of its parts is not kept (no GET by part number).
//   - A PUT that fails to name its file blames a directory whatever the cause: checked.
//   - A folder that a crash left empty refuses the file of its name: removed.
//   - Overwriting needs a name 28 bytes longer than the object's: another way is chosen.
//   - a//b, a/./b and a/b are one file, and what has a component .sgwtmp is not listed:
//     InvalidArgument, or not there.
//
// # Facts to rely on
//
//   - A key a and a key a/b exclude each other: 409 ExistingObjectIsDirectory (the
//     folder was first), 409 ObjectParentIsFile (the file was first). A marker with a
//     body is 400 DirectoryObjectContainsData. A component of more than 255 bytes is 400
//     KeyTooLongError. A full disk is 507 InsufficientStorage, a quota 403 QuotaExceeded.
//   - A marker a/ is a folder with attributes. It keeps metadata, but no headers, and is
//     always application/x-directory. All markers have one ETag, that of no bytes, so
//     If-Match tells nothing about them; LastModified moves with what is made or removed
//     in the folder. It cannot be uploaded in parts or copied from.
//   - A folder without a marker goes with its last object. One that a crash left is
//     listed as a prefix with nothing in it.
//   - Metadata is one JSON text per object: it and the rest must fit into the xattrs of
//     a file, on ext4 into 4 KiB. JSON spends six bytes on <, > and &, two on " and \.
//     More is 507 InsufficientStorage too.
//   - Listings carry no metadata and may pair the ETag of an object with the size of the
//     one that is replacing it. LastModified has whole seconds in all answers.
//   - An ETag is the MD5 of the bytes, or of the parts' MD5s with their number; a copy
//     of an object onto itself keeps it.
//   - UploadPartCopy takes an empty source, and If-Match of the source. Into an upload
//     that announced a checksum algorithm it copies the checksum of the whole source
//     even for a range: uploads should announce none, parts may have one.
//   - Conditions hold for Put, Complete and Delete, atomically, in one process.
package embedded
