package driver

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func TestListen(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "plugins")
	path := filepath.Join(dir, "objvol.sock")
	l, err := Listen(path, NoGroup)
	if err != nil {
		t.Fatal(err)
	}
	if l.Addr().String() != path {
		t.Errorf("address %s", l.Addr())
	}
	wantMode(t, path, 0o600)
	wantFiles(t, dir, "objvol.sock")

	_, err = Listen(path, NoGroup)
	wantErr(t, err, path, "another driver is running")
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	wantFiles(t, dir)
	if err := l.Close(); err != nil {
		t.Errorf("second Close: %v", err)
	}

	l, err = Listen(path, os.Getgid())
	if err != nil {
		t.Fatal(err)
	}
	wantMode(t, path, 0o660)
	if err := l.Close(); err != nil {
		t.Error(err)
	}
}

func TestListenReplacesLeftover(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "s")
	dead, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	dead.SetUnlinkOnClose(false)
	if err := dead.Close(); err != nil {
		t.Fatal(err)
	}
	l, err := Listen(path, NoGroup)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	if err := conn.Close(); err != nil {
		t.Error(err)
	}

	// What took our place is not ours to remove.
	if err := os.Rename(path, path+".old"); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	wantFiles(t, dir, "s", "s.old")
}

func TestListenRefuses(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := Listen(path, NoGroup)
	wantErr(t, err, "no socket")
	if readFile(t, path) != "precious" {
		t.Error("the file in the way was changed")
	}
	long := filepath.Join(t.TempDir(), strings.Repeat("x", 100))
	_, err = Listen(filepath.Join(long, "s"), NoGroup)
	wantErr(t, err, "too long")
	wantFiles(t, long)
}

func TestInherit(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	systemd, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = systemd.Close() }()
	l, err := Inherit(descriptor(t, systemd))
	if err != nil {
		t.Fatal(err)
	}
	if l.Addr().String() != path {
		t.Errorf("address %s", l.Addr())
	}
	for range 2 {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	}
	if _, err := os.Lstat(path); err != nil {
		t.Errorf("the end of a driver removes the socket of systemd: %v", err)
	}

	tcp, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tcp.Close() }()
	if _, err := Inherit(descriptor(t, tcp)); err == nil {
		t.Error("a TCP socket, which any user could reach, is taken")
	}
}

// descriptor is a copy of a listener's that belongs to the caller.
func descriptor(t *testing.T, l interface{ File() (*os.File, error) }) int {
	t.Helper()
	f, err := l.File()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	fd, err := syscall.Dup(int(f.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	return fd
}

func wantFiles(t *testing.T, dir string, want ...string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range entries {
		got = append(got, e.Name())
	}
	if strings.Join(got, " ") != strings.Join(want, " ") {
		t.Errorf("%s has %v, want %v", dir, got, want)
	}
}
