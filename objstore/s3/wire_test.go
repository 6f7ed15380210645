package s3

import (
	"bytes"
	"context"
	"crypto/md5"
	"encoding/base64"
	"encoding/binary"
	"encoding/xml"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"objvol/objstore"
)

// fake returns a bucket on a server that does what the handler says.
func fake(t *testing.T, handler http.HandlerFunc) *Bucket {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return connected(t, Config{Endpoint: server.URL})
}

// connected returns a bucket that has sent nothing yet.
func connected(t *testing.T, cfg Config) *Bucket {
	t.Helper()
	cfg.Region, cfg.Bucket, cfg.AccessKey, cfg.SecretKey = "us-east-1", "volumes", "id", "secret"
	b, err := connect(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	return b
}

// refuse answers with an S3 error.
func refuse(w http.ResponseWriter, status int, code string) {
	w.WriteHeader(status)
	// A client that does not want the body any more is no failure.
	_, _ = fmt.Fprintf(w, "<Error><Code>%s</Code><Message>Because.</Message></Error>", code)
}

// serveObject answers a HEAD or GET of an object.
func serveObject(w http.ResponseWriter, size int) {
	w.Header().Set("Content-Length", fmt.Sprint(size))
	w.Header().Set("Last-Modified", "Mon, 02 Jan 2006 15:04:05 GMT")
	w.Header().Set("ETag", `"e"`)
}

// hangUp ends the connection of a request without an answer.
func hangUp(w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err == nil {
		_ = conn.Close()
	}
}

// operations sends one request of every kind.
func operations(ctx context.Context, b *Bucket) map[string]func() error {
	part := objstore.Part{Number: 1, ETag: "e", Size: 1}
	return map[string]func() error{
		objstore.OpHead: func() error { _, err := b.Head(ctx, "k"); return err },
		objstore.OpGet: func() error {
			r, _, err := b.Get(ctx, "k", objstore.GetOptions{})
			if err == nil {
				_, err = io.Copy(io.Discard, r)
				_ = r.Close()
			}
			return err
		},
		objstore.OpPut: func() error {
			_, err := b.Put(ctx, "k", objstore.Bytes("x"), objstore.PutOptions{})
			return err
		},
		objstore.OpDelete: func() error { return b.Delete(ctx, "k", objstore.Condition{}) },
		objstore.OpList:   func() error { _, err := b.List(ctx, objstore.ListOptions{Prefix: "k"}); return err },
		objstore.OpCreateUpload: func() error {
			_, err := b.CreateUpload(ctx, "k", objstore.Attributes{})
			return err
		},
		objstore.OpUploadPart: func() error {
			_, err := b.UploadPart(ctx, "k", "id", 1, objstore.Bytes("x"))
			return err
		},
		objstore.OpCopyPart: func() error {
			_, err := b.CopyPart(ctx, "k", "id", 1, objstore.CopySource{Key: "source", Length: 1})
			return err
		},
		objstore.OpCompleteUpload: func() error {
			_, err := b.CompleteUpload(ctx, "k", "id", []objstore.Part{part}, objstore.Condition{IfAbsent: true})
			return err
		},
		objstore.OpAbortUpload: func() error { return b.AbortUpload(ctx, "k", "id") },
	}
}

func TestOneAttempt(t *testing.T) {
	failures := map[string]struct {
		handler http.HandlerFunc
		want    error
	}{
		"busy":     {func(w http.ResponseWriter, _ *http.Request) { refuse(w, 503, "SlowDown") }, objstore.ErrUnavailable},
		"broken":   {func(w http.ResponseWriter, _ *http.Request) { refuse(w, 500, "InternalError") }, objstore.ErrUnavailable},
		"conflict": {func(w http.ResponseWriter, _ *http.Request) { refuse(w, 409, "ConditionalRequestConflict") }, objstore.ErrUnavailable},
		"no XML":   {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(502) }, objstore.ErrUnavailable},
		"hung up":  {func(w http.ResponseWriter, _ *http.Request) { hangUp(w) }, objstore.ErrUnavailable},
		"denied":   {func(w http.ResponseWriter, _ *http.Request) { refuse(w, 403, "AccessDenied") }, objstore.ErrAccessDenied},
		"full":     {func(w http.ResponseWriter, _ *http.Request) { refuse(w, 507, "XMinioStorageFull") }, objstore.ErrNoSpace},
		"unknown":  {func(w http.ResponseWriter, _ *http.Request) { refuse(w, 501, "NotImplemented") }, objstore.ErrUnsupported},
	}
	for name, f := range failures {
		t.Run(name, func(t *testing.T) {
			var requests atomic.Int32
			b := fake(t, func(w http.ResponseWriter, r *http.Request) {
				requests.Add(1)
				f.handler(w, r)
			})
			for op, do := range operations(t.Context(), b) {
				requests.Store(0)
				err := do()
				if n := requests.Load(); n != 1 {
					t.Errorf("%s: %d requests, want 1", op, n)
				}
				if named, ok := errors.AsType[*objstore.OpError](err); !ok || named.Op != op || named.Key != "k" {
					t.Errorf("%s: %v is no OpError of the request", op, err)
				}
				if !errors.Is(err, f.want) {
					t.Errorf("%s: %v, want %v", op, err, f.want)
				}
			}
		})
	}
}

