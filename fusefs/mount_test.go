package fusefs_test

import (
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"

	"objvol/fusefs"
	"objvol/fusefs/mounttest"
	"objvol/fusefs/vfs"
	"objvol/objstore/memory"
)

// mounted mounts fs for a test, and unmounts it and waits for its end afterwards.
func mounted(t *testing.T, fs *vfs.FS, opts fusefs.Options) *fusefs.Session {
	t.Helper()
	opts.Dir = mounttest.Dir(t)
	opts.FSName = "objvol:test"
	s, err := fusefs.Mount(fs, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Unmount(); err != nil {
			t.Error(err)
		}
		<-s.Done()
	})
	return s
}

func TestOperations(t *testing.T) {
	for _, name := range slices.Sorted(maps.Keys(operations)) {
		t.Run(name, func(t *testing.T) {
			s := mounted(t, volume(t), fusefs.Options{})
			mounttest.Run(t, s.Dir(), name)
		})
	}
}

func TestAppendFromManyProcesses(t *testing.T) {
	s := mounted(t, volume(t), fusefs.Options{})
	together(t, s.Dir(), "append lines", appenders)
	mounttest.Run(t, s.Dir(), "append: check")
}

func TestExclusiveCreateByManyProcesses(t *testing.T) {
	s := mounted(t, volume(t), fusefs.Options{})
	together(t, s.Dir(), "exclusive", 6)
	mounttest.Run(t, s.Dir(), "exclusive: check")
}

func TestManyProcesses(t *testing.T) {
	s := mounted(t, volume(t), fusefs.Options{})
	together(t, s.Dir(), "busy", 8)
	mounttest.Run(t, s.Dir(), "busy: check")
}

// together runs a case in several children at once.
func together(t *testing.T, dir, name string, count int) {
	t.Helper()
	var waits []func()
	for range count {
		waits = append(waits, mounttest.Start(t, dir, name, 0))
	}
	for _, wait := range waits {
		wait()
	}
}

func TestPermissionsOfAnotherUser(t *testing.T) {
	s := mounted(t, volume(t), fusefs.Options{})
	mounttest.Run(t, s.Dir(), "permissions: prepare")
	mounttest.RunAs(t, s.Dir(), "permissions: other", other)
}

func TestSetuidIsDroppedByOthersChanges(t *testing.T) {
	s := mounted(t, volume(t), fusefs.Options{})
	mounttest.Run(t, s.Dir(), "setuid: prepare")
	mounttest.RunAs(t, s.Dir(), "setuid: other", other)
	mounttest.Run(t, s.Dir(), "setuid: check dropped")
}

func TestReadOnly(t *testing.T) {
	s := mounted(t, volume(t), fusefs.Options{ReadOnly: true})
	mounttest.Run(t, s.Dir(), "read-only")
}

func TestAReadThatWaitsIsInterrupted(t *testing.T) {
	s := mounted(t, blocked(t), fusefs.Options{})
	mounttest.Run(t, s.Dir(), "interrupt")
}

// No signal but one that ends the program interrupts a lookup or a listing.
func TestALookupIsNotInterrupted(t *testing.T) {
	s := mounted(t, volumeOn(t, sleepy{memory.New(memory.Options{}), 500 * time.Millisecond}), fusefs.Options{})
	mounttest.Run(t, s.Dir(), "stat with signals")
	never := mounted(t, volumeOn(t, sleepy{memory.New(memory.Options{}), time.Hour}), fusefs.Options{})
	mounttest.Run(t, never.Dir(), "end a list")
}

func TestReadsThatWaitStarveNobody(t *testing.T) {
	s := mounted(t, blocked(t), fusefs.Options{})
	mounttest.Run(t, s.Dir(), "starve")
}

// The kernel interrupts nothing that it reads ahead, not even at the end of the mount,
// for which the cleanup waits.
func TestUnmountEndsReadsThatWait(t *testing.T) {
	s := mounted(t, blocked(t), fusefs.Options{})
	mounttest.Run(t, s.Dir(), "leave a read")
}

