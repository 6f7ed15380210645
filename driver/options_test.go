package driver

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestResolve(t *testing.T) {
	d := BuiltIn()
	d.BasePrefix = "base/"
	d.Endpoint = "http://127.0.0.1:9000"
	d.AccessKey, d.SecretKey = NewSecret("a"), NewSecret("s")

	for _, c := range []struct {
		opts string
		want func(*Spec)
	}{
		{"", func(*Spec) {}},
		{"bucket=other", func(s *Spec) { s.Bucket = "other" }},
		{"prefix=v", func(s *Spec) { s.Prefix = "base/v/" }},
		{"prefix=v/", func(s *Spec) { s.Prefix = "base/v/" }},
		{"prefix=a/b", func(s *Spec) { s.Prefix = "base/a/b/" }},
		{"prefix=", func(s *Spec) { s.Prefix = "base/" }},
		{"endpoint=HTTPS://S3.Example.COM:443/", func(s *Spec) { s.Endpoint = "https://s3.example.com" }},
		{"endpoint=http://minio:9000", func(s *Spec) { s.Endpoint = "http://minio:9000" }},
		{"region=eu-west-1", func(s *Spec) { s.Region = "eu-west-1" }},
		{"access-key=k secret-key=x", func(s *Spec) { s.AccessKey, s.SecretKey = NewSecret("k"), NewSecret("x") }},
		{"ACCESS_KEY=k --secret_key=x", func(s *Spec) { s.AccessKey, s.SecretKey = NewSecret("k"), NewSecret("x") }},
		{"access-key=k secret-key=x session-token=t", func(s *Spec) {
			s.AccessKey, s.SecretKey, s.SessionToken = NewSecret("k"), NewSecret("x"), NewSecret("t")
		}},
		{"AWS_ACCESS_KEY_ID=k AWS_SECRET_ACCESS_KEY=x AWS_SESSION_TOKEN=t", func(s *Spec) {
			s.AccessKey, s.SecretKey, s.SessionToken = NewSecret("k"), NewSecret("x"), NewSecret("t")
		}},
		// The defaults' keys do not count beside another source.
		{"access-key-file=/a secret-key-file=/b/../s", func(s *Spec) {
			s.AccessKey, s.SecretKey = Secret{}, Secret{}
			s.AccessKeyFile, s.SecretKeyFile = "/a", "/s"
		}},
		{"s3-profile=p", func(s *Spec) { s.AccessKey, s.SecretKey, s.Profile = Secret{}, Secret{}, "p" }},
		{"passwd_file=/c", func(s *Spec) { s.AccessKey, s.SecretKey, s.CredentialsFile = Secret{}, Secret{}, "/c" }},
		{"s3_shared_credentials_file=/c", func(s *Spec) { s.AccessKey, s.SecretKey, s.CredentialsFile = Secret{}, Secret{}, "/c" }},
		{"path-style=no", func(s *Spec) { s.PathStyle = false }},
		{"uid=1000 gid=0", func(s *Spec) { s.UID = 1000 }},
		{"file-mode=0600 dir-mode=700", func(s *Spec) { s.FileMode, s.DirMode = 0o600, 0o700 }},
		{"File_Mode=0o640", func(s *Spec) { s.FileMode = 0o640 }},
		{"ttl=5", func(s *Spec) { s.TTL = 5 * time.Second }},
		{"ttl=1.5", func(s *Spec) { s.TTL = 1500 * time.Millisecond }},
		{"ttl=2m", func(s *Spec) { s.TTL = 2 * time.Minute }},
		{"ttl=0", func(s *Spec) { s.TTL = 0 }},
		{"sync=local close=bucket", func(s *Spec) { s.Sync, s.Close = SyncLocal, CloseBucket }},
		{"sync=LOCAL", func(s *Spec) { s.Sync = SyncLocal }},
		{"read-only=true", func(s *Spec) { s.ReadOnly = true }},
		{"ro", func(s *Spec) { s.ReadOnly = true }},
		{"cache-size=512M", func(s *Spec) { s.CacheSize = 512 << 20 }},
		{"cache_size=10GiB", func(s *Spec) { s.CacheSize = 10 << 30 }},
		{"passthrough=off", func(s *Spec) { s.Passthrough = false }},
		{"passthrough-new", func(s *Spec) { s.PassthroughNew = true }},
		{"passthrough-min=4k", func(s *Spec) { s.PassthroughMin = 4 << 10 }},
		{"on-remove=delete", func(s *Spec) { s.OnRemove = OnRemoveDelete }},
	} {
		want := d.Spec
		want.Name, want.Prefix = "v1", "base/v1/"
		c.want(&want)
		got, err := d.Resolve("v1", pairs(strings.Fields(c.opts)))
		if err != nil {
			t.Errorf("%s: %v", c.opts, err)
			continue
		}
		if diff := differences(want, got); diff != "" || got.Name != "v1" {
			t.Errorf("%s: %s", c.opts, diff)
		}
	}
}

