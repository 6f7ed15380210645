//go:build !noembedded

package embedded_test

import (
	"crypto/md5"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"objvol/objstore"
	"objvol/objstore/embedded"
)

// mustPut writes an object that must succeed.
func mustPut(t *testing.T, b objstore.Bucket, key, content string) objstore.Object {
	t.Helper()
	o, err := b.Put(t.Context(), key, objstore.Bytes(content), objstore.PutOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// Keys that would be the same file as another, or would not be listed, are refused, and
// asking for them or deleting them does not touch the others.
func TestKeysThatAreNotPaths(t *testing.T) {
	s := start(t, embedded.Options{})
	b := open(t, s)
	mustPut(t, b, "a/b", "x")
	for _, key := range []string{"a//b", "/a/b", "a/b//", ".sgwtmp/x", "a/.sgwtmp/x", "a/.sgwtmp"} {
		if _, err := b.Put(t.Context(), key, objstore.Bytes("y"), objstore.PutOptions{}); !errors.Is(err, objstore.ErrInvalid) {
			t.Errorf("Put %q: %v", key, err)
		}
		if _, err := b.CreateUpload(t.Context(), key, objstore.Attributes{}); !errors.Is(err, objstore.ErrInvalid) {
			t.Errorf("CreateUpload %q: %v", key, err)
		}
		if _, err := b.Head(t.Context(), key); !errors.Is(err, objstore.ErrNotFound) {
			t.Errorf("Head %q: %v", key, err)
		}
		if _, _, err := b.Get(t.Context(), key, objstore.GetOptions{}); !errors.Is(err, objstore.ErrNotFound) {
			t.Errorf("Get %q: %v", key, err)
		}
		if err := b.Delete(t.Context(), key, objstore.Condition{}); err != nil {
			t.Errorf("Delete %q: %v", key, err)
		}
	}
	r := newRaw(t, s, 1)
	const batch = `<Delete><Object><Key>a//b</Key></Object><Object><Key>c</Key></Object></Delete>`
	r.must(t, http.MethodPost, "/volumes?delete=", []byte(batch), http.Header{"Content-Md5": {md5sum(batch)}})
	if _, err := b.Head(t.Context(), "a/b"); err != nil {
		t.Error(err)
	}
}

// A key that was just replaced is the longest there is: nothing may need a longer name.
func TestLongestNameIsReplaced(t *testing.T) {
	b := open(t, start(t, embedded.Options{}))
	key := strings.Repeat("x", 255)
	for _, content := range []string{"first", "second"} {
		mustPut(t, b, key, content)
	}
	page, err := b.List(t.Context(), objstore.ListOptions{})
	if err != nil || len(page.Objects) != 1 || page.Objects[0].Size != 6 {
		t.Errorf("the bucket lists %+v, %v", page.Objects, err)
	}
}

// Folders without objects, which a crash can leave, are in nobody's way.
func TestEmptyFolderIsNoObject(t *testing.T) {
	dir := t.TempDir()
	b := open(t, start(t, embedded.Options{Dir: dir}))
	folder := func(key string) {
		if err := os.MkdirAll(filepath.Join(dir, "objects", "volumes", key), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	folder("put/x/y")
	mustPut(t, b, "put", "x")

	folder("upload/x/y")
	id, err := b.CreateUpload(t.Context(), "upload", objstore.Attributes{})
	if err != nil {
		t.Fatal(err)
	}
	part, err := b.UploadPart(t.Context(), "upload", id, 1, objstore.Bytes("x"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.CompleteUpload(t.Context(), "upload", id, []objstore.Part{part}, objstore.Condition{IfAbsent: true}); err != nil {
		t.Error(err)
	}

	for _, inside := range []string{"marker/x/", "file/x/y"} {
		mustPut(t, b, inside, "")
		key, _, _ := strings.Cut(inside, "/")
		if _, err := b.Put(t.Context(), key, objstore.Bytes("x"), objstore.PutOptions{}); !errors.Is(err, objstore.ErrInvalid) {
			t.Errorf("Put %q over %q: %v", key, inside, err)
		}
		if _, err := b.Head(t.Context(), inside); err != nil {
			t.Error(err)
		}
	}
}

// An upload cannot be completed where the tree has no place for a file, which is a
// refusal and not a failure of the store.
func TestCompleteAtAnImpossiblePlace(t *testing.T) {
	b := open(t, start(t, embedded.Options{}))
	mustPut(t, b, "dir/file", "x")
	for _, key := range []string{"dir", "dir/file/below"} {
		id, err := b.CreateUpload(t.Context(), key, objstore.Attributes{})
		if err != nil {
			t.Fatal(err)
		}
		part, err := b.UploadPart(t.Context(), key, id, 1, objstore.Bytes("x"))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := b.CompleteUpload(t.Context(), key, id, []objstore.Part{part}, objstore.Condition{}); !errors.Is(err, objstore.ErrInvalid) {
			t.Errorf("CompleteUpload %q: %v", key, err)
		}
		if _, err := b.CopyPart(t.Context(), key, id, 2, objstore.CopySource{Key: key, Length: 1}); !errors.Is(err, objstore.ErrNotFound) {
			t.Errorf("CopyPart from %q: %v", key, err)
		}
	}
}

// The end of an upload that was aborted is not the object that lies at its key.
func TestCompleteOfAnAbortedUpload(t *testing.T) {
	b := open(t, start(t, embedded.Options{}))
	mustPut(t, b, "a", "other")
	id, err := b.CreateUpload(t.Context(), "a", objstore.Attributes{})
	if err != nil {
		t.Fatal(err)
	}
	part, err := b.UploadPart(t.Context(), "a", id, 1, objstore.Bytes("x"))
	if err != nil {
		t.Fatal(err)
	}
	if err := b.AbortUpload(t.Context(), "a", id); err != nil {
		t.Fatal(err)
	}
	if _, err := b.CompleteUpload(t.Context(), "a", id, []objstore.Part{part}, objstore.Condition{}); !errors.Is(err, objstore.ErrNotFound) {
		t.Errorf("error is %v", err)
	}
}

// A read during which the object is replaced gets one of the two, not some of each.
func TestReadsDoNotMix(t *testing.T) {
	b := open(t, start(t, embedded.Options{}))
	content := func(i int) (string, objstore.PutOptions) {
		text := strings.Repeat(fmt.Sprint(i%10), 1000+i)
		return text, objstore.PutOptions{Attributes: objstore.Attributes{Metadata: map[string]string{"size": fmt.Sprint(len(text))}}}
	}
	const writes = 300
	etags := make(chan string, writes+1)
	write := func(i int) {
		text, opts := content(i)
		o, err := b.Put(t.Context(), "a", objstore.Bytes(text), opts)
		if err != nil {
			t.Error(err)
		}
		etags <- fmt.Sprint(o.ETag, len(text))
	}
	write(0)
	seen := map[string]bool{}
	check := func(o objstore.Object, size int) {
		if o.Metadata["size"] != fmt.Sprint(size) || o.Size != int64(size) {
			t.Errorf("%d bytes, described as %+v", size, o)
		}
		seen[fmt.Sprint(o.ETag, size)] = true
	}
	var wg sync.WaitGroup
	stop := make(chan struct{})
	wg.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			o, err := b.Head(t.Context(), "a")
			if err != nil {
				t.Error(err)
				return
			}
			check(o, int(o.Size))
			body, o, err := b.Get(t.Context(), "a", objstore.GetOptions{})
			if err != nil {
				t.Error(err)
				return
			}
			data, err := io.ReadAll(body)
			if err := errors.Join(err, body.Close()); err != nil {
				t.Error(err)
				return
			}
			check(o, len(data))
		}
	})
	for i := 1; i <= writes; i++ {
		write(i)
	}
	close(stop)
	wg.Wait()
	close(etags)
	written := map[string]bool{}
	for etag := range etags {
		written[etag] = true
	}
	for etag := range seen {
		if !written[etag] {
			t.Errorf("ETag and size %s were never written", etag)
		}
	}
}

// Files come and go below a directory while its marker is written: the marker stays.
func TestMarkerSurvivesItsLastFile(t *testing.T) {
	dir := t.TempDir()
	b := open(t, start(t, embedded.Options{Dir: dir}))
	for i := range 200 {
		marker := fmt.Sprintf("d%d/", i)
		mustPut(t, b, marker+"file", "x")
		var wg sync.WaitGroup
		wg.Go(func() {
			if err := b.Delete(t.Context(), marker+"file", objstore.Condition{}); err != nil {
				t.Error(err)
			}
		})
		wg.Go(func() { mustPut(t, b, marker, "") })
		wg.Wait()
		if _, err := b.Head(t.Context(), marker); err != nil {
			t.Fatalf("marker %d: %v", i, err)
		}
	}
	// Without a marker a folder goes with its last file.
	mustPut(t, b, "x/y/z", "")
	if err := b.Delete(t.Context(), "x/y/z", objstore.Condition{}); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Lstat(filepath.Join(dir, "objects", "volumes", "x")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the folder: %v", err)
	}
}

// A delete that was meant for an object does not take the one that replaces it: it waits
// for the write of its key, and finds the new object.
func TestConditionalDeleteWaitsForAWrite(t *testing.T) {
	dir := t.TempDir()
	s := start(t, embedded.Options{Dir: dir})
	b := open(t, s)
	first := mustPut(t, b, "a", "first")

	r := newRaw(t, s, 1)
	const half = 512 << 10 // bytes, more than waits in buffers on the way
	body, rest := io.Pipe()
	req := r.sign(t, http.MethodPut, "/volumes/a", nil, nil)
	req.Body, req.ContentLength = body, 2*half
	put := make(chan error)
	go func() {
		status, _, err := r.do(req)
		if err == nil && status != http.StatusOK {
			err = fmt.Errorf("status %d", status)
		}
		put <- err
	}()
	if _, err := rest.Write(make([]byte, half)); err != nil {
		t.Fatal(err)
	}
	for len(glob(t, filepath.Join(dir, "objects", "volumes", ".sgwtmp", "*.*"))) == 0 {
		time.Sleep(time.Millisecond) // until the server receives it
	}

	deleted := make(chan error)
	go func() { deleted <- b.Delete(t.Context(), "a", objstore.Condition{IfMatch: first.ETag}) }()
	select {
	case err := <-deleted:
		t.Fatalf("the delete did not wait: %v", err)
	case <-time.After(200 * time.Millisecond):
	}
	if _, err := rest.Write(make([]byte, half)); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(rest.Close(), <-put); err != nil {
		t.Fatal(err)
	}
	if err := <-deleted; !errors.Is(err, objstore.ErrPreconditionFailed) {
		t.Errorf("error is %v", err)
	}
	if _, err := b.Head(t.Context(), "a"); err != nil {
		t.Error(err)
	}
}

func glob(t *testing.T, pattern string) []string {
	t.Helper()
	found, err := filepath.Glob(pattern)
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// A marker that is written again has the new metadata only, and one that is deleted is
// gone although its folder stays.
func TestMarkerMetadata(t *testing.T) {
	b := open(t, start(t, embedded.Options{}))
	opts := objstore.PutOptions{Attributes: objstore.Attributes{Metadata: map[string]string{"mode": "1"}}}
	if _, err := b.Put(t.Context(), "d/", objstore.Bytes(""), opts); err != nil {
		t.Fatal(err)
	}
	mustPut(t, b, "d/f", "x")
	mustPut(t, b, "d/", "")
	if o, err := b.Head(t.Context(), "d/"); err != nil || len(o.Metadata) != 0 {
		t.Errorf("Head answers %+v, %v", o, err)
	}
	for range 2 { // the second time there is nothing
		if err := b.Delete(t.Context(), "d/", objstore.Condition{}); err != nil {
			t.Error(err)
		}
	}
	if _, err := b.Head(t.Context(), "d/"); !errors.Is(err, objstore.ErrNotFound) {
		t.Errorf("error is %v", err)
	}
	if err := b.Delete(t.Context(), "d/", objstore.Condition{IfMatch: "d41d8cd98f00b204e9800998ecf8427e"}); !errors.Is(err, objstore.ErrNotFound) {
		t.Errorf("error is %v", err)
	}
}

func md5sum(text string) string {
	sum := md5.Sum([]byte(text))
	return base64.StdEncoding.EncodeToString(sum[:])
}
