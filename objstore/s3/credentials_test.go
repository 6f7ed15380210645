package s3

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"objvol/objstore"

	"github.com/minio/minio-go/v7/pkg/credentials"
)

// nowhere takes away every place where credentials could come from.
func nowhere(t *testing.T) {
	t.Helper()
	for _, name := range []string{
		"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_ACCESS_KEY", "AWS_SECRET_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE",
		"AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE", "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_ROLE_ARN", "AWS_ROLE_SESSION_NAME",
		"AWS_ENDPOINT_URL_STS", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_CONTAINER_CREDENTIALS_FULL_URI",
		"AWS_CONTAINER_AUTHORIZATION_TOKEN", "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", "AWS_EC2_METADATA_DISABLED",
		"AWS_EC2_METADATA_SERVICE_ENDPOINT",
	} {
		t.Setenv(name, "")
	}
	t.Setenv("HOME", t.TempDir())
}

func write(t *testing.T, path, text string) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	temp := path + ".new"
	if err := os.WriteFile(temp, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(temp, path); err != nil {
		t.Fatal(err)
	}
	return path
}

func profile(name, access string) string {
	return fmt.Sprintf("[%s]\naws_access_key_id = %s\naws_secret_access_key = secret-of-%[2]s\naws_session_token = token-of-%[2]s\n", name, access)
}

// keysOf returns the credentials that a bucket of the configuration would sign with.
func keysOf(t *testing.T, cfg Config) (credentials.Value, error) {
	t.Helper()
	if cfg.Endpoint == "" {
		cfg.Endpoint = "http://127.0.0.1:1"
	}
	cfg.Region, cfg.Bucket = "here", "volumes"
	if err := cfg.Validate(); err != nil {
		t.Fatal(err)
	}
	transport, err := newTransport(cfg)
	if err != nil {
		t.Fatal(err)
	}
	b, err := newBucket(cfg, transport)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	return b.signingKeys(t.Context())
}

func TestCredentialsFromFiles(t *testing.T) {
	nowhere(t)
	dir := t.TempDir()
	home := os.Getenv("HOME")
	shared := write(t, filepath.Join(dir, "shared"), profile("default", "of-default")+profile("team", "of-team"))
	access, secret := write(t, filepath.Join(dir, "a"), "of-files\n"), write(t, filepath.Join(dir, "s"), "secret-of-files\n")
	passwords := write(t, filepath.Join(dir, "passwd"), "# s3fs\nof-all:secret\nvolumes:of-bucket:secret\n")
	general := write(t, filepath.Join(dir, "general"), "of-all:secret\nother:of-other:secret\n")
	half := write(t, filepath.Join(dir, "half"), "[default]\naws_access_key_id = x\n")
	write(t, filepath.Join(home, ".aws", "credentials"), profile("default", "at-home")+profile("team", "team-at-home"))
	for _, c := range []struct {
		name string
		cfg  Config
		want string // the access key, or part of the error
		ok   bool
	}{
		{"AWS's files", Config{}, "at-home", true},
		{"AWS's files, profile", Config{Profile: "team"}, "team-at-home", true},
		{"named file", Config{CredentialsFile: shared}, "of-default", true},
		{"named file, profile", Config{CredentialsFile: shared, Profile: "team"}, "of-team", true},
		{"no such profile", Config{CredentialsFile: shared, Profile: "none"}, `profile "none"`, false},
		{"no such file", Config{CredentialsFile: dir + "/none"}, "no such file", false},
		{"half a profile", Config{CredentialsFile: half}, "must both be set", false},
		{"key files", Config{AccessKeyFile: access, SecretKeyFile: secret}, "of-files", true},
		{"no key file", Config{AccessKeyFile: access, SecretKeyFile: dir + "/none"}, "no such file", false},
		{"s3fs, line of the bucket", Config{CredentialsFile: passwords}, "of-bucket", true},
		{"s3fs, general line", Config{CredentialsFile: general}, "of-all", true},
		{"given keys are stronger", Config{AccessKey: "given", SecretKey: "x", Profile: "team"}, "given", true},
	} {
		v, err := keysOf(t, c.cfg)
		switch {
		case c.ok && (err != nil || v.AccessKeyID != c.want):
			t.Errorf("%s: %q, %v, want %q", c.name, v.AccessKeyID, err, c.want)
		case !c.ok && (!errors.Is(err, objstore.ErrAccessDenied) || !strings.Contains(err.Error(), c.want)):
			t.Errorf("%s: %v, want a denial with %q", c.name, err, c.want)
		case err != nil && strings.Contains(err.Error(), "secret-of"):
			t.Errorf("%s: the error shows a secret", c.name)
		}
	}
	t.Setenv("AWS_PROFILE", "team")
	if v, err := keysOf(t, Config{}); err != nil || v.AccessKeyID != "team-at-home" || v.SessionToken != "token-of-team-at-home" {
		t.Errorf("AWS_PROFILE gives %q, %v", v.AccessKeyID, err)
	}
	t.Setenv("AWS_ACCESS_KEY_ID", "of-environment")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "x")
	if v, err := keysOf(t, Config{}); err != nil || v.AccessKeyID != "of-environment" {
		t.Errorf("the environment is stronger than the files: %q, %v", v.AccessKeyID, err)
	}
}

