package driver

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// secretFile holds the keys that one volume was given as options. It lies beside
// driver.json, so that the latter can be shown.
type secretFile struct {
	AccessKey    string `json:"accessKey"`
	SecretKey    string `json:"secretKey"`
	SessionToken string `json:"sessionToken,omitempty"`
}

// saveSecrets writes the keys of a volume to path.
func saveSecrets(path string, spec Spec) error {
	data, err := json.Marshal(secretFile{spec.AccessKey.Reveal(), spec.SecretKey.Reveal(), spec.SessionToken.Reveal()})
	if err != nil {
		return err
	}
	return replaceFile(path, data)
}

// loadSecrets reads the keys of a volume from path.
func loadSecrets(path string, spec *Spec) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	var f secretFile
	if json.Unmarshal(data, &f) != nil { // its error could quote the content
		return fmt.Errorf("%s is damaged", path)
	}
	spec.forgetKeys()
	spec.AccessKey, spec.SecretKey, spec.SessionToken = NewSecret(f.AccessKey), NewSecret(f.SecretKey), NewSecret(f.SessionToken)
	return nil
}

func (d *Driver) secrets(spec Spec) string { return filepath.Join(d.stateDir, "secrets", spec.ID) }

// dropSecrets removes the keys of a volume, if it has any.
func (d *Driver) dropSecrets(spec Spec) error {
	if err := os.Remove(d.secrets(spec)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

// sweepSecrets removes keys of no volume: a crash in a Create leaves them.
func (d *Driver) sweepSecrets() error {
	owned := map[string]bool{}
	for _, v := range d.volumes {
		owned[v.spec.ID] = true
	}
	dir := filepath.Join(d.stateDir, "secrets")
	files, err := os.ReadDir(dir)
	for _, f := range files {
		if !owned[f.Name()] {
			err = errors.Join(err, os.Remove(filepath.Join(dir, f.Name())))
		}
	}
	return err
}
