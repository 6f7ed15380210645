//go:build !noembedded

package embedded_test

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"objvol/objstore/embedded"

	"golang.org/x/sys/unix"
)

// Messages go to the log and nowhere else: no banner, no colours, not even for requests
// that break off or fail inside the store.
func TestNothingIsPrinted(t *testing.T) {
	path := filepath.Join(t.TempDir(), "printed")
	printed := capture(t, path, func() error {
		dir := t.TempDir()
		s, err := embedded.Start(t.Context(), embedded.Options{Dir: dir, Log: slog.New(slog.DiscardHandler)})
		if err != nil {
			return err
		}
		r := newRaw(t, s, 1)
		r.must(t, http.MethodPut, "/volumes", nil, nil)
		for _, request := range []string{"nonsense", "PUT /volumes/a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\nhalf", "GET / HTTP/1.1\r\nHost"} {
			conn, err := net.Dial("unix", s.Socket())
			if err != nil {
				return err
			}
			if _, err := conn.Write([]byte(request)); err != nil {
				return err
			}
			if err := conn.Close(); err != nil {
				return err
			}
		}
		// Reading this object is an error that the store does not expect.
		if err := os.Symlink("loop", filepath.Join(dir, "objects", "volumes", "loop")); err != nil {
			return err
		}
		if status, _, err := r.do(r.sign(t, http.MethodGet, "/volumes/loop", nil, nil)); err != nil || status != http.StatusInternalServerError {
			return fmt.Errorf("status %d, %w", status, err)
		}
		return s.Close()
	})
	if printed != "" {
		t.Errorf("printed: %s", printed)
	}
}

// capture returns what f writes to standard output and standard error.
func capture(t *testing.T, path string, f func() error) string {
	t.Helper()
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	var saved [3]int
	for fd := 1; fd <= 2; fd++ {
		if saved[fd], err = unix.Dup(fd); err != nil {
			t.Fatal(err)
		}
		if err := unix.Dup3(int(file.Fd()), fd, 0); err != nil {
			t.Fatal(err)
		}
	}
	func() {
		defer func() {
			for fd := 1; fd <= 2; fd++ {
				if err := errors.Join(unix.Dup3(saved[fd], fd, 0), unix.Close(saved[fd])); err != nil {
					t.Error(err)
				}
			}
		}()
		if err := f(); err != nil {
			t.Error(err)
		}
	}()
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}