func TestBodyThatEndsEarly(t *testing.T) {
	b := fake(t, func(w http.ResponseWriter, _ *http.Request) {
		serveObject(w, 1000)
		_, _ = io.WriteString(w, "half")
	})
	r, _, err := b.Get(t.Context(), "k", objstore.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Close() }()
	got, err := io.ReadAll(r)
	if named, ok := errors.AsType[*objstore.OpError](err); !ok || !errors.Is(err, objstore.ErrUnavailable) || named.Op != objstore.OpGet {
		t.Errorf("read %q, error %v, want unavailable", got, err)
	}
}

func TestStoreThatFallsSilent(t *testing.T) {
	silent := make(chan struct{})
	defer close(silent)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet {
			serveObject(w, 1000)
			_, _ = io.WriteString(w, "half")
			_ = http.NewResponseController(w).Flush()
		}
		select {
		case <-silent:
		case <-r.Context().Done():
		}
	}))
	t.Cleanup(server.Close)
	b := connected(t, Config{Endpoint: server.URL, Timeouts: Timeouts{Answer: 20 * time.Millisecond}})
	if _, err := b.Head(t.Context(), "k"); !errors.Is(err, objstore.ErrUnavailable) || errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("no answer: %v, want unavailable and no context's error", err)
	}

	b = connected(t, Config{Endpoint: server.URL, Timeouts: Timeouts{Answer: 500 * time.Millisecond, Stall: 501 * time.Millisecond}})
	r, _, err := b.Get(t.Context(), "k", objstore.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Close() }()
	if _, err := io.ReadAll(r); !errors.Is(err, objstore.ErrUnavailable) || errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("no more bytes: %v, want unavailable and no context's error", err)
	}
}

// A store that refuses a body unread and hangs up has refused; the connection that
// broke under the rest of the body is not the answer.
func TestEarlyRefusal(t *testing.T) {
	b := refusing(t, "412 Precondition Failed", "PreconditionFailed")
	body := objstore.Bytes(make([]byte, 8<<20))
	for range 50 {
		_, err := b.Put(t.Context(), "k", body, objstore.PutOptions{Condition: objstore.Condition{IfAbsent: true}})
		if !errors.Is(err, objstore.ErrPreconditionFailed) {
			t.Fatalf("error %v, want the refusal", err)
		}
	}
}

func TestRangeThatIsIgnored(t *testing.T) {
	b := fake(t, func(w http.ResponseWriter, _ *http.Request) {
		serveObject(w, 4)
		_, _ = io.WriteString(w, "abcd")
	})
	if _, _, err := b.Get(t.Context(), "k", objstore.GetOptions{Offset: 1, Length: 2}); !errors.Is(err, objstore.ErrUnsupported) {
		t.Errorf("error %v, want unsupported: the bytes are not those of the range", err)
	}
}

