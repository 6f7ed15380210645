package layout

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// ErrDefinition is a volume's record that cannot be read.
var ErrDefinition = errors.New("not a volume's definition")

// definitionVersion is the format that EncodeDefinition writes and the newest that
// DecodeDefinition reads.
const definitionVersion = 1

// Definition is what the bucket remembers of a volume, under Records.VolumeRecord. It
// is written once, on the condition that there is none.
type Definition struct {
	Name   string `json:"name"`
	Prefix string `json:"prefix"` // as Layout.Prefix
	// Options are the volume's options as the user gave them, without secrets: leaving
	// those out is the caller's duty.
	Options map[string]string `json:"options,omitempty"`
	Created time.Time         `json:"created"`
	// Nonce tells this volume from others that had the same name or prefix.
	Nonce string `json:"nonce"`
	// Own: the prefix was derived from the name and held nothing when the volume was
	// created, so that its data may be deleted with it (hard-cases 10).
	Own bool `json:"own,omitempty"`
}

// definitionRecord is the stored form.
type definitionRecord struct {
	Version int `json:"version"`
	Definition
}

// EncodeDefinition returns the body of the record. Equal definitions give equal bytes.
func EncodeDefinition(d Definition) ([]byte, error) {
	d.Created = d.Created.UTC()
	body, err := json.MarshalIndent(definitionRecord{Version: definitionVersion, Definition: d}, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("encode the definition of volume %q: %w", d.Name, err)
	}
	return append(body, '\n'), nil
}

// DecodeDefinition reads the body of a record. Fields that it does not know are left out.
// Errors: ErrDefinition, also for a format newer than this program's.
func DecodeDefinition(body []byte) (Definition, error) {
	var record definitionRecord
	if err := json.Unmarshal(body, &record); err != nil {
		return Definition{}, fmt.Errorf("%w: %w", ErrDefinition, err)
	}
	switch {
	case record.Version > definitionVersion:
		return Definition{}, fmt.Errorf("%w: format %d is newer than this program's %d", ErrDefinition, record.Version, definitionVersion)
	case record.Version < 1:
		return Definition{}, fmt.Errorf("%w: no version", ErrDefinition)
	case record.Name == "":
		return Definition{}, fmt.Errorf("%w: no name", ErrDefinition)
	}
	return record.Definition, nil
}
