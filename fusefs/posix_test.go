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
	"FcntlFlockLocksFile": "a process does not conflict with its own locks, on no local filesystem",
	"XAttrLarge":          "an object has room for about 1 KiB of extended attributes, not for 8",
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
