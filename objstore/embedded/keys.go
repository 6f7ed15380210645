//go:build !noembedded

package embedded

import (
	"errors"
	"net/http"
	"os"
	"path"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/versity/versitygw/backend/posix"
	"github.com/versity/versitygw/s3err"
)

// errKey refuses a key that the store cannot keep apart from others.
var errKey = s3err.APIError{
	Code:           "InvalidArgument",
	Description:    "This store keeps objects as files: a key must be a clean path without " + posix.MetaTmpDir + ".",
	HTTPStatusCode: http.StatusBadRequest,
}

// keepable reports whether a key is the path of a file of its own. The backend would
// take a//b and a/./b for a/b, and hides what lies in its own folder's name.
func keepable(key string) bool {
	rooted := "/" + strings.TrimSuffix(key, "/")
	return rooted != "/" && path.Clean(rooted) == rooted && !strings.Contains(rooted+"/", "/"+posix.MetaTmpDir+"/")
}

// conflict says why no file can lie at a key: a folder is there, or a file is where a
// folder would have to be.
func conflict(bucket, key string) error {
	switch fi, err := os.Stat(filepath.Join(bucket, key)); {
	case err == nil && fi.IsDir():
		return s3err.GetAPIError(s3err.ErrExistingObjectIsDirectory)
	case errors.Is(err, syscall.ENOTDIR):
		return s3err.GetAPIError(s3err.ErrObjectParentIsFile)
	}
	return nil
}
