package writeback

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"objvol/fusefs/index"
	"objvol/fusefs/layout"
)

// Reader is what both an index and a transaction of it can read.
type Reader interface {
	Inode(ino index.Ino) (index.Inode, error)
	Names(ino index.Ino) ([]index.Name, error)
	Members(ino index.Ino) ([]index.Ino, error)
	Group(link string) (index.Ino, error)
	Lookup(parent index.Ino, name string) (index.Ino, error)
	Content(ino index.Ino) (index.Content, error)
	Key(key string) (index.Key, bool, error)
	Keys(prefix string, fn func(index.Key) bool) error
	IsDirty(ino index.Ino) (bool, error)
	IsDoomed(key string) (bool, error)
}

// maxDepth ends a climb to the root that has lost its way in a damaged index.
const maxDepth = 4096

// Path returns an inode's path below the volume's root, without a leading slash; the
// root's is empty. Of several names it takes the first.
// Errors: index.ErrNotFound when the inode has no name.
func Path(r Reader, ino index.Ino) (string, error) {
	var parts []string
	for range maxDepth {
		if ino == index.Root {
			slices.Reverse(parts)
			return strings.Join(parts, "/"), nil
		}
		names, err := r.Names(ino)
		if err != nil {
			return "", err
		}
		if len(names) == 0 {
			return "", fmt.Errorf("inode %d: %w", ino, index.ErrNotFound)
		}
		parts = append(parts, names[0].Name)
		ino = names[0].Parent
	}
	return "", fmt.Errorf("inode %d lies deeper than %d directories", ino, maxDepth)
}

// KeyOf returns the key at which an inode belongs, with the first of its names.
func KeyOf(r Reader, l layout.Layout, n index.Inode) (string, error) {
	if n.Ino == index.Root {
		return l.Root(), nil
	}
	if n.IsRecord() {
		return l.Records().Link(n.Link), nil
	}
	path, err := Path(r, n.Ino)
	if err != nil {
		return "", err
	}
	if n.Dir != nil {
		return l.Dir(path)
	}
	return l.File(path)
}

// wantedBy returns the inode that belongs at a key, if one does.
func wantedBy(r Reader, l layout.Layout, key string) (index.Inode, bool, error) {
	if key == l.Prefix() {
		key = l.Root()
	}
	if l.IsLong(key) {
		return wantedLong(r, l, key)
	}
	if link, ok := l.Records().Group(key); ok {
		return recordOf(r, link)
	}
	path, dir, hidden := l.Path(key)
	if hidden != layout.Shown {
		return index.Inode{}, false, nil
	}
	n, ok, err := inodeAt(r, path)
	return n, ok && (n.Dir != nil) == dir, err
}

// inodeAt returns the inode at a path, if the index has one.
func inodeAt(r Reader, path string) (index.Inode, bool, error) {
	ino := index.Root
	if path != "" {
		for name := range strings.SplitSeq(path, "/") {
			child, err := r.Lookup(ino, name)
			if errors.Is(err, index.ErrNotFound) {
				return index.Inode{}, false, nil
			}
			if err != nil {
				return index.Inode{}, false, err
			}
			ino = child
		}
	}
	n, err := r.Inode(ino)
	if errors.Is(err, index.ErrNotFound) {
		return index.Inode{}, false, nil
	}
	return n, err == nil, err
}

// parentOf returns the directory that a key lies in, if the index has it.
func parentOf(r Reader, l layout.Layout, key string) (index.Inode, bool, error) {
	if l.IsLong(key) {
		return parentOfLong(r, l, key)
	}
	path, _, hidden := l.Path(key)
	if hidden != layout.Shown || path == "" {
		return index.Inode{}, false, nil
	}
	dir, _ := layout.Split(path)
	n, ok, err := inodeAt(r, dir)
	return n, ok && n.Dir != nil, err
}

// recordOf returns the member that stands for the record of a group of hard links.
func recordOf(r Reader, link string) (index.Inode, bool, error) {
	ino, err := r.Group(link)
	var n index.Inode
	if err == nil {
		n, err = r.Inode(ino)
	}
	if err == nil {
		n, err = r.Inode(n.Record)
	}
	if errors.Is(err, index.ErrNotFound) {
		return n, false, nil
	}
	return n, err == nil && n.Nlink > 0, err
}
