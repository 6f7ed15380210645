package s3

import (
	"bytes"
	"hash/crc32"
	"io"
	"testing"

	"objvol/objstore"
	"objvol/objstore/objstoretest"

	"github.com/minio/minio-go/v7"
)

// openSecure opens a bucket of a MinIO behind TLS.
func openSecure(t *testing.T) *Bucket {
	t.Helper()
	server, authority := objstoretest.SecureMinIO(t)
	b, err := Open(t.Context(), Config{
		Endpoint: server.Endpoint, CACert: authority, Bucket: "volumes", Create: true,
		AccessKey: server.AccessKey, SecretKey: Secret(server.SecretKey), Capabilities: minioCapabilities,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	return b
}

// Over TLS, too, small objects and parts that lie in a file arrive with the checksum that is
// announced before them: the store refuses them with another.
func TestChecksumsOverTLS(t *testing.T) {
	b := openSecure(t)
	arrived := func(key string, want []byte, checksum string) {
		t.Helper()
		info, err := b.core.StatObject(t.Context(), b.name, key, minio.StatObjectOptions{Checksum: true})
		if err != nil || checksum != "" && info.ChecksumCRC32C != checksum {
			t.Errorf("%s has the checksum %q, %v, want %q", key, info.ChecksumCRC32C, err, checksum)
		}
		r, _, err := b.Get(t.Context(), key, objstore.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = r.Close() }()
		if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: %d bytes, %v, not the %d that were sent", key, len(got), err, len(want))
		}
	}
	for _, size := range []int{0, 1, smallBody} {
		content := bytes.Repeat([]byte("x"), size)
		if _, err := b.Put(t.Context(), "small", objstore.Bytes(content), objstore.PutOptions{}); err != nil {
			t.Fatal(err)
		}
		arrived("small", content, checksumOf(crc32.Checksum(content, castagnoli)))
	}

	const first, second = 5 << 20, 100_000
	f, data := newFiled(t, first+second)
	damaged := false
	var left int64 = first
	f.moved = func(n int, out bool) {
		if left -= int64(n); left == 0 && !out { // after the first part was summed
			damaged = true
			if _, err := f.WriteAt([]byte("changed"), 1000); err != nil {
				t.Error(err)
			}
		}
	}
	id, err := b.CreateUpload(t.Context(), "large", objstore.Attributes{})
	if err != nil {
		t.Fatal(err)
	}
	var parts []objstore.Part
	for i, at := range []objstore.Section{{R: f, Length: first}, {R: f, Offset: first, Length: second}} {
		part, err := b.UploadPart(t.Context(), "large", id, i+1, at)
		if err != nil {
			t.Fatal(err)
		}
		parts = append(parts, part)
	}
	if _, err := b.CompleteUpload(t.Context(), "large", id, parts, objstore.Condition{}); err != nil {
		t.Fatal(err)
	}
	if !damaged {
		t.Error("nothing was written to a part under way")
	}
	copy(data[1000:], "changed")
	arrived("large", data, "")
}
