package vfs_test

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"syscall"
	"testing"

	"objvol/fusefs/vfs"
	"objvol/objstore/memory"
)

// told is a notifier that remembers which pages the kernel was to drop.
type told struct {
	mu    sync.Mutex
	pages []string
}

func (*told) EntryChanged(vfs.Ino, string) {}
func (*told) InodeChanged(vfs.Ino)         {}

func (n *told) PagesChanged(_ vfs.Ino, off, length int64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.pages = append(n.pages, fmt.Sprint(off, "+", length))
}

func (n *told) take() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	all := n.pages
	n.pages = nil
	return all
}

// mediating is a volume with a kernel that takes files, but for those that are just created.
func mediating(t *testing.T) *volume {
	t.Helper()
	v, _ := passing(t, bucketOf(t, memory.Options{}), func(c *vfs.Config) { c.CreatedRoom = 0 })
	v.AllowPast()
	return v
}

// TestPast: who only writes to what is likely to become large does it past the kernel's pages.
func TestPast(t *testing.T) {
	v := mediating(t)
	for _, step := range []struct {
		name   string
		thread uint32
		flags  uint32
		size   int
		past   bool
	}{
		{"first", 1, syscall.O_WRONLY, passMin, true},
		{"after a large one", 1, syscall.O_WRONLY | syscall.O_APPEND, passMin - 1, true},
		{"after a small one", 1, syscall.O_WRONLY, 1, false},
		{"of another thread", 2, syscall.O_WRONLY, 1, true},
		{"that may be read", 3, syscall.O_RDWR, 1, false},
		{"each write synced", 4, syscall.O_WRONLY | syscall.O_DSYNC, 1, false},
		{"past them by itself", 5, syscall.O_WRONLY | syscall.O_DIRECT, 1, false},
	} {
		fh, r := v.create(step.name, step.thread, step.flags)
		if r.Direct != step.past || r.Backing != 0 {
			t.Errorf("%s: %+v", step.name, r)
		}
		_, err := v.Write(t.Context(), fh, 0, make([]byte, step.size))
		want(t, err)
		v.Release(fh)
	}
	for name, past := range map[string]bool{"first": true, "after a small one": false} {
		fh := handles.Add(2)
		r, err := v.Open(t.Context(), v.ino(name), syscall.O_WRONLY|syscall.O_TRUNC, fh)
		if want(t, err); r.Direct != past {
			t.Errorf("%s, truncated: %+v", name, r)
		}
		v.Release(fh)
	}
	off := open(t, bucketOf(t, memory.Options{}), t.TempDir(), func(*vfs.Config) {})
	off.AllowPast()
	if _, r := off.create("f", 1, syscall.O_WRONLY); r.Direct {
		t.Error("past pages that the next open would need")
	}
	old, _ := passing(t, bucketOf(t, memory.Options{}), func(c *vfs.Config) { c.CreatedRoom = 0 })
	if _, r := old.create("f", 1, syscall.O_WRONLY); r.Direct {
		t.Error("past pages for which the kernel does not wait")
	}
}

// TestPagesOfWhatIsWrittenPast: the kernel drops what others may have read meanwhile, and takes
// no size from us that may be ahead of its own.
func TestPagesOfWhatIsWrittenPast(t *testing.T) {
	v, n := mediating(t), new(told)
	v.SetNotifier(n)
	w, _ := v.create("f", 1, syscall.O_WRONLY)
	ino := v.ino("f")
	n.take()
	step := func(what string, do func() error, want ...string) {
		t.Helper()
		if err := do(); err != nil {
			t.Fatal(err)
		}
		if got := n.take(); !slices.Equal(got, want) {
			t.Errorf("%s: dropped %q, want %q", what, got, want)
		}
	}
	write := func(off int64) func() error {
		return func() error { _, err := v.Write(t.Context(), w, off, make([]byte, 100)); return err }
	}
	look := func() error { _, _, err := v.GetAttr(t.Context(), ino); return err }
	r := handles.Add(2)
	step("a write", write(0))
	step("a look", look, "-1+0")
	step("another's open", func() error { _, err := v.Open(t.Context(), ino, syscall.O_RDONLY, r); return err })
	step("a write beside it", write(50), "50+100")
	step("its close", func() error { v.Release(r); return nil })
	step("a write after it", write(150), "150+100") // its last read may be older than the write before
	step("the last close", func() error { v.Release(w); return nil })
	step("a look at the end", look)
}

