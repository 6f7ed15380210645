package fusefs_test

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/hanwen/go-fuse/v2/posixtest"

	"objvol/fusefs"
	"objvol/fusefs/mounttest"
)

// unsupported are the tests of go-fuse's suite that a volume does not pass, each with the
// reason.
var unsupported = map[string]string{
	"Fallocate":           "fallocate is refused",
	"FallocateKeepSize":   "fallocate is refused",
	"FcntlFlockLocksFile": "a process does not conflict with its own locks, on no local filesystem",
	"Link":                "hard links are refused",
	"LinkUnlinkRename":    "hard links are refused",
	"Tmpfile":             "O_TMPFILE is refused",
	"XAttr":               "extended attributes are refused",
	"XAttrLarge":          "extended attributes are refused",
}

func TestPosix(t *testing.T) {
	dir, child := mounttest.Served()
	if !child {
		s := mounted(t, volume(t), fusefs.Options{})
		mounttest.RunTest(t, s.Dir(), "TestPosix")
		return
	}
	for _, name := range slices.Sorted(maps.Keys(posixtest.All)) {
		t.Run(name, func(t *testing.T) {
			if why, ok := unsupported[name]; ok {
				t.Skip(why)
			}
			own := filepath.Join(dir, name)
			if err := os.Mkdir(own, 0o755); err != nil {
				t.Fatal(err)
			}
			posixtest.All[name](t, own)
		})
	}
}
