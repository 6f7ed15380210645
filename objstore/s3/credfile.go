package s3

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/minio/minio-go/v7/pkg/credentials"
)

// files are credentials that lie in files, and are read again when one of these changed.
// A change that cannot be read, because it is half made, leaves the old ones in use; the
// next request looks again.
type files struct {
	retriever

	paths  []string
	read   func(cc *credentials.CredContext) (credentials.Value, error)
	renew  func() bool // whether what was read needs reading again by itself; may be nil
	stamps []string    // of the paths, when last was read
	last   credentials.Value
}

// RetrieveWithCredContext reads the files.
func (f *files) RetrieveWithCredContext(cc *credentials.CredContext) (credentials.Value, error) {
	stamps := stampsOf(f.paths) // before reading: what changes meanwhile is read again
	v, err := f.read(cc)
	if err == nil && (v.AccessKeyID == "" || v.SecretAccessKey == "") {
		err = fmt.Errorf("%s: no access key and secret key in it", strings.Join(f.paths, ", "))
	}
	if err != nil {
		if f.last.AccessKeyID != "" && f.last.Expiration.IsZero() {
			return f.last, nil
		}
		return credentials.Value{}, err
	}
	f.stamps, f.last = stamps, v
	return v, nil
}

// IsExpired reports whether the files changed since they were read.
func (f *files) IsExpired() bool {
	for i, stamp := range stampsOf(f.paths) {
		if f.stamps == nil || f.stamps[i] != stamp {
			return true
		}
	}
	return !f.last.Expiration.IsZero() && f.renew != nil && f.renew()
}

// stampsOf tells the states of files apart; a file that is not there has an empty one.
func stampsOf(paths []string) []string {
	stamps := make([]string, len(paths))
	for i, path := range paths {
		if info, err := os.Stat(path); err == nil {
			inode := uint64(0)
			if unix, ok := info.Sys().(*syscall.Stat_t); ok {
				inode = unix.Ino
			}
			stamps[i] = fmt.Sprint(info.ModTime().UnixNano(), info.Size(), inode)
		}
	}
	return stamps
}

// newKeyFiles returns keys that lie in a file each, as secrets of an orchestrator do.
func newKeyFiles(access, secret string) *files {
	paths := []string{access, secret}
	return &files{paths: paths, read: func(*credentials.CredContext) (credentials.Value, error) {
		var keys [2]string
		for i, path := range paths {
			data, err := os.ReadFile(path)
			if err != nil {
				return credentials.Value{}, err
			}
			if keys[i] = strings.TrimSpace(string(data)); keys[i] == "" {
				return credentials.Value{}, fmt.Errorf("%s is empty", path)
			}
		}
		return credentials.Value{AccessKeyID: keys[0], SecretAccessKey: keys[1], SignerType: credentials.SignatureV4}, nil
	}}
}

// newProfile returns a profile of AWS's shared files, or of the one file that the
// configuration names. That may be a password file of s3fs instead.
func newProfile(cfg Config) *files {
	aws := &credentials.FileAWSCredentials{Filename: cfg.CredentialsFile, Profile: cfg.Profile}
	paths := []string{cfg.CredentialsFile}
	if cfg.CredentialsFile == "" {
		paths = sharedPaths()
	}
	read := func(cc *credentials.CredContext) (credentials.Value, error) {
		if cfg.CredentialsFile != "" && cfg.Profile == "" {
			if v, found, err := readPasswords(cfg.CredentialsFile, cfg.Bucket); found || err != nil {
				return v, err
			}
		}
		v, err := aws.RetrieveWithCredContext(cc)
		if err != nil && cfg.Profile != "" {
			err = fmt.Errorf("profile %q: %w", cfg.Profile, err)
		}
		return v, err
	}
	return &files{paths: paths, read: read, renew: aws.IsExpired}
}

// sharedPaths are where AWS's tools keep credentials.
func sharedPaths() []string {
	paths := []string{os.Getenv("AWS_CONFIG_FILE"), os.Getenv("AWS_SHARED_CREDENTIALS_FILE")}
	home, err := os.UserHomeDir()
	for i, name := range []string{"config", "credentials"} {
		if paths[i] == "" && err == nil {
			paths[i] = filepath.Join(home, ".aws", name)
		}
	}
	return paths
}

// readPasswords reads lines of access:secret and bucket:access:secret, as s3fs has them.
// The line of the bucket is preferred. Found is false if the file has no such lines.
func readPasswords(path, bucket string) (v credentials.Value, found bool, err error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return v, false, err
	}
	for line := range strings.Lines(string(data)) {
		line = strings.TrimSpace(line)
		fields := strings.Split(line, ":")
		switch {
		case line == "" || line[0] == '#':
			continue
		case line[0] == '[':
			return credentials.Value{}, false, nil // AWS's format
		}
		if len(fields) == 3 && fields[0] == bucket {
			return passwords(fields[1:]), true, nil
		}
		if len(fields) == 2 {
			v, found = passwords(fields), true
		}
	}
	if !found {
		err = errors.New(path + ": neither AWS's format nor lines of access-key:secret-key")
	}
	return v, found, err
}

func passwords(fields []string) credentials.Value {
	return credentials.Value{AccessKeyID: fields[0], SecretAccessKey: fields[1], SignerType: credentials.SignatureV4}
}
