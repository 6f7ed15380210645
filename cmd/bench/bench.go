package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/minio/minio-go/v7"
)

// bench is a run of some rows.
type bench struct {
	dir         string // of everything: data of the server, files, states, mounts
	logs        string // the directory of what the programs say
	server      server
	client      client // of the server, with nothing in between
	sizes       sizes
	rounds      int
	end         time.Time     // nothing begins after it; zero is no such time
	rows, done  int           // all rows, and those that the first round has behind it
	own         time.Duration // that all sides but the peers took in the first round
	filesystems []filesystem  // the first is objvol
	progress    io.Writer

	made     map[string]bool // fixtures
	places   int             // directories and prefixes that were given out
	failures []failure
}

// failure is a measurement that could not be made.
type failure struct {
	row, side string
	round     int
	peer      bool
	err       error
}

// The names of the sides that are no filesystems.
const (
	localName    = "local"
	clientName   = "client"
	bestName     = "best" // what a client does that nothing holds to the program's order
	floorName    = "fuse"
	togetherName = "together" // the floor and the best client at once
)

// prepare makes the bucket and what the works take.
func (b *bench) prepare(ctx context.Context) error {
	b.made = map[string]bool{}
	for _, name := range []string{"local", "fixtures", "state", "mnt", "source"} {
		if err := os.Mkdir(filepath.Join(b.dir, name), 0o755); err != nil {
			return err
		}
	}
	if err := b.client.core.MakeBucket(ctx, benchBucket, minio.MakeBucketOptions{}); err != nil {
		return err
	}
	return writeArchive(b.archive(), b.source(), b.sizes.Archive)
}

func (b *bench) archive() string { return filepath.Join(b.dir, "files.tar") }
func (b *bench) source() string  { return filepath.Join(b.dir, "source") }

func (b *bench) store() store { return storeAt(b.server, b.server.Endpoint) }

// storeAt is the bucket of a server that is reached by an endpoint.
func storeAt(s server, endpoint string) store {
	return store{Endpoint: endpoint, Bucket: benchBucket, AccessKey: s.AccessKey, SecretKey: s.SecretKey}
}

// tables are what was measured so far.
type tables struct {
	near, far []result
	resident  []residentResult
}

// run measures rows round by round, all sides of a row in turn, until there is no time
// for another row. far is where the rows of the second table reach the server.
func (b *bench) run(ctx context.Context, near, farRows []row, resident []residentRow, far string) tables {
	var t tables
	for _, r := range near {
		t.near = append(t.near, newResult(r))
	}
	for _, r := range farRows {
		t.far = append(t.far, newResult(r))
	}
	b.rows = len(t.near) + len(t.far)
	if b.timeLeft(ctx) {
		t.resident = b.runResident(ctx, resident)
	}
	for round := range b.rounds {
		for i := range t.near {
			b.measureRow(ctx, &t.near[i], round, b.server.Endpoint)
		}
		for i := range t.far {
			b.measureRow(ctx, &t.far[i], round, far)
		}
	}
	return t
}

// timeLeft reports whether something may still begin.
func (b *bench) timeLeft(ctx context.Context) bool {
	return ctx.Err() == nil && (b.end.IsZero() || time.Now().Before(b.end))
}

// timeForPeer reports whether all that comes in the first round can have its time still, as
// far as can be told, if a peer does a phase now.
func (b *bench) timeForPeer() bool {
	left := b.own / time.Duration(b.done+1) * time.Duration(b.rows-b.done-1)
	return b.end.IsZero() || time.Now().Add(peerLimit+left).Before(b.end)
}

// measureRow does one round of a row. endpoint is where the sides reach the server.
func (b *bench) measureRow(ctx context.Context, res *result, round int, endpoint string) {
	if !b.timeLeft(ctx) {
		return
	}
	for _, side := range b.sides(round) {
		peer := b.isPeer(side)
		stored := side == clientName || side == togetherName
		if _, slow := res.slow[side]; slow || stored && !res.row.forClient() || peer && res.row.options != nil {
			continue
		}
		if peer && !b.timeForPeer() {
			res.slow[side] = -1
			continue
		}
		begun := time.Now()
		err := b.measureSide(ctx, res, side, peer, endpoint)
		if ctx.Err() != nil {
			return
		}
		said := "ok"
		if _, slow := res.slow[side]; slow {
			said = "slow"
		}
		if err != nil {
			b.failures = append(b.failures, failure{res.row.name, side, round, peer, err})
			res.fail(side)
			said = err.Error()
		}
		if round == 0 && !peer {
			b.own += time.Since(begun)
		}
		say(b.progress, "%s: round %d of %d: %s: %.1f s: %s\n", res.row.name, round+1, b.rounds, side, time.Since(begun).Seconds(), said)
	}
	b.done++
}