// What others store is not always well formed, and must survive being read.
func TestForeignAttributes(t *testing.T) {
	b := fake(t, func(w http.ResponseWriter, _ *http.Request) {
		serveObject(w, 0)
		for name, value := range map[string]string{
			"Content-Type": "text/x", "Expires": "-1", "Cache-Control": "no-cache", "Content-Encoding": "aws-chunked, br",
			"X-Amz-Meta-Mode": "33188", "X-Amz-Meta-Title": "=?UTF-8?Q?caf=C3=A9?=", "X-Amz-Request-Id": "1",
		} {
			w.Header().Set(name, value)
		}
	})
	obj, err := b.Head(t.Context(), "k")
	if err != nil {
		t.Fatal(err)
	}
	want := "{text/x map[Cache-Control:no-cache Content-Encoding:br Expires:-1] map[mode:33188 title:=?UTF-8?Q?caf=C3=A9?=]}"
	if got := fmt.Sprint(obj.Attributes); got != want {
		t.Errorf("attributes %s\nwant       %s", got, want)
	}
	if obj.ETag != "e" || !obj.HasMetadata || obj.LastModified.Unix() != 1136214245 {
		t.Errorf("object %+v", obj)
	}
}

// sent is what a server got.
type sent struct {
	header http.Header
	body   []byte
}

// recording returns a bucket whose writes succeed, and what they sent.
func recording(t *testing.T) (*Bucket, func() sent) {
	t.Helper()
	var mu sync.Mutex
	var last sent
	b := fake(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		mu.Lock()
		last = sent{r.Header.Clone(), body}
		mu.Unlock()
		w.Header().Set("ETag", `"e"`)
		if r.Method == http.MethodPost && r.URL.Query().Has("uploads") {
			_, _ = io.WriteString(w, "<InitiateMultipartUploadResult><UploadId>id</UploadId></InitiateMultipartUploadResult>")
		} else if r.Method == http.MethodPost {
			_, _ = io.WriteString(w, "<CompleteMultipartUploadResult><Bucket>volumes</Bucket><Key>k</Key><ETag>\"c\"</ETag></CompleteMultipartUploadResult>")
		}
	})
	return b, func() sent {
		mu.Lock()
		defer mu.Unlock()
		return last
	}
}

// A small body goes with its checksum in the head, signed with it, and in no chunks.
func TestSmallBodiesCarryAChecksum(t *testing.T) {
	b, last := recording(t)
	for _, size := range []int{0, 1, 4096, smallBody} {
		content := bytes.Repeat([]byte("x"), size)
		if _, err := b.Put(t.Context(), "k", objstore.Bytes(content), objstore.PutOptions{
			Attributes: objstore.Attributes{Metadata: map[string]string{"mode": "1"}},
			Condition:  objstore.Condition{IfMatch: "e"},
		}); err != nil {
			t.Fatal(err)
		}
		got := last()
		sum := binary.BigEndian.AppendUint32(nil, crc32.Checksum(content, castagnoli))
		for name, want := range map[string]string{
			"X-Amz-Checksum-Crc32c": base64.StdEncoding.EncodeToString(sum),
			"X-Amz-Content-Sha256":  "UNSIGNED-PAYLOAD",
			"X-Amz-Trailer":         "",
			"X-Amz-Meta-Mode":       "1",
			"If-Match":              `"e"`,
			"Content-Encoding":      "",
			"Content-Length":        strconv.Itoa(size),
		} {
			if value := got.header.Get(name); value != want {
				t.Errorf("%d bytes: %s is %q, want %q", size, name, value, want)
			}
		}
		if !bytes.Equal(got.body, content) {
			t.Errorf("%d bytes: the body has %d", size, len(got.body))
		}
		_, signed, _ := strings.Cut(got.header.Get("Authorization"), "SignedHeaders=")
		for _, name := range []string{"if-match", "x-amz-checksum-crc32c", "x-amz-meta-mode"} {
			if !strings.Contains(signed, name) {
				t.Errorf("%d bytes: %s is not signed: %s", size, name, signed)
			}
		}
	}
}

