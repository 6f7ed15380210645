package main

import (
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"objvol/driver"
)

// told parses a configuration of flags and variables.
func told(t *testing.T, flags []string, env map[string]string) (config, error) {
	t.Helper()
	cmd := &cobra.Command{}
	var names []string
	for _, s := range settings {
		if !s.secret {
			names = append(names, s.name)
		}
	}
	addFlags(cmd, nil, names...)
	if err := cmd.ParseFlags(flags); err != nil {
		t.Fatal(err)
	}
	c, err := parseConfig(source{cmd, func(name string) string { return env[name] }})
	if err == nil {
		err = c.Validate()
	}
	return c, err
}

func TestPrecedence(t *testing.T) {
	const aws, awsS3, own, flag = "http://aws:1", "http://aws-s3:1", "http://own:1", "http://flag:1"
	env := map[string]string{}
	var flags []string
	endpoint := func(want string) {
		t.Helper()
		c, err := told(t, flags, env)
		if err != nil || c.Defaults.Endpoint != want {
			t.Errorf("%v %v: %q, %v, want %q", flags, env, c.Defaults.Endpoint, err, want)
		}
	}
	endpoint("")
	env["AWS_ENDPOINT_URL"] = aws
	endpoint(aws)
	env["AWS_ENDPOINT_URL_S3"] = awsS3
	endpoint(awsS3)
	env["OBJVOL_ENDPOINT"] = own
	endpoint(own)
	flags = []string{"--endpoint=" + flag}
	endpoint(flag)
	flags = []string{"--endpoint="}
	endpoint("")

	c, err := told(t, []string{"--region=flag"}, map[string]string{"AWS_REGION": "aws"})
	if err != nil {
		t.Fatal(err)
	}
	spec, err := c.Defaults.Resolve("v", map[string]string{"region": "option"})
	if err != nil || spec.Region != "option" {
		t.Errorf("the option of a volume gave %q, %v", spec.Region, err)
	}
	if c.Defaults.Region != "flag" {
		t.Errorf("region %q", c.Defaults.Region)
	}
}

