package vfs

import (
	"context"
	"errors"
	"time"
)

const (
	// roomTries bounds how often a write is tried again on a full disk.
	roomTries = 3
	// roomTime bounds the wait for what other files hold of a full disk.
	roomTime = time.Minute
)

// makeRoom frees local space for n bytes of a file that is being written: first what is
// clean goes, then the file so far is sent to the bucket, as an fsync would, and leaves this
// host, so that a file can be larger than the disk; at last all others are waited for.
// Errors: ErrNoSpace, ErrInterrupted. The caller holds no lock.
func (fs *FS) makeRoom(ctx context.Context, nd *node, n int64) error {
	select {
	case fs.roomMaker <- struct{}{}:
		defer func() { <-fs.roomMaker }()
	case <-ctx.Done():
		return ErrInterrupted
	}
	if fs.evictAll(); fs.free(max(n, roomGrain)) == nil {
		return nil
	}
	if fs.LocalStore {
		return fs.free(n) // to send it would take as much again
	}
	c, err := fs.Index.Content(nd.ino)
	if err == nil && c.Resident.Size() > 0 {
		err = fs.wb.Sync(ctx, nd.ino)
		fs.evictVictim(uint64(nd.ino)) // the ledger may learn only now that it could go
	}
	if err == nil && fs.free(n) != nil && fs.ledger.Total() > 0 {
		wait, cancel := context.WithTimeout(ctx, roomTime)
		defer cancel()
		defer context.AfterFunc(fs.ctx, cancel)()
		err = fs.Drain(wait)
		fs.evictAll()
	}
	if ctx.Err() != nil {
		return ErrInterrupted
	}
	if full := fs.free(n); full != nil {
		return errors.Join(full, err)
	}
	return nil
}

// evictAll gives up all local content that the bucket has.
func (fs *FS) evictAll() {
	for _, ino := range fs.ledger.Victims(0) {
		fs.evictVictim(ino)
	}
}
