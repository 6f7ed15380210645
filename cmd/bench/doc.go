// Command bench measures a volume beside a local directory, a plain FUSE loopback, a raw
// client of the store and the other filesystems that are found on the PATH, all on one MinIO
// of its own and on one disk. It prints tables in Markdown on stdout; make bench runs it. It
// is no part of the product and knows nothing of its inside: it runs the program and looks at
// the bucket.
//
//	main.go      flags, what is started and ended, the report
//	rows.go      the rows of the tables and their targets: what is measured
//	bench.go     all sides of a row, round by round
//	measure.go   one row on a filesystem
//	raw.go       one row with a client, alone or beside the loopback
//	resident*.go a file whose content is all local, against a local file
//
//	child.go     who does the work: the program again, as a child with a deadline, because
//	             a mount that hangs must not hang the bench
//	works.go     the works of a child in a directory
//	client.go    the same with a raw client
//	content.go   sizes and bytes
//
//	volume.go    a filesystem that is mounted, and its process
//	peers.go     how each is mounted
//	process.go   a program that ends with the bench, and takes along what it started
//	fuse.go      the loopback, which [objvol/cmd/bench/floor] mounts
//	memory.go    what the loopback shows
//	server.go    what MinIO counts
//	proxy.go     a server that is far away
//	await.go     when all is in the bucket
//	meter.go     where the processors' time goes meanwhile
//	touch.go     memory that this machine has when a side needs it
//
//	result.go, bound.go, target.go, table.go   medians, limits, verdicts, Markdown
//
// # What is compared
//
// The sides do a row in turn, as often as there are rounds, so that what the machine does
// beside it falls on all of them. Before each, the disk gets what the one before left in
// memory, and as much memory as it may take is used and freed (touch.go). A row begins on a
// mount without any local state and, unless it has a fixture, on an empty prefix. Ratios are
// those of medians in one run; times of different runs say little.
//
// # What no filesystem can do better
//
// Where the store is on the same machine, a target may lie beyond what its processors can
// do. So each line has a bound, of what the machine did in the same run:
//
//   - What returns before it is in the store is bounded by FUSE alone: the same program on a
//     plain loopback in Go over a directory in memory, which touches no disk, knows no
//     store and syncs nothing. Of large cold files, a server that makes up the bytes.
//     Where what is synced is on this host's disk, the directory is there too, and syncs.
//   - What waits for the store is bounded by the raw client's time, and by its CPU: whoever
//     mounts a store pays for FUSE and for the store, and n processors give no more than n
//     seconds in one. So it is (CPU on the loopback + CPU with the client) / n.
//   - The driver's own CPU is bounded by the loopback's plus the client's.
//   - A file that is all local is bounded by the loopback over a local directory.
//
// Counted is the CPU of processes: of who works, with all that it starts; of the loopback;
// of the client while it works; of the store meanwhile. What the kernel copies and sends
// counts for who asks for it. The client's own CPU is in the sum because a filesystem has
// to send and to fetch in its place. The content that a filesystem keeps on this host is in
// the loopback's run once, when it is written; what a cold read keeps is not in it. Not
// counted are threads of the kernel's own (which write pages to the disk), the bench that
// watches, an index, logs and their syncs on this host, and that either of the two waits for the other.
// So nothing is quicker than the bound, and little comes near it. "Side by side" is the
// loopback and the client really at once, each with all of the work: there only the
// waiting for each other is left out.
//
// The client of the bound is the best there is. Where the program's order of files holds
// the client of the table back and a filesystem could fetch ahead, it has 64 requests at
// once; where attributes are asked for, it lists with the metadata, directories at once;
// for SQLite it makes three conditional writes after each other in each transaction. git
// has none. Of several rounds, and of alone and side by side, the least counts; what others
// had of the processors meanwhile, or the host took away, is left out of it. Objvol's own time
// is as it was: where others are busy, the last two columns say more, all CPU of its
// run (who works, driver, store) against that of the two.
//
// A target beyond its bound is out of reach here. Where objvol is better than the bound,
// that is none, and the table says so. It can be: with fewer or larger requests than the
// client makes, as where random reads bring their neighbours; with answers that the kernel
// keeps for longer than a loopback lets it, as in a warm find; with a record of its own
// of what the client has to list.
//
// # What is bounded
//
// A peer has a minute for each phase and three for a row, and half of one to end. One that
// takes longer does the row no more, in later rounds neither; one that fails is told in the
// table, and is no failure of the bench. With -limit, nothing begins after that time, peers
// do one round, and none begins a row where those that come could not be measured any more
// on the local directory, the floor, the client and objvol.
package main
