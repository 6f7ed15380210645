package main

import (
	"os"

	"golang.org/x/sys/unix"
)

// ready is how many bytes of memory are to be ready for a phase. A side takes two of a large file,
// its content and the store's; the kernel does not always take them from what was used last.
func (s sizes) ready(p phase) int64 {
	switch p.work {
	case "write large", "read large", "read random", "read warm":
		return 5 * s.Large
	}
	return 5 * s.Changed
}

// touch uses so many bytes of memory, half of what is free at most, and frees them. What a
// virtual machine leaves free for two seconds may go back to its host (Linux's page
// reporting), and who needs it next waits until it is given again: two seconds of CPU for a
// GiB were measured, more than all work with one. Which side meets that is chance.
func touch(bytes int64) error {
	var system unix.Sysinfo_t
	if err := unix.Sysinfo(&system); err != nil {
		return os.NewSyscallError("sysinfo", err)
	}
	bytes = min(bytes, int64(system.Freeram)*int64(system.Unit)/2)
	m, err := unix.Mmap(-1, 0, int(bytes), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS|unix.MAP_POPULATE)
	if err != nil {
		return os.NewSyscallError("mmap", err)
	}
	return os.NewSyscallError("munmap", unix.Munmap(m))
}
