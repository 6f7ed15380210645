package s3

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"objvol/objstore"

	"github.com/minio/minio-go/v7"
)

// defaultRegion signs for stores that have none.
const defaultRegion = "us-east-1"

// Open returns the bucket of a configuration after one listing has shown that it is
// there and that the credentials are good for it. With Config.Create a missing bucket
// is made. The errors wrap objstore's kinds (ErrInvalid for the configuration itself)
// and say what to change.
func Open(ctx context.Context, cfg Config) (*Bucket, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("%w: %w", objstore.ErrInvalid, err)
	}
	b, err := connect(ctx, cfg)
	if err == nil {
		err = b.check(ctx, cfg.Create)
	}
	if err != nil {
		if b != nil {
			b.Close()
		}
		return nil, fmt.Errorf("bucket %q at %s: %w", cfg.Bucket, cfg.place(), err)
	}
	return b, nil
}

// place names the endpoint in messages.
func (c Config) place() string {
	if c.Socket != "" {
		return c.Socket
	}
	return c.Endpoint
}

// connect builds the bucket and settles its region and address.
func connect(ctx context.Context, cfg Config) (*Bucket, error) {
	transport, err := newTransport(cfg)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", objstore.ErrInvalid, err)
	}
	b, err := newBucket(cfg, transport)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", objstore.ErrInvalid, err)
	}
	if _, err := b.signingKeys(ctx); err != nil {
		return b, err
	}
	if cfg.Region == "" {
		region, err := b.core.GetBucketLocation(ctx, cfg.Bucket)
		switch {
		case err == nil:
		case minio.ToErrorResponse(err).Code == minio.NoSuchBucket:
			region = defaultRegion
		default:
			return b, cause(ctx, err)
		}
		cfg.Region = region
		if b, err = newBucket(cfg, transport); err != nil {
			return nil, fmt.Errorf("%w: %w", objstore.ErrInvalid, err)
		}
	}
	// minio-go knows how a bucket is addressed, and tells it in a presigned URL.
	u, err := b.core.Presign(ctx, http.MethodGet, cfg.Bucket, "", time.Minute, nil)
	if err != nil {
		return b, fmt.Errorf("%w: %w", objstore.ErrInvalid, err)
	}
	u.RawQuery = ""
	b.base = *u
	return b, nil
}

// check lists one key.
func (b *Bucket) check(ctx context.Context, create bool) error {
	_, err := b.List(ctx, objstore.ListOptions{Max: 1})
	if errors.Is(err, objstore.ErrNoBucket) {
		if !create {
			return fmt.Errorf("%w: create it, or allow it to be created", objstore.ErrNoBucket)
		}
		err = b.core.MakeBucket(ctx, b.name, minio.MakeBucketOptions{Region: b.region})
		if minio.ToErrorResponse(err).Code == minio.BucketAlreadyOwnedByYou {
			return nil
		}
	}
	return cause(ctx, err)
}

// cause returns the error of a first request without its name, which means nothing to
// the person who configures a bucket.
func cause(ctx context.Context, err error) error {
	if op, ok := errors.AsType[*objstore.OpError](fail(ctx, objstore.OpList, "", err)); ok {
		return op.Err
	}
	return nil
}
