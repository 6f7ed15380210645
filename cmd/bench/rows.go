package main

import "slices"

// row is a piece of work that is done on every side: in a local directory, with a raw
// client of the store, and on each filesystem.
type row struct {
	name    string
	full    bool     // too long for a quick bench
	fixture string   // the work that makes what is there before; none begins with nothing
	options []string // of objvol
	synced  bool     // what is synced is on this host's disk: the floor is over a directory there
	phases  []phase
}

// phase is one part of a row. All parts of a row have the same directory.
type phase struct {
	name    string // behind the row's
	work    string // of local and of filesystems
	client  string // of the client; empty if there is nothing like it
	threads int    // 0 is one
	atOnce  int    // requests of the client; 0 is as many as threads
	best    best   // what bounds a filesystem, where the client's own work does not

	setup   bool // it only prepares
	remount bool // the mount is a new one, of the same state
	cold    bool // nothing of it was read before: the first phase with a fixture
	drop    bool // nothing is in the page cache
	memory  bool // of the floor, the large file is in memory: it cannot be passed to the kernel
	await   bool // it is also measured when all of it is in the bucket
	walk    bool // what should be in the bucket is known to the filesystem alone

	targets []target // of the time until it returned
	bucket  []target // of the time until it was in the bucket
}

// best is a work of the client's that makes most of the store for what the program asks:
// it knows all of it ahead, and has what a filesystem has to have.
type best struct {
	work   string // empty is none
	atOnce int    // requests
}

// forClient reports whether a client of the store can do something like it.
func (r row) forClient() bool {
	return slices.ContainsFunc(r.phases, func(p phase) bool { return p.client != "" })
}

var (
	readAhead = best{"client read small", smallAtOnce} // a directory's files may be fetched before they are asked for
	listed    = best{"client list all", 16}            // attributes are in the metadata
)

// nearRows are the first table.
var nearRows = []row{
	{name: "write 1 GiB", phases: []phase{{
		work: "write large", client: "client write large", await: true,
		targets: []target{{local, 1.5}}, bucket: []target{{raw, 1.15}, {cpu, 1.5}},
	}}},
	{name: "read 1 GiB", fixture: "write large", phases: []phase{
		{name: "cold", work: "read large", client: "client read large", cold: true, memory: true, targets: []target{{raw, 1.2}, {cpu, 1.5}}},
		{name: "warm", work: "read large", drop: true},
	}},
	{name: "random read 4 KiB, 4 threads", fixture: "write large", phases: []phase{
		{name: "cold", work: "read random", client: "client read random", threads: 4, cold: true, memory: true, targets: []target{{raw, 1}}},
		{work: "read large", setup: true},
		{name: "warm", work: "read warm", threads: 4, drop: true},
	}},
	{name: "random read 4 KiB, 4 threads, cache of 128 MiB", fixture: "write large", options: []string{"cache-size=128MiB"}, phases: []phase{
		{name: "cold", work: "read random", client: "client read random", threads: 4, cold: true, memory: true, targets: []target{{raw, 1}, {fetched, 8}}},
	}},
	{name: "1,000 random writes of 4 KiB in 256 MiB + fsync, sync=local", options: []string{"sync=local"}, synced: true, phases: []phase{
		{work: "write changed", setup: true, await: true},
		{work: "change", remount: true, targets: []target{{local, 1.2}}},
	}},
	{name: "1,000 random writes of 4 KiB in 256 MiB + fsync, sync=bucket", phases: []phase{
		{work: "write changed", client: "client write changed", setup: true, await: true},
		{work: "change", client: "client change", remount: true, targets: []target{{raw, 1.3}}},
	}},
	{name: "1,000 random writes of 4 KiB in 16 of 256 MiB + fsync, sync=bucket", phases: []phase{
		{work: "write changed", client: "client write changed", setup: true, await: true},
		{work: "change a part", client: "client change a part", remount: true, targets: []target{{raw, 1.3}}},
	}},
	{name: "create 2,000 x 4 KiB, 1 thread", phases: []phase{{
		work: "create small", client: "client create small", await: true,
		targets: []target{{local, 2}}, bucket: []target{{raw, 1.3}},
	}}},
	{name: "create 2,000 x 4 KiB, 8 threads", phases: []phase{{
		work: "create small", client: "client create small", threads: 8, await: true,
		targets: []target{{local, 2}}, bucket: []target{{raw, 1.3}},
	}}},
	{name: "read 2,000 x 4 KiB, 1 thread", fixture: "create small", phases: []phase{
		{name: "cold", work: "read small", client: "client read small", best: readAhead, cold: true, targets: []target{{seconds, 1.2}}},
	}},
	{name: "read 2,000 x 4 KiB, 8 threads", fixture: "create small", phases: []phase{
		{name: "cold", work: "read small", client: "client read small", best: readAhead, threads: 8, cold: true},
	}},
	{name: "find -printf over 10,000 in 100 directories", fixture: "create tree", phases: []phase{
		{name: "cold", work: "find", client: "client list", best: listed, targets: []target{{raw, 1.3}}},
		{name: "warm", work: "find", targets: []target{{local, 3}}},
	}},
	{name: "ls -l of 50,000", full: true, fixture: "create flat", phases: []phase{
		{name: "cold", work: "ls -l", client: "client list", best: listed, targets: []target{{raw, 1.3}}},
		{name: "warm", work: "ls -l", targets: []target{{local, 3}}},
	}},
	{name: "untar 2,000 files", phases: []phase{
		{work: "untar", client: "client upload", await: true, targets: []target{{local, 4}}, bucket: []target{{lag, 2}}},
	}},
	{name: "git init + add + commit of 2,000 files", phases: []phase{
		{work: "untar", setup: true, await: true},
		{work: "git", await: true, walk: true, targets: []target{{local, 2}}, bucket: []target{{lag, 2}}},
	}},
	{name: "rename a directory of 1,000", phases: []phase{
		{work: "create old", client: "client create old", threads: 8, setup: true, await: true},
		{work: "rename", client: "client rename", await: true, targets: []target{{local, 3}}, bucket: []target{{raw, 1.2}}},
	}},
	{name: "rm -rf of 1,000 files in a directory", phases: []phase{
		{work: "create old", client: "client create old", threads: 8, setup: true, await: true},
		{work: "remove old", client: "client remove old", remount: true, await: true, targets: []target{{local, 3}}, bucket: []target{{raw, 1.2}}},
	}},
	{name: "rm -rf of the tree of 2,000 files", phases: []phase{
		{work: "untar", client: "client upload", setup: true, await: true},
		{work: "remove tar", client: "client remove tar", await: true, targets: []target{{local, 3}}, bucket: []target{{raw, 1.2}}},
	}},
	{name: "SQLite, 500 transactions, sync=local", options: []string{"sync=local"}, synced: true, phases: []phase{
		{work: "sqlite", targets: []target{{local, 1.3}}},
	}},
	{name: "SQLite, 500 transactions, sync=bucket", phases: []phase{
		{work: "sqlite", client: "client sqlite", targets: []target{{seconds, 3}}},
	}},
}

