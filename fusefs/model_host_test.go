package fusefs_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"objvol/fusefs"
	"objvol/fusefs/cache"
	"objvol/fusefs/index"
	"objvol/fusefs/layout"
	"objvol/fusefs/mounttest"
	"objvol/fusefs/vfs"
	"objvol/objstore"
)

// host serves a volume to a program, and leaves it and comes back when the program says so.
type host struct {
	dir     string // where it is mounted
	prefix  string // of the volume in the bucket
	bucket  objstore.Bucket
	cache   int64 // in bytes
	created int64 // vfs.Config.CreatedRoom
	state   string
	log     hostLog

	index   *index.Index
	fs      *vfs.FS
	session *fusefs.Session
}

// drainLimit bounds what a drain waits for.
const drainLimit = 30 * time.Second

// try runs a program on the volume, which is new. Its error is the first difference from a
// local directory.
func (h *host) try(t *testing.T, program []string) (err error) {
	t.Helper()
	dir := h.dir
	defer func() {
		for _, ext := range []string{".local", ".program", ".host", ".state"} {
			err = errors.Join(err, os.RemoveAll(dir+ext))
		}
	}()
	text := strings.Join(program, "\n")
	if err := errors.Join(
		os.Mkdir(dir+".local", 0o755), os.Chmod(dir+".local", 0o755), os.WriteFile(dir+".program", []byte(text), 0o600),
	); err != nil {
		return err
	}
	if err := h.arrive(t.Context(), true); err != nil {
		return err
	}
	listener, err := net.Listen("unix", dir+".host")
	if err != nil {
		return errors.Join(err, h.leave())
	}
	served := make(chan struct{})
	go func() {
		defer close(served)
		h.serve(t.Context(), listener)
	}()
	err = mounttest.Try(t, dir, "model")
	err = errors.Join(err, listener.Close())
	<-served
	if err = errors.Join(err, h.leave()); err != nil {
		err = fmt.Errorf("%w\n%s", err, h.log.String())
	}
	return err
}

// hostLog is a log that several write to.
type hostLog struct {
	mu   sync.Mutex // protects text
	text strings.Builder
}

func (l *hostLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *hostLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// serve does what a program asks for, until it ends.
func (h *host) serve(ctx context.Context, listener net.Listener) {
	conn, err := listener.Accept()
	if err != nil {
		return
	}
	defer func() { _ = conn.Close() }()
	for lines := bufio.NewScanner(conn); lines.Scan(); {
		answer := "done"
		if err := h.do(ctx, lines.Text()); err != nil {
			answer = strings.ReplaceAll(err.Error(), "\n", "; ")
		}
		if _, err := fmt.Fprintln(conn, answer); err != nil {
			return
		}
	}
}

func (h *host) do(ctx context.Context, what string) error {
	switch what {
	case "again": // the state of this host goes on
		return must(h.leave(), h.arrive(ctx, false))
	case "elsewhere": // nothing is left but the bucket
		return must(h.drain(ctx), h.leave(), h.arrive(ctx, true))
	}
	return h.drain(ctx)
}

func (h *host) drain(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, drainLimit)
	defer cancel()
	return h.fs.Drain(ctx)
}

// arrive opens the volume and mounts it, on a host that knows nothing of it or on the
// same as before.
func (h *host) arrive(ctx context.Context, fresh bool) error {
	if fresh {
		h.state = h.dir + ".state"
		if err := errors.Join(os.RemoveAll(h.state), os.Mkdir(h.state, 0o700)); err != nil {
			return err
		}
	}
	lay, err := layout.New(h.prefix)
	if err != nil {
		return err
	}
	if h.index, err = index.Open(filepath.Join(h.state, "index"), index.Options{}); err != nil {
		return err
	}
	c, err := cache.Open(filepath.Join(h.state, "data"))
	if err != nil {
		return errors.Join(err, h.index.Close())
	}
	h.fs, err = vfs.New(ctx, vfs.Config{
		Index: h.index, Cache: c, Bucket: h.bucket, Layout: lay, Log: h.logger(),
		Defaults: layout.Defaults{FileMode: 0o644, DirMode: 0o755},
		TTL:      time.Hour, CacheSize: h.cache, Host: "here", BootID: "boot",
		PassthroughMin: passthroughMin(), CreatedRoom: h.created,
	})
	if err != nil {
		return errors.Join(err, h.index.Close())
	}
	if h.session, err = fusefs.Mount(h.fs, fusefs.Options{Dir: h.dir, FSName: "objvol:test", Log: h.logger()}); err != nil {
		h.fs.Close()
		return errors.Join(err, h.index.Close())
	}
	return nil
}

// leave unmounts the volume, without sending what is not in the bucket. It can be done
// again.
func (h *host) leave() error {
	if h.session == nil {
		return nil
	}
	err := h.session.Unmount()
	<-h.session.Done()
	h.session = nil
	h.fs.Close()
	return errors.Join(err, h.index.Close())
}

func (h *host) logger() *slog.Logger { return slog.New(slog.NewTextHandler(&h.log, nil)) }
