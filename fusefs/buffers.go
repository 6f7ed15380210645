package fusefs

import "sync"

const (
	maxWrite   = 1 << 20                // bytes of content in one READ or WRITE
	maxRequest = maxWrite + requestHead // bytes of one request
	// requestHead is room for the headers of a WRITE. The kernel wants at least 80 bytes
	// and refuses to hand out any request to a buffer that is too small for the largest.
	requestHead = 4 << 10
)

// sizes are the sizes of pooled buffers in bytes: requests and replies without content
// and those with a page of it; what the kernel reads ahead by default; the largest.
var sizes = [...]int{8 << 10, 128<<10 + requestHead, maxRequest}

// buffer is a piece of memory on loan. Its bytes may be cut at the end.
type buffer struct {
	bytes []byte
	whole *[]byte // what goes back to the pool, nil for a size that is not pooled
}

// buffers is a pool of each size. The zero value is ready.
type buffers struct {
	pools [len(sizes)]sync.Pool
}

// get returns a buffer of at least size bytes, with any content.
func (b *buffers) get(size int) buffer {
	for i, s := range sizes {
		if size > s {
			continue
		}
		whole, ok := b.pools[i].Get().(*[]byte)
		if !ok {
			fresh := make([]byte, s)
			whole = &fresh
		}
		return buffer{bytes: *whole, whole: whole}
	}
	return buffer{bytes: make([]byte, size)}
}

// put takes a buffer back.
func (b *buffers) put(buf buffer) {
	if buf.whole == nil {
		return
	}
	for i, s := range sizes {
		if len(*buf.whole) == s {
			b.pools[i].Put(buf.whole)
		}
	}
}

// shrink moves what fits into the smallest size, so that a request that waits does not
// hold a megabyte.
func (b *buffers) shrink(buf buffer) buffer {
	if len(buf.bytes) > sizes[0] {
		return buf
	}
	small := b.get(len(buf.bytes))
	small.bytes = small.bytes[:copy(small.bytes, buf.bytes)]
	b.put(buf)
	return small
}
