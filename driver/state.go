package driver

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"
	"time"
)

// stateVersion is the version of driver.json that this driver writes, and the newest that
// it reads. A file of each older version stays in testdata.
const stateVersion = 1

// stateFile is driver.json.
type stateFile struct {
	Version int                `json:"version"`
	Epoch   uint64             `json:"epoch"`
	Volumes map[string]*record `json:"volumes"` // by name
}

// record is one volume in driver.json.
type record struct {
	Spec           specRecord        `json:"spec"`
	CreatedAt      time.Time         `json:"createdAt"`
	PrefixWasEmpty bool              `json:"prefixWasEmpty"`
	Holders        map[string]holder `json:"holders"` // by mount ID
}

// specRecord is what of a Spec is fixed at Create.
type specRecord struct {
	ID         string            `json:"id"`
	Endpoint   string            `json:"endpoint"`
	Region     string            `json:"region"`
	Bucket     string            `json:"bucket"`
	Prefix     string            `json:"prefix"`
	Options    map[string]string `json:"options"`
	HasSecrets bool              `json:"hasSecrets"` // they are in secrets/<id>
}

// holder is one mount ID's references.
type holder struct {
	Count int    `json:"count"` // 1 to maxCount
	Epoch uint64 `json:"epoch"` // of its last Mount
}

// state is driver.json, in memory and on disk.
type state struct {
	path string

	save  sync.Mutex // one writer at a time; protects saved
	saved uint64     // the change up to which the file on disk is complete

	mu      sync.Mutex // protects what follows; held over no I/O
	changes uint64
	file    stateFile
}

// openState reads the file; a missing one is an empty state. A file that cannot be
// understood is an error and stays as it is.
func openState(path string) (*state, error) {
	s := &state{path: path, file: stateFile{Version: stateVersion}}
	data, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return nil, err
	default:
		if s.file, err = decodeState(data); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
	}
	if s.file.Volumes == nil {
		s.file.Volumes = map[string]*record{}
	}
	return s, nil
}

// records returns a copy of all volumes.
func (s *state) records() map[string]record {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make(map[string]record, len(s.file.Volumes))
	for name, r := range s.file.Volumes {
		all[name] = *r
	}
	return all
}

// add puts a volume into the file.
func (s *state) add(name string, r record) error {
	r.Holders = map[string]holder{}
	s.mu.Lock()
	s.file.Volumes[name] = &r
	change := s.changedLocked()
	s.mu.Unlock()
	err := s.flush(change)
	if err != nil {
		s.mu.Lock()
		delete(s.file.Volumes, name)
		s.changedLocked()
		s.mu.Unlock()
	}
	return err
}

// remove takes a volume out of the file.
func (s *state) remove(name string) error {
	s.mu.Lock()
	r := s.file.Volumes[name]
	delete(s.file.Volumes, name)
	change := s.changedLocked()
	s.mu.Unlock()
	err := s.flush(change)
	if err != nil {
		s.mu.Lock()
		s.file.Volumes[name] = r
		s.changedLocked()
		s.mu.Unlock()
	}
	return err
}

// newEpoch begins an epoch: an engine has started.
func (s *state) newEpoch() error {
	s.mu.Lock()
	s.file.Epoch++
	change := s.changedLocked()
	s.mu.Unlock()
	return s.flush(change)
}

// hold counts one reference, on disk when it returns without an error; with an error
// nothing was counted.
func (s *state) hold(name, id string) error {
	s.mu.Lock()
	holders, epoch := s.file.Volumes[name].Holders, s.file.Epoch
	count := 1
	if h, known := holders[id]; known && h.Epoch == epoch {
		count += h.Count
	}
	holders[id] = holder{count, epoch}
	change := s.changedLocked()
	s.mu.Unlock()
	err := s.flush(change)
	if err != nil {
		s.mu.Lock()
		s.dropLocked(name, id)
		s.mu.Unlock()
	}
	return err
}

// drop ends one reference. It reports whether there was one and how many of all IDs are
// left. An error means that the file on disk still has the reference, memory has not.
func (s *state) drop(name, id string) (held bool, left int, err error) {
	s.mu.Lock()
	held = s.dropLocked(name, id)
	left = s.referencesLocked(name)
	change := s.changes
	s.mu.Unlock()
	if held {
		err = s.flush(change)
	}
	return held, left, err
}

func (s *state) dropLocked(name, id string) (held bool) {
	r := s.file.Volumes[name]
	if r == nil {
		return false
	}
	h, held := r.Holders[id]
	if !held {
		return false
	}
	if h.Count--; h.Count < 1 || h.Epoch != s.file.Epoch {
		delete(r.Holders, id)
	} else {
		r.Holders[id] = h
	}
	s.changedLocked()
	return true
}

// references counts a volume's references of all IDs.
func (s *state) references(name string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.referencesLocked(name)
}

func (s *state) referencesLocked(name string) (n int) {
	if r := s.file.Volumes[name]; r != nil {
		for _, h := range r.Holders {
			n += h.Count
		}
	}
	return n
}

// holders returns a volume's references by ID.
func (s *state) holders(name string) map[string]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	counts := map[string]int{}
	if r := s.file.Volumes[name]; r != nil {
		for id, h := range r.Holders {
			counts[id] = h.Count
		}
	}
	return counts
}

// changedLocked numbers a change of the content.
func (s *state) changedLocked() uint64 {
	s.changes++
	return s.changes
}

// flush returns when the change is on disk. Changes that are made while another is being
// written share the next writing.
func (s *state) flush(change uint64) error {
	s.save.Lock()
	defer s.save.Unlock()
	if s.saved >= change {
		return nil
	}
	s.mu.Lock()
	upTo := s.changes
	data, err := json.MarshalIndent(s.file, "", "\t")
	s.mu.Unlock()
	if err == nil {
		err = replaceFile(s.path, append(data, '\n'))
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", s.path, err)
	}
	s.saved = upTo
	return nil
}