// measureSide does one round of a row on a side. That a peer is slow is no error: it is
// noted, and the peer does the row no more.
func (b *bench) measureSide(ctx context.Context, res *result, side string, peer bool, endpoint string) error {
	if err := b.fixture(ctx, res.row); err != nil {
		return err
	}
	if !peer {
		return b.measure(ctx, res, side, endpoint)
	}
	limited, cancel := context.WithTimeout(ctx, rowLimit)
	defer cancel()
	err := b.measure(limited, res, side, endpoint)
	if limited.Err() == nil && !errors.Is(err, errSlow) {
		return err
	}
	if _, known := res.slow[side]; !known {
		res.slow[side] = -1
	}
	return nil
}

// sides are in another order each round, but for the local directory, whose files tell
// what the bucket of the others should have. The peers are in the first round alone, where
// time is short.
func (b *bench) sides(round int) []string {
	names := []string{clientName, floorName, togetherName}
	for i, fs := range b.filesystems {
		if i == 0 || round == 0 || b.end.IsZero() {
			names = append(names, fs.name)
		}
	}
	turn := round % len(names)
	return slices.Concat([]string{localName}, names[turn:], names[:turn])
}

// isPeer reports whether a side is another program's.
func (b *bench) isPeer(side string) bool {
	return slices.ContainsFunc(b.filesystems[1:], func(fs filesystem) bool { return fs.name == side })
}

// fixture makes what a row finds, once in the bucket and once in a local directory.
func (b *bench) fixture(ctx context.Context, r row) error {
	if r.fixture == "" || b.made[r.fixture] {
		return nil
	}
	dir := b.fixtureDir(r)
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	b.made[r.fixture] = true
	if _, err := b.job(r.fixture, dir).run(ctx); err != nil {
		return err
	}
	j := b.job("client "+r.fixture, b.fixturePrefix(r)+"/")
	j.Store = b.store()
	_, err := j.run(ctx)
	return err
}

func (b *bench) fixtureDir(r row) string {
	return filepath.Join(b.dir, "fixtures", strings.ReplaceAll(r.fixture, " ", "-"))
}

func (b *bench) fixturePrefix(r row) string {
	return "fixtures/" + strings.ReplaceAll(r.fixture, " ", "-")
}

func (b *bench) job(work, dir string) job {
	return job{Work: work, Dir: dir, Threads: 1, Sizes: b.sizes, Archive: b.archive(), Local: b.source(), limit: ownLimit}
}

// place returns a name that was not used yet.
func (b *bench) place(side string) string {
	b.places++
	return fmt.Sprintf("%s-%d", side, b.places)
}

// measure does all phases of a row once on one side.
func (b *bench) measure(ctx context.Context, res *result, side, endpoint string) error {
	switch side {
	case localName:
		return b.measureLocal(ctx, res)
	case clientName:
		return b.measureClient(ctx, res, endpoint)
	case floorName:
		return b.measureFloor(ctx, res)
	case togetherName:
		return b.measureTogether(ctx, res, endpoint)
	}
	i := slices.IndexFunc(b.filesystems, func(fs filesystem) bool { return fs.name == side })
	return b.measureVolume(ctx, res, b.filesystems[i], endpoint)
}

// localDir is the local directory of a row: its fixture's, or a new one that remove removes.
func (b *bench) localDir(r row) (dir string, remove func() error, err error) {
	if r.fixture != "" {
		return b.fixtureDir(r), func() error { return nil }, nil
	}
	return b.newLocalDir(localName)
}

func (b *bench) newLocalDir(side string) (dir string, remove func() error, err error) {
	dir = filepath.Join(b.dir, "local", b.place(side))
	return dir, func() error { return os.RemoveAll(dir) }, os.Mkdir(dir, 0o755)
}

func (b *bench) measureLocal(ctx context.Context, res *result) (err error) {
	dir, remove, err := b.localDir(res.row)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, remove()) }()
	for i, p := range res.row.phases {
		if err := b.settle(p); err != nil {
			return err
		}
		if p.cold || p.drop {
			if err := forget(dir); err != nil {
				return err
			}
		}
		m, _, err := b.metered(ctx, nil, b.phaseJob(p, dir))
		if err != nil {
			return err
		}
		if p.await && !p.walk {
			if res.want[i], err = readManifest(dir); err != nil {
				return err
			}
		}
		res.add(i, localName, m)
	}
	return nil
}

func (b *bench) phaseJob(p phase, dir string) job {
	j := b.job(p.work, dir)
	j.Threads = max(1, p.threads)
	return j
}

// clear removes what a side has left in the bucket, whatever became of the bench.
func (b *bench) clear(prefix string) error {
	ctx, cancel := context.WithTimeout(context.Background(), ownLimit)
	defer cancel()
	return b.client.clear(ctx, prefix)
}

// settle waits until the disk has everything: what one side leaves in memory to be
// written is no burden of the next. Nor is the memory that it has freed.
func (b *bench) settle(p phase) error { return errors.Join(syncDisk(b.dir), touch(b.sizes.ready(p))) }

// syncDisk returns when the disk of a directory has everything.
func syncDisk(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(unix.Syncfs(int(f.Fd())), f.Close())
}
