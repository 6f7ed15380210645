package writeback

import (
	"errors"

	"objvol/fusefs/index"
)

// A file of which nothing was ever sent needs no members: it has all its names itself, as one
// with a single name has that one. It is loose. Most often it is so for a moment: a program
// links the file to its name and unlinks it from the temporary one under which it was written.
// Members come when it is to be sent and still has several names.

// looseMost is how many names a loose inode can have. It gets the members of all of them in
// one transaction.
const looseMost = 64

// mayBeLoose reports whether an inode needs no members for one name more.
func mayBeLoose(n index.Inode) bool {
	return n.Placed == "" && n.Sending == "" && n.Link == "" && n.Nlink < looseMost
}

// isLoose reports whether an inode has several names and no members.
func isLoose(n index.Inode) bool { return n.Nlink > 1 && n.Link == "" && n.Of == 0 }

// bind gives an inode its members, if it is loose.
func bind(tx *index.Tx, ino index.Ino) error {
	n, err := tx.Inode(ino)
	if errors.Is(err, index.ErrNotFound) || err == nil && !isLoose(n) {
		return nil
	}
	if err == nil {
		_, err = grouped(tx, n, newGroup(), false)
	}
	return err
}