func TestResolveRefuses(t *testing.T) {
	for opts, parts := range map[string][]string{
		"buckt=x":                             {"unknown option", `"buckt"`, `nearest is "bucket"`},
		"chache-size=1G":                      {`nearest is "cache-size"`},
		"--secret-kye=hunter2":                {`nearest is "secret-key"`},
		"bucket=My_Bucket":                    {"option bucket", "no bucket name", `nearest is "my-bucket"`},
		"bucket=ab":                           {`nearest is "ab-data"`},
		"bucket=192.168.0.1":                  {"no bucket name"},
		"bucket=a..b":                         {"no bucket name"},
		"prefix=../x":                         {"option prefix", `nearest is "x"`},
		"prefix=/x":                           {`nearest is "x"`},
		"prefix=/":                            {"option prefix"},
		"prefix=a//b":                         {`nearest is "a/b"`},
		"prefix=.objvol/volumes":              {"reserved"},
		"endpoint=us-east-1":                  {`option "region"`},
		"endpoint=minio:9000":                 {`"http://minio:9000"`},
		"endpoint=ftp://x.y":                  {`nearest is "http"`},
		"endpoint=http://x.y/path":            {"no URL of a server", `"http://host:9000"`},
		"endpoint=http://key:hunter2@x.y":     {"access-key"},
		"region=":                             {"option region: is empty"},
		"access-key=k":                        {"needs secret-key"},
		"secret-key=hunter2":                  {"needs access-key"},
		"session-token=hunter2":               {"needs access-key"},
		"access-key-file=/a":                  {"needs secret-key-file"},
		"secret-key-file=/a":                  {"needs access-key-file"},
		"credentials-file=keys":               {"option credentials-file", "no absolute path"},
		"ca-cert=ca.pem":                      {"option ca-cert", "no absolute path"},
		"profile=":                            {"option profile: is empty"},
		"profile=p access-key=a secret-key=b": {"access-key and profile", "leave one"},
		"access-key= secret-key=x":            {"option access-key: is empty"},
		"region=a\x7fb":                       {"option region: has a line break or another control character"},
		"access-key=k\x00 secret-key=x":       {"option access-key: has a line break"},
		"access-key=k secret-key=\x01x":       {"option secret-key: has a line break"},
		"path-style=ture":                     {`nearest is "true"`},
		"uid=root":                            {"option uid", "no numeric id"},
		"gid=4294967295":                      {"0 to 4294967294"},
		"uid=-1":                              {"no numeric id"},
		"file-mode=0888":                      {"0644"},
		"dir-mode=10000":                      {"0644"},
		"ttl=soon":                            {"10m"},
		"ttl=-1":                              {"no duration"},
		"sync=buckets":                        {`nearest is "bucket"`},
		"close=asink":                         {`nearest is "async"`},
		"on-remove=delte":                     {"keep, delete", `nearest is "delete"`},
		"cache-size=10gigs":                   {"512M"},
		"cache-size=-1":                       {"no size"},
		"cache-size=99999999T":                {"larger than any disk"},
		"cache-size=1G cache_size=2G":         {"given twice", `"cache_size"`},
		"ro on-remove=delete":                 {"contradict"},
		"prefix=" + strings.Repeat("a/", 300): {"at most 512"},
	} {
		_, err := BuiltIn().Resolve("v", pairs(strings.Fields(opts)))
		wantErr(t, err, parts...)
		if err != nil && strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: the error shows a secret: %v", opts, err)
		}
	}
}

