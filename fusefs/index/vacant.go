package index

import "encoding/binary"

// VacantNames tells whether a directory has no name from first to last, both included, in
// the order of their bytes.
func (r reader) VacantNames(parent Ino, first, last string) (bool, error) {
	return r.vacant(entryKey(parent, first), entryKey(parent, last))
}

// VacantKeys tells whether of no key from first to last, both included, it is known what
// the bucket holds, nor that it is to be deleted.
func (r reader) VacantKeys(first, last string) (bool, error) {
	for _, tag := range []byte{tagKey, tagDoomed} {
		if vacant, err := r.vacant(textKey(tag, first), textKey(tag, last)); !vacant || err != nil {
			return false, err
		}
	}
	return true, nil
}

func (r reader) vacant(first, last []byte) (bool, error) {
	vacant := true
	err := r.walk(first, append(last, 0), func(_, _ []byte) (bool, error) {
		vacant = false
		return false, nil
	})
	return vacant, err
}

// EnterNew stores an inode that was numbered in this transaction under a name that the
// directory does not have; it comes last there. It does not look: the caller knows.
func (tx *Tx) EnterNew(parent Ino, name string, n Inode) error {
	if err := tx.group(&n); err != nil {
		return err
	}
	e := entry{ino: n.Ino, cookie: tx.number() + 1} // the counter begins at 2
	if err := tx.put(inoKey(tagInode, n.Ino), appendInode(nil, &n)); err != nil {
		return err
	}
	if err := tx.write(entryKey(parent, name), appendEntry(nil, e), false); err != nil {
		return err
	}
	if err := tx.put(orderKey(parent, e.cookie), appendOrder(nil, n.Ino, name)); err != nil {
		return err
	}
	tx.many = true
	if err := tx.write(backKey(n.Ino, parent, name), nil, false); err != nil || n.Dir == nil {
		return err
	}
	count, err := tx.Subdirs(parent)
	if err != nil {
		return err
	}
	return tx.put(inoKey(tagSubdirs, parent), binary.AppendUvarint(nil, count+1))
}
