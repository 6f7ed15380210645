package objstoretest

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestMinIO(t *testing.T) {
	var server Server
	t.Run("runs", func(t *testing.T) {
		server = MinIO(t)
		if err := live(t.Context(), server.Endpoint); err != nil {
			t.Error(err)
		}
	})
	if server.Endpoint == "" {
		t.Skip("no server")
	}
	if err := live(t.Context(), server.Endpoint); err == nil {
		t.Error("the server outlives its test")
	}
}

func TestSharedMinIO(t *testing.T) {
	var shared SharedMinIO
	defer shared.Close()
	first := shared.Server(t)
	dir := shared.dir
	t.Run("again", func(t *testing.T) {
		if second := shared.Server(t); second != first {
			t.Errorf("%+v is not %+v", second, first)
		}
	})
	if err := live(t.Context(), first.Endpoint); err != nil {
		t.Error(err)
	}
	shared.Close()
	if err := live(t.Context(), first.Endpoint); err == nil {
		t.Error("the server outlives Close")
	}
	if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("data after Close: %v", err)
	}
}

func TestMinIOThatCannotRun(t *testing.T) {
	t.Setenv("OBJVOL_MINIO", filepath.Join(t.TempDir(), "none"))
	if _, _, err := StartMinIO(t.TempDir()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a missing program: %v", err)
	}
	t.Setenv("OBJVOL_MINIO", "/bin/false")
	if _, _, err := StartMinIO(t.TempDir()); err == nil || errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a program that ends at once: %v", err)
	}
}

// A machine that promised to have the server gets a failure, others a skip.
func TestMinIOMissing(t *testing.T) {
	for require, skipped := range map[string]bool{"": true, "docker,fuse": true, "docker,minio": false} {
		t.Setenv("OBJVOL_MINIO", filepath.Join(t.TempDir(), "none"))
		t.Setenv("OBJVOL_REQUIRE", require)
		var fake recorder
		done := make(chan struct{})
		go func() {
			defer close(done)
			_, _, err := StartMinIO(t.TempDir())
			must(&fake, err)
		}()
		<-done
		if fake.skipped != skipped || fake.failed == skipped {
			t.Errorf("OBJVOL_REQUIRE=%q: skipped %v, failed %v", require, fake.skipped, fake.failed)
		}
	}
}

func TestStoppableMinIO(t *testing.T) {
	s := StoppableMinIO(t)
	first := s.Server
	s.Freeze()
	if s.Asked() {
		t.Error("asked, and nobody has")
	}
	answer := make(chan error, 1)
	go func() { answer <- live(t.Context(), s.Endpoint) }()
	for end := time.Now().Add(startLimit); !s.Asked(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("not asked")
		}
	}
	s.Kill()
	if err := <-answer; err == nil {
		t.Error("a server that is frozen answers")
	}
	s.Start()
	first.PID = s.PID
	if s.Server != first {
		t.Errorf("%+v became %+v", first, s.Server)
	}
	if err := live(t.Context(), s.Endpoint); err != nil {
		t.Error(err)
	}
}
