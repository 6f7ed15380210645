package main

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// memory is a directory of files that are in memory alone. It is mounted nowhere, and gone
// when nobody has it open any more.
type memory struct{ *os.File }

func newMemory() (memory, error) {
	config, err := unix.Fsopen("tmpfs", unix.FSOPEN_CLOEXEC)
	if err != nil {
		return memory{}, os.NewSyscallError("fsopen", err)
	}
	defer func() { _ = unix.Close(config) }() // it is no file
	// The largest file has to fit also where that is more than the half of all memory.
	if err := unix.FsconfigSetString(config, "size", "2g"); err != nil {
		return memory{}, os.NewSyscallError("fsconfig", err)
	}
	if err := unix.FsconfigCreate(config); err != nil {
		return memory{}, os.NewSyscallError("fsconfig", err)
	}
	fd, err := unix.Fsmount(config, unix.FSMOUNT_CLOEXEC, 0)
	if err != nil {
		return memory{}, os.NewSyscallError("fsmount", err)
	}
	return memory{os.NewFile(uintptr(fd), "memory")}, nil
}

// path is where others of this host reach it, as long as it is open here.
func (m memory) path() string { return fmt.Sprintf("/proc/%d/fd/%d/.", os.Getpid(), m.Fd()) }
