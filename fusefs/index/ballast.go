package index

import (
	"errors"
	"fmt"
	"os"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// ballastSize is the disk space held in reserve for the flushes and the log that are under
// way when the disk fills up, in bytes.
const ballastSize = 4 << 20

// keepBallast makes the file that holds the reserve, unless it is there.
func keepBallast(fs vfs.FS, path string) error {
	switch _, err := fs.Stat(path); {
	case err == nil:
		return nil
	case !errors.Is(err, os.ErrNotExist):
		return fmt.Errorf("ballast: %w", err)
	}
	f, err := fs.Create(path, vfs.WriteCategoryUnspecified)
	if err != nil {
		return fmt.Errorf("ballast: %w", err)
	}
	err = f.Preallocate(0, ballastSize)
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return fmt.Errorf("ballast: %w", errors.Join(err, fs.Remove(path)))
	}
	return nil
}
