//go:build !noembedded

package embedded

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// credentials are the store's only account, as the file keeps them.
type credentials struct {
	AccessKey string `json:"accessKey"`
	SecretKey string `json:"secretKey"`
}

// loadCredentials reads the file, or makes it.
func loadCredentials(path string) (credentials, error) {
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		c := credentials{AccessKey: rand.Text()[:20], SecretKey: rand.Text() + rand.Text()[:14]}
		return c, c.save(path)
	}
	if err != nil {
		return credentials{}, fmt.Errorf("credentials of the embedded store: %w", err)
	}
	var c credentials
	if err := json.Unmarshal(data, &c); err != nil {
		return credentials{}, fmt.Errorf("credentials of the embedded store: %s: %w: remove the file to get new ones", path, err)
	}
	if c.AccessKey == "" || c.SecretKey == "" {
		return credentials{}, fmt.Errorf("credentials of the embedded store: %s: a key is empty: remove the file to get new ones", path)
	}
	return c, nil
}

// save writes the file so that after a crash it is whole or not there.
func (c credentials) save(path string) (err error) {
	data, err := json.Marshal(c)
	if err != nil {
		return fmt.Errorf("credentials of the embedded store: %w", err)
	}
	// CreateTemp gives mode 0600.
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*")
	if err != nil {
		return fmt.Errorf("credentials of the embedded store: %w", err)
	}
	_, err = f.Write(data)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return fmt.Errorf("credentials of the embedded store: %w", errors.Join(err, os.Remove(f.Name())))
	}
	return syncDir(filepath.Dir(path))
}

func syncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