// farRows are the second table: farDelay is added to every request.
var farRows = []row{
	{name: "20 ms: create 2,000 x 4 KiB, 1 thread", phases: []phase{{
		work: "create small", client: "client create small", await: true,
		targets: []target{{local, 2}}, bucket: []target{{raw, 1.3}},
	}}},
	{name: "20 ms: create 2,000 x 4 KiB, 8 threads", full: true, phases: []phase{{
		work: "create small", client: "client create small", threads: 8, await: true,
		targets: []target{{local, 2}}, bucket: []target{{raw, 1.3}},
	}}},
	{name: "20 ms: read 2,000 x 4 KiB, 1 thread", fixture: "create small", phases: []phase{
		{name: "cold", work: "read small", client: "client read small", atOnce: smallAtOnce, cold: true, targets: []target{{seconds, 4}}},
	}},
	{name: "20 ms: write 1 GiB", phases: []phase{{
		work: "write large", client: "client write large", await: true,
		targets: []target{{local, 1.5}}, bucket: []target{{raw, 1.15}},
	}}},
	{name: "20 ms: read 1 GiB", fixture: "write large", phases: []phase{
		{name: "cold", work: "read large", client: "client read large", cold: true, memory: true, targets: []target{{raw, 1.2}}},
	}},
}

// residentRows are the third table: a file that is all local, against a local file.
var residentRows = shapes()

// residentRow is one way to use the file.
type residentRow struct {
	name    string
	threads int
	shape   shape
	target  float64 // the least that the mount may have of the local rate; 0 is none
}

// smallShaped is a file that is too small to be passed through.
const smallShaped = 512 << 10

func shapes() []residentRow {
	var rows []residentRow
	for _, order := range []struct {
		name   string
		random bool
	}{{"sequential", false}, {"random", true}} {
		for _, act := range []struct {
			name  string
			write bool
		}{{"read", false}, {"write", true}} {
			for _, block := range []struct {
				name  string
				bytes int
			}{{"4 KiB", 4 << 10}, {"1 MiB", 1 << 20}} {
				rows = append(rows,
					residentRow{order.name + " " + act.name + " " + block.name + ", 1 thread", 1, shape{Block: block.bytes, Random: order.random, Write: act.write}, 0.95},
					residentRow{order.name + " " + act.name + " " + block.name + ", 4 threads", 4, shape{Block: block.bytes, Random: order.random, Write: act.write}, 0.95})
			}
		}
	}
	rows = append(rows,
		residentRow{"mmap, random read 4 KiB", 1, shape{Block: 4 << 10, Random: true, Mapped: true}, 0.95},
		residentRow{"mmap, random write 4 KiB", 1, shape{Block: 4 << 10, Random: true, Mapped: true, Write: true}, 0.95},
		residentRow{"512 KiB file: random read 4 KiB", 1, shape{Size: smallShaped, Block: 4 << 10, Random: true}, 0},
		residentRow{"512 KiB file: random write 4 KiB", 1, shape{Size: smallShaped, Block: 4 << 10, Random: true, Write: true}, 0})
	return rows
}
