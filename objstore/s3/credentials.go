package s3

import (
	"errors"
	"fmt"

	"objvol/objstore"

	"github.com/minio/minio-go/v7/pkg/credentials"
)

// newCredentials returns the source of the credentials: those of the configuration,
// else the first provider that has some.
func newCredentials(cfg Config) *credentials.Credentials {
	if cfg.AccessKey != "" {
		return credentials.NewStaticV4(cfg.AccessKey, string(cfg.SecretKey), string(cfg.SessionToken))
	}
	return credentials.NewChainCredentials([]credentials.Provider{
		&credentials.EnvAWS{},
	})
}

var errNoCredentials = fmt.Errorf("%w: no credentials: give an access key and a secret key, or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY", objstore.ErrAccessDenied)

// signingKeys returns the current credentials. Without any, minio-go would send
// requests unsigned and the server's answer would not say why it refuses them.
func (b *Bucket) signingKeys() (credentials.Value, error) {
	v, err := b.creds.GetWithContext(b.core.CredContext())
	if err != nil {
		return v, errors.Join(errNoCredentials, err)
	}
	if v.AccessKeyID == "" || v.SecretAccessKey == "" {
		return v, errNoCredentials
	}
	return v, nil
}