func TestBodiesCarryATrailerAndNoHash(t *testing.T) {
	b, last := recording(t)
	content := objstore.Bytes(bytes.Repeat([]byte("0123456789"), 20_000))
	sum := binary.BigEndian.AppendUint32(nil, crc32.Checksum(content, crc32.MakeTable(crc32.Castagnoli)))
	trailer := "x-amz-checksum-crc32c:" + base64.StdEncoding.EncodeToString(sum)
	for name, write := range map[string]func() error{
		"put": func() error {
			_, err := b.Put(t.Context(), "k", content, objstore.PutOptions{})
			return err
		},
		"part": func() error {
			_, err := b.UploadPart(t.Context(), "k", "id", 1, content)
			return err
		},
	} {
		if err := write(); err != nil {
			t.Fatal(err)
		}
		got := last()
		if mode := got.header.Get("X-Amz-Content-Sha256"); mode != "STREAMING-UNSIGNED-PAYLOAD-TRAILER" {
			t.Errorf("%s: payload is %q", name, mode)
		}
		if got.header.Get("Content-Md5") != "" {
			t.Errorf("%s: the body was hashed", name)
		}
		if !bytes.Contains(got.body, []byte(trailer)) {
			t.Errorf("%s: no %q at the end: %q", name, trailer, got.body[max(0, len(got.body)-100):])
		}
	}
}

func TestConditionsAreSentWhereTheyBelong(t *testing.T) {
	b, last := recording(t)
	conds := map[string]objstore.Condition{"": {}, `"e"`: {IfMatch: "e"}, "*": {IfAbsent: true}}
	for want, cond := range conds {
		check := func(op string, err error, want string) {
			t.Helper()
			if err != nil {
				t.Fatal(err)
			}
			if got := last().header.Get("If-Match") + last().header.Get("If-None-Match"); got != want {
				t.Errorf("%s with %+v sends %q, want %q", op, cond, got, want)
			}
		}
		_, err := b.Put(t.Context(), "k", objstore.Bytes("x"), objstore.PutOptions{Condition: cond})
		check("put", err, want)
		_, err = b.CreateUpload(t.Context(), "k", objstore.Attributes{})
		check("create", err, "")
		_, err = b.UploadPart(t.Context(), "k", "id", 1, objstore.Bytes("x"))
		check("part", err, "")
		obj, err := b.CompleteUpload(t.Context(), "k", "id", []objstore.Part{{Number: 1, ETag: "p", Size: 7}}, cond)
		check("complete", err, want)
		if obj.ETag != "c" || obj.Size != 7 {
			t.Errorf("completed %+v", obj)
		}
	}
}

// A complete that fails after its 200 was sent is a failure.
func TestCompleteThatFailsLate(t *testing.T) {
	b := fake(t, func(w http.ResponseWriter, _ *http.Request) { refuse(w, 200, "InternalError") })
	_, err := b.CompleteUpload(t.Context(), "k", "id", []objstore.Part{{Number: 1, ETag: "p"}}, objstore.Condition{})
	if !errors.Is(err, objstore.ErrUnavailable) {
		t.Errorf("error %v, want unavailable", err)
	}
}

func TestUploadStreams(t *testing.T) {
	b := fake(t, func(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) })
	const size = 64 << 20
	body := objstore.Section{R: zeros{}, Length: size}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if _, err := b.Put(t.Context(), "k", body, objstore.PutOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := b.UploadPart(t.Context(), "k", "id", 1, body); err != nil {
		t.Fatal(err)
	}
	runtime.ReadMemStats(&after)
	if used := after.TotalAlloc - before.TotalAlloc; used > size/4 {
		t.Errorf("two uploads of %d bytes allocated %d", size, used)
	}
}

type zeros struct{}

func (zeros) ReadAt(p []byte, _ int64) (int, error) {
	clear(p)
	return len(p), nil
}

// body is a Body that may not be what it says.
type body struct {
	size int64
	open func() (io.ReadCloser, error)
}

func (b body) Size() int64                  { return b.size }
func (b body) Open() (io.ReadCloser, error) { return b.open() }