// TestCredentialsAreReadAgain shows that a running bucket signs with what its files say now,
// in all of its requests, and that a half-made change is not used.
func TestCredentialsAreReadAgain(t *testing.T) {
	nowhere(t)
	var valid atomic.Value
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		sign := r.Header.Get("Authorization") + r.URL.Query().Get("X-Amz-Credential")
		if !strings.Contains(sign, valid.Load().(string)+"/") {
			refuse(w, http.StatusForbidden, "InvalidAccessKeyId")
			return
		}
		w.Header().Set("ETag", `"e"`)
		_, _ = fmt.Fprint(w, "<ListBucketResult></ListBucketResult>")
	}))
	defer server.Close()
	dir := t.TempDir()
	path := func(name string) string { return filepath.Join(dir, name) }
	for name, c := range map[string]struct {
		cfg    Config
		rotate func(access string)
		spoil  string // a file that is half written
	}{
		"key files": {
			Config{AccessKeyFile: path("a"), SecretKeyFile: path("s")},
			func(access string) { write(t, path("a"), access); write(t, path("s"), "secret") }, path("a"),
		},
		"profile": {
			Config{CredentialsFile: path("c"), Profile: "p"},
			func(access string) { write(t, path("c"), profile("p", access)) }, path("c"),
		},
		"s3fs": {
			Config{CredentialsFile: path("passwd")},
			func(access string) { write(t, path("passwd"), access+":secret") }, path("passwd"),
		},
		"AWS's files": {
			Config{},
			func(access string) {
				write(t, filepath.Join(os.Getenv("HOME"), ".aws", "credentials"), profile("default", access))
			},
			filepath.Join(os.Getenv("HOME"), ".aws", "credentials"),
		},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := c.cfg
			cfg.Endpoint, cfg.Region, cfg.Bucket = server.URL, "us-east-1", "volumes"
			use := func(access string) {
				valid.Store(access)
				c.rotate(access)
			}
			use("first")
			b, err := Open(t.Context(), cfg)
			if err != nil {
				t.Fatal(err)
			}
			defer b.Close()
			work := func() error {
				_, listed := b.List(t.Context(), objstore.ListOptions{})
				_, put := b.Put(t.Context(), "k", objstore.Bytes("x"), objstore.PutOptions{})
				return errors.Join(listed, put, b.Delete(t.Context(), "k", objstore.Condition{}))
			}
			use("second")
			if err := work(); err != nil {
				t.Errorf("after the rotation: %v", err)
			}
			write(t, c.spoil, "")
			if err := work(); err != nil {
				t.Errorf("while the file is empty: %v", err)
			}
			use("third")
			if err := work(); err != nil {
				t.Errorf("after the second rotation: %v", err)
			}
			valid.Store("somebody-else")
			if err := work(); !errors.Is(err, objstore.ErrAccessDenied) {
				t.Errorf("with keys that are not valid: %v", err)
			}
		})
	}
}