// TestOptionsAreComplete shows that every option of the table reaches a field of its own
// and has a canonical text that reads back as the same.
func TestOptionsAreComplete(t *testing.T) {
	want := strings.Fields("access-key access-key-file bucket ca-cert cache-size close credentials-file dir-mode endpoint file-mode gid " +
		"insecure-skip-verify on-remove passthrough passthrough-min passthrough-new path-style prefix profile read-only region secret-key secret-key-file session-token sync ttl uid")
	example := map[string]string{
		"ca-cert": "/ca.pem", "insecure-skip-verify": "true", "access-key-file": "/a", "secret-key-file": "/s", "profile": "p", "credentials-file": "/c", "session-token": "t",
		"access-key": "k", "bucket": "other", "cache-size": "3M", "close": "bucket", "dir-mode": "0700",
		"endpoint": "http://h:1", "file-mode": "0600", "gid": "7", "on-remove": "delete", "passthrough": "no", "passthrough-min": "2M", "path-style": "false",
		"prefix": "p/", "read-only": "true", "region": "r", "secret-key": "s", "sync": "local", "ttl": "7s", "uid": "8",
	}
	var keys []string
	for _, o := range options {
		keys = append(keys, o.key)
		before, after, copied := BuiltIn().Spec, BuiltIn().Spec, BuiltIn().Spec
		if err := o.set(&after, example[o.key]); err != nil {
			t.Errorf("%s: %v", o.key, err)
		}
		if o.equal(&before, &after) {
			t.Errorf("%s changes nothing", o.key)
		}
		for _, other := range options {
			if other.key != o.key && !other.equal(&before, &after) {
				t.Errorf("%s changes %s", o.key, other.key)
			}
		}
		if o.copy(&copied, &after); !o.equal(&copied, &after) {
			t.Errorf("%s is not copied", o.key)
		}
		if o.secret {
			continue
		}
		again := BuiltIn().Spec
		if err := o.set(&again, o.text(&after)); err != nil || !o.equal(&again, &after) {
			t.Errorf("%s: %q does not read back as the same: %v", o.key, o.text(&after), err)
		}
	}
	if slices.Sort(keys); !slices.Equal(keys, want) {
		t.Errorf("options are %v, want %v", keys, want)
	}
}

// TestKeysOfTheDefaults shows which of the defaults' keys a volume's own leave.
func TestKeysOfTheDefaults(t *testing.T) {
	d := BuiltIn()
	d.CredentialsFile, d.Profile, d.SessionToken = "/c", "default", NewSecret("token")
	for opts, want := range map[string]string{
		"":                          `"/c" "default" token`,
		"uid=1":                     `"/c" "default" token`,
		"profile=mine":              `"/c" "mine"`,
		"access-key=a secret-key=b": `"" ""`,
	} {
		s, err := d.Resolve("v", pairs(strings.Fields(opts)))
		if err != nil {
			t.Fatal(err)
		}
		got := fmt.Sprintf("%q %q %s", s.CredentialsFile, s.Profile, s.SessionToken.Reveal())
		if strings.TrimSpace(got) != want {
			t.Errorf("%q leaves %s, want %s", opts, got, want)
		}
	}
}

func TestDefaultsSet(t *testing.T) {
	d := BuiltIn()
	for key, text := range map[string]string{"prefix": "team", "cache-size": "2G", "secret_key": "x"} {
		if err := d.Set(key, text); err != nil {
			t.Error(err)
		}
	}
	if d.BasePrefix != "team/" || d.Prefix != "" || d.CacheSize != 2<<30 || d.SecretKey.Reveal() != "x" {
		t.Errorf("defaults are %+v", d)
	}
	if err := d.Set("read-only", "yes"); err != nil {
		t.Error(err)
	}
	if s, err := d.Resolve("v", nil); err != nil || !s.ReadOnly || s.Prefix != "team/v/" || len(s.Given) != 0 {
		t.Errorf("resolved %+v, %v", s, err)
	}
	wantErr(t, d.Set("prefix", "../x"), "option prefix")
	wantErr(t, d.Set("bukket", "x"), `nearest is "bucket"`)
}

