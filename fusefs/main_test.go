package fusefs_test

import (
	"maps"
	"testing"

	"objvol/fusefs/mounttest"
)

func TestMain(m *testing.M) {
	all := mounttest.Cases{}
	maps.Copy(all, operations)
	maps.Copy(all, steps)
	mounttest.Main(m, all)
}

// operations are the cases that need nothing but a fresh volume: the list is the surface
// of POSIX that is supported.
var operations = mounttest.Cases{
	"append":                appendToFile,
	"contents":              contents,
	"directories":           directories,
	"large file":            largeFile,
	"many names":            manyNames,
	"mmap":                  mapped,
	"names":                 oddNames,
	"open flags":            openFlags,
	"refused":               refused,
	"rename":                renames,
	"rename directory":      renameDirectory,
	"setgid directory":      setgidDirectory,
	"statfs":                statfs,
	"symlinks":              symlinks,
	"sync":                  syncs,
	"times":                 times,
	"truncate":              truncates,
	"unlinked while open":   unlinkedOpen,
	"unlinked in directory": removedDirectory,
}

// steps are the cases that are parts of a test.
var steps = mounttest.Cases{
	"abort: hold":           holdUntilAborted,
	"append lines":          appendLines,
	"append: check":         checkLines,
	"busy":                  busy,
	"busy: check":           checkBusy,
	"interrupt":             interruptRead,
	"leave a read":          leaveRead,
	"namespace: hold":       holdInNamespace,
	"nested mount":          nestedMount,
	"permissions: other":    permissionsOther,
	"permissions: prepare":  permissionsPrepare,
	"read-only":             readOnly,
	"setuid: check dropped": setuidDropped,
	"setuid: other":         setuidOther,
	"setuid: prepare":       setuidPrepare,
	"starve":                starve,
}