func TestBodyThatIsNotWhatItSays(t *testing.T) {
	errDisk := errors.New("disk is broken")
	reader := func(text string, then ...io.Reader) func() (io.ReadCloser, error) {
		return func() (io.ReadCloser, error) {
			return io.NopCloser(io.MultiReader(append([]io.Reader{strings.NewReader(text)}, then...)...)), nil
		}
	}
	for name, tt := range map[string]struct {
		body  body
		cause error
	}{
		"not opened": {body{10, func() (io.ReadCloser, error) { return nil, errDisk }}, errDisk},
		"fails":      {body{10, reader("half", failing{errDisk})}, errDisk},
		"too short":  {body{10, reader("half")}, io.ErrUnexpectedEOF},
		"too long":   {body{2, reader("long")}, nil},
		"not at end": {body{0, reader("long")}, nil},
	} {
		for _, more := range []int{0, smallBody} {
			t.Run(fmt.Sprintf("%s after %d", name, more), func(t *testing.T) {
				var asked, whole atomic.Bool
				b := fake(t, func(_ http.ResponseWriter, r *http.Request) {
					asked.Store(true)
					if _, err := io.Copy(io.Discard, r.Body); err == nil {
						whole.Store(true)
					}
				})
				_, err := b.Put(t.Context(), "k", body{tt.body.size + int64(more), func() (io.ReadCloser, error) {
					r, err := tt.body.open()
					return io.NopCloser(io.MultiReader(bytes.NewReader(make([]byte, more)), r)), err
				}}, objstore.PutOptions{})
				if !errors.Is(err, objstore.ErrInvalid) || tt.cause != nil && !errors.Is(err, tt.cause) {
					t.Errorf("error %v, want one that is definite and has the cause", err)
				}
				if whole.Load() {
					t.Error("the store got what it must take for a whole request")
				}
				if more == 0 && asked.Load() {
					t.Error("a small body that cannot be read cost a request")
				}
			})
		}
	}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

func TestInvalidRequestsAreNotSent(t *testing.T) {
	b := fake(t, func(_ http.ResponseWriter, r *http.Request) { t.Errorf("sent: %s %s", r.Method, r.URL) })
	put := func(key string, attrs objstore.Attributes) error {
		_, err := b.Put(t.Context(), key, objstore.Bytes("x"), objstore.PutOptions{Attributes: attrs})
		return err
	}
	for name, err := range map[string]error{
		"empty key":        put("", objstore.Attributes{}),
		"long key":         put(strings.Repeat("k", objstore.MaxKeyLength+1), objstore.Attributes{}),
		"key not UTF-8":    put("\xff", objstore.Attributes{}),
		"metadata's size":  put("k", objstore.Attributes{Metadata: map[string]string{"a": strings.Repeat("x", objstore.MaxMetadata)}}),
		"metadata's name":  put("k", objstore.Attributes{Metadata: map[string]string{"a b": "x"}}),
		"upper case":       put("k", objstore.Attributes{Metadata: map[string]string{"A": "x"}}),
		"line break":       put("k", objstore.Attributes{Metadata: map[string]string{"a": "x\r\nIf-Match: y"}}),
		"outer space":      put("k", objstore.Attributes{Metadata: map[string]string{"a": " x"}}),
		"other header":     put("k", objstore.Attributes{Headers: map[string]string{"If-Match": "x"}}),
		"delete if absent": b.Delete(t.Context(), "k", objstore.Condition{IfAbsent: true}),
		"abort nothing":    b.AbortUpload(t.Context(), "k", ""),
	} {
		if !errors.Is(err, objstore.ErrInvalid) {
			t.Errorf("%s: %v, want invalid", name, err)
		}
	}
	if _, _, err := b.Get(t.Context(), "k", objstore.GetOptions{Offset: -1}); !errors.Is(err, objstore.ErrInvalidRange) {
		t.Errorf("range before the start: %v", err)
	}
}

func TestDelete(t *testing.T) {
	var requests []string
	handler := func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		requests = append(requests, fmt.Sprintf("%s match=%s expires=%s", r.Method, r.Header.Get("If-Match"), q.Get("X-Amz-Expires")))
		if r.Method == http.MethodHead {
			serveObject(w, 1)
			return
		}
		w.WriteHeader(http.StatusNoContent)
	}
	tests := []struct {
		name string
		caps objstore.Capabilities
		cond objstore.Condition
		want []string
		kind error
	}{
		{"any", objstore.Capabilities{}, objstore.Condition{}, []string{"DELETE match= expires=5"}, nil},
		{"compared here", objstore.Capabilities{}, objstore.Condition{IfMatch: "e"}, []string{"HEAD match= expires=", "DELETE match= expires=5"}, nil},
		{"differs", objstore.Capabilities{}, objstore.Condition{IfMatch: "f"}, []string{"HEAD match= expires="}, objstore.ErrPreconditionFailed},
		{"compared there", objstore.Capabilities{ConditionalDelete: true}, objstore.Condition{IfMatch: "e"}, []string{`DELETE match="e" expires=5`}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			requests = nil
			b := fake(t, handler).WithCapabilities(tt.caps)
			err := b.Delete(t.Context(), "k", tt.cond)
			if !errors.Is(err, tt.kind) {
				t.Errorf("error %v, want %v", err, tt.kind)
			}
			if got, want := strings.Join(requests, "\n"), strings.Join(tt.want, "\n"); got != want {
				t.Errorf("requests\n%s\nwant\n%s", got, want)
			}
		})
	}
}

