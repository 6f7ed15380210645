package fusefs

import (
	"bytes"
	"log/slog"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"
)

type seen struct {
	op     string
	bytes  int
	failed bool
}

type recorder []seen

func (r *recorder) Operation(op string, _ time.Duration, bytes int, failed bool) {
	*r = append(*r, seen{op, bytes, failed})
}

// fixed answers some operations in a fixed way, one of them with a panic.
type fixed struct{ fuse.RawFileSystem }

func (fixed) Lookup(<-chan struct{}, *fuse.InHeader, string, *fuse.EntryOut) fuse.Status {
	return fuse.ENOENT
}

func (fixed) Read(_ <-chan struct{}, _ *fuse.ReadIn, buf []byte) (fuse.ReadResult, fuse.Status) {
	return inPlace(buf[:3]), fuse.OK
}

func (fixed) Write(<-chan struct{}, *fuse.WriteIn, []byte) (uint32, fuse.Status) { return 5, fuse.OK }

func (fixed) Mkdir(<-chan struct{}, *fuse.MkdirIn, string, *fuse.EntryOut) fuse.Status {
	panic("boom")
}

func TestObserved(t *testing.T) {
	var (
		got recorder
		log bytes.Buffer
		all int
	)
	o := &observed{
		RawFileSystem: fixed{fuse.NewDefaultRawFileSystem()},
		asked:         func() { all++ },
		observer:      &got,
		log:           slog.New(slog.NewTextHandler(&log, nil)),
	}
	o.Lookup(nil, &fuse.InHeader{}, "a", &fuse.EntryOut{})
	o.Read(nil, &fuse.ReadIn{}, make([]byte, 10))
	o.Write(nil, &fuse.WriteIn{}, make([]byte, 5))
	if s := o.Mkdir(nil, &fuse.MkdirIn{}, "a", &fuse.EntryOut{}); s != fuse.EIO {
		t.Errorf("a panic was answered with %v", s)
	}
	o.Forget(1, 1)
	want := recorder{{"lookup", 0, true}, {"read", 3, false}, {"write", 5, false}, {"mkdir", 0, true}, {"forget", 0, false}}
	if !reflect.DeepEqual(got, want) || all != len(want) {
		t.Errorf("got %v and %d in all, want %v", got, all, want)
	}
	if !strings.Contains(log.String(), "boom") || !strings.Contains(log.String(), "observe_test.go") {
		t.Errorf("the log has no panic and stack: %s", &log)
	}
}

// What front implements and observed does not would be invisible.
func TestObservedCoversTheFront(t *testing.T) {
	wrapped := map[string]bool{}
	for m := range reflect.TypeFor[*observed]().Methods() {
		wrapped[m.Name] = true
	}
	own := 0
	for m := range reflect.TypeFor[*front]().Methods() {
		own++
		if !wrapped[m.Name] {
			t.Errorf("%s is not observed", m.Name)
		}
	}
	if own == 0 {
		t.Error("the front has no methods")
	}
}
