//go:build !noembedded

package embedded_test

import (
	"log/slog"
	"testing"

	"objvol/objstore"
	"objvol/objstore/embedded"
	"objvol/objstore/objstoretest"
	"objvol/objstore/s3"
)

func logger(t *testing.T) *slog.Logger {
	t.Helper()
	return slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// start runs a server until the end of the test.
func start(t *testing.T, opts embedded.Options) *embedded.Server {
	t.Helper()
	if opts.Dir == "" {
		opts.Dir = t.TempDir()
	}
	if opts.Log == nil {
		opts.Log = logger(t)
	}
	s, err := embedded.Start(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// config is how a client reaches the server.
func config(s *embedded.Server) s3.Config {
	return s3.Config{
		Endpoint:     embedded.Endpoint,
		Socket:       s.Socket(),
		Region:       embedded.Region,
		Bucket:       "volumes",
		Create:       true,
		AccessKey:    s.AccessKey(),
		SecretKey:    s3.Secret(s.SecretKey()),
		Capabilities: s.Capabilities(),
	}
}

// open returns a bucket of the server.
func open(t *testing.T, s *embedded.Server) *s3.Bucket {
	t.Helper()
	b, err := s3.Open(t.Context(), config(s))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	return b
}

func TestContract(t *testing.T) {
	s := start(t, embedded.Options{})
	objstoretest.Run(t, func(t *testing.T) objstore.Bucket {
		t.Helper()
		return s.Durable(open(t, s))
	}, s.Capabilities())
}

func TestProbe(t *testing.T) {
	s := start(t, embedded.Options{})
	have, err := open(t, s).Probe(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	if have != s.Capabilities() {
		t.Errorf("the store can do %+v, declared are %+v", have, s.Capabilities())
	}
}
