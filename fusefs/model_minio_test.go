package fusefs_test

import (
	"fmt"
	"testing"

	"objvol/fusefs/mounttest"
	"objvol/objstore"
	"objvol/objstore/objstoretest"
	"objvol/objstore/s3"
)

// TestModelOnMinIO is TestModel with a real store.
func TestModelOnMinIO(t *testing.T) {
	dir := mounttest.Dir(t)
	server := objstoretest.MinIO(t)
	bucket := probed(t, s3.Config{
		Endpoint: server.Endpoint, Bucket: "volumes", Create: true,
		AccessKey: server.AccessKey, SecretKey: s3.Secret(server.SecretKey),
	})
	tries := 0
	searchModel(t, "MinIO", func(p []string) error {
		tries++
		h := &host{dir: dir, prefix: fmt.Sprintf("v%d/", tries), bucket: bucket, cache: 1 << 30}
		return h.try(t, p)
	})
}

// probed opens a bucket with all that its store can do.
func probed(t *testing.T, config s3.Config) *s3.Bucket {
	t.Helper()
	for range 2 {
		bucket, err := s3.Open(t.Context(), config)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(bucket.Close)
		if config.Capabilities != (objstore.Capabilities{}) {
			return bucket
		}
		if config.Capabilities, err = bucket.Probe(t.Context(), "probe/"); err != nil {
			t.Fatal(err)
		}
	}
	t.Fatal("the store can do nothing")
	return nil
}
