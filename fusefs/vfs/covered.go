package vfs

import (
	"errors"

	"objvol/fusefs/index"
	"objvol/fusefs/layout"
)

// Where a file and a directory have one name the directory is shown. Whether it is there still
// is known when all was listed: another client may have removed it and left the file.

// uncover hides the files whose names directories have, and enters those whose directory has
// gone.
func (s *scan) uncover() error {
	if len(s.covered) == 0 {
		return nil
	}
	return s.fs.change(func(c *change) error {
		if err := s.stillThere(c); err != nil {
			return err
		}
		for name, f := range s.covered {
			_, err := c.Lookup(s.dir, name)
			if err == nil {
				s.hideObject(f, layout.HiddenShadowed)
			} else if errors.Is(err, index.ErrNotFound) {
				err = s.enter(c, f)
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
}
