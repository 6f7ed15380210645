package vfs

import (
	"sync"

	"objvol/fusefs/index"
)

// A file that becomes large is best passed from its creation on, and one that stays small is
// not: a content file of its own costs more than the few writes. Nobody says which it will be.
// So what a thread of a program creates is passed, one file at a time, and after one that
// stayed below PassthroughMin it creates mediated files, until one of them reaches it: cp, dd,
// a database pass theirs, tar and git no more than their first.
//
// It is the volume's choice (Config.CreatedRoom), because it has a price: such a file has to
// fit on the local disk, and none of its writes can be counted, even if it stays small.

// makersMost is how many threads are remembered.
const makersMost = 4096

// makers knows the threads whose last file stayed small, or is open still.
type makers struct {
	mu    sync.Mutex // protects small; a leaf
	small map[uint32]struct{}
}

// mayBeLarge reports whether a file that a thread creates is to be passed, or to be written past
// the kernel's pages (past.go). The next is not, unless this one is found to be large (made).
func (m *makers) mayBeLarge(thread uint32) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, ok := m.small[thread]; ok {
		return false
	}
	if m.small == nil || len(m.small) >= makersMost {
		m.small = make(map[uint32]struct{})
	}
	m.small[thread] = struct{}{}
	return true
}

// made tells of a large file that a thread has created.
func (m *makers) made(thread uint32) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.small, thread)
}

// admitsCreated reports whether there is room for a file whose size nobody knows yet. What is
// written past us is neither refused nor, to make room, sent and dropped (hard-cases 11).
func (fs *FS) admitsCreated() bool {
	if fs.CreatedRoom == 0 {
		return false
	}
	free, _, err := fs.Cache.Free(fs.Reserve)
	return err == nil && free >= fs.CreatedRoom
}

// passesEmpty reports whether a file that is empty is to be passed to who opens it for
// writing. It was of a size before that. The caller holds h.node.mu.
func (fs *FS) passesEmpty(h *handle, size int64) bool {
	nd := h.node
	if !h.write || !fs.admitsCreated() {
		return false
	}
	return size >= fs.PassthroughMin || nd.created && fs.makers.mayBeLarge(nd.maker)
}

// judge tells of what was created and has become large. The caller holds nd.mu.
func (fs *FS) judge(nd *node) {
	if !nd.created {
		return
	}
	nd.created = false
	if n, err := fs.Index.Inode(nd.ino); err == nil && n.Size >= fs.PassthroughMin {
		fs.makers.made(nd.maker)
	}
}

// enterCreated is enter for a file that was just created by a thread.
func (fs *FS) enterCreated(h *handle, n index.Inode, flags, thread uint32) (OpenResult, error) {
	if fs.canPass() {
		h.node.mu.Lock()
		h.node.created, h.node.maker = true, thread
		h.node.mu.Unlock()
	}
	return fs.enter(h, n, flags)
}