func TestConnectionsAreUsedAgain(t *testing.T) {
	var connections atomic.Int32
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodDelete || r.Method == http.MethodPut {
			_, _ = io.Copy(io.Discard, r.Body)
			return
		}
		serveObject(w, 1<<20)
		if r.Method == http.MethodGet {
			_, _ = w.Write(make([]byte, 1<<20))
		}
	}))
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			connections.Add(1)
		}
	}
	server.Start()
	t.Cleanup(server.Close)
	b := connected(t, Config{Endpoint: server.URL})
	for range 5 {
		if _, err := b.Head(t.Context(), "k"); err != nil {
			t.Fatal(err)
		}
		if _, err := b.Put(t.Context(), "k", objstore.Bytes("x"), objstore.PutOptions{}); err != nil {
			t.Fatal(err)
		}
		if err := b.Delete(t.Context(), "k", objstore.Condition{}); err != nil {
			t.Fatal(err)
		}
		r, _, err := b.Get(t.Context(), "k", objstore.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(r, make([]byte, 1<<20)); err != nil {
			t.Fatal(err)
		}
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if n := connections.Load(); n != 1 {
		t.Errorf("%d connections for requests one after the other, want 1", n)
	}
}

func TestListingOneByOne(t *testing.T) {
	b := fake(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("max-keys") != "2" {
			t.Errorf("max-keys=%s", r.URL.Query().Get("max-keys"))
		}
		// Two pages: file "a" and directory "b/", then file "c".
		if r.URL.Query().Get("continuation-token") == "" {
			_, _ = io.WriteString(w, "<ListBucketResult><IsTruncated>true</IsTruncated><NextContinuationToken>2</NextContinuationToken><Contents><Key>a</Key></Contents><CommonPrefixes><Prefix>b/</Prefix></CommonPrefixes></ListBucketResult>")
			return
		}
		_, _ = io.WriteString(w, "<ListBucketResult><Contents><Key>c</Key></Contents></ListBucketResult>")
	})
	var got []string
	opts := objstore.ListOptions{Delimiter: "/", Max: 1}
	for range 5 {
		page, err := b.List(t.Context(), opts)
		if err != nil {
			t.Fatal(err)
		}
		for _, obj := range page.Objects {
			got = append(got, obj.Key)
		}
		got = append(got, page.Prefixes...)
		if opts.Token = page.Next; opts.Token == "" {
			break
		}
	}
	if want := "a b/ c"; strings.Join(got, " ") != want {
		t.Errorf("listed %q, want %q", got, want)
	}
}

