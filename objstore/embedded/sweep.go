//go:build !noembedded

package embedded

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/versity/versitygw/backend/posix"
)

// sweep removes what requests that a crash ended have left: bodies that were being
// received, and uploads that were being completed, which their client cannot name any
// more. Uploads that wait for more parts stay.
func sweep(objects string) error {
	for _, pattern := range []string{
		filepath.Join(posix.MetaTmpDir, "*"),
		filepath.Join(posix.MetaTmpMultipartDir, "*", "*"),
	} {
		found, err := filepath.Glob(filepath.Join(globLiteral(objects), "*", pattern))
		if err != nil {
			return fmt.Errorf("embedded store: sweep: %w", err)
		}
		for _, path := range found {
			fi, err := os.Lstat(path)
			if err != nil {
				return fmt.Errorf("embedded store: sweep: %w", err)
			}
			if fi.IsDir() && !strings.HasSuffix(path, ".inprogress") {
				continue
			}
			if err := os.RemoveAll(path); err != nil {
				return fmt.Errorf("embedded store: sweep: %w", err)
			}
		}
	}
	return nil
}

// globLiteral quotes a path for filepath.Glob.
func globLiteral(path string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(path)
}