func TestBuiltIn(t *testing.T) {
	c, err := told(t, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if c.Socket != driver.DefaultSocket || c.SocketGroup != driver.NoGroup || c.StateDir != "/var/lib/objvol" ||
		c.LogLevel != slog.LevelInfo || c.LogFormat != "text" || c.StopTimeout != time.Minute || c.MetricsAddr != "" ||
		c.Defaults.Bucket != "objvol" || c.Defaults.CacheSize != 1<<30 || c.Defaults.AccessKey.IsSet() {
		t.Errorf("%+v", c)
	}
	if got := newServe().Flags().Lookup(optMetricsAddr).DefValue; got != "127.0.0.1:10469" {
		t.Errorf("metrics on %q", got)
	}
	for _, name := range []string{optAccessKey, optSecretKey} {
		if newServe().Flags().Lookup(name) != nil {
			t.Errorf("--%s would show in the list of processes", name)
		}
	}
}

func TestEveryVariable(t *testing.T) {
	c, err := told(t, nil, map[string]string{
		"OBJVOL_SOCKET": "/s.sock", "OBJVOL_SOCKET_GROUP": "42", "OBJVOL_STATE_DIR": "/state",
		"OBJVOL_ENDPOINT": "https://s3.example.com", "OBJVOL_REGION": "r", "OBJVOL_BUCKET": "bucket", "OBJVOL_PREFIX": "p",
		"OBJVOL_ACCESS_KEY": "access", "OBJVOL_SECRET_KEY": "secret", "OBJVOL_CACHE_SIZE": "5M",
		"OBJVOL_METRICS_ADDR": ":1", "OBJVOL_DEBUG_ADDR": ":2", "OBJVOL_LOG_LEVEL": "debug", "OBJVOL_DISK_PROBE": "1m", "OBJVOL_LOG_FORMAT": "json",
		"OBJVOL_STOP_TIMEOUT": "7s",
	})
	if err != nil {
		t.Fatal(err)
	}
	d := c.Defaults
	if c.Socket != "/s.sock" || c.SocketGroup != 42 || c.StateDir != "/state" || c.MetricsAddr != ":1" || c.DebugAddr != ":2" ||
		c.LogLevel != slog.LevelDebug || c.DiskProbe != time.Minute || c.LogFormat != "json" || c.StopTimeout != 7*time.Second ||
		d.Endpoint != "https://s3.example.com" || d.Region != "r" || d.Bucket != "bucket" || d.BasePrefix != "p/" ||
		d.AccessKey.Reveal() != "access" || d.SecretKey.Reveal() != "secret" || d.CacheSize != 5<<20 {
		t.Errorf("%+v", c)
	}
}

func TestCacheOfAnEndpoint(t *testing.T) {
	c, err := told(t, []string{"--endpoint=http://host:1"}, nil)
	if err != nil || c.Defaults.CacheSize != 10<<30 {
		t.Errorf("%d bytes, %v", c.Defaults.CacheSize, err)
	}
	c, err = told(t, []string{"--endpoint=http://host:1", "--cache-size=3G"}, nil)
	if err != nil || c.Defaults.CacheSize != 3<<30 {
		t.Errorf("%d bytes, %v", c.Defaults.CacheSize, err)
	}
}

func TestDiskProbeIsSwitchedOff(t *testing.T) {
	for want, flags := range map[time.Duration][]string{15 * time.Second: nil, 0: {"--disk-probe=off"}} {
		if c, err := told(t, flags, nil); err != nil || c.DiskProbe != want {
			t.Errorf("%v: %v, %v", flags, c.DiskProbe, err)
		}
	}
}

func TestInvalid(t *testing.T) {
	for name, c := range map[string]struct {
		flags []string
		env   map[string]string
		says  string
	}{
		"level":       {flags: []string{"--log-level=loud"}, says: "--log-level or OBJVOL_LOG_LEVEL"},
		"disk probe":  {env: map[string]string{"OBJVOL_DISK_PROBE": "15"}, says: "15s, or off"},
		"format":      {env: map[string]string{"OBJVOL_LOG_FORMAT": "xml"}, says: "text or json"},
		"endpoint":    {flags: []string{"--endpoint=eu-central-1"}, says: "region"},
		"bucket":      {flags: []string{"--bucket=A"}, says: "--bucket"},
		"size":        {flags: []string{"--cache-size=much"}, says: "--cache-size"},
		"metrics":     {flags: []string{"--metrics-addr=here"}, says: "127.0.0.1:10469"},
		"timeout":     {flags: []string{"--stop-timeout=60"}, says: "60s"},
		"never":       {flags: []string{"--stop-timeout=0s"}, says: "above zero"},
		"group":       {flags: []string{"--socket-group=no such group"}, says: "--socket-group"},
		"half files":  {env: map[string]string{"OBJVOL_ACCESS_KEY_FILE": "/a"}, says: "OBJVOL_SECRET_KEY_FILE"},
		"relative":    {flags: []string{"--credentials-file=a"}, says: "--credentials-file or OBJVOL_CREDENTIALS_FILE"},
		"token alone": {env: map[string]string{"OBJVOL_SESSION_TOKEN": "hush"}, says: "OBJVOL_ACCESS_KEY"},
		"two sources": {flags: []string{"--profile=p"}, env: map[string]string{"OBJVOL_ACCESS_KEY": "hush", "OBJVOL_SECRET_KEY": "hush"}, says: "set one"},
		"half keys":   {env: map[string]string{"OBJVOL_ACCESS_KEY": "hush"}, says: "OBJVOL_SECRET_KEY"},
	} {
		_, err := told(t, c.flags, c.env)
		if err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, want %q in it", name, err, c.says)
		}
		if err != nil && strings.Contains(err.Error(), "hush") {
			t.Errorf("%s: shows a secret", name)
		}
	}
}