// TestDeleteMany: what is sent, and what an answer means for each key.
func TestDeleteMany(t *testing.T) {
	failed := func(key, code string) string {
		return "<Error><Key>" + key + "</Key><Code>" + code + "</Code><Message>m</Message></Error>"
	}
	tests := []struct {
		name    string
		caps    objstore.Capabilities
		answer  string
		want    [2]error // nil: removed
		matches bool     // the ETags are sent
	}{
		{"all", objstore.Capabilities{ConditionalDelete: true}, "<DeleteResult></DeleteResult>", [2]error{}, true},
		{"compared here", objstore.Capabilities{}, "<DeleteResult></DeleteResult>", [2]error{}, false},
		{"one fails", objstore.Capabilities{}, "<DeleteResult>" + failed("b", "InternalError") + "</DeleteResult>", [2]error{nil, objstore.ErrUnavailable}, false},
		{"one differs", objstore.Capabilities{ConditionalDelete: true}, "<DeleteResult>" + failed("a", "PreconditionFailed") + "</DeleteResult>", [2]error{objstore.ErrPreconditionFailed, nil}, true},
		{"one is locked", objstore.Capabilities{}, "<DeleteResult>" + failed("a", "AccessDenied") + "</DeleteResult>", [2]error{objstore.ErrAccessDenied, nil}, false},
		{"another key", objstore.Capabilities{}, "<DeleteResult>" + failed("c", "InternalError") + "</DeleteResult>", [2]error{objstore.ErrUnavailable, objstore.ErrUnavailable}, false},
		{"cut off", objstore.Capabilities{}, "<DeleteResult>", [2]error{objstore.ErrUnavailable, objstore.ErrUnavailable}, false},
		{"something else", objstore.Capabilities{}, "<Error><Code>SlowDown</Code></Error>", [2]error{objstore.ErrUnavailable, objstore.ErrUnavailable}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var sent deleteRequest
			tt.caps.BatchDelete = true
			b := fake(t, func(w http.ResponseWriter, r *http.Request) {
				if r.Method == http.MethodGet {
					_, _ = io.WriteString(w, `<ListBucketResult><Contents><Key>a</Key><ETag>"1"</ETag></Contents><Contents><Key>b</Key><ETag>"2"</ETag></Contents></ListBucketResult>`)
					return
				}
				body, err := io.ReadAll(r.Body)
				sum := md5.Sum(body)
				if err = errors.Join(err, xml.Unmarshal(body, &sent)); err != nil || r.Method != http.MethodPost ||
					r.URL.Query().Get("X-Amz-Expires") != "5" || r.Header.Get("Content-Md5") != base64.StdEncoding.EncodeToString(sum[:]) ||
					!strings.Contains(r.URL.Query().Get("X-Amz-SignedHeaders"), "content-md5") {
					t.Errorf("%s %s %v %q, error %v", r.Method, r.URL, r.Header, body, err)
				}
				_, _ = io.WriteString(w, tt.answer)
			}).WithCapabilities(tt.caps)
			errs := b.DeleteMany(t.Context(), []objstore.Doomed{{Key: "a", IfMatch: "1"}, {Key: "b", IfMatch: "2"}})
			for i, err := range errs {
				if !errors.Is(err, tt.want[i]) {
					t.Errorf("key %d: %v, want %v", i, err, tt.want[i])
				}
			}
			if len(sent.Object) != 2 || (sent.Object[0].ETag == `"1"`) != tt.matches {
				t.Errorf("sent %+v", sent)
			}
		})
	}
}

