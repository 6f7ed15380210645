package s3

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/xml"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"objvol/objstore"
	"objvol/objstore/objstoretest"
)

var minioServer objstoretest.SharedMinIO

func TestMain(m *testing.M) {
	code := m.Run()
	minioServer.Close()
	os.Exit(code)
}

// minioCapabilities are MinIO's: it does not condition deletes, and lists no key below
// another.
var minioCapabilities = objstore.Capabilities{
	ConditionalPut:      true,
	ConditionalComplete: true,
	BatchDelete:         true,
	SetAttributes:       true,
	ListMetadata:        true,
	CopyPart:            true,
}

func minioConfig(t *testing.T) Config {
	t.Helper()
	server := minioServer.Server(t)
	return Config{
		Endpoint:     server.Endpoint,
		Bucket:       "volumes",
		Create:       true,
		AccessKey:    server.AccessKey,
		SecretKey:    Secret(server.SecretKey),
		Capabilities: minioCapabilities,
	}
}

func openMinIO(t *testing.T) *Bucket {
	t.Helper()
	b, err := Open(t.Context(), minioConfig(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	return b
}

func TestContractOnMinIO(t *testing.T) {
	objstoretest.Run(t, func(t *testing.T) objstore.Bucket {
		t.Helper()
		return openMinIO(t)
	}, minioCapabilities)
}

func TestProbeOfMinIO(t *testing.T) {
	b := openMinIO(t).WithCapabilities(objstore.Capabilities{})
	caps, err := b.Probe(t.Context(), "scratch/")
	if err != nil {
		t.Fatal(err)
	}
	if caps != minioCapabilities {
		t.Errorf("MinIO can %+v, want %+v", caps, minioCapabilities)
	}
	page, err := b.List(t.Context(), objstore.ListOptions{Prefix: "scratch/"})
	if err != nil || len(page.Objects) > 0 {
		t.Errorf("the probe left %+v, error %v", page.Objects, err)
	}
	uploads, err := b.core.ListMultipartUploads(t.Context(), b.name, "scratch/", "", "", "", 10)
	if err != nil || len(uploads.Uploads) > 0 {
		t.Errorf("the probe left %d uploads, error %v", len(uploads.Uploads), err)
	}
}

func TestOpenErrors(t *testing.T) {
	tests := []struct {
		name   string
		change func(*Config)
		kind   error
		want   string // in the message
	}{
		{"access key", func(c *Config) { c.AccessKey = "nobody" }, objstore.ErrAccessDenied, "check the access key"},
		{"secret key", func(c *Config) { c.SecretKey = "not-the-secret" }, objstore.ErrAccessDenied, "check the secret key"},
		{"missing bucket", func(c *Config) { c.Bucket, c.Create = "missing", false }, objstore.ErrNoBucket, "create it"},
		{"configuration", func(c *Config) { c.Endpoint = "host:9000" }, objstore.ErrInvalid, "http://host:9000"},
		{"TLS", func(c *Config) { c.Endpoint = strings.Replace(c.Endpoint, "http", "https", 1) }, objstore.ErrUnavailable, "HTTP response to HTTPS client"},
		{"refused", func(c *Config) { c.Endpoint = "http://127.0.0.1:1" }, objstore.ErrUnavailable, "check the endpoint"},
		{"no socket", func(c *Config) { c.Socket = "/nonexistent/s3.sock" }, objstore.ErrUnavailable, "nothing listens there"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			cfg := minioConfig(t)
			cfg.Create = false
			tt.change(&cfg)
			_, err := Open(t.Context(), cfg)
			if !errors.Is(err, tt.kind) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want one of kind %q with %q", err, tt.kind, tt.want)
			}
		})
	}
}

func TestOpenCreatesABucket(t *testing.T) {
	cfg := minioConfig(t)
	cfg.Bucket = "created"
	for range 2 {
		b, err := Open(t.Context(), cfg)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := b.Put(t.Context(), "key", objstore.Bytes("x"), objstore.PutOptions{}); err != nil {
			t.Error(err)
		}
		b.Close()
	}
}

