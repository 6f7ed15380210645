package writeback

import (
	"errors"
	"time"

	"objvol/fusefs/index"
)

// walkBatch is how many names one transaction of a walk looks at.
const walkBatch = 500

// walkSubtree queues everything below a directory that has moved: each of its objects
// has a new key. New names below it get the right key by themselves.
func (w *Writeback) walkSubtree(dir index.Ino) error {
	n, err := w.Index.Inode(dir)
	if errors.Is(err, index.ErrNotFound) || err == nil && n.Nlink == 0 {
		return w.walked(dir, "")
	}
	if err != nil {
		return err
	}
	path, err := Path(w.Index, dir)
	if err != nil {
		return err
	}
	dirs := []index.Ino{dir}
	for len(dirs) > 0 {
		next := dirs[len(dirs)-1]
		dirs = dirs[:len(dirs)-1]
		var after uint64
		for more := true; more; {
			if w.ctx.Err() != nil {
				return w.ctx.Err()
			}
			var queued []index.Ino
			err := w.Index.Update(func(tx *index.Tx) error {
				queued, more = queued[:0], false
				var batch []index.Dirent
				err := tx.Dirents(next, after, func(d index.Dirent) bool {
					batch = append(batch, d)
					more = len(batch) == walkBatch
					return !more
				})
				if err != nil {
					return err
				}
				for _, d := range batch {
					after = d.Cookie
					n, err := tx.Inode(d.Ino)
					if errors.Is(err, index.ErrNotFound) {
						continue
					}
					if err != nil {
						return err
					}
					if n.Dir != nil {
						dirs = append(dirs, n.Ino)
					}
					if n.Placed != "" || n.Sending != "" {
						queued = append(queued, n.Ino)
						if err := tx.SetDirty(n.Ino); err != nil {
							return err
						}
					}
				}
				return nil
			})
			if err != nil {
				return err
			}
			now := time.Now()
			for _, ino := range queued {
				w.sched.add(inodeTask(ino), now)
			}
		}
	}
	return w.walked(dir, path)
}

// walked takes a directory out of the queue, unless it moved on during its walk: then it
// is walked again.
func (w *Writeback) walked(dir index.Ino, path string) error {
	t := treeTask(dir)
	return w.Index.Update(func(tx *index.Tx) error {
		now, err := Path(tx, dir)
		if err != nil && !errors.Is(err, index.ErrNotFound) {
			return err
		}
		if err == nil && now != path || w.sched.changed(t) {
			w.sched.repeat(t, true)
			return nil
		}
		w.sched.done(t)
		return tx.UnqueueSubtree(dir)
	})
}
