package main

import (
	"net"
	"net/netip"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"objvol/fusefs/mounttest"
	"objvol/objstore/objstoretest"
)

// A server whose process ends in the midst of a Create, a Mount or an Unmount is an error
// that names it and leaves nothing. Once it runs again on its data all goes on, and what
// could not be sent is in the bucket, whoever was ended meanwhile.
func TestServerIsKilledMeanwhile(t *testing.T) {
	t.Parallel()
	minio := objstoretest.StoppableMinIO(t)
	state := filepath.Join(t.TempDir(), "state")
	at := filepath.Join(state, "mnt", "vol")
	leaveNothing(t, at)
	d := startServe(t, minio.Server, state, "--stop-timeout", "1s")
	// killedDuring makes a call and kills the server when it has been asked.
	killedDuring := func(method, body string) <-chan string {
		t.Helper()
		minio.Freeze()
		answered := d.begin("VolumeDriver."+method, body)
		eventually(t, "the server is asked", minio.Asked)
		minio.Kill()
		return answered
	}
	fails := func(method, body string) {
		t.Helper()
		start := time.Now()
		answer := <-killedDuring(method, body)
		if took := time.Since(start); took > answerLimit || !strings.Contains(answer, "not available") || !strings.Contains(answer, minio.Endpoint) {
			t.Errorf("%s after %v: %s", method, took, answer)
		}
		if d.below("mnt", "volumes", "secrets") != "" && method == "Create" || mountsBelow(t, state) != 0 {
			t.Errorf("%s leaves %s and %d mounts", method, d.below("mnt", "volumes", "secrets"), mountsBelow(t, state))
		}
		minio.Start()
	}
	fails("Create", `{"Name":"vol"}`)
	if got := d.must("VolumeDriver.List", "{}"); !strings.Contains(got, `"Volumes":[]`) {
		t.Errorf("left: %s", got)
	}
	d.must("VolumeDriver.Create", `{"Name":"vol"}`)
	fails("Mount", `{"Name":"vol","ID":"a"}`)
	if got := d.must("VolumeDriver.Get", `{"Name":"vol"}`); !strings.Contains(got, `"holders":{}`) {
		t.Errorf("a reference is left: %s", got)
	}
	d.must("VolumeDriver.Mount", `{"Name":"vol","ID":"a"}`)
	mounttest.Run(t, at, "write")
	answered := killedDuring("Unmount", `{"Name":"vol","ID":"a"}`)
	if code := d.end(t, syscall.SIGTERM); code != exitPending {
		t.Errorf("exit code %d, want %d", code, exitPending)
	}
	if answer := <-answered; !strings.Contains(answer, "not yet in the bucket") || !strings.Contains(answer, "large") {
		t.Errorf("Unmount: %s", answer)
	}
	minio.Start()
	d = startServe(t, minio.Server, state)
	for path, want := range map[string][]byte{"objvol/vol/file": []byte("content"), "objvol/vol/dir/large": large} {
		eventually(t, "all is sent, though nobody mounts", func() bool {
			status, _ := curl(t, minio.Server, path)
			return status == "200"
		})
		wantObject(t, minio.Server, path, want)
	}
	d.must("VolumeDriver.Mount", `{"Name":"vol","ID":"a"}`)
	mounttest.Run(t, at, "check")
	d.must("VolumeDriver.Unmount", `{"Name":"vol","ID":"a"}`)
	if code := d.end(t, syscall.SIGTERM); code != exitOK {
		t.Errorf("exit code %d", code)
	}
}

// fullBacklog listens where connections are never taken and no further one is let in: what
// is sent to it is swallowed.
func fullBacklog(t *testing.T, address string) {
	t.Helper()
	at := netip.MustParseAddrPort(address)
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := syscall.Close(fd); err != nil {
			t.Error(err)
		}
	})
	if err := syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Bind(fd, &syscall.SockaddrInet4{Addr: at.Addr().As4(), Port: int(at.Port())}); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Listen(fd, 0); err != nil {
		t.Fatal(err)
	}
	for range 10 {
		conn, err := net.DialTimeout("tcp", address, 200*time.Millisecond)
		if err != nil {
			return
		}
		t.Cleanup(func() { _ = conn.Close() }) // nobody is at its other end
	}
	t.Fatal("the backlog does not fill")
}

