package main

import (
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// memory is how many bytes of it a side may take for a phase: of a large file its content, and
// the store's.
func (s sizes) memory(p phase) int64 {
	for _, large := range []string{"large", "random", "warm", "change"} {
		if strings.Contains(p.work, large) {
			return 2 * s.Large
		}
	}
	return s.Large / 4
}

// touch uses so many bytes of memory and frees them. What a virtual machine leaves free for two
// seconds may go back to its host (Linux's page reporting), and who needs it next waits
// until it is given again: two seconds of CPU for a GiB were measured, more than all work
// with one. Which side meets that is chance.
func touch(bytes int64) error {
	m, err := unix.Mmap(-1, 0, int(bytes), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS|unix.MAP_POPULATE)
	if err != nil {
		return os.NewSyscallError("mmap", err)
	}
	return os.NewSyscallError("munmap", unix.Munmap(m))
}