func TestResolveGiven(t *testing.T) {
	s, err := BuiltIn().Resolve("v", pairs([]string{"CACHE_SIZE=1024M", "access-key=k", "secret-key=s", "prefix=p", "ro=1"}))
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"cache-size": "1GiB", "prefix": "p/", "read-only": "true"}
	if !maps.Equal(s.Given, want) {
		t.Errorf("given %v, want %v", s.Given, want)
	}
}

func TestDifferences(t *testing.T) {
	a, b := BuiltIn().Spec, BuiltIn().Spec
	if got := differences(a, b); got != "" {
		t.Errorf("equal specs differ: %s", got)
	}
	b.UID, b.SecretKey = 5, NewSecret("hunter2")
	if got, want := differences(a, b), `secret-key differs; uid is "0", not "5"`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestDeletesData(t *testing.T) {
	anon := strings.Repeat("ab", 32)
	for _, c := range []struct {
		name, opts string
		wasEmpty   bool
		want       bool
	}{
		{"data", "", true, false},
		{"data", "on-remove=delete", false, true},
		{"data", "on-remove=delete prefix=prod", false, true},
		{anon, "", true, true},
		{anon, "uid=5", true, true},
		{anon, "", false, false},
		{anon, "prefix=prod/data", true, false},
		{anon, "bucket=prod", true, false},
		{anon, "on-remove=keep", true, false},
		{anon, "ro", true, false},
		{anon, "prefix=prod on-remove=delete", false, true},
	} {
		s, err := BuiltIn().Resolve(c.name, pairs(strings.Fields(c.opts)))
		if err != nil {
			t.Fatal(err)
		}
		if got := s.deletesData(c.wasEmpty); got != c.want {
			t.Errorf("%.8s %q empty=%v: deletes %v", c.name, c.opts, c.wasEmpty, got)
		}
	}
	d := BuiltIn()
	d.OnRemove = OnRemoveDelete
	for opts, want := range map[string]bool{"": true, "prefix=prod": false, "on-remove=keep": false} {
		s, err := d.Resolve("data", pairs(strings.Fields(opts)))
		if err != nil {
			t.Fatal(err)
		}
		if got := s.deletesData(true); got != want {
			t.Errorf("deleting by default, %q: deletes %v", opts, got)
		}
	}
}

func TestNearest(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want int
	}{
		{"", "", 0},
		{"", "abc", 3},
		{"abc", "", 3},
		{"abc", "abc", 0},
		{"kitten", "sitting", 3},
		{"flaw", "lawn", 2},
		{"ttl", "tl", 1},
	} {
		if got := editDistance(c.a, c.b); got != c.want {
			t.Errorf("editDistance(%q, %q) = %d, want %d", c.a, c.b, got, c.want)
		}
	}
	if got := nearest("x", []string{"abc", "y", "z"}); got != "y" {
		t.Errorf("nearest is %q", got)
	}
}

// FuzzResolve shows that no option breaks the resolution, that what it accepts is canonical
// (resolving Given again decides the same), and that no error or text shows a secret.
func FuzzResolve(f *testing.F) {
	for key, text := range map[string]string{
		"bucket": "abc", "prefix": "a/b", "endpoint": "http://[::1]:80/", "ttl": "1h", "cache-size": "1kib",
		"--FILE_MODE": "0o7", "secret-key": "x", "ro": "", "prefix_": "..",
		"o": "ro,uid=1,prefix='a''b'", "remote": ":s3,endpoint='http://h:1':abc/d", "umask": "077", "s3fsopts": "endpoint=r",
	} {
		f.Add(key, text)
	}
	f.Fuzz(func(t *testing.T, key, text string) {
		d := BuiltIn()
		s, err := d.Resolve("v", map[string]string{key: text})
		if err != nil {
			if err.Error() == "" {
				t.Fatal("an empty error")
			}
			return
		}
		if !strings.HasSuffix(s.Prefix, "/") && s.Prefix != "" || strings.Contains("/"+s.Prefix, "/../") {
			t.Fatalf("prefix %q", s.Prefix)
		}
		again, err := d.Resolve("v", s.Given)
		if err != nil {
			t.Fatalf("%v is not canonical: %v", s.Given, err)
		}
		if diff := differences(s, again); diff != "" || !reflect.DeepEqual(s.Given, again.Given) {
			t.Fatalf("%v resolves to something else: %s", s.Given, diff)
		}
	})
}