// TestRotationOnMinIO replaces lasting credentials by temporary ones under a bucket that is
// in use.
func TestRotationOnMinIO(t *testing.T) {
	nowhere(t)
	cfg := minioConfig(t)
	temporary, err := credentials.NewSTSAssumeRole(cfg.Endpoint, credentials.STSAssumeRoleOptions{
		AccessKey: cfg.AccessKey, SecretKey: string(cfg.SecretKey), DurationSeconds: 900,
	})
	if err != nil {
		t.Fatal(err)
	}
	v, err := temporary.GetWithContext(nil)
	if err != nil {
		t.Fatal(err)
	}
	if v.SessionToken == "" || v.AccessKeyID == cfg.AccessKey {
		t.Fatalf("%q are no temporary credentials", v.AccessKeyID)
	}
	path := filepath.Join(t.TempDir(), "credentials")
	lasting := fmt.Sprintf("[default]\naws_access_key_id=%s\naws_secret_access_key=%s\n", cfg.AccessKey, string(cfg.SecretKey))
	given := cfg
	given.AccessKey, given.SecretKey, given.SessionToken = v.AccessKeyID, Secret(v.SecretAccessKey), Secret(v.SessionToken)
	cfg.AccessKey, cfg.SecretKey, cfg.CredentialsFile = "", "", write(t, path, lasting)
	b, err := Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	put := func() error {
		_, err := b.Put(t.Context(), "rotated", objstore.Bytes("x"), objstore.PutOptions{})
		return err
	}
	write(t, path, fmt.Sprintf("[default]\naws_access_key_id=%s\naws_secret_access_key=%s\naws_session_token=%s\n",
		v.AccessKeyID, v.SecretAccessKey, v.SessionToken))
	if err := put(); err != nil {
		t.Errorf("with temporary credentials: %v", err)
	}
	write(t, path, profile("default", "nobody"))
	if err := put(); !errors.Is(err, objstore.ErrAccessDenied) {
		t.Errorf("with wrong ones: %v", err)
	}
	write(t, path, lasting)
	if err := put(); err != nil {
		t.Errorf("with the first ones again: %v", err)
	}

	other, err := Open(t.Context(), given)
	if err != nil {
		t.Fatalf("with a given session token: %v", err)
	}
	other.Close()
}

// roleServer answers as the token service, a container's agent and an instance's metadata
// service do, and counts what it answers.
func roleServer(t *testing.T, asked *atomic.Int32) *httptest.Server {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		end := time.Now().Add(time.Hour).UTC().Format(time.RFC3339)
		text := ""
		switch r.URL.Path {
		case "/latest/api/token":
			text = "session"
		case credentials.DefaultIAMSecurityCredsPath:
			text = "the-role"
		case credentials.DefaultIAMSecurityCredsPath + "the-role":
			text = `{"Code":"Success","AccessKeyId":"of-instance","SecretAccessKey":"x","Token":"t","Expiration":"` + end + `"}`
		case "/task":
			text = `{"AccessKeyId":"of-container","SecretAccessKey":"x","Token":"t","Expiration":"` + end + `"}`
		default:
			if r.FormValue("WebIdentityToken") != "a-token" {
				w.WriteHeader(http.StatusForbidden)
				return
			}
			text = `<AssumeRoleWithWebIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleWithWebIdentityResult><Credentials>` +
				"<AccessKeyId>of-identity</AccessKeyId><SecretAccessKey>x</SecretAccessKey><SessionToken>t</SessionToken><Expiration>" + end +
				"</Expiration></Credentials></AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>"
		}
		asked.Add(1)
		_, _ = fmt.Fprint(w, text)
	}))
	t.Cleanup(server.Close)
	return server
}

