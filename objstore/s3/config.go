package s3

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"objvol/objstore"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/s3utils"
)

// Config says where a bucket is and how to reach it.
type Config struct {
	// Endpoint is the URL of the store, http or https, without a path. It may be
	// empty if Socket is set.
	Endpoint string
	// Socket is the path of a unix socket to connect to instead of Endpoint's host.
	Socket string
	// Region of the bucket. Empty asks the store.
	Region string
	// Bucket is the name of the bucket.
	Bucket string
	// Create makes a missing bucket.
	Create bool

	// AccessKey and SecretKey are the credentials. Without them, and without the files
	// below, AWS's places are searched: the environment, the shared files, a web
	// identity, a container's role, and for AWS's own endpoints the instance's.
	AccessKey string
	SecretKey Secret
	// SessionToken belongs to temporary credentials.
	SessionToken Secret
	// AccessKeyFile and SecretKeyFile hold one key each.
	AccessKeyFile, SecretKeyFile string
	// Profile is a section of CredentialsFile, or of AWS's shared files if that is empty.
	// CredentialsFile alone may also be a password file of s3fs. All files are read
	// again when they change.
	Profile, CredentialsFile string

	// PathStyle is where the bucket's name goes: "true" into the path, "false" into
	// the host name, "auto" or empty into the path except at AWS, Google and Alibaba.
	PathStyle string
	// CACert is a file of certificates in PEM format whose holders may vouch for the store,
	// beside those that the system trusts.
	CACert string
	// InsecureSkipVerify believes any certificate: somebody between could read and change all.
	InsecureSkipVerify bool
	// Timeouts bound how long a dead store is waited for.
	Timeouts Timeouts
	// MaxConns is the highest number of connections, 0 for no limit. A body that is being
	// read holds one.
	MaxConns int
	// Capabilities are what an earlier Probe found out. Zero asks for the minimum.
	Capabilities objstore.Capabilities
}

// Timeouts bound the parts of a request. Zero fields take the defaults. A request as
// a whole has no limit but its context's: how long a body takes depends on its size.
type Timeouts struct {
	Dial   time.Duration // connecting, and again for the TLS handshake; 5 s
	Answer time.Duration // from the end of a request to the head of its answer; 30 s
	Stall  time.Duration // without a byte in either direction; 60 s, more than Answer
}

func (t Timeouts) withDefaults() Timeouts {
	if t.Dial == 0 {
		t.Dial = 5 * time.Second
	}
	if t.Answer == 0 {
		t.Answer = 30 * time.Second
	}
	if t.Stall == 0 {
		t.Stall = max(60*time.Second, 2*t.Answer)
	}
	return t
}

// Validate reports the first thing about the configuration that cannot work. It does
// not look at the environment or the network.
func (c Config) Validate() error {
	if _, err := c.endpoint(); err != nil {
		return err
	}
	if c.Bucket == "" {
		return errors.New("bucket is empty: name one")
	}
	if err := s3utils.CheckValidBucketNameStrict(c.Bucket); err != nil {
		return fmt.Errorf("bucket %q: %s", c.Bucket, lowerFirst(err.Error()))
	}
	if (c.AccessKey == "") != (c.SecretKey == "") {
		return errors.New("access key and secret key belong together: give both or neither")
	}
	if c.SessionToken != "" && c.AccessKey == "" {
		return errors.New("a session token belongs to an access key and a secret key: give all three")
	}
	if (c.AccessKeyFile == "") != (c.SecretKeyFile == "") {
		return errors.New("access key file and secret key file belong together: give both or neither")
	}
	if _, err := c.lookup(); err != nil {
		return err
	}
	if c.MaxConns < 0 {
		return fmt.Errorf("max connections %d: must not be negative", c.MaxConns)
	}
	t := c.Timeouts.withDefaults()
	if t.Dial < 0 || t.Answer < 0 || t.Stall <= t.Answer {
		return fmt.Errorf("timeouts %+v: none may be negative, and stall must exceed answer", t)
	}
	return nil
}

// endpoint returns the parsed Endpoint. It has a scheme and a host, nothing else.
func (c Config) endpoint() (*url.URL, error) {
	if c.Endpoint == "" {
		if c.Socket == "" {
			return nil, errors.New("endpoint is empty: give the store's URL, such as https://s3.example.com")
		}
		return &url.URL{Scheme: "http", Host: "localhost"}, nil
	}
	u, err := url.Parse(c.Endpoint)
	if err != nil || !strings.Contains(c.Endpoint, "://") {
		return nil, fmt.Errorf("endpoint %q: not a URL, write http://%s or https://%s", c.Endpoint, c.Endpoint, c.Endpoint)
	}
	switch {
	case u.User != nil:
		return nil, fmt.Errorf("endpoint %s: credentials do not belong into the URL", u.Redacted())
	case u.Scheme != "http" && u.Scheme != "https":
		return nil, fmt.Errorf("endpoint %q: scheme must be http or https", c.Endpoint)
	case u.Host == "":
		return nil, fmt.Errorf("endpoint %q: host is missing", c.Endpoint)
	case strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "":
		return nil, fmt.Errorf("endpoint %q: must end after the host; bucket and prefix are given separately", c.Endpoint)
	case c.Socket != "" && u.Scheme != "http":
		return nil, fmt.Errorf("endpoint %q: a unix socket speaks http", c.Endpoint)
	}
	return &url.URL{Scheme: u.Scheme, Host: u.Host}, nil
}

func (c Config) lookup() (minio.BucketLookupType, error) {
	switch c.PathStyle {
	case "", "auto":
		return minio.BucketLookupAuto, nil
	case "true":
		return minio.BucketLookupPath, nil
	case "false":
		return minio.BucketLookupDNS, nil
	}
	return 0, fmt.Errorf("path style %q: must be auto, true or false", c.PathStyle)
}

func lowerFirst(s string) string {
	if s == "" {
		return s
	}
	return strings.ToLower(s[:1]) + strings.TrimSuffix(s[1:], ".")
}
