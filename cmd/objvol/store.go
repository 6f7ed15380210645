package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"sync"

	"objvol/driver"
	"objvol/fusefs/layout"
	"objvol/objstore"
	"objvol/objstore/embedded"
	"objvol/objstore/s3"
)

// requestsAtOnce is how many requests of one volume are under way at most. Those that
// write are fewer where the store does not do more for it.
const requestsAtOnce = 160

// stores opens the buckets of volumes. It runs the embedded store from the first volume
// that needs it.
type stores struct {
	dir string // of the embedded store
	log *slog.Logger

	mu       sync.Mutex // protects what follows; held while the embedded store starts
	embedded *embedded.Server

	known sync.Map // place -> objstore.Capabilities that were found out
}

// place is what capabilities are found out of.
type place struct{ Endpoint, Bucket string }

func placeOf(spec driver.Spec) place { return place{spec.Endpoint, spec.Bucket} }

// bucket is an open bucket of one volume.
type bucket struct {
	objstore.Bucket
	writes func() int // that may run at once now
	close  func()
}

// open opens a volume's bucket. A missing one is made unless the volume is read-only.
// What the server can do is found out by trying, once for each place; remembered is the
// path of the file that keeps the answer over restarts, if there is one. seen may be nil.
func (s *stores) open(ctx context.Context, spec driver.Spec, seen objstore.Observer, remembered string) (*bucket, error) {
	cfg, local, err := s.config(ctx, spec)
	if err != nil {
		return nil, err
	}
	raw, err := s3.Open(ctx, cfg)
	if err != nil {
		if errors.Is(err, objstore.ErrAccessDenied) && !spec.HasKeys() {
			return nil, fmt.Errorf("%w; set OBJVOL_ACCESS_KEY and OBJVOL_SECRET_KEY, or give the volume access-key and secret-key", err)
		}
		return nil, err
	}
	var b objstore.Bucket
	if local != nil {
		b = local.Durable(raw.WithCapabilities(local.Capabilities()))
	} else {
		caps, err := s.capabilities(ctx, raw, spec, remembered)
		if err != nil {
			raw.Close()
			return nil, err
		}
		b = raw.WithCapabilities(caps)
	}
	// Each attempt is observed, waits for its turn, and is repeated without holding one.
	b = objstore.WithObserver(b, seen)
	limited := objstore.WithLimit(b, requestsAtOnce)
	return &bucket{
		Bucket: objstore.WithRetry(limited, objstore.RetryPolicy{}, seen),
		writes: func() int { return objstore.WritesAtOnce(limited) },
		close:  raw.Close,
	}, nil
}

// writeDenied says what to do about keys that may only read.
func writeDenied(spec driver.Spec, err error) error {
	if !errors.Is(err, objstore.ErrAccessDenied) {
		return err
	}
	return fmt.Errorf("the keys may not write to bucket %q; use others, or give the volume read-only=true: %w", spec.Bucket, err)
}

// config says how to reach a volume's bucket; local is the embedded store if it is there.
func (s *stores) config(ctx context.Context, spec driver.Spec) (cfg s3.Config, local *embedded.Server, err error) {
	cfg = s3.Config{
		Endpoint:  spec.Endpoint,
		Region:    spec.Region,
		Bucket:    spec.Bucket,
		Create:    !spec.ReadOnly,
		AccessKey: spec.AccessKey.Reveal(),
		SecretKey: s3.Secret(spec.SecretKey.Reveal()),

		SessionToken:    s3.Secret(spec.SessionToken.Reveal()),
		AccessKeyFile:   spec.AccessKeyFile,
		SecretKeyFile:   spec.SecretKeyFile,
		Profile:         spec.Profile,
		CredentialsFile: spec.CredentialsFile,

		PathStyle:          strconv.FormatBool(spec.PathStyle),
		CACert:             spec.CACert,
		InsecureSkipVerify: spec.InsecureSkipVerify,
	}
	if spec.Endpoint != "" {
		return cfg, nil, nil
	}
	if local, err = s.start(ctx); err != nil {
		return cfg, nil, err
	}
	cfg.Endpoint, cfg.Socket, cfg.Region = embedded.Endpoint, local.Socket(), embedded.Region
	cfg.AccessKey, cfg.SecretKey, cfg.SessionToken = local.AccessKey(), s3.Secret(local.SecretKey()), ""
	cfg.PathStyle, cfg.CACert = "true", ""
	return cfg, local, nil
}

