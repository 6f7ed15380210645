package fusefs

import (
	"errors"
	"log/slog"
	"testing"

	"github.com/hanwen/go-fuse/v2/fuse"
)

// What was found before an error has counted its lookups: it must not be lost.
func TestListedAnswersWhatWasFoundBeforeAnError(t *testing.T) {
	f := newFront(nil, slog.New(slog.DiscardHandler))
	broken := errors.New("broken")
	list := fuse.NewDirEntryList(make([]byte, 4096), 0)
	if s := f.listed(opReadDir, 1, broken, list); s != fuse.EIO {
		t.Errorf("with nothing found: %v", s)
	}
	list.AddDirEntry(fuse.DirEntry{Name: "a", Off: 3})
	if s := f.listed(opReadDir, 1, broken, list); s != fuse.OK {
		t.Errorf("with one found: %v", s)
	}
}
