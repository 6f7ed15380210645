package fusefs

import (
	"encoding/binary"
	"unsafe"

	"github.com/hanwen/go-fuse/v2/fuse"

	"objvol/fusefs/vfs"
)

// NotifierOf returns what the vfs of a session calls.
func NotifierOf(s *Session) vfs.Notifier { return s.notifier }

// InitFlags returns what the kernel offered and what was agreed on.
func InitFlags(request, reply []byte) (offered, agreed uint64) {
	out := reply[unsafe.Sizeof(fuse.OutHeader{}):]
	agreed = uint64(binary.NativeEndian.Uint32(out[unsafe.Offsetof(fuse.InitOut{}.Flags):]))
	agreed |= uint64(binary.NativeEndian.Uint32(out[unsafe.Offsetof(fuse.InitOut{}.Flags2):])) << 32
	return offeredFlags(request), agreed
}

// DropWaits reports whether the kernel waits for what was stored into the pages that it drops.
func DropWaits(s *Session) bool { return offeredMinor(s.initRequest) >= minorDropWaits }

// PipesOf returns how many pipes a session keeps: some after replies went through them.
func PipesOf(s *Session) int {
	s.pipes.mu.Lock()
	defer s.pipes.mu.Unlock()
	return len(s.pipes.free)
}
