package s3

import (
	"bytes"
	"net/http"
	"net/url"
	"testing"
	"testing/synctest"
	"time"

	"objvol/objstore"

	"github.com/minio/minio-go/v7/pkg/signer"
)

// TestSignatureIsMinios compares with what minio-go makes of the same requests, on two days.
func TestSignatureIsMinios(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) { // no time passes but that which is waited for
		for _, token := range []string{"", "token/+="} {
			b, err := newBucket(Config{Endpoint: "http://127.0.0.1:9000", Region: "eu-central-1", Bucket: "volumes", AccessKey: "id", SecretKey: "secret", SessionToken: Secret(token)}, nil)
			if err != nil {
				t.Fatal(err)
			}
			b.base = url.URL{Scheme: "http", Host: "127.0.0.1:9000", Path: "/volumes/"}
			for range 2 {
				compareSignatures(t, b, token)
				time.Sleep(24 * time.Hour)
			}
		}
	})
}

func compareSignatures(t *testing.T, b *Bucket, token string) {
	t.Helper()
	for name, r := range map[string]request{
		"no key":     {method: http.MethodGet, query: url.Values{"list-type": {"2"}, "prefix": {"a b/ä+*~"}, "delimiter": {"/"}, "metadata": {""}}},
		"plain":      {method: http.MethodHead, key: "a/b"},
		"characters": {method: http.MethodGet, key: "ä b/+%*~!'()&=$,;:@?#[]\x01\u2028/x"},
		"dots":       {method: http.MethodGet, key: "//a/./../b//"},
		"headers": {method: http.MethodPut, key: "file", body: []byte("text"), signed: http.Header{
			"Content-Type": {"text/plain"}, "X-Amz-Meta-Mode": {"33188"}, "X-Amz-Meta-Spaced": {"a  b   c d"}, "If-None-Match": {"*"}, "X-Amz-Meta-Empty": {""}, "X-Amz-Two": {"a", "b"},
		}},
	} {
		got, err := b.sign(t.Context(), r)
		if err != nil {
			t.Fatal(err)
		}
		again := got.Clone(t.Context())
		again.Header.Del("Authorization")
		want := signer.SignV4(*again, "id", "secret", token, "eu-central-1")
		if got, want := got.Header.Get("Authorization"), want.Header.Get("Authorization"); got != want {
			t.Errorf("%s: %s\nminio-go's is %s", name, got, want)
		}
		if got.URL.RequestURI() != want.URL.RequestURI() {
			t.Errorf("%s: of %s\nminio-go's is of %s", name, got.URL.RequestURI(), want.URL.RequestURI())
		}
	}
}

// TestDayKeyFollowsSecret has credentials renewed within a day.
func TestDayKeyFollowsSecret(t *testing.T) {
	t.Parallel()
	b := connected(t, Config{Endpoint: "http://127.0.0.1:9000"})
	first := b.keyOf("20060102", "one")
	if bytes.Equal(b.keyOf("20060102", "two"), first) {
		t.Error("another secret signs alike")
	}
	if !bytes.Equal(b.keyOf("20060102", "one"), first) {
		t.Error("the first secret does not sign as it did")
	}
}

// BenchmarkSign signs what a small file is written with.
func BenchmarkSign(b *testing.B) {
	bucket, err := newBucket(Config{Endpoint: "http://127.0.0.1:9000", Region: "us-east-1", Bucket: "volumes", AccessKey: "id", SecretKey: "secret"}, nil)
	if err != nil {
		b.Fatal(err)
	}
	bucket.base = url.URL{Scheme: "http", Host: "127.0.0.1:9000", Path: "/volumes/"}
	opts, err := putOptions(objstore.Attributes{ContentType: "application/octet-stream", Metadata: map[string]string{
		"mode": "33188", "uid": "0", "gid": "0", "mtime": "1700000000.000000001", "ctime": "1700000000.000000001",
		"objvol-gen": "0123456789abcdef0123456789abcdef-12-3-0123456789abcdef-0123456789abcdef",
	}}, objstore.Condition{IfAbsent: true})
	if err != nil {
		b.Fatal(err)
	}
	header := opts.Header()
	header.Set(checksumHeader, checksumOf(1))
	data := make([]byte, 4096)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := bucket.sign(b.Context(), request{method: http.MethodPut, key: "work/small/file-00042", signed: header, body: data}); err != nil {
			b.Fatal(err)
		}
	}
}
