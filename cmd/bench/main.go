package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"objvol/objstore/objstoretest"
)

// farDelay is what the second table adds to every request.
const farDelay = 20 * time.Millisecond

// options are the flags.
type options struct {
	program string
	dir     string
	rows    *regexp.Regexp
	rounds  int
	full    bool
	limit   time.Duration
	sizes   sizes
	peers   []filesystem
}

func main() {
	if text, child := os.LookupEnv(envJob); child {
		beChild(text)
	}
	if text, child := os.LookupEnv(envFloor); child {
		beFloor(text)
	}
	opts, err := parseFlags(os.Args[1:])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	err = run(ctx, opts, os.Stdout, os.Stderr)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func parseFlags(args []string) (options, error) {
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	program := flags.String("objvol", "bin/objvol", "the `program` that is measured")
	dir := flags.String("dir", os.TempDir(), "a `directory` on the disk that everything is to lie on")
	rows := flags.String("rows", "", "a regular `expression` that selects rows by name")
	beside := flags.String("peers", "", "a regular `expression` that selects other filesystems by name; ^$ is none")
	rounds := flags.Int("rounds", 3, "how `often` all sides do each row")
	full := flags.Bool("full", false, "also the rows that take long")
	limit := flags.Duration("limit", 0, "the `time` after which no row begins; 0 is none")
	if err := flags.Parse(args); err != nil {
		return options{}, err
	}
	selected, err := regexp.Compile(*rows)
	if err != nil {
		return options{}, err
	}
	others, err := regexp.Compile(*beside)
	if err != nil {
		return options{}, err
	}
	path, err := filepath.Abs(*program)
	if err == nil && *rounds < 1 {
		err = errors.New("rounds: at least 1")
	}
	return options{program: path, dir: *dir, rows: selected, rounds: *rounds, full: *full, limit: *limit, sizes: tableSizes, peers: peers(others)}, err
}

// run measures on a MinIO of its own.
func run(ctx context.Context, opts options, out, progress io.Writer) (err error) {
	dir, err := os.MkdirTemp(opts.dir, "objvol-bench-minio-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	s, stop, err := objstoretest.StartMinIO(dir)
	if err != nil {
		return err
	}
	defer stop()
	return measureOn(ctx, server{s}, opts, out, progress)
}

// measureOn measures and writes the tables. Its error says that something could not be
// measured; the logs of the programs stay then.
func measureOn(ctx context.Context, s server, opts options, out, progress io.Writer) (err error) {
	near, far, resident := opts.selected()
	if len(near)+len(far)+len(resident) == 0 {
		return fmt.Errorf("no row is called %q", opts.rows)
	}
	b := &bench{server: s, sizes: opts.sizes, rounds: opts.rounds, progress: progress}
	b.filesystems = append([]filesystem{objvol(opts.program)}, opts.peers...)
	if b.dir, err = os.MkdirTemp(opts.dir, "objvol-bench-"); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(b.dir)) }()
	if b.logs, err = os.MkdirTemp(opts.dir, "objvol-bench-logs-"); err != nil {
		return err
	}
	defer func() {
		if b.ownFailures() == 0 {
			err = errors.Join(err, os.RemoveAll(b.logs))
		}
	}()
	if b.client, err = b.store().client(); err != nil {
		return err
	}
	if err := b.prepare(ctx); err != nil {
		return err
	}
	p, err := startProxy(strings.TrimPrefix(s.Endpoint, "http://"), farDelay)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.close()) }()
	begun := time.Now()
	if opts.limit > 0 {
		b.end = begun.Add(opts.limit)
	}
	b.write(out, b.run(ctx, near, far, resident, "http://"+p.address()))
	say(out, "\n%s\nIt took %v.\n", notes, time.Since(begun).Round(time.Second))
	return errors.Join(ctx.Err(), b.report(out))
}

// write writes the tables that have rows.
func (b *bench) write(out io.Writer, t tables) {
	say(out, "Seconds, or operations per second where it says IOPS; medians of %d rounds", b.rounds)
	if !b.end.IsZero() {
		say(out, " or as many as there was time for; of other filesystems, of one")
	}
	say(out, ".\n")
	if len(t.near) > 0 {
		say(out, "\n")
		writeTable(out, t.near, b.filesystems)
	}
	if len(t.far) > 0 {
		say(out, "\n%v added to every request:\n\n", farDelay)
		writeTable(out, t.far, b.filesystems)
	}
	if stored := slices.Concat(t.near, t.far); len(stored) > 0 {
		say(out, "\nWhat a filesystem on this store has to have of %d processors at least, in seconds:\n\n", runtime.NumCPU())
		writeBounds(out, stored)
		say(out, "\nWhere the processors' time went, in seconds:\n\n")
		writeSpent(out, stored)
	}
	if len(t.resident) > 0 {
		say(out, "\nA file whose content is all local, operations per second, medians of %d rounds of short turns:\n\n", b.sizes.Trios)
		writeResident(out, t.resident)
	}
}

// say writes a part of the report.
func say(out io.Writer, format string, args ...any) {
	_, _ = fmt.Fprintf(out, format, args...) // nobody reads it then
}

const notes = `"fuse" is what FUSE alone costs: a directory in memory through a plain loopback in Go, files
passed to the kernel; on the disk where syncs have to reach it; of large cold files, a filesystem that makes them
up; of other files that are read, the local ones, cold in memory and warm on the disk.
A bound is the least that any filesystem can take here: the client's time, or the CPU that a plain client and FUSE
alone take for the same, on all processors; "side by side" is both of them really at once. Where objvol is below it, it is
none. "others" is what the machine did beside.
"returned" is when the program has gone on, "in the bucket" when a plain client listed all of it,
names and sizes, while the volume stayed mounted. "cold" is a mount without any local state; of the local
directory, files that have left the page cache, while names stay in memory. "warm" is all local, but not in the
page cache. Requests are those that the server counted, without the ones that watched; peak memory and CPU are
the driver's, the client's CPU that of its work. A target is met up to its limit.
Other filesystems do not do the rows with options of objvol's. "over" is a phase that took one longer than so many
seconds, "not reached" what comes behind such a phase, or what there was no time for.
`

// selected are the rows that the options choose.
func (o options) selected() (near, far []row, resident []residentRow) {
	unwanted := func(r row) bool { return !o.rows.MatchString(r.name) || r.full && !o.full }
	return slices.DeleteFunc(slices.Clone(nearRows), unwanted),
		slices.DeleteFunc(slices.Clone(farRows), unwanted),
		slices.DeleteFunc(slices.Clone(residentRows), func(r residentRow) bool { return !o.rows.MatchString(r.name) })
}

// ownFailures counts what could not be measured of others than peers.
func (b *bench) ownFailures() (n int) {
	for _, f := range b.failures {
		if !f.peer {
			n++
		}
	}
	return n
}

// report writes what could not be measured. What a peer cannot do is no error.
func (b *bench) report(out io.Writer) error {
	if len(b.failures) == 0 {
		return nil
	}
	say(out, "\n%d measurements failed:\n\n", len(b.failures))
	for _, f := range b.failures {
		say(out, "- %s, %s, round %d:\n\n      %s\n\n", f.row, f.side, f.round+1, strings.ReplaceAll(f.err.Error(), "\n", "\n      "))
	}
	if own := b.ownFailures(); own > 0 {
		return fmt.Errorf("%d measurements failed; the programs' logs are in %s", own, b.logs)
	}
	return nil
}
