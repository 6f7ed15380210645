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
	"access control lists":  accessControlLists,
	"access times":          accessTimes,
	"append":                appendToFile,
	"capabilities":          capabilities,
	"contents":              contents,
	"copy range":            copies,
	"direct":                direct,
	"directories":           directories,
	"directory links":       directoryLinks,
	"far times":             farTimes,
	"exchange":              exchanges,
	"execute":               executes,
	"fallocate":             fallocates,
	"fallocate: refused":    fallocateRefuses,
	"inotify":               watched,
	"large file":            largeFile,
	"leases":                leases,
	"locks":                 locks,
	"many names":            manyNames,
	"mmap private":          mappedPrivately,
	"mmap":                  mapped,
	"names":                 oddNames,
	"open flags":            openFlags,
	"passed":                passedThrough,
	"passed: direct":        directPassed,
	"passed: hard links":    linkedPassed,
	"passed: times":         mappedTimes,
	"passed: unlinked":      unlinkedPassed,
	"readdir":               readChanging,
	"write and read":        writeAndRead,
	"followed":              followed,
	"followed all the time": followedAllTheTime,
	"stored all the time":   storedAllTheTime,
	"hard links":            hardLinks,
	"refused":               refused,
	"rename directory":      renameDirectory,
	"rename":                renames,
	"renamed over":          renamedOver,
	"replaced all the time": replacedAllTheTime,
	"setgid directory":      setgidDirectory,
	"sparse":                sparse,
	"special files":         specialFiles,
	"same: handed down":     func(dir string) error { return sameAsLocal(dir, handedDown) },
	"same: change times":    func(dir string) error { return sameAsLocal(dir, changeTimes) },
	"same: privileges":      func(dir string) error { return sameAsLocal(dir, privileges) },
	"same: permissions":     func(dir string) error { return sameAsLocal(dir, permissions) },
	"statfs":                statfs,
	"symlinks":              symlinks,
	"sync":                  syncs,
	"times":                 times,
	"tmpfile":               tmpfile,
	"truncate":              truncates,
	"unlinked in directory": removedDirectory,
	"unlinked while open":   unlinkedOpen,
	"xattrs":                xattrs,
	"xattrs unlinked":       xattrsUnlinked,
}

// steps are the cases that are parts of a test.
var steps = mounttest.Cases{
	"abort: hold":           holdUntilAborted,
	"acl: other":            aclOther,
	"acl: prepare":          aclPrepare,
	"append lines":          appendLines,
	"append: check":         checkLines,
	"busy":                  busy,
	"busy: check":           checkBusy,
	"end a list":            endList,
	"exclusive":             exclusive,
	"exclusive: check":      checkExclusive,
	"interrupt":             interruptRead,
	"leave a read":          leaveRead,
	"change a little":       changeALittle,
	"create and hold":       createAndHold,
	"serve until killed":    serveUntilKilled,
	"set an old time":       setOldTime,
	"list":                  listAll,
	"lock: hold":            holdLock,
	"map and store":         mapAndStore,
	"map to read":           mapToRead,
	"passed: pages":         pagesOfBefore,
	"read a pattern":        readPattern,
	"read f":                readF,
	"read g":                readG,
	"write and hold":        writeAndHold,
	"write synced":          writeSynced,
	"write g":               writeG,
	"written by the driver": writtenByDriver,
	"namespace: hold":       holdInNamespace,
	"model":                 runProgram,
	"nested mount":          nestedMount,
	"permissions: other":    permissionsOther,
	"permissions: prepare":  permissionsPrepare,
	"read-only":             readOnly,
	"setuid: check dropped": setuidDropped,
	"setuid: other":         setuidOther,
	"setuid: prepare":       setuidPrepare,
	"starve":                starve,
	"stat with signals":     statWithSignals,
	"write 4 KiB pieces":    writePieces,
}
