package writeback_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"objvol/fusefs/layout"
	"objvol/fusefs/vfs"
	"objvol/objstore"
	"objvol/objstore/memory"
)

// smallPart is the size of parts in tests of what is otherwise done to large files, in bytes.
const smallPart = 64

// inSmallParts lets a volume send whatever is larger than two parts in parts.
func inSmallParts(c *vfs.Config) { c.PartSize = smallPart }

// confirmed is a bucket that remembers the uploads of which it was told: nobody can end one
// whose beginning was not answered.
type confirmed struct {
	*memory.Bucket
	mu  sync.Mutex // protects ids
	ids []string
}

func (c *confirmed) CreateUpload(ctx context.Context, key string, attrs objstore.Attributes) (string, error) {
	id, err := c.Bucket.CreateUpload(ctx, key, attrs)
	if err == nil {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.ids = append(c.ids, id)
	}
	return id, err
}

// left returns how many uploads nobody has ended.
func (c *confirmed) left() (n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, id := range c.ids {
		if c.HasUpload(id) {
			n++
		}
	}
	return n
}

// scribe plays a program on the bytes of a few large files, and on a model of them.
type scribe struct {
	*player
	store   *confirmed
	files   map[string][]byte
	handles map[string]uint64 // files that stay open
}

// scribble runs a program.
func scribble(t *testing.T, program []byte) {
	t.Helper()
	s := &scribe{player: &player{rest: program}, files: map[string][]byte{}, handles: map[string]uint64{}}
	var without objstore.Capabilities
	kind := s.draw(8)
	without.CopyPart = kind == 7
	without.SetAttributes = kind == 6
	without.ConditionalDelete = kind&1 != 0
	s.bucket = memory.New(memory.Options{Without: without, ContentETags: s.draw(2) == 0, MinPartSize: smallPart / 3})
	keep := int64(1 << 30)
	if s.draw(3) == 0 {
		keep = 100 // what is clean goes
	}
	oneBoot := s.draw(2) == 0 // a crash is the process's alone
	s.store = &confirmed{Bucket: s.bucket}
	bubble(t, s.store, func(v *volume) {
		s.v = v
		v.names("")
		for len(s.rest) > 0 && !t.Failed() {
			s.step()
		}
		s.closeAll()
		s.calm()
		v.drain()
		time.Sleep(time.Minute) // leftovers that could not be looked for are looked for again
		v.drain()
		s.compare()
		v.close()
		v.open() // after another boot nothing clean is left on this host
		s.compare()
		if t.Failed() {
			t.Logf("store %03b\n%s", kind, strings.Join(s.log, "\n"))
		}
	}, inSmallParts, func(c *vfs.Config) {
		c.CacheSize = keep
		if oneBoot {
			c.BootID = "one"
		}
	})
}

// file returns an open file.
func (s *scribe) file(name string) (fh uint64, done func()) {
	time.Sleep(time.Millisecond) // no two content files of one moment
	if fh, ok := s.handles[name]; ok {
		return fh, func() {}
	}
	fh = s.v.openFile(name, 0)
	if s.draw(2) == 0 {
		s.handles[name] = fh
		return fh, func() {}
	}
	return fh, func() {
		err := s.v.Flush(s.v.t.Context(), fh)
		if err != nil && len(s.heal) == 0 {
			s.v.t.Errorf("close of %s: %v", name, err)
		}
		s.v.Release(fh)
	}
}

func (s *scribe) closeAll() {
	for name, fh := range s.handles {
		s.v.Release(fh)
		delete(s.handles, name)
	}
}

func (s *scribe) step() {
	name := []string{"a", "b", "c"}[s.draw(3)]
	_, exists := s.files[name]
	switch op := s.draw(20); {
	case op < 6:
		s.writeAt(name, s.draw(16)*97, 1+s.draw(40))
	case op < 9:
		s.run(name)
	case op == 9 && exists:
		s.resize(name, s.draw(16)*97)
	case op == 10 && exists:
		s.clear(name)
	case op == 11 && exists:
		s.copyRange(name)
	case op == 12 && exists:
		s.renameOver(name, []string{"a", "b", "c"}[s.draw(3)])
	case op == 13 && exists:
		s.note("unlink %s", name)
		s.closeOne(name)
		s.v.unlink(name)
		delete(s.files, name)
	case op == 14:
		s.closeAll()
		s.crash()
	case op == 15:
		s.fault()
	case op == 16 && exists && len(s.heal) == 0:
		s.note("fsync %s", name)
		if err := s.v.fsync(name); err != nil && !errors.Is(err, objstore.ErrUnavailable) {
			s.v.t.Errorf("fsync: %v", err)
		}
	case op == 17 && exists && s.draw(2) == 0:
		mode := uint32(0o600 + s.draw(64))
		s.note("chmod %s %o", name, mode)
		s.v.chmod(name, mode)
	case op == 17:
		s.closeOne(name)
	default:
		pause := time.Duration(s.draw(256)) * 40 * time.Millisecond
		s.note("pause %v", pause)
		time.Sleep(pause)
	}
}

func (s *scribe) closeOne(name string) {
	if fh, ok := s.handles[name]; ok {
		s.note("close %s", name)
		_ = s.v.Flush(s.v.t.Context(), fh) // a fault may have been before
		s.v.Release(fh)
		delete(s.handles, name)
	}
}

// text is what one write writes.
func (s *scribe) text(n int) []byte {
	s.serial++
	return bytes.Repeat(fmt.Appendf(nil, "%d.", s.serial), n)[:n]
}

