package s3

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/minio/minio-go/v7/pkg/credentials"
	"github.com/minio/minio-go/v7/pkg/s3utils"
)

// roleTimeout bounds the retrieval of a role's credentials: most machines have no metadata
// service, and on some nothing refuses the connection.
const roleTimeout = 3 * time.Second

// role is the credentials of what the driver runs on: a web identity, a container's task,
// an instance.
type role struct {
	credentials.IAM
	name string
}

// newRole returns the role that AWS's variables ask for. An instance is asked without them
// if the store is AWS's. Nil is no role.
func newRole(cfg Config, getenv func(string) string) *role {
	endpoint, err := cfg.endpoint()
	if err != nil {
		return nil
	}
	metadata := getenv("AWS_EC2_METADATA_SERVICE_ENDPOINT")
	switch {
	case getenv("AWS_WEB_IDENTITY_TOKEN_FILE") != "":
		r := &role{name: "web identity"}
		// MinIO and Ceph change tokens at the endpoint itself.
		if r.Endpoint = getenv("AWS_ENDPOINT_URL_STS"); r.Endpoint == "" && !s3utils.IsAmazonEndpoint(*endpoint) {
			r.Endpoint = endpoint.String()
		}
		r.Region = cfg.Region
		return r
	case getenv("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI") != "", getenv("AWS_CONTAINER_CREDENTIALS_FULL_URI") != "":
		r := &role{name: "container"}
		r.Client = localClient()
		return r
	case strings.EqualFold(getenv("AWS_EC2_METADATA_DISABLED"), "true"):
	case metadata != "", s3utils.IsAmazonEndpoint(*endpoint):
		r := &role{name: "instance metadata"}
		r.Client, r.Endpoint = localClient(), strings.TrimRight(metadata, "/")
		return r
	}
	return nil
}

// localClient asks a service of this machine: not by a proxy, and for a moment only.
func localClient() *http.Client {
	return &http.Client{Transport: &http.Transport{
		DialContext:       (&net.Dialer{Timeout: time.Second}).DialContext,
		DisableKeepAlives: true,
	}}
}

// RetrieveWithCredContext asks for the role's credentials.
func (r *role) RetrieveWithCredContext(cc *credentials.CredContext) (credentials.Value, error) {
	bounded := *cc
	parent := cc.Context
	if parent == nil {
		parent = context.Background()
	}
	var cancel context.CancelFunc
	bounded.Context, cancel = context.WithTimeout(parent, roleTimeout)
	defer cancel()
	v, err := r.IAM.RetrieveWithCredContext(&bounded)
	if err != nil {
		// Not wrapped: its timeout is not the caller's.
		err = fmt.Errorf("%s: %s", r.name, err.Error())
	}
	return v, err
}