func TestCredentialsOfARole(t *testing.T) {
	var asked atomic.Int32
	server := roleServer(t, &asked)
	token := write(t, filepath.Join(t.TempDir(), "token"), "a-token")
	const aws = "https://s3.eu-west-1.amazonaws.com"
	for _, c := range []struct {
		name, endpoint string
		env            map[string]string
		want           string
	}{
		{"identity at the store", server.URL, map[string]string{"AWS_WEB_IDENTITY_TOKEN_FILE": token}, "of-identity"},
		{"identity elsewhere", aws, map[string]string{"AWS_WEB_IDENTITY_TOKEN_FILE": token, "AWS_ENDPOINT_URL_STS": server.URL}, "of-identity"},
		{"container", "", map[string]string{"AWS_CONTAINER_CREDENTIALS_FULL_URI": server.URL + "/task"}, "of-container"},
		{"instance", "", map[string]string{"AWS_EC2_METADATA_SERVICE_ENDPOINT": server.URL}, "of-instance"},
		{"instance of AWS", aws, map[string]string{"AWS_EC2_METADATA_SERVICE_ENDPOINT": server.URL + "/"}, "of-instance"},
		{"keys are stronger", "", map[string]string{
			"AWS_EC2_METADATA_SERVICE_ENDPOINT": server.URL, "AWS_ACCESS_KEY_ID": "of-environment", "AWS_SECRET_ACCESS_KEY": "x",
		}, "of-environment"},
	} {
		t.Run(c.name, func(t *testing.T) {
			nowhere(t)
			for name, value := range c.env {
				t.Setenv(name, value)
			}
			if v, err := keysOf(t, Config{Endpoint: c.endpoint}); err != nil || v.AccessKeyID != c.want {
				t.Errorf("%q, %v, want %q", v.AccessKeyID, err, c.want)
			}
		})
	}
	if asked.Load() == 0 {
		t.Error("nobody was asked")
	}
}

// TestNobodyIsAskedInVain shows that the metadata service is asked only where it can be, and
// that one which does not answer holds nothing up for ever.
func TestNobodyIsAskedInVain(t *testing.T) {
	nowhere(t)
	none := func(string) string { return "" }
	if r := newRole(Config{Endpoint: "http://minio:9000"}, none); r != nil {
		t.Errorf("a store that is not AWS's asks for the role of %s", r.name)
	}
	aws := Config{Endpoint: "https://s3.eu-west-1.amazonaws.com"}
	if r := newRole(aws, none); r == nil || r.name != "instance metadata" {
		t.Errorf("AWS asks %+v", r)
	}
	if r := newRole(aws, func(name string) string {
		if name == "AWS_EC2_METADATA_DISABLED" {
			return "true"
		}
		return ""
	}); r != nil {
		t.Errorf("what is switched off is asked: %s", r.name)
	}

	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = silent.Close() }()
	t.Setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://"+silent.Addr().String())
	if _, err := keysOf(t, aws); !errors.Is(err, objstore.ErrAccessDenied) || !strings.Contains(err.Error(), "instance metadata: ") {
		t.Errorf("a metadata service that is silent gives %v", err)
	}
}

// lapsing has credentials until fails is set.
type lapsing struct {
	retriever

	value credentials.Value
	fails bool
}

func (l *lapsing) IsExpired() bool { return true }

func (l *lapsing) RetrieveWithCredContext(*credentials.CredContext) (credentials.Value, error) {
	if l.fails {
		return credentials.Value{}, errors.New("no answer")
	}
	return l.value, nil
}

func TestCredentialsThatCannotBeRenewed(t *testing.T) {
	for name, c := range map[string]struct {
		left time.Duration
		want error
	}{
		"still valid": {time.Hour, nil},
		"run out":     {-time.Hour, objstore.ErrUnavailable},
	} {
		place := &lapsing{value: credentials.Value{AccessKeyID: "id", SecretAccessKey: "x", Expiration: time.Now().Add(c.left)}}
		all := &chain{places: []credentials.Provider{&credentials.EnvAWS{}, place}}
		t.Setenv("AWS_ACCESS_KEY_ID", "")
		t.Setenv("AWS_ACCESS_KEY", "")
		if _, err := all.RetrieveWithCredContext(nil); err != nil {
			t.Fatal(err)
		}
		place.fails = true
		v, err := all.RetrieveWithCredContext(nil)
		if !errors.Is(err, c.want) || c.want == nil && v.AccessKeyID != "id" {
			t.Errorf("%s: %q, %v, want %v", name, v.AccessKeyID, err, c.want)
		}
	}
}