func (s *scribe) writeAt(name string, off, n int) {
	data := s.text(n)
	s.note("write %s: %d at %d", name, n, off)
	fh, done := s.file(name)
	defer done()
	_, err := s.v.Write(s.v.t.Context(), fh, int64(off), data)
	s.v.must(err)
	s.files[name] = overlay(s.files[name], off, data)
}

// overlay writes into a content, which grows.
func overlay(content []byte, off int, data []byte) []byte {
	all := make([]byte, max(len(content), off+len(data)))
	copy(all, content)
	copy(all[off:], data)
	return all
}

// run writes in sequence, from the end or from the start.
func (s *scribe) run(name string) {
	off := 0
	if s.draw(3) > 0 {
		off = len(s.files[name])
	} else if _, exists := s.files[name]; exists && s.draw(3) > 0 {
		s.resize(name, 0)
	}
	if off > 8<<10 {
		return
	}
	step, times := 1+s.draw(3*smallPart), 1+s.draw(24)
	pause := time.Duration(s.draw(3)) * 30 * time.Millisecond
	s.note("write %s: %d times %d from %d on, pausing %v", name, times, step, off, pause)
	fh, done := s.file(name)
	defer done()
	for range times {
		time.Sleep(time.Millisecond)
		data := s.text(step)
		_, err := s.v.Write(s.v.t.Context(), fh, int64(off), data)
		s.v.must(err)
		s.files[name] = overlay(s.files[name], off, data)
		off += step
		time.Sleep(pause)
	}
}

func (s *scribe) resize(name string, size int) {
	s.note("truncate %s to %d", name, size)
	a, err := s.v.stat(name)
	s.v.must(err)
	to := int64(size)
	_, _, err = s.v.SetAttr(s.v.t.Context(), a.Ino, vfs.SetAttr{Size: &to}, vfs.Caller{})
	s.v.must(err)
	s.files[name] = append([]byte{}, overlay(s.files[name], size, nil)[:size]...)
}

func (s *scribe) clear(name string) {
	off, n := s.draw(16)*61, 1+s.draw(200)
	s.note("punch %s: %d at %d", name, n, off)
	fh, done := s.file(name)
	defer done()
	s.v.must(s.v.Fallocate(s.v.t.Context(), fh, int64(off), int64(n), vfs.FallocPunchHole|vfs.FallocKeepSize))
	content := overlay(s.files[name], 0, nil)
	if off < len(content) {
		clear(content[off:min(len(content), off+n)])
	}
	s.files[name] = content
}

func (s *scribe) copyRange(from string) {
	to := []string{"a", "b", "c"}[s.draw(3)]
	off, at, n := s.draw(16)*50, s.draw(16)*50, 1+s.draw(256)
	if from == to || off >= len(s.files[from]) || len(s.heal) > 0 {
		return
	}
	s.note("copy %d of %s from %d to %d of %s", n, from, off, at, to)
	src, done := s.file(from)
	defer done()
	dst, doneToo := s.file(to)
	defer doneToo()
	n = min(n, len(s.files[from])-off)
	copied, err := s.v.CopyRange(s.v.t.Context(), vfs.Copy{From: src, To: dst, Off: int64(off), At: int64(at), N: int64(n)})
	s.v.must(err)
	if copied != n {
		s.v.t.Errorf("%d of %d bytes were copied", copied, n)
	}
	s.files[to] = overlay(s.files[to], at, s.files[from][off:off+n])
}

func (s *scribe) renameOver(from, to string) {
	if from == to {
		return
	}
	s.note("rename %s %s", from, to)
	s.closeOne(from)
	s.closeOne(to)
	s.v.rename(from, to)
	s.files[to] = s.files[from]
	delete(s.files, from)
}

// compare compares the files with the bucket and with what programs read.
func (s *scribe) compare() {
	t := s.v.t
	t.Helper()
	objects := s.bucket.Snapshot()
	for name, content := range s.files {
		if got, ok := objects["v/"+name]; !ok || !bytes.Equal(got.Data, content) {
			t.Errorf("the object of %s holds (there: %t)\n%q, not\n%q", name, ok, got.Data, content)
		}
		attr, _, _ := layout.Decode(objects["v/"+name].Object, false, layout.Defaults{})
		if a, err := s.v.stat(name); err != nil || attr.Mode != a.Mode || !attr.Mtime.Equal(a.Mtime) {
			t.Errorf("the object of %s has mode %o and time %v, the file %o and %v, error %v", name, attr.Mode, attr.Mtime, a.Mode, a.Mtime, err)
		}
		if got := s.v.read(name); got != string(content) {
			t.Errorf("%s reads\n%q, not\n%q", name, got, content)
		}
	}
	delete(objects, "v/")
	if len(objects) != len(s.files) {
		t.Errorf("the bucket has %d objects, %d files are there", len(objects), len(s.files))
	}
	if n := s.store.left(); n > 0 {
		t.Errorf("%d unfinished uploads are left", n)
	}
	if state := s.v.State(); state.LastError != nil || state.Conflicts != 0 {
		t.Errorf("after all was sent: %d conflicts, error %v", state.Conflicts, state.LastError)
	}
}

// TestRandomParts plays random programs on files that are sent in parts (hard-cases 6, 7, 22).
func TestRandomParts(t *testing.T) {
	for seed := range uint64(80) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			scribble(t, randomProgram(seed, 22, 300))
		})
	}
}

// FuzzParts searches for a program that loses something.
func FuzzParts(f *testing.F) {
	f.Add([]byte("\x00\x01"))
	f.Fuzz(func(t *testing.T, program []byte) {
		scribble(t, program[:min(len(program), 500)])
	})
}
