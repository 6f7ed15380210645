package driver

import (
	"fmt"
	"time"
)

// Spec is a volume with all of its options decided.
type Spec struct {
	Name string // as the engine says it; anything that validateName allows
	ID   string // made at Create, never used again; lower-case letters and digits

	// Where the volume lies. Fixed at Create.
	Endpoint string // URL; empty is the embedded store
	Region   string
	Bucket   string
	Prefix   string // of the keys; ends in "/" or is empty (the whole bucket)

	// Where the keys come from: one of the three, or none, which leaves it to AWS's places.
	AccessKey, SecretKey         Secret // both or none
	SessionToken                 Secret // belongs to the two, may be missing
	AccessKeyFile, SecretKeyFile string // both or none; absolute
	Profile, CredentialsFile     string // one of the two is enough; the file is absolute

	PathStyle          bool
	CACert             string // file of certificates that are trusted beside the system's; absolute
	InsecureSkipVerify bool   // any certificate is believed

	UID, GID  uint32 // owner of files that carry none
	FileMode  uint32 // permission bits of files that carry none
	DirMode   uint32
	TTL       time.Duration // how long what the bucket said is believed
	Sync      Sync
	Close     Close
	ReadOnly  bool
	CacheSize int64 // bytes
	OnRemove  OnRemove

	Passthrough    bool  // the kernel reads and writes large files on this host itself
	PassthroughMin int64 // from which size on, in bytes
	PassthroughNew bool  // files that are likely to become large, too, from their creation on

	// Given are the options that Create was given, by key in the canonical spelling,
	// without secrets. What is not here came from the defaults.
	Given map[string]string

	ownSecrets bool // the keys were given as options, not by the defaults
}

// Sync is what fsync waits for.
type Sync string

// Close is what close waits for.
type Close string

// OnRemove is what Remove does with the data.
type OnRemove string

// The values of sync, close and on-remove.
const (
	SyncBucket     Sync     = "bucket"
	SyncLocal      Sync     = "local"
	CloseAsync     Close    = "async"
	CloseBucket    Close    = "bucket"
	OnRemoveKeep   OnRemove = "keep"
	OnRemoveDelete OnRemove = "delete"
)

// Defaults are the values of options that a volume is not given. Name, ID, Prefix and Given
// of the Spec are not used.
type Defaults struct {
	Spec

	// BasePrefix is what every volume's prefix lies below: ends in "/" or is empty.
	BasePrefix string
}

// BuiltIn returns the defaults that hold where neither flag nor environment says
// otherwise: the embedded store.
func BuiltIn() Defaults {
	return Defaults{Spec: Spec{
		Bucket:    "objvol",
		PathStyle: true,
		FileMode:  0o644,
		DirMode:   0o755,
		TTL:       10 * time.Second,
		Sync:      SyncBucket,
		Close:     CloseAsync,
		CacheSize: 1 << 30,
		OnRemove:  OnRemoveKeep,

		Passthrough:    true,
		PassthroughMin: 1 << 20,
	}}
}

// Set changes one default by the name and spelling of the volume option; "prefix" is
// BasePrefix. Errors never show a secret.
func (d *Defaults) Set(key, text string) error {
	o, err := findOption(key)
	if err != nil {
		return err
	}
	if o.key != "prefix" {
		return o.apply(&d.Spec, text)
	}
	var s Spec
	if err := o.apply(&s, text); err != nil {
		return err
	}
	d.BasePrefix = s.Prefix
	return nil
}

// Resolve decides the options of a volume: what opts give, and the defaults for the rest.
// The Spec has no ID. Errors name the option and the nearest valid one, never a secret.
func (d Defaults) Resolve(name string, opts map[string]string) (Spec, error) {
	if err := validateName(name); err != nil {
		return Spec{}, err
	}
	s := d.Spec
	s.Name, s.ID, s.Given = name, "", map[string]string{}
	s.Prefix = escapeName(name) + "/"
	if err := s.applyAll(opts); err != nil {
		return Spec{}, err
	}
	s.Prefix = d.BasePrefix + s.Prefix
	if len(s.Prefix) > maxPrefix {
		return Spec{}, fmt.Errorf("prefix has %d bytes, at most %d leave room for the names of files", len(s.Prefix), maxPrefix)
	}
	return s, nil
}

// prefixDerived reports whether the volume lies where its name says, not where an option
// pointed it.
func (s Spec) prefixDerived() bool {
	_, bucket := s.Given["bucket"]
	_, prefix := s.Given["prefix"]
	return !bucket && !prefix
}

// deletesData decides what Remove does (hard-cases 10). An explicit on-remove is followed.
// Otherwise the data goes only with a volume that nobody named, or where the default is to
// delete, and only from a place that was made for it.
func (s Spec) deletesData(wasEmpty bool) bool {
	if _, explicit := s.Given["on-remove"]; explicit {
		return s.OnRemove == OnRemoveDelete
	}
	return (anonymous(s.Name) || s.OnRemove == OnRemoveDelete) && s.prefixDerived() && wasEmpty && !s.ReadOnly
}

// at returns the spec at the place where an existing volume was put, as far as its own
// options do not name another.
func (s Spec) at(there Spec) Spec {
	for _, o := range options {
		if _, given := s.Given[o.key]; o.place && !given {
			o.copy(&s, &there)
		}
	}
	return s
}
