package objstoretest

import (
	"context"
	"errors"
	"io"
	"strings"
	"time"

	"objvol/objstore"
)

// errBody is what a broken body fails with.
var errBody = errors.New("the disk is on fire")

// broken is a body that ends after half of its bytes, in err or, without one, too early.
type broken struct {
	content string
	err     error
	at      func() // called at the break
}

func (b broken) Size() int64 { return int64(len(b.content)) }

func (b broken) Open() (io.ReadCloser, error) {
	return io.NopCloser(io.MultiReader(strings.NewReader(b.content[:len(b.content)/2]), b)), nil
}

func (b broken) Read([]byte) (int, error) {
	if b.at != nil {
		b.at()
	}
	if b.err == nil {
		return 0, io.EOF
	}
	return 0, b.err
}

// unopened is a body that cannot be opened.
type unopened struct{ objstore.Bytes }

func (unopened) Open() (io.ReadCloser, error) { return nil, errBody }

// brokenBody checks that a body that is not what it says leaves the key as it was.
func (s suite) brokenBody() {
	content := pattern(1 << 20)
	for name, body := range map[string]objstore.Body{
		"fails": broken{content: content, err: errBody},
		"short": broken{content: content},
		"small": broken{content: "0123456789"},
		"never": unopened{objstore.Bytes("never")},
	} {
		for _, key := range []string{s.prefix + name + "-absent", s.prefix + name + "-present"} {
			present := strings.HasSuffix(key, "present")
			if present {
				s.put(key, "old")
			}
			_, err := s.b.Put(s.Context(), key, body, objstore.PutOptions{})
			if err == nil {
				s.Errorf("Put of a body that %s succeeds", name)
			} else {
				s.named(err, objstore.OpPut, key)
			}
			if present {
				s.holds(key, "old")
			} else {
				s.absent(key)
			}
		}
		key := s.prefix + name + "-upload"
		id := s.create(key, objstore.Attributes{})
		if _, err := s.b.UploadPart(s.Context(), key, id, 1, body); err == nil {
			s.Errorf("UploadPart of a body that %s succeeds", name)
		} else {
			s.named(err, objstore.OpUploadPart, key)
		}
		if err := s.b.AbortUpload(s.Context(), key, id); err != nil {
			s.Error(err)
		}
	}
}

// cancelled checks that no request is sent with a context that has ended, and that the
// error says so.
func (s suite) cancelled() {
	key := s.prefix + "a"
	s.put(key, "old")
	id := s.create(s.prefix+"upload", objstore.Attributes{})
	part := s.part(s.prefix+"upload", id, 1, "x")

	cancelled, cancel := context.WithCancel(s.Context())
	cancel()
	expired, cancel := context.WithDeadline(s.Context(), time.Now().Add(-time.Second))
	defer cancel()
	for kind, ctx := range map[error]context.Context{context.Canceled: cancelled, context.DeadlineExceeded: expired} {
		check := func(err error, op, key string) {
			s.Helper()
			s.fails(err, kind, op, key)
			if objstore.Refused(err) {
				s.Errorf("%s: %v counts as refused", op, err)
			}
		}
		_, err := s.b.Head(ctx, key)
		check(err, objstore.OpHead, key)
		_, _, err = read(ctx, s.b, key, objstore.GetOptions{})
		check(err, objstore.OpGet, key)
		_, err = s.b.Put(ctx, key, objstore.Bytes("new"), objstore.PutOptions{})
		check(err, objstore.OpPut, key)
		check(s.b.Delete(ctx, key, objstore.Condition{}), objstore.OpDelete, key)
		_, err = s.b.List(ctx, objstore.ListOptions{Prefix: s.prefix})
		check(err, objstore.OpList, s.prefix)
		_, err = s.b.CreateUpload(ctx, key, objstore.Attributes{})
		check(err, objstore.OpCreateUpload, key)
		_, err = s.b.UploadPart(ctx, s.prefix+"upload", id, 2, objstore.Bytes("x"))
		check(err, objstore.OpUploadPart, s.prefix+"upload")
		if s.b.Capabilities().CopyPart {
			_, err = s.b.CopyPart(ctx, s.prefix+"upload", id, 2, objstore.CopySource{Key: key})
			check(err, objstore.OpCopyPart, s.prefix+"upload")
		}
		_, err = s.b.CompleteUpload(ctx, s.prefix+"upload", id, []objstore.Part{part}, objstore.Condition{})
		check(err, objstore.OpCompleteUpload, s.prefix+"upload")
		check(s.b.AbortUpload(ctx, s.prefix+"upload", id), objstore.OpAbortUpload, s.prefix+"upload")
	}
	s.holds(key, "old")
	s.complete(s.prefix+"upload", id, objstore.Condition{}, part)
}

// cancelledBody ends the context while bytes are on their way, in both directions.
func (s suite) cancelledBody() {
	key, content := s.prefix+"a", pattern(16<<20)
	s.put(key, content)

	ctx, cancel := context.WithCancel(s.Context())
	body, _, err := s.b.Get(ctx, key, objstore.GetOptions{})
	if err != nil {
		cancel()
		s.Fatal(err)
	}
	if _, err := io.ReadFull(body, make([]byte, 10)); err != nil {
		s.Error(err)
	}
	cancel()
	if _, err := io.Copy(io.Discard, body); !errors.Is(err, context.Canceled) {
		s.Errorf("read after the end of the context: %v", err)
	}
	// What Close says of a body that failed is nobody's business.
	_ = body.Close()

	ctx, cancel = context.WithCancel(s.Context())
	defer cancel()
	_, err = s.b.Put(ctx, key, broken{content: content, err: errBody, at: cancel}, objstore.PutOptions{})
	s.fails(err, context.Canceled, objstore.OpPut, key)

	// A body that is closed early leaves nothing behind that disturbs the next request.
	body, _, err = s.b.Get(s.Context(), key, objstore.GetOptions{})
	if err != nil {
		s.Fatal(err)
	}
	if _, err := io.ReadFull(body, make([]byte, 10)); err != nil {
		s.Error(err)
	}
	if err := body.Close(); err != nil {
		s.Errorf("Close of a body that was not read to its end: %v", err)
	}
	s.holds(key, content)
}
