package fusefs

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"log/slog"
	"strings"
	"syscall"
	"testing"

	"github.com/hanwen/go-fuse/v2/fuse"

	"objvol/fusefs/vfs"
)

func TestErrno(t *testing.T) {
	for _, c := range []struct {
		err  error
		want syscall.Errno
	}{
		{nil, 0},
		{vfs.ErrNotExist, syscall.ENOENT},
		{fmt.Errorf("remove a: %w", vfs.ErrNotEmpty), syscall.ENOTEMPTY},
		{errors.Join(errors.New("first"), vfs.ErrStale), syscall.ESTALE},
		{vfs.ErrNotSupported, syscall.ENOTSUP},
		{context.Canceled, syscall.EINTR},
		{context.DeadlineExceeded, syscall.ETIMEDOUT},
		{errors.New("anything else"), syscall.EIO},
		{syscall.EPERM, syscall.EIO}, // an errno is nothing that a vfs may answer
	} {
		if got := errno(c.err); got != fuse.Status(c.want) {
			t.Errorf("%v: got %v, want %v", c.err, syscall.Errno(got), c.want)
		}
	}
}

// Every kind of error that the vfs declares has an errno of its own, and is not EIO.
func TestErrnosAreComplete(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "vfs/errors.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	declared := 0
	ast.Inspect(file, func(n ast.Node) bool {
		if spec, ok := n.(*ast.ValueSpec); ok {
			for _, name := range spec.Names {
				if strings.HasPrefix(name.Name, "Err") {
					declared++
				}
			}
		}
		return true
	})
	const ofContexts = 2
	if declared == 0 || len(errnos) != declared+ofContexts {
		t.Errorf("%d errors are declared, %d are in the table", declared, len(errnos)-ofContexts)
	}
	seen := map[error]bool{}
	for _, e := range errnos {
		if seen[e.kind] || e.errno == syscall.EIO {
			t.Errorf("%v is in the table twice, or EIO", e.kind)
		}
		seen[e.kind] = true
	}
}

func TestOnlyEIOIsLogged(t *testing.T) {
	var log bytes.Buffer
	f := newFront(nil, slog.New(slog.NewTextHandler(&log, nil)))
	f.status(opLookup, 7, vfs.ErrNotExist)
	if log.Len() != 0 {
		t.Errorf("ENOENT was logged: %s", &log)
	}
	f.status(opRead, 7, errors.New("the disk burns"))
	for _, want := range []string{"op=read", "inode=7", "the disk burns"} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("the log has no %q: %s", want, &log)
		}
	}
}
