package vfs

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"objvol/fusefs/index"
	"objvol/fusefs/layout"
	"objvol/fusefs/writeback"
	"objvol/objstore"
)

// scan is one listing of one directory.
type scan struct {
	fs     *FS
	look   writeback.Listing
	dir    Ino
	folder layout.Folder
	// first: the directory was not listed before. along: nor did it have a name.
	first, along bool
	// flight is what waits for it; nil for a look at one name.
	flight *flight
	began  time.Time
	// asOf is when the oldest of the requests was sent whose answers it goes by.
	asOf time.Time
	// seen are the names that were listed, or of which this listing may not speak.
	seen map[string]bool
	// covered are the files that were listed under names which directories have. They alone do
	// not make a name seen.
	covered map[string]found
	// hidden counts what cannot be shown, by reason; alone does so for what lies in names that
	// are left out, because there is nothing else in them.
	hidden hiddenCounts
	alone  map[string]hiddenCounts
}

// scan begins a look at a directory. The caller ends its look.
func (fs *FS) scan(dir Ino) (*scan, error) {
	now := time.Now()
	s := &scan{fs: fs, look: fs.wb.BeginListing(), dir: dir, began: now, asOf: now, seen: make(map[string]bool), covered: make(map[string]found), hidden: make(hiddenCounts), alone: make(map[string]hiddenCounts)}
	var err error
	var n index.Inode
	if s.folder, err = fs.folder(fs.Index, dir); err == nil {
		n, err = fs.Index.Inode(dir)
	}
	s.first = n.Dir != nil && !n.Dir.Listed
	if err == nil && s.first {
		s.along, err = fs.Index.Empty(dir)
	}
	if err != nil {
		s.look.End()
	}
	return s, notExist(err)
}

// list brings the index up to date with a directory of the bucket.
func (fs *FS) list(ctx context.Context, dir Ino, f *flight) error {
	s, err := fs.scan(dir)
	if err != nil {
		return err
	}
	s.flight = f
	defer s.look.End()
	fs.hidden.begin(dir)
	defer fs.hidden.end(dir)
	if prefix, ok := s.folder.Prefix(); ok {
		if err := s.pages(ctx, objstore.ListOptions{Prefix: prefix, Delimiter: "/", Max: s.firstPage()}); err != nil {
			return err
		}
	}
	if err := s.listLong(ctx); err != nil {
		return err
	}
	if err := s.dropVanished(ctx); err != nil {
		return err
	}
	if err := s.uncover(); err != nil {
		return err
	}
	return s.finish()
}

// lookPage is how many names the first page of a listing has that a look at one of them began.
const lookPage = 250

// firstPage is how many names the first page has, 0 for as many as the store gives. Who looks at
// a name in a directory that is not listed is likely to look at the next, and each costs two
// requests until the listing has brought it; a full page takes MinIO 90 to 130 ms with the
// metadata: it checks the request's signature twice for each object. Of 2,000 files that eight
// threads read, 29 to 55 names were looked for instead of 82 to 122.
func (s *scan) firstPage() int {
	if s.first && s.flight.look {
		return lookPage
	}
	return 0
}

// pages enters all pages of one listing. The next one is asked for while one is entered. The
// first may be limited, the others are full.
func (s *scan) pages(ctx context.Context, opts objstore.ListOptions) error {
	page, err := s.page(ctx, opts)
	if err == nil && !s.worth(page.Page) && s.end() {
		return errNotPeeked
	}
	for err == nil && page.Next != "" {
		var next shownPage
		opts.Token, opts.Max = page.Next, 0
		g, ctx := errgroup.WithContext(ctx)
		g.Go(func() (err error) {
			next, err = s.page(ctx, opts)
			return err
		})
		g.Go(func() error { return s.merge(ctx, page) })
		err = g.Wait()
		page = next
	}
	if err != nil {
		return err
	}
	return s.merge(ctx, page)
}

// errMoved ends a listing whose directory was renamed or removed meanwhile.
var errMoved = fmt.Errorf("%w: the directory was moved while it was listed", ErrStale)

// stillThere checks, inside a transaction, that the directory is where it was listed.
func (s *scan) stillThere(c *change) error {
	path, err := writeback.Path(c.Tx, s.dir)
	if err == nil && path != s.folder.Path() {
		err = errMoved
	}
	return notExist(err)
}

// mergeBatch is how many entries one transaction enters, so that others get their turn.
const mergeBatch = 200

// merge enters one page.
func (s *scan) merge(ctx context.Context, page shownPage) error {
	entries := make([]found, 0, len(page.Objects)+len(page.Prefixes))
	for i, obj := range page.Objects {
		f := s.found(obj.Key, obj)
		if page.same == nil || !page.same[i] {
			entries = append(entries, f)
		} else if !f.entry.Self {
			s.seen[f.entry.Name] = true
		}
	}
	for _, prefix := range page.Prefixes {
		entries = append(entries, s.found(prefix, objstore.Object{}))
	}
	entries, err := s.shown(ctx, entries)
	if err != nil {
		return err
	}
	for len(entries) > 0 {
		batch := entries[:min(mergeBatch, len(entries))]
		entries = entries[len(batch):]
		err := s.fs.change(func(c *change) error {
			if err := s.stillThere(c); err != nil {
				return err
			}
			vacant, err := s.vacant(c, batch)
			if err != nil {
				return err
			}
			for _, f := range batch {
				if vacant && !f.entry.Self && !s.seen[f.entry.Name] {
					err = s.enterAbsent(c, f)
				} else {
					err = s.enter(c, f)
				}
				if err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
		if s.along {
			s.flight.advance(s.fs)
		}
	}
	return nil
}

// finish marks the directory as listed.
func (s *scan) finish() error {
	err := s.fs.change(func(c *change) error {
		if err := s.stillThere(c); err != nil {
			return err
		}
		n, err := c.Inode(s.dir)
		if err != nil {
			return notExist(err)
		}
		n.Dir.Listed, n.Dir.ListedAt, n.Dir.Took = true, s.asOf, time.Since(s.began)
		if err := s.clearUp(c, &n); err != nil {
			return err
		}
		if len(s.hidden)+len(s.alone) > 0 && s.dir != Root && unmarked(n) {
			// If nothing is left that can be shown, neither is the directory.
			empty, err := c.Empty(s.dir)
			if err != nil {
				return err
			}
			n.Vague = n.Vague || empty
		}
		return c.PutInode(n)
	})
	if err == nil {
		s.fs.hidden.found(s.dir, s.hidden, s.alone)
		if s.flight.onlyPeek(s.fs) {
			s.fs.peeks.listed(s.dir, len(s.seen))
		}
	}
	return err
}