// storing is a notifier whose kernel has a page to write when it is told to drop it.
type storing struct {
	told
	store func()
}

func (s *storing) PagesChanged(_ vfs.Ino, off, _ int64) {
	if off >= 0 {
		s.store()
	}
}

// TestStoreBesideWhatIsWrittenPast: a page that was stored into while a write went past it does
// not undo that.
func TestStoreBesideWhatIsWrittenPast(t *testing.T) {
	v := mediating(t)
	w, _ := v.create("f", 1, syscall.O_WRONLY)
	_, err := v.Write(t.Context(), w, 0, []byte("......"))
	want(t, err)
	m := handles.Add(2)
	_, err = v.Open(t.Context(), v.ino("f"), syscall.O_RDWR, m)
	want(t, err)
	stores := 0
	v.SetNotifier(&storing{store: func() {
		stores++
		_, err := v.Store(t.Context(), m, 0, []byte("s...s."))
		want(t, err)
	}})
	_, err = v.Write(t.Context(), w, 2, []byte("past"))
	want(t, err)
	got := make([]byte, 10)
	n, err := v.Read(t.Context(), m, 0, got)
	if want(t, err); string(got[:n]) != "s.past" || stores != 1 {
		t.Errorf("it holds %q after %d stores", got[:n], stores)
	}
	_, err = v.Store(t.Context(), m, 0, []byte("stored"))
	want(t, err)
	n, err = v.Read(t.Context(), m, 0, got)
	if want(t, err); string(got[:n]) != "stored" {
		t.Errorf("it holds %q after the write", got[:n])
	}
	v.Release(m)
	v.Release(w)
}

// TestStoreAfterACut: what a write has written and a truncation has cut off since does not come
// back in place of what is stored.
func TestStoreAfterACut(t *testing.T) {
	v := mediating(t)
	w, _ := v.create("f", 1, syscall.O_WRONLY)
	ino, m := v.ino("f"), handles.Add(2)
	_, err := v.Open(t.Context(), ino, syscall.O_RDWR, m)
	want(t, err)
	cut := int64(1)
	v.SetNotifier(&storing{store: func() {
		_, _, err := v.SetAttr(t.Context(), ino, vfs.SetAttr{Size: &cut}, root)
		want(t, err)
		_, err = v.Store(t.Context(), m, 0, []byte("st"))
		want(t, err)
	}})
	_, err = v.Write(t.Context(), w, 0, []byte("past"))
	want(t, err)
	got := make([]byte, 10)
	n, err := v.Read(t.Context(), m, 0, got)
	if want(t, err); string(got[:n]) != "pt" {
		t.Errorf("it holds %q", got[:n])
	}
	_, err = v.Store(t.Context(), m, 0, []byte("stored"))
	want(t, err)
	v.Release(m)
	v.Release(w)
}

// TestCapabilityOfWhatIsWrittenPast: the kernel leaves it to us then.
func TestCapabilityOfWhatIsWrittenPast(t *testing.T) {
	const capability = "security.capability"
	v := mediating(t)
	fh, _ := v.create("f", 1, syscall.O_WRONLY)
	want(t, v.SetXattr(t.Context(), v.ino("f"), capability, "x", 0, false))
	_, err := v.Write(t.Context(), fh, 0, []byte("y"))
	want(t, err)
	if _, err := v.GetXattr(t.Context(), v.ino("f"), capability); !errors.Is(err, vfs.ErrNoXattr) {
		t.Errorf("it has the capability still: %v", err)
	}
	v.Release(fh)
}