// start returns the embedded store, started if it was not yet.
func (s *stores) start(ctx context.Context) (*embedded.Server, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.embedded != nil {
		return s.embedded, nil
	}
	server, err := embedded.Start(ctx, embedded.Options{Dir: s.dir, Log: s.log})
	if err != nil {
		return nil, err
	}
	s.embedded = server
	return server, nil
}

// Close ends the embedded store. No bucket is used any more.
func (s *stores) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.embedded == nil {
		return nil
	}
	server := s.embedded
	s.embedded = nil
	return server.Close()
}

// capabilities says what the server at a place can do: from memory, from the file, or by
// trying. A read-only volume cannot try, and asks for the minimum.
func (s *stores) capabilities(ctx context.Context, raw *s3.Bucket, spec driver.Spec, file string) (objstore.Capabilities, error) {
	at := placeOf(spec)
	if caps, ok := s.known.Load(at); ok {
		return caps.(objstore.Capabilities), saveCapabilities(file, at, caps.(objstore.Capabilities))
	}
	if caps, ok := loadCapabilities(file, at, spec.ReadOnly); ok {
		s.known.Store(at, caps)
		return caps, nil
	}
	if spec.ReadOnly {
		return objstore.Capabilities{}, nil
	}
	l, err := layout.New(spec.Prefix)
	if err != nil {
		return objstore.Capabilities{}, err
	}
	caps, err := raw.Probe(ctx, l.Records().Probe())
	if err != nil {
		return objstore.Capabilities{}, writeDenied(spec, fmt.Errorf("find out what the store at %s can do: %w", spec.Endpoint, err))
	}
	s.log.Info("found out what the store can do", "endpoint", at.Endpoint, "bucket", at.Bucket, "capabilities", caps)
	if !caps.ConditionalPut {
		s.log.Warn("the store does not condition writes: what another client writes at the same moment can be lost", "endpoint", at.Endpoint)
	}
	s.known.Store(at, caps)
	return caps, saveCapabilities(file, at, caps)
}

// capabilitiesFile is what a volume's state remembers of its store.
type capabilitiesFile struct {
	place
	Probed       int
	Capabilities objstore.Capabilities
}

// probed is raised whenever a probe finds out more of a store than before.
const probed = 2

// loadCapabilities reads what is remembered of a place. A file that is damaged, of another
// place, or, unless that will do, of an older probe, is as good as none.
func loadCapabilities(path string, at place, older bool) (objstore.Capabilities, bool) {
	data, err := os.ReadFile(path)
	if err != nil {
		return objstore.Capabilities{}, false
	}
	var f capabilitiesFile
	if json.Unmarshal(data, &f) != nil || f.place != at || f.Probed != probed && !older {
		return objstore.Capabilities{}, false
	}
	return f.Capabilities, true
}

// saveCapabilities writes the file; an empty path is none.
func saveCapabilities(path string, at place, caps objstore.Capabilities) error {
	if path == "" {
		return nil
	}
	data, err := json.Marshal(capabilitiesFile{at, probed, caps})
	if err != nil {
		return err
	}
	temp := path + ".tmp"
	if err := os.WriteFile(temp, data, 0o600); err != nil {
		return err
	}
	return os.Rename(temp, path)
}

// capabilitiesPath is where a volume's state directory keeps the answer.
func capabilitiesPath(dir string) string { return filepath.Join(dir, "capabilities.json") }