func TestMountsTable(t *testing.T) {
	s := mounted(t, volume(t), fusefs.Options{})
	all, err := os.ReadFile("/proc/mounts")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(all)) {
		fields := strings.Fields(line)
		if fields[1] != s.Dir() {
			continue
		}
		flags := strings.Split(fields[3], ",")
		if fields[0] != "objvol:test" || fields[2] != "fuse.objvol" || !slices.Contains(flags, "nodev") || slices.Contains(flags, "nosuid") {
			t.Error(line)
		}
		return
	}
	t.Error("not in the table")
}

func TestUnmountServesOnWhileANamespaceHasTheMount(t *testing.T) {
	s := mounted(t, volume(t), fusefs.Options{})
	wait := mounttest.Start(t, s.Dir(), "namespace: hold", 0)
	await(s.Dir(), "ready")
	if err := s.Unmount(); err != nil {
		t.Fatal(err)
	}
	if mounttest.Mounted(t, s.Dir()) {
		t.Error("the directory still shows the mount")
	}
	if err := s.Verify(t.Context()); err == nil {
		t.Error("Verify found a mount that is not there")
	}
	select {
	case <-s.Done():
		t.Error("the connection ended while it was in use")
	default:
	}
	if err := mark(s.Dir(), "unmounted"); err != nil {
		t.Fatal(err)
	}
	wait()
	<-s.Done()
	if err := s.Unmount(); err != nil {
		t.Errorf("a second Unmount: %v", err)
	}
}

func TestAbort(t *testing.T) {
	s := mounted(t, volume(t), fusefs.Options{})
	wait := mounttest.Start(t, s.Dir(), "abort: hold", 0)
	await(s.Dir(), "ready")
	if err := s.Abort(t.Context()); err != nil {
		t.Fatal(err)
	}
	<-s.Done()
	if err := s.Verify(t.Context()); err == nil {
		t.Error("Verify found a connection that was aborted")
	}
	if err := mark(s.Dir(), "aborted"); err != nil {
		t.Fatal(err)
	}
	wait()
}

func TestMountReplacesADeadMount(t *testing.T) {
	dead := mounted(t, volume(t), fusefs.Options{})
	if err := dead.Abort(t.Context()); err != nil {
		t.Fatal(err)
	}
	s, err := fusefs.Mount(volume(t), fusefs.Options{Dir: dead.Dir(), FSName: "objvol:test"})
	if err != nil {
		t.Fatal(err)
	}
	mounttest.Run(t, s.Dir(), "contents")
	if err := dead.Unmount(); err != nil {
		t.Error(err)
	}
	if err := s.Verify(t.Context()); err != nil {
		t.Errorf("unmounting the dead took the living: %v", err)
	}
	if err := s.Unmount(); err != nil {
		t.Error(err)
	}
	<-s.Done()
}

func TestMountRefusesWhatIsNoDirectory(t *testing.T) {
	dir := mounttest.Dir(t)
	if err := mark(dir, "file"); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{dir + ".file", dir + ".absent"} {
		if _, err := fusefs.Mount(volume(t), fusefs.Options{Dir: path}); err == nil {
			t.Errorf("mounted on %s", path)
		}
	}
}

func TestNotifications(t *testing.T) {
	counts := newCounter()
	s := mounted(t, volume(t), fusefs.Options{Observer: counts})
	wait := mounttest.Start(t, s.Dir(), "nested mount", 0)
	await(s.Dir(), "ready")
	n := fusefs.NotifierOf(s)
	lookups := counts.get("lookup")
	n.EntryChanged(vfs.Root, "inner")
	n.EntryChanged(vfs.Root, "unknown to the kernel")
	n.InodeChanged(vfs.Root)
	n.InodeChanged(123456789)
	if err := mark(s.Dir(), "notified"); err != nil {
		t.Fatal(err)
	}
	wait()
	if counts.get("lookup") == lookups {
		t.Error("the kernel did not ask for the name that expired")
	}
}

