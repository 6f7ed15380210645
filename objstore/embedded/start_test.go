//go:build !noembedded

package embedded_test

import (
	"errors"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"objvol/objstore"
	"objvol/objstore/embedded"
)

func mode(t *testing.T, path string) fs.FileMode {
	t.Helper()
	fi, err := os.Lstat(path)
	if err != nil {
		t.Fatal(err)
	}
	return fi.Mode()
}

func TestNobodyElseCanReachTheStore(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state", "s3")
	s := start(t, embedded.Options{Dir: dir})
	if _, err := open(t, s).Put(t.Context(), "a/b", objstore.Bytes("x"), objstore.PutOptions{}); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]fs.FileMode{
		dir:                                      fs.ModeDir | 0o700,
		s.Socket():                               fs.ModeSocket | 0o600,
		filepath.Join(dir, "credentials.json"):   0o600,
		filepath.Join(dir, "objects"):            fs.ModeDir | 0o700,
		filepath.Join(dir, "objects", "volumes"): fs.ModeDir | 0o700,
		filepath.Join(dir, "objects", "volumes/a"):      fs.ModeDir | 0o700,
		filepath.Join(dir, "objects", "volumes/a", "b"): 0o600,
	} {
		if have := mode(t, path); have != want {
			t.Errorf("%s has mode %v instead of %v", path, have, want)
		}
	}
	r := newRaw(t, s, 1)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, embedded.Endpoint+"/volumes/a/b", nil)
	if err != nil {
		t.Fatal(err)
	}
	if status, answer, err := r.do(req); err != nil || status != http.StatusForbidden {
		t.Errorf("a request without a signature: status %d, %v: %s", status, err, answer)
	}
}

// What the server knows is still there when it is started again, over what a crash has
// left of the first one.
func TestStartAgain(t *testing.T) {
	dir := t.TempDir()
	first, err := embedded.Start(t.Context(), embedded.Options{Dir: dir, Log: logger(t)})
	if err != nil {
		t.Fatal(err)
	}
	access, secret := first.AccessKey(), first.SecretKey()
	b := open(t, first)
	if _, err := b.Put(t.Context(), "a", objstore.Bytes("content"), objstore.PutOptions{}); err != nil {
		t.Fatal(err)
	}
	upload, err := b.CreateUpload(t.Context(), "b", objstore.Attributes{})
	if err != nil {
		t.Fatal(err)
	}
	part, err := b.UploadPart(t.Context(), "b", upload, 1, objstore.Bytes("part"))
	if err != nil {
		t.Fatal(err)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Lstat(first.Socket()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the socket after Close: %v", err)
	}

	l, err := net.Listen("unix", first.Socket())
	if err != nil {
		t.Fatal(err)
	}
	l.(*net.UnixListener).SetUnlinkOnClose(false)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	tmp := filepath.Join(dir, "objects", "volumes", ".sgwtmp")
	left := []string{filepath.Join(tmp, "body.123"), filepath.Join(tmp, "multipart", "aa", "part.123"), filepath.Join(tmp, "multipart", "aa", "id.etag-1.inprogress", "1")}
	for _, path := range left {
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte("x"), 0o600)); err != nil {
			t.Fatal(err)
		}
	}

	second := start(t, embedded.Options{Dir: dir})
	if second.AccessKey() != access || second.SecretKey() != secret {
		t.Error("the credentials have changed")
	}
	b = open(t, second)
	if o, err := b.Head(t.Context(), "a"); err != nil || o.Size != 7 {
		t.Errorf("Head answers %+v, %v", o, err)
	}
	if _, err := b.CompleteUpload(t.Context(), "b", upload, []objstore.Part{part}, objstore.Condition{}); err != nil {
		t.Errorf("the upload did not survive: %v", err)
	}
	for _, path := range left {
		if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s was left: %v", path, err)
		}
	}
}

