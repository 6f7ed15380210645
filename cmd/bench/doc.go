// Command bench measures a volume beside a local directory, a plain FUSE loopback of
// one, a raw client of the store and the other filesystems that are found on the PATH, all
// on one MinIO of its own and on one disk. It prints tables in Markdown on stdout; make
// bench runs it. It is no part of the product and knows nothing of its inside: it runs the
// program and looks at the bucket.
//
//	main.go      flags, what is started and ended, the report
//	rows.go      the rows of the tables and their targets: what is measured
//	bench.go     all sides of a row, round by round
//	measure.go   one row on a filesystem
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
//	fuse.go      the loopback, which [objvol/cmd/bench/floor] mounts
//	server.go    what MinIO counts
//	proxy.go     a server that is far away
//	await.go     when all is in the bucket
//
//	result.go, target.go, table.go   medians, verdicts, Markdown
//
// # What is compared
//
// The sides do a row in turn, as often as there are rounds, so that what the machine does
// beside it falls on all of them. Before each, the disk gets what the one before left in
// memory. A row begins on a mount without any local state and, unless it has a fixture,
// on an empty prefix. Ratios are those of medians in one run; times of different runs say
// little.
//
// # What is bounded
//
// A peer has a minute for each phase and three for a row, and half of one to end. One that
// takes longer does the row no more, in later rounds neither; one that fails is told in the
// table, and is no failure of the bench. With -limit, nothing begins after that time, peers
// do one round, and none begins a row where those that come could not be measured any more
// on the local directory, the floor, the client and objvol.
package main