// TestDeletesGoAtOnce: a large batch goes in several requests, none of which waits for another
// one, and each answer is told of its own keys.
func TestDeletesGoAtOnce(t *testing.T) {
	for keys, requests := range map[int]int{1: 1, 2*deletesLeast - 1: 1, 2*deletesLeast + 1: 2, objstore.MaxDeletes: deletesAtOnce} {
		t.Run(strconv.Itoa(keys), func(t *testing.T) {
			var mu sync.Mutex
			sent := map[string]int{} // key -> how often
			refused := map[string]bool{}
			all := make(chan struct{}) // closed when all requests have come
			b := fake(t, func(w http.ResponseWriter, r *http.Request) {
				var what deleteRequest
				if err := xml.NewDecoder(r.Body).Decode(&what); err != nil {
					t.Error(err)
				}
				last := what.Object[len(what.Object)-1].Key
				mu.Lock()
				for _, o := range what.Object {
					sent[o.Key]++
				}
				refused[last] = true
				if len(refused) == requests {
					close(all)
				}
				mu.Unlock()
				select {
				case <-all:
				case <-time.After(10 * time.Second):
					t.Error("the others wait for the first")
				}
				_, _ = io.WriteString(w, "<DeleteResult><Error><Key>"+last+"</Key><Code>InternalError</Code></Error></DeleteResult>")
			}).WithCapabilities(objstore.Capabilities{BatchDelete: true, ConditionalDelete: true})
			batch := make([]objstore.Doomed, keys)
			for i := range batch {
				batch[i] = objstore.Doomed{Key: strconv.Itoa(i), IfMatch: "1"}
			}
			errs := b.DeleteMany(t.Context(), batch)
			for i, d := range batch {
				if sent[d.Key] != 1 || errors.Is(errs[i], objstore.ErrUnavailable) != refused[d.Key] {
					t.Errorf("key %d was sent %d times, refused: %v, error %v", i, sent[d.Key], refused[d.Key], errs[i])
				}
			}
			if len(refused) != requests {
				t.Errorf("%d requests, want %d", len(refused), requests)
			}
		})
	}
}

// TestSetAttributes: what is sent, and what an answer means.
func TestSetAttributes(t *testing.T) {
	const refusal = "<Error><Code>%s</Code><Message>%s</Message></Error>"
	tests := []struct {
		name   string
		status int
		answer string
		want   error // nil: set
	}{
		{"set", http.StatusOK, `<CopyObjectResult><ETag>"new"</ETag></CopyObjectResult>`, nil},
		{"another object", http.StatusPreconditionFailed, fmt.Sprintf(refusal, "PreconditionFailed", "m"), objstore.ErrPreconditionFailed},
		{"late", http.StatusForbidden, fmt.Sprintf(refusal, "AccessDenied", "Request has expired"), objstore.ErrUnavailable},
		{"not allowed", http.StatusForbidden, fmt.Sprintf(refusal, "AccessDenied", "no"), objstore.ErrAccessDenied},
		{"failed while copying", http.StatusOK, fmt.Sprintf(refusal, "InternalError", "m"), objstore.ErrUnavailable},
		{"cut off", http.StatusOK, "<CopyObjectResult>", objstore.ErrUnavailable},
		{"no ETag", http.StatusOK, "<CopyObjectResult></CopyObjectResult>", objstore.ErrUnavailable},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var sent *http.Request
			b := fake(t, func(w http.ResponseWriter, r *http.Request) {
				sent = r
				w.WriteHeader(tt.status)
				_, _ = io.WriteString(w, tt.answer)
			}).WithCapabilities(objstore.Capabilities{SetAttributes: true})
			attrs := objstore.Attributes{
				ContentType: "text/plain", Headers: map[string]string{"Cache-Control": "no-cache"}, Metadata: map[string]string{"mode": "1"},
			}
			object, err := b.SetAttributes(t.Context(), "d/a b", "old", attrs)
			if !errors.Is(err, tt.want) || err == nil && object.ETag != "new" {
				t.Errorf("%+v, error %v, want %v", object, err, tt.want)
			}
			for name, want := range map[string]string{
				"X-Amz-Copy-Source": "/" + b.name + "/d/a%20b", "X-Amz-Copy-Source-If-Match": `"old"`, "If-Match": `"old"`,
				"X-Amz-Metadata-Directive": "REPLACE", "X-Amz-Meta-Mode": "1", "Cache-Control": "no-cache", "Content-Type": "text/plain",
			} {
				if got := sent.Header.Get(name); got != want {
					t.Errorf("%s is %q, want %q", name, got, want)
				}
				if signed := strings.Split(sent.URL.Query().Get("X-Amz-SignedHeaders"), ";"); name != "If-Match" && !slices.Contains(signed, strings.ToLower(name)) {
					t.Errorf("%s is not signed: %q", name, signed)
				}
			}
			if sent.Method != http.MethodPut || sent.URL.Query().Get("X-Amz-Expires") != "5" {
				t.Errorf("%s %s", sent.Method, sent.URL)
			}
		})
	}
}