func TestKeysOfTheDriver(t *testing.T) {
	for name, c := range map[string]struct {
		env  map[string]string
		want func(driver.Spec) bool
	}{
		"token": {
			map[string]string{"OBJVOL_ACCESS_KEY": "a", "OBJVOL_SECRET_KEY": "s", "OBJVOL_SESSION_TOKEN": "t"},
			func(s driver.Spec) bool { return s.SessionToken.Reveal() == "t" },
		},
		"files": {
			map[string]string{"OBJVOL_ACCESS_KEY_FILE": "/a", "OBJVOL_SECRET_KEY_FILE": "/s"},
			func(s driver.Spec) bool { return s.AccessKeyFile == "/a" && s.SecretKeyFile == "/s" },
		},
		"profile": {
			map[string]string{"OBJVOL_PROFILE": "p", "OBJVOL_CREDENTIALS_FILE": "/c"},
			func(s driver.Spec) bool { return s.Profile == "p" && s.CredentialsFile == "/c" },
		},
	} {
		c2, err := told(t, nil, c.env)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		spec, err := c2.Defaults.Resolve("v", nil)
		if err != nil || !spec.HasKeys() || !c.want(spec) {
			t.Errorf("%s: %+v, %v", name, spec, err)
		}
		cfg, _, err := (&stores{}).config(t.Context(), driver.Spec{
			Endpoint: "http://h:1", AccessKey: spec.AccessKey, SecretKey: spec.SecretKey, SessionToken: spec.SessionToken,
			AccessKeyFile: spec.AccessKeyFile, SecretKeyFile: spec.SecretKeyFile, Profile: spec.Profile, CredentialsFile: spec.CredentialsFile,
		})
		if err != nil || string(cfg.SessionToken) != spec.SessionToken.Reveal() || cfg.AccessKeyFile != spec.AccessKeyFile ||
			cfg.SecretKeyFile != spec.SecretKeyFile || cfg.Profile != spec.Profile || cfg.CredentialsFile != spec.CredentialsFile {
			t.Errorf("%s: the store is told %+v, %v", name, cfg, err)
		}
	}
}

func TestTrustOfTheDriver(t *testing.T) {
	for _, env := range []map[string]string{
		{"OBJVOL_CA_CERT": "/ca.pem", "OBJVOL_INSECURE_SKIP_VERIFY": "true"},
		{"AWS_CA_BUNDLE": "/ca.pem", "OBJVOL_INSECURE_SKIP_VERIFY": "yes"},
	} {
		c, err := told(t, []string{"--endpoint=https://h"}, env)
		if err != nil {
			t.Fatal(err)
		}
		cfg, _, err := (&stores{}).config(t.Context(), c.Defaults.Spec)
		if err != nil || cfg.CACert != "/ca.pem" || !cfg.InsecureSkipVerify {
			t.Errorf("%v: the store is told %+v, %v", env, cfg, err)
		}
	}
}

func TestMetricsOff(t *testing.T) {
	c, err := told(t, []string{"--metrics-addr=off"}, nil)
	if err != nil || c.MetricsAddr != "" {
		t.Errorf("%q, %v", c.MetricsAddr, err)
	}
}

func TestMountSpec(t *testing.T) {
	d := driver.BuiltIn()
	d.Bucket, d.BasePrefix = "default", "base/"
	at := func(what string, options ...string) string {
		t.Helper()
		spec, err := mountSpec(d, what, options)
		if err != nil {
			t.Fatal(err)
		}
		return spec.Bucket + " " + spec.Prefix
	}
	for what, want := range map[string]string{
		"data":               "default base/data/",
		"s3://photos/2024":   "photos 2024/",
		"s3://photos/2024/a": "photos 2024/a/",
		"s3://photos/2024/":  "photos 2024/",
		"s3://photos":        "photos ",
	} {
		if got := at(what); got != want {
			t.Errorf("%s: %q, want %q", what, got, want)
		}
	}
	// What docker volume create would make of the same name.
	made, err := d.Resolve("data", nil)
	if err != nil || at("data") != made.Bucket+" "+made.Prefix {
		t.Errorf("a volume lies at %s %s, %v", made.Bucket, made.Prefix, err)
	}

	id := func(what string, options ...string) string {
		spec, err := mountSpec(d, what, options)
		if err != nil {
			t.Fatal(err)
		}
		return spec.ID
	}
	if id("s3://b12/p") != id("s3://b12/p/", "read-only") {
		t.Error("the same place has two states")
	}
	if id("s3://b12/p") == id("s3://b12/q") || id("s3://b12/p") == id("s3://b12/p", "endpoint=http://host:1") {
		t.Error("two places share a state")
	}
}