func TestEveryStoreHasItsOwnCredentials(t *testing.T) {
	seen := map[string]bool{}
	for range 3 {
		s, err := embedded.Start(t.Context(), embedded.Options{Dir: t.TempDir(), Log: logger(t)})
		if err != nil {
			t.Fatal(err)
		}
		if len(s.AccessKey()) != 20 || len(s.SecretKey()) != 40 {
			t.Errorf("keys of %d and %d characters", len(s.AccessKey()), len(s.SecretKey()))
		}
		if seen[s.AccessKey()] || seen[s.SecretKey()] {
			t.Error("a key was given twice")
		}
		seen[s.AccessKey()], seen[s.SecretKey()] = true, true
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestStartErrors(t *testing.T) {
	broken := func(content string) string {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "credentials.json"), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return dir
	}
	// A folder of a file system that keeps no user xattrs.
	bare := t.TempDir()
	if err := os.Symlink("/proc/self/fdinfo", filepath.Join(bare, "objects")); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		opts embedded.Options
		want string
	}{
		"long path":         {embedded.Options{Dir: filepath.Join(t.TempDir(), strings.Repeat("x", 100))}, "at most 107 bytes"},
		"broken keys":       {embedded.Options{Dir: broken("{")}, "remove the file"},
		"empty keys":        {embedded.Options{Dir: broken(`{"accessKey":"a"}`)}, "remove the file"},
		"no xattrs":         {embedded.Options{Dir: bare}, "keeps no user xattrs"},
		"listen on nothing": {embedded.Options{Dir: t.TempDir(), Listen: "socket"}, "listen"},
		"listen elsewhere":  {embedded.Options{Dir: t.TempDir(), Listen: "127.0.0.1:99999"}, "bind"},
	} {
		t.Run(name, func(t *testing.T) {
			c.opts.Log = logger(t)
			s, err := embedded.Start(t.Context(), c.opts)
			if err == nil {
				t.Error(s.Close())
			}
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error is %v, without %q", err, c.want)
			}
		})
	}
	// None of them is in the way of the next.
	start(t, embedded.Options{})
}

func TestOneServerPerProcess(t *testing.T) {
	s := start(t, embedded.Options{})
	if second, err := embedded.Start(t.Context(), embedded.Options{Dir: t.TempDir(), Log: logger(t)}); err == nil {
		t.Error(second.Close())
	} else if !strings.Contains(err.Error(), "this process runs one already") {
		t.Errorf("error is %v", err) // the library noticed, and too late
	}
	if _, err := open(t, s).Put(t.Context(), "a", objstore.Bytes("x"), objstore.PutOptions{}); err != nil {
		t.Errorf("the first server afterwards: %v", err)
	}
}

func TestWorkingDirectoryComesBack(t *testing.T) {
	t.Chdir(t.TempDir())
	before, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	s, err := embedded.Start(t.Context(), embedded.Options{Dir: "s3", Log: logger(t)})
	if err != nil {
		t.Fatal(err)
	}
	if want := filepath.Join(before, "s3", "s3.sock"); s.Socket() != want {
		t.Errorf("the socket is %s instead of %s", s.Socket(), want)
	}
	open(t, s)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if after, err := os.Getwd(); err != nil || after != before {
		t.Errorf("working directory is %s, %v instead of %s", after, err, before)
	}
}

// Nothing listens but what was asked for.
func TestListeners(t *testing.T) {
	for _, listen := range []string{"", "127.0.0.1:0"} {
		before := listeners(t)
		s, err := embedded.Start(t.Context(), embedded.Options{Dir: t.TempDir(), Listen: listen, Log: logger(t)})
		if err != nil {
			t.Fatal(err)
		}
		want := 0
		if listen != "" {
			want = 1
		}
		if have := listeners(t) - before; have != want {
			t.Errorf("with listen %q there are %d TCP or UDP sockets instead of %d", listen, have, want)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if have := listeners(t) - before; have != 0 {
			t.Errorf("%d sockets after Close", have)
		}
	}
}

// listeners counts this process's own internet sockets.
func listeners(t *testing.T) int {
	t.Helper()
	var tables strings.Builder
	for _, name := range []string{"tcp", "tcp6", "udp", "udp6"} {
		data, err := os.ReadFile("/proc/self/net/" + name)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
		tables.Write(data)
	}
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, fd := range fds {
		target, err := os.Readlink("/proc/self/fd/" + fd.Name())
		inode, ok := strings.CutPrefix(target, "socket:[")
		if err == nil && ok && strings.Contains(tables.String(), " "+strings.TrimSuffix(inode, "]")+" ") {
			n++
		}
	}
	return n
}
