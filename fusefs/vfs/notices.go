package vfs

import "sync"

// notices are what the kernel must be told. One worker sends them, so that no operation
// waits for a kernel that waits for it.
type notices struct {
	wake chan struct{}

	mu    sync.Mutex // protects what follows; a leaf
	to    Notifier   // nil before SetNotifier
	queue []notice
}

type notice struct {
	ino  Ino
	name string // of an entry in ino; empty: ino itself
}

// SetNotifier tells the filesystem whom to notify of changes that come from the bucket.
func (fs *FS) SetNotifier(to Notifier) {
	fs.notices.mu.Lock()
	defer fs.notices.mu.Unlock()
	fs.notices.to = to
}

func (q *notices) entry(parent Ino, name string) { q.add(notice{parent, name}) }
func (q *notices) inode(ino Ino)                 { q.add(notice{ino: ino}) }

// pages has the kernel drop pages, at once: the caller is no operation that holds some of them.
func (q *notices) pages(ino Ino, off, n int64) {
	q.mu.Lock()
	to := q.to
	q.mu.Unlock()
	if to != nil {
		to.PagesChanged(ino, off, n)
	}
}

func (q *notices) add(n notice) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.to == nil {
		return // nothing is mounted: nobody remembers anything
	}
	q.queue = append(q.queue, n)
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

func (q *notices) take() ([]notice, Notifier) {
	q.mu.Lock()
	defer q.mu.Unlock()
	all := q.queue
	q.queue = nil
	return all, q.to
}

// notifier sends notices until Close.
func (fs *FS) notifier() {
	for {
		select {
		case <-fs.ctx.Done():
			return
		case <-fs.notices.wake:
		}
		all, to := fs.notices.take()
		for _, n := range all {
			if n.name != "" {
				to.EntryChanged(n.ino, n.name)
			} else {
				to.InodeChanged(n.ino)
			}
		}
	}
}
