package s3

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"objvol/objstore"

	"github.com/minio/minio-go/v7/pkg/credentials"
)

// newCredentials returns the source of the credentials: the one that the configuration
// names, else the first of AWS's places that has some.
func newCredentials(cfg Config) *credentials.Credentials {
	switch {
	case cfg.AccessKey != "":
		return credentials.NewStaticV4(cfg.AccessKey, string(cfg.SecretKey), string(cfg.SessionToken))
	case cfg.AccessKeyFile != "":
		return credentials.New(newKeyFiles(cfg.AccessKeyFile, cfg.SecretKeyFile))
	case cfg.Profile != "" || cfg.CredentialsFile != "":
		return credentials.New(newProfile(cfg))
	}
	places := []credentials.Provider{&credentials.EnvAWS{}, newProfile(cfg)}
	if role := newRole(cfg, os.Getenv); role != nil {
		places = append(places, role)
	}
	return credentials.New(&chain{places: places})
}

var errNoCredentials = fmt.Errorf("%w: no credentials: give an access key and a secret key, or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY", objstore.ErrAccessDenied)

// chain asks several places, the one that had credentials before first.
type chain struct {
	retriever

	places  []credentials.Provider
	current credentials.Provider // nil until one had some
	last    credentials.Value    // what it had
}

// RetrieveWithCredContext returns the credentials of the first place that has some.
// Credentials that are still valid are used when they cannot be renewed.
func (c *chain) RetrieveWithCredContext(cc *credentials.CredContext) (credentials.Value, error) {
	if c.current != nil {
		v, err := c.current.RetrieveWithCredContext(cc)
		switch {
		case err == nil:
			c.last = v
		case c.last.Expiration.Before(time.Now()):
			return v, fmt.Errorf("%w: renew the credentials: %w", objstore.ErrUnavailable, err)
		}
		return c.last, nil
	}
	missing := errNoCredentials
	for _, p := range c.places {
		v, err := p.RetrieveWithCredContext(cc)
		switch {
		case err == nil && v.AccessKeyID != "" && v.SecretAccessKey != "":
			c.current, c.last = p, v
			return v, nil
		case err != nil && !errors.Is(err, fs.ErrNotExist):
			missing = fmt.Errorf("%w; %w", missing, err)
		}
	}
	return credentials.Value{}, missing
}

// IsExpired reports whether the credentials are to be retrieved again.
func (c *chain) IsExpired() bool { return c.current == nil || c.current.IsExpired() }

// retriever is the half of credentials.Provider that nobody calls any more.
type retriever struct{}

// Retrieve is not used: minio-go passes a context.
func (retriever) Retrieve() (credentials.Value, error) {
	return credentials.Value{}, errors.ErrUnsupported
}

// signingKeys returns the current credentials. Without any, minio-go would send
// requests unsigned and the server's answer would not say why it refuses them.
func (b *Bucket) signingKeys(ctx context.Context) (credentials.Value, error) {
	cc := b.core.CredContext()
	cc.Context = ctx
	v, err := b.creds.GetWithContext(cc)
	switch {
	case err == nil, objstore.Refused(err), errors.Is(err, objstore.ErrUnavailable):
		return v, err
	}
	return v, fmt.Errorf("%w: credentials: %w", objstore.ErrAccessDenied, err)
}
