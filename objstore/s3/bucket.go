package s3

import (
	"fmt"
	"net/http"
	"net/url"

	"objvol/objstore"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
)

// Bucket is a bucket on a server. It implements [objstore.Bucket].
type Bucket struct {
	name   string
	base   url.URL // of the bucket, ending in "/"
	region string
	creds  *credentials.Credentials
	core   *minio.Core
	// client sends what core does not, over the same connections. It follows no redirects.
	client    *http.Client
	transport *http.Transport
	caps      objstore.Capabilities
}

var _ objstore.Bucket = (*Bucket)(nil)

// newBucket returns the bucket of a valid configuration, without a request. The
// region is the configuration's.
func newBucket(cfg Config, transport *http.Transport) (*Bucket, error) {
	endpoint, err := cfg.endpoint()
	if err != nil {
		return nil, err
	}
	lookup, err := cfg.lookup()
	if err != nil {
		return nil, err
	}
	creds := newCredentials(cfg)
	core, err := minio.NewCore(endpoint.Host, &minio.Options{
		Creds:           creds,
		Secure:          endpoint.Scheme == "https",
		Transport:       clock{transport},
		Region:          cfg.Region,
		BucketLookup:    lookup,
		TrailingHeaders: true,
		MaxRetries:      1,
	})
	if err != nil {
		return nil, fmt.Errorf("endpoint %q: %w", cfg.Endpoint, err)
	}
	return &Bucket{
		name:      cfg.Bucket,
		region:    cfg.Region,
		creds:     creds,
		core:      core,
		transport: transport,
		client: &http.Client{
			Transport:     clock{transport},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		caps: cfg.Capabilities,
	}, nil
}

// WithCapabilities returns the same bucket, on the same connections, which makes use
// of what Probe found out.
func (b *Bucket) WithCapabilities(caps objstore.Capabilities) *Bucket {
	other := *b
	other.caps = caps
	return &other
}

// Capabilities returns what was given by the configuration or WithCapabilities.
func (b *Bucket) Capabilities() objstore.Capabilities { return b.caps }

// Close drops idle connections. Requests that are under way go on.
func (b *Bucket) Close() { b.transport.CloseIdleConnections() }