// A volume whose server has become a black hole cannot be mounted, which is said in time; a
// volume on another server does well meanwhile.
func TestMountIntoABlackHole(t *testing.T) {
	t.Parallel()
	healthy := objstoretest.MinIO(t)
	for name, swallow := range map[string]func(*testing.T, *objstoretest.Stoppable){
		"no answer": func(_ *testing.T, s *objstoretest.Stoppable) { s.Freeze() },
		"no connection": func(t *testing.T, s *objstoretest.Stoppable) {
			t.Helper()
			s.Kill()
			fullBacklog(t, strings.TrimPrefix(s.Endpoint, "http://"))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			minio := objstoretest.StoppableMinIO(t)
			d := startServe(t, healthy, filepath.Join(t.TempDir(), "state"), "--prefix", strings.Fields(name)[1])
			unharmed := d.unharmed()
			d.must("VolumeDriver.Create", createBody(t, "vol", map[string]string{
				"endpoint": minio.Endpoint, "access-key": minio.AccessKey, "secret-key": minio.SecretKey,
			}))
			swallow(t, minio)
			start := time.Now()
			answered := d.begin("VolumeDriver.Mount", `{"Name":"vol","ID":"a"}`)
			eventually(t, "the Mount is under way", func() bool {
				return strings.Contains(d.must("VolumeDriver.Get", `{"Name":"vol"}`), `"state":"mounting"`)
			})
			d.must("VolumeDriver.Mount", `{"Name":"good","ID":"b"}`)
			mounttest.Run(t, filepath.Join(d.state, "mnt", "good"), "check")
			d.must("VolumeDriver.Unmount", `{"Name":"good","ID":"b"}`)
			answer := <-answered
			if took := time.Since(start); took > answerLimit || !strings.Contains(answer, "reachable") && !strings.Contains(answer, "not available") {
				t.Errorf("after %v: %s", took, answer)
			}
			if got := d.must("VolumeDriver.Get", `{"Name":"vol"}`); !strings.Contains(got, `"holders":{}`) || !strings.Contains(got, `"state":"unmounted"`) {
				t.Errorf("after the error: %s", got)
			}
			d.must("VolumeDriver.Remove", `{"Name":"vol"}`)
			unharmed()
		})
	}
}

// A server with a certificate of a private authority is reached with the authority's file,
// and otherwise not.
func TestPrivateAuthority(t *testing.T) {
	s, authority := objstoretest.SecureMinIO(t)
	_, other := objstoretest.SecureMinIO(t)
	t.Setenv("CURL_CA_BUNDLE", authority)
	d := startServe(t, s, filepath.Join(t.TempDir(), "state"))
	at := filepath.Join(d.state, "mnt", "vol")
	leaveNothing(t, at)
	d.refused("VolumeDriver.Create", `{"Name":"vol"}`, "not available", "unknown authority", "ca-cert")
	d.refused("VolumeDriver.Create", createBody(t, "vol", map[string]string{"ca-cert": other}), "not available", "unknown authority", "ca-cert")
	d.refused("VolumeDriver.Create", createBody(t, "vol", map[string]string{"ca-cert": other + ".none"}), "ca-cert", "no such file")
	d.must("VolumeDriver.Create", createBody(t, "vol", map[string]string{"ca-cert": authority}))
	d.must("VolumeDriver.Mount", `{"Name":"vol","ID":"a"}`)
	mounttest.Run(t, at, "write")
	d.must("VolumeDriver.Unmount", `{"Name":"vol","ID":"a"}`)
	wantObject(t, s, "objvol/vol/file", []byte("content"))
	d.must("VolumeDriver.Mount", `{"Name":"vol","ID":"a"}`)
	mounttest.Run(t, at, "check")
	d.must("VolumeDriver.Unmount", `{"Name":"vol","ID":"a"}`)
	if code := d.end(t, syscall.SIGTERM); code != exitOK {
		t.Errorf("exit code %d", code)
	}
}
