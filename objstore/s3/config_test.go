package s3

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"
)

func TestValidate(t *testing.T) {
	good := Config{Endpoint: "https://s3.example.com", Bucket: "volumes", AccessKey: "id", SecretKey: "secret"}
	tests := []struct {
		name   string
		change func(*Config)
		want   string // in the error; empty is none
	}{
		{"good", func(*Config) {}, ""},
		{"slash after the host", func(c *Config) { c.Endpoint += "/" }, ""},
		{"environment", func(c *Config) { c.AccessKey, c.SecretKey = "", "" }, ""},
		{"socket alone", func(c *Config) { c.Endpoint, c.Socket = "", "/run/s3.sock" }, ""},
		{"no endpoint", func(c *Config) { c.Endpoint = "" }, "give the store's URL"},
		{"host and port", func(c *Config) { c.Endpoint = "minio:9000" }, "write http://minio:9000 or https://minio:9000"},
		{"other scheme", func(c *Config) { c.Endpoint = "s3://bucket" }, "http or https"},
		{"no host", func(c *Config) { c.Endpoint = "http://" }, "host is missing"},
		{"path", func(c *Config) { c.Endpoint += "/bucket" }, "must end after the host"},
		{"query", func(c *Config) { c.Endpoint += "?x=y" }, "must end after the host"},
		{"credentials in the URL", func(c *Config) { c.Endpoint = "https://id:hunter2@host" }, "do not belong into the URL"},
		{"TLS over a socket", func(c *Config) { c.Socket = "/run/s3.sock" }, "speaks http"},
		{"no bucket", func(c *Config) { c.Bucket = "" }, "bucket is empty"},
		{"bucket's name", func(c *Config) { c.Bucket = "Not_Good" }, `bucket "Not_Good"`},
		{"access key alone", func(c *Config) { c.SecretKey = "" }, "belong together"},
		{"secret key alone", func(c *Config) { c.AccessKey = "" }, "belong together"},
		{"a key file alone", func(c *Config) { c.AccessKeyFile = "/a" }, "belong together"},
		{"token alone", func(c *Config) { c.AccessKey, c.SecretKey, c.SessionToken = "", "", "t" }, "all three"},
		{"path style", func(c *Config) { c.PathStyle = "yes" }, "auto, true or false"},
		{"connections", func(c *Config) { c.MaxConns = -1 }, "negative"},
		{"negative timeout", func(c *Config) { c.Timeouts.Dial = -time.Second }, "negative"},
		{"stall below answer", func(c *Config) { c.Timeouts.Stall = time.Second }, "exceed"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			cfg := good
			tt.change(&cfg)
			err := cfg.Validate()
			switch {
			case tt.want == "" && err != nil:
				t.Fatalf("error %v", err)
			case tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)):
				t.Fatalf("error %v, want one with %q", err, tt.want)
			case err != nil && strings.Contains(err.Error(), "hunter2"):
				t.Fatalf("error shows the password: %v", err)
			}
		})
	}
}

func TestSecretsAreHidden(t *testing.T) {
	const value = "hunter2"
	cfg := Config{AccessKey: "id", SecretKey: value, SessionToken: value}
	shown := map[string]string{}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		shown[verb] = fmt.Sprintf(verb, cfg) + fmt.Sprintf(verb, cfg.SecretKey) + fmt.Sprintf(verb, &cfg)
	}
	shown["String"] = cfg.SecretKey.String() + cfg.SecretKey.GoString()
	encoded, err := json.Marshal(cfg)
	if err != nil {
		t.Fatal(err)
	}
	shown["json"] = string(encoded)
	var text, jsonLog bytes.Buffer
	slog.New(slog.NewTextHandler(&text, nil)).Info("x", "secret", cfg.SecretKey, "config", cfg)
	slog.New(slog.NewJSONHandler(&jsonLog, nil)).Info("x", "secret", cfg.SecretKey, "config", cfg)
	shown["slog text"], shown["slog json"] = text.String(), jsonLog.String()
	for how, s := range shown {
		if strings.Contains(s, value) || strings.Contains(s, fmt.Sprintf("%x", value)) {
			t.Errorf("%s shows the secret: %s", how, s)
		}
	}
	if got := fmt.Sprintf("%v", Secret("")); got != "" {
		t.Errorf("an empty secret shows as %q, want nothing", got)
	}
	if string(cfg.SecretKey) != value {
		t.Error("the value is lost")
	}
}

func TestCredentialsFromTheEnvironment(t *testing.T) {
	cfg := Config{Endpoint: "http://127.0.0.1:1", Region: "here", Bucket: "volumes"}
	t.Setenv("AWS_ACCESS_KEY_ID", "from-environment")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "hunter2")
	t.Setenv("AWS_SESSION_TOKEN", "token")
	b, err := connect(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	keys, err := b.signingKeys(t.Context())
	if err != nil || keys.AccessKeyID != "from-environment" || keys.SecretAccessKey != "hunter2" || keys.SessionToken != "token" {
		t.Errorf("keys of %q, error %v", keys.AccessKeyID, err)
	}

	cfg.AccessKey, cfg.SecretKey = "given", "secret"
	if b, err = connect(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	if keys, err = b.signingKeys(t.Context()); err != nil || keys.AccessKeyID != "given" || keys.SessionToken != "" {
		t.Errorf("keys of %q, error %v, want those of the configuration alone", keys.AccessKeyID, err)
	}
}

func TestOpenWithoutCredentials(t *testing.T) {
	nowhere(t)
	_, err := Open(t.Context(), Config{Endpoint: "http://127.0.0.1:1", Bucket: "volumes"})
	if err == nil || !strings.Contains(err.Error(), "AWS_ACCESS_KEY_ID") {
		t.Errorf("error %v, want one that says where credentials come from", err)
	}
}

func TestAddressing(t *testing.T) {
	tests := []struct{ endpoint, style, want string }{
		{"http://127.0.0.1:9000", "", "http://127.0.0.1:9000/volumes/"},
		{"http://127.0.0.1:9000", "auto", "http://127.0.0.1:9000/volumes/"},
		{"https://s3.example.com", "true", "https://s3.example.com/volumes/"},
		{"https://s3.example.com:443", "false", "https://volumes.s3.example.com/"},
		{"https://s3.eu-west-1.amazonaws.com", "auto", "https://volumes.s3.dualstack.eu-west-1.amazonaws.com/"},
	}
	for _, tt := range tests {
		b, err := connect(t.Context(), Config{
			Endpoint: tt.endpoint, PathStyle: tt.style, Region: "eu-west-1", Bucket: "volumes", AccessKey: "id", SecretKey: "secret",
		})
		if err != nil {
			t.Fatal(err)
		}
		if got := b.base.String(); got != tt.want {
			t.Errorf("%s with path style %q: %s, want %s", tt.endpoint, tt.style, got, tt.want)
		}
	}
}