// A delete, or a copy onto itself, that was held up must not change what was written in the
// meantime.
func TestLateRequestIsRefused(t *testing.T) {
	b := openMinIO(t)
	put := func() {
		t.Helper()
		if _, err := b.Put(t.Context(), "late", objstore.Bytes("x"), objstore.PutOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	put()
	one, err := b.sign(t.Context(), request{method: http.MethodDelete, key: "late", expiry: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	many, err := b.sign(t.Context(), request{
		method: http.MethodPost, query: url.Values{"delete": {""}}, expiry: time.Second,
		body: []byte("<Delete><Object><Key>late</Key></Object></Delete>"),
	})
	if err != nil {
		t.Fatal(err)
	}
	set, err := b.sign(t.Context(), request{
		method: http.MethodPut, key: "late", expiry: time.Second,
		signed: http.Header{"X-Amz-Copy-Source": {"/" + b.name + "/late"}, "X-Amz-Metadata-Directive": {"REPLACE"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	time.Sleep(2100 * time.Millisecond) // the server's clock is a real one, in whole seconds
	refused := func(refusal error) {
		t.Helper()
		err := fail(t.Context(), objstore.OpDelete, "late", deleteError(refusal, objstore.Condition{}))
		if !errors.Is(err, objstore.ErrUnavailable) || !strings.Contains(err.Error(), "clocks") {
			t.Errorf("late delete: %v, want unavailable with a word about clocks", err)
		}
	}
	resp, err := b.client.Do(one)
	if err != nil {
		t.Fatal(err)
	}
	refused(errorOf(resp))
	if err := resp.Body.Close(); err != nil {
		t.Error(err)
	}
	if resp, err = b.client.Do(set); err != nil {
		t.Fatal(err)
	}
	refused(errorOf(resp))
	if err := resp.Body.Close(); err != nil {
		t.Error(err)
	}
	if resp, err = b.client.Do(many); err != nil {
		t.Fatal(err)
	}
	var result deleteResult
	if err := errors.Join(xml.NewDecoder(resp.Body).Decode(&result), resp.Body.Close()); err != nil || len(result.Error) != 1 {
		t.Fatalf("late delete of many: %+v, error %v", result, err)
	}
	refused(refusalOf(result.Error[0]))
	if _, err := b.Head(t.Context(), "late"); err != nil {
		t.Errorf("the object is gone: %v", err)
	}
	if err := b.Delete(t.Context(), "late", objstore.Condition{}); err != nil {
		t.Errorf("a delete in time: %v", err)
	}
}

// Bytes that were compressed by whoever wrote them come back as they are.
func TestEncodedContentIsNotDecoded(t *testing.T) {
	b := openMinIO(t)
	var packed bytes.Buffer
	w := gzip.NewWriter(&packed)
	if _, err := io.WriteString(w, strings.Repeat("text ", 1000)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	attrs := objstore.Attributes{Headers: map[string]string{"Content-Encoding": "gzip"}}
	if _, err := b.Put(t.Context(), "packed", objstore.Bytes(packed.Bytes()), objstore.PutOptions{Attributes: attrs}); err != nil {
		t.Fatal(err)
	}
	r, obj, err := b.Get(t.Context(), "packed", objstore.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Close() }()
	got, err := io.ReadAll(r)
	if err != nil || !bytes.Equal(got, packed.Bytes()) {
		t.Errorf("%d bytes, error %v, want the %d that were written", len(got), err, packed.Len())
	}
	if obj.Size != int64(packed.Len()) || obj.Headers["Content-Encoding"] != "gzip" {
		t.Errorf("%+v, want the size and the encoding that were written", obj)
	}
}

// flipping damages the bytes of one connection.
type flipping struct{ net.Conn }

func (f flipping) Write(p []byte) (int, error) {
	damaged := bytes.ReplaceAll(p, []byte("precious"), []byte("pernicio"))
	return f.Conn.Write(damaged)
}

// The checksum is what protects a body over plain http, so the server must compare it.
func TestDamagedBodyIsRefused(t *testing.T) {
	cfg := minioConfig(t)
	good := openMinIO(t)
	cfg.Region = "us-east-1"
	transport, err := newTransport(cfg)
	if err != nil {
		t.Fatal(err)
	}
	dial := transport.DialContext
	transport.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		c, err := dial(ctx, network, addr)
		return flipping{c}, err
	}
	b, err := newBucket(cfg, transport)
	if err != nil {
		t.Fatal(err)
	}
	b.base = good.base
	t.Cleanup(b.Close)

	body := objstore.Bytes("something precious")
	for _, body := range []objstore.Bytes{body, append(body, make([]byte, smallBody)...)} {
		if _, err := b.Put(t.Context(), "damaged", body, objstore.PutOptions{}); !errors.Is(err, objstore.ErrUnavailable) {
			t.Errorf("Put of %d bytes: %v, want unavailable", len(body), err)
		}
	}
	if _, err := b.Head(t.Context(), "damaged"); !errors.Is(err, objstore.ErrNotFound) {
		t.Errorf("Head: %v, want not found", err)
	}
	id, err := b.CreateUpload(t.Context(), "damaged", objstore.Attributes{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.UploadPart(t.Context(), "damaged", id, 1, body); !errors.Is(err, objstore.ErrUnavailable) {
		t.Errorf("UploadPart: %v, want unavailable", err)
	}
	if err := b.AbortUpload(t.Context(), "damaged", id); err != nil {
		t.Error(err)
	}
}

func TestControlCharactersInKeys(t *testing.T) {
	b := openMinIO(t)
	want := []string{"odd/ sp\x01\x7fä+%2B?#&=\"<>'\\é", "odd/\U0001f40b/\u0085", "odd/~*()[]{}|^`$@!,;:"}
	for _, key := range want {
		if _, err := b.Put(t.Context(), key, objstore.Bytes(key), objstore.PutOptions{}); err != nil {
			t.Fatal(err)
		}
		if _, err := b.Head(t.Context(), key); err != nil {
			t.Error(err)
		}
	}
	page, err := b.List(t.Context(), objstore.ListOptions{Prefix: "odd/"})
	if err != nil {
		t.Fatal(err)
	}
	listed := map[string]bool{}
	for _, obj := range page.Objects {
		listed[obj.Key] = true
	}
	for _, key := range want {
		if !listed[key] {
			t.Errorf("%q is not listed; listed are %v", key, listed)
		}
		if err := b.Delete(t.Context(), key, objstore.Condition{}); err != nil {
			t.Error(err)
		}
		if _, err := b.Head(t.Context(), key); !errors.Is(err, objstore.ErrNotFound) {
			t.Errorf("%q after its delete: %v", key, err)
		}
	}
}
