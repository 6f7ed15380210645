package fusefs

import (
	"sync"

	"golang.org/x/sys/unix"
)

const (
	maxWrite   = 1 << 20                // bytes of content in one WRITE
	maxRead    = 512 << 10              // bytes of content in one READ: see pipeSize
	maxRequest = maxWrite + requestHead // bytes of one request
	// requestHead is room for the headers of a WRITE. The kernel wants at least 80 bytes
	// and refuses to hand out any request to a buffer that is too small for the largest.
	requestHead = 4 << 10
)

// requestBuffer returns room for the largest request, and what gives it back. A reader
// has one as long as it lives, and most of it is never touched: outside of Go's heap that
// costs nothing, within it would count as memory in use, a megabyte per volume at rest.
func requestBuffer() (buf []byte, free func()) {
	buf, err := unix.Mmap(-1, 0, maxRequest, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		return make([]byte, maxRequest), func() {}
	}
	return buf, func() { _ = unix.Munmap(buf) }
}

// sizes are the sizes of pooled replies in bytes: without content or with a page of it;
// what the kernel reads ahead by default; the largest READ.
var sizes = [...]int{8 << 10, 128<<10 + requestHead, maxRead + requestHead}

// buffers is a pool of replies of each size. The zero value is ready.
type buffers struct {
	pools [len(sizes)]sync.Pool
}

// get returns a buffer of at least size bytes, with any content.
func (b *buffers) get(size int) *[]byte {
	for i, s := range sizes {
		if size > s {
			continue
		}
		if buf, ok := b.pools[i].Get().(*[]byte); ok {
			return buf
		}
		size = s
		break
	}
	buf := make([]byte, size)
	return &buf
}

// put takes a buffer back. One of another size is left to the garbage collector.
func (b *buffers) put(buf *[]byte) {
	for i, s := range sizes {
		if len(*buf) == s {
			b.pools[i].Put(buf)
		}
	}
}