func TestObserver(t *testing.T) {
	counts := newCounter()
	fs, _ := volumeIn(t, memory.New(memory.Options{}), t.TempDir(), func(c *vfs.Config) { c.PassthroughMin = 0 })
	s := mounted(t, fs, fusefs.Options{Observer: counts})
	mounttest.Run(t, s.Dir(), "contents")
	for _, op := range []string{"create", "open", "read", "write", "flush"} {
		if counts.get(op) == 0 {
			t.Errorf("no %s was seen", op)
		}
	}
	if got := counts.bytesOf("write"); got != 4 {
		t.Errorf("%d bytes were written, want 4", got)
	}
}

// TestPagesOutliveOwnWrites: what a program wrote, or read, is read from the kernel's pages
// after it wrote elsewhere in the file.
func TestPagesOutliveOwnWrites(t *testing.T) {
	counts := newCounter()
	s := mounted(t, volume(t), fusefs.Options{Observer: counts})
	mounttest.Run(t, s.Dir(), "write and read")
	if n := counts.get("read"); n > 0 {
		t.Errorf("%d reads of what was in the kernel's pages", n)
	}
	if counts.get("write") == 0 {
		t.Error("nothing was written")
	}
}

// counter counts operations and their bytes.
type counter struct {
	mu    sync.Mutex // protects what follows
	of    map[string]int
	bytes map[string]int
}

func newCounter() *counter { return &counter{of: map[string]int{}, bytes: map[string]int{}} }

func (c *counter) Operation(op string, _ time.Duration, bytes int, _ bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.of[op]++
	c.bytes[op] += bytes
}

func (c *counter) get(op string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.of[op]
}

func (c *counter) bytesOf(op string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.bytes[op]
}

func TestWhatIsAgreedWithTheKernel(t *testing.T) {
	s := mounted(t, volume(t), fusefs.Options{})
	request, reply := s.Init()
	offered, agreed := fusefs.InitFlags(request, reply)
	for name, flag := range map[string]uint64{
		"ATOMIC_O_TRUNC": fuse.CAP_ATOMIC_O_TRUNC, "HANDLE_KILLPRIV_V2": fuse.CAP_HANDLE_KILLPRIV_V2,
		"PARALLEL_DIROPS": fuse.CAP_PARALLEL_DIROPS, "READDIRPLUS": fuse.CAP_READDIRPLUS, "MAX_PAGES": fuse.CAP_MAX_PAGES,
		"POSIX_ACL": fuse.CAP_POSIX_ACL, "DONT_MASK": fuse.CAP_DONT_MASK, "SETXATTR_EXT": fuse.CAP_SETXATTR_EXT,
		"PASSTHROUGH": fuse.CAP_PASSTHROUGH,
	} {
		if offered&flag != 0 && agreed&flag == 0 {
			t.Errorf("%s is not used", name)
		}
	}
	for name, flag := range map[string]uint64{
		"WRITEBACK_CACHE": fuse.CAP_WRITEBACK_CACHE,
		"POSIX_LOCKS":     fuse.CAP_POSIX_LOCKS, "FLOCK_LOCKS": fuse.CAP_FLOCK_LOCKS, "ASYNC_DIO": fuse.CAP_ASYNC_DIO,
	} {
		if agreed&flag != 0 {
			t.Errorf("%s is used", name)
		}
	}
}

func TestAccessControlListsAreEnforced(t *testing.T) {
	s := mounted(t, volume(t), fusefs.Options{})
	mounttest.Run(t, s.Dir(), "acl: prepare")
	mounttest.RunAs(t, s.Dir(), "acl: other", other)
}

// The kernel asks whether there are privileges to drop before the first write to a file,
// and then no more.
func TestWritesDoNotAskForXattrs(t *testing.T) {
	counts := newCounter()
	s := mounted(t, volume(t), fusefs.Options{Observer: counts})
	mounttest.Run(t, s.Dir(), "write 4 KiB pieces")
	if written, xattrs := counts.get("write"), counts.get("getxattr"); written < pieces || xattrs > 5 {
		t.Errorf("%d writes came with %d requests for an extended attribute", written, xattrs)
	}
}
