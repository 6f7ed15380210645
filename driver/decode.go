package driver

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"path/filepath"
	"unicode/utf8"
)

// maxCount is more references than any ID has; the sum of a volume's does not overflow.
const maxCount = math.MaxInt32

// decodeState reads driver.json of any version up to stateVersion. What it cannot take
// exactly as it stands there is damaged: a reference that was overlooked would unmount a
// volume below its containers.
func decodeState(data []byte) (stateFile, error) {
	var f stateFile
	var version struct{ Version int }
	err := json.Unmarshal(data, &version)
	if err == nil && version.Version > stateVersion {
		return f, fmt.Errorf("has version %d, this driver reads up to %d: start the newer driver that wrote it", version.Version, stateVersion)
	}
	if err == nil {
		err = json.Unmarshal(data, &f)
	}
	if err == nil {
		err = f.check()
	}
	if err == nil {
		err = f.saysAll(data)
	}
	if err != nil {
		return stateFile{}, fmt.Errorf("is damaged and was left as it is; put a backup in its place, or move it away to start without volumes: %w", err)
	}
	for _, r := range f.Volumes {
		if r.Holders == nil {
			r.Holders = map[string]holder{}
		}
	}
	return f, nil
}

// check reports what no driver writes.
func (f stateFile) check() error {
	if f.Version < 1 {
		return errors.New("no version")
	}
	names := map[string]string{} // by id
	for name, r := range f.Volumes {
		if err := validateName(name); err != nil {
			return err
		}
		if r == nil || r.Spec.ID == "" || r.Spec.ID != filepath.Base(r.Spec.ID) || r.Spec.ID[0] == '.' {
			return fmt.Errorf("volume %q has no valid id", name)
		}
		if other, taken := names[r.Spec.ID]; taken {
			return fmt.Errorf("volumes %q and %q have the same id", name, other)
		}
		names[r.Spec.ID] = name
		for id, h := range r.Holders {
			if h.Count < 1 || h.Count > maxCount {
				return fmt.Errorf("volume %q has holder %q with count %d", name, id, h.Count)
			}
		}
	}
	return nil
}

// saysAll reports an error if data says more than was understood: encoding/json passes over
// fields that it does not know, keeps the last of two that have one name, and mends text
// that is not UTF-8.
func (f stateFile) saysAll(data []byte) error {
	if !utf8.Valid(data) {
		return errors.New("not UTF-8")
	}
	again, err := json.Marshal(f)
	if err != nil {
		return err
	}
	understood, err := words(again)
	if err != nil {
		return err
	}
	said, err := words(data)
	if err != nil {
		return err
	}
	left := map[string]int{}
	for _, word := range understood {
		left[word]++
	}
	for _, word := range said {
		if left[word]--; left[word] < 0 {
			return fmt.Errorf("%q stands where it has no meaning, or once too often", word)
		}
	}
	return nil
}

// words returns the names and texts in a JSON text.
func words(data []byte) (all []string, err error) {
	d := json.NewDecoder(bytes.NewReader(data))
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return all, nil
		}
		if err != nil {
			return nil, err
		}
		if word, ok := token.(string); ok {
			all = append(all, word)
		}
	}
}
