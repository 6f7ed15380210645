package driver

import (
	"maps"
	"strings"
	"testing"
)

// TestSpellings goes through what users of other drivers write; each is the option of
// today, in any case and with any dashes.
func TestSpellings(t *testing.T) {
	const url = "http://minio:9000"
	for _, c := range []struct {
		key, text string
		want      string // of Given, separated by blanks
	}{
		// A key and its aliases.
		{"url", url, "endpoint=" + url},
		{"s3-endpoint", url, "endpoint=" + url},
		{"--S3_Endpoint", url, "endpoint=" + url},
		{"endpoint-url", url, "endpoint=" + url},
		{"AWS_ENDPOINT_URL", url, "endpoint=" + url},
		{"AWS_ENDPOINT_URL_S3", url, "endpoint=" + url},
		{"S3FS_ENDPOINT", url, "endpoint=" + url},
		{"s3-region", "r1", "region=r1"},
		{"AWS_REGION", "r1", "region=r1"},
		{"AWS_DEFAULT_REGION", "r1", "region=r1"},
		{"s3-location-constraint", "r1", "region=r1"},
		{"S3FS_REGION", "r1", "region=r1"},
		{"bucketName", "abc", "bucket=abc"},
		{"src", "abc", "bucket=abc"},
		{"subdir", "a/b", "prefix=a/b/"},
		{"folder", "a", "prefix=a/"},
		{"s3-force-path-style", "false", "path-style=false"},
		{"use_path_request_style", "", "path-style=true"},
		{"S3FS_DISABLEPATHSTYLE", "true", "path-style=false"},
		{"no-check-certificate", "true", "insecure-skip-verify=true"},
		{"o", "no_check_certificate", "insecure-skip-verify=true"},
		{"ssl_verify_hostname", "0", "insecure-skip-verify=true"},
		{"ca_cert", "/etc/ca.pem", "ca-cert=/etc/ca.pem"},
		{"AWS_CA_BUNDLE", "/etc/ca.pem", "ca-cert=/etc/ca.pem"},
		{"AWS_PROFILE", "p", "profile=p"},
		{"AWS_SHARED_CREDENTIALS_FILE", "/c", "credentials-file=/c"},
		{"s3fsopts", "passwd_file=/c", "credentials-file=/c"},
		{"file-perms", "0600", "file-mode=0600"},
		{"dir_perms", "0700", "dir-mode=0700"},
		{"umask", "027", "file-mode=0640 dir-mode=0750"},
		{"readOnly", "true", "read-only=true"},
		{"ro", "", "read-only=true"},
		{"rw", "", "read-only=false"},
		{"attr-ttl", "3", "ttl=3s"},
		{"dir-ttl", "3s", "ttl=3s"},
		{"attr-timeout", "3s", "ttl=3s"},
		{"dir-cache-time", "5m", "ttl=5m0s"},
		{"stat_cache_expire", "900", "ttl=15m0s"},
		{"metadata-ttl", "60", "ttl=1m0s"},
		{"attr-cache", "1", "ttl=1s"},
		{"entry-cache", "1", "ttl=1s"},
		{"dir-entry-cache", "1", "ttl=1s"},
		{"vfs-cache-max-size", "10G", "cache-size=10GiB"},
		{"max-cache-size", "512", "cache-size=512MiB"},
		{"reclaimPolicy", "Delete", "on-remove=delete"},
		{"reclaimPolicy", "Retain", "on-remove=keep"},
		// Several options in one.
		{"path", "abc/d/e", "bucket=abc prefix=d/e/"},
		{"path", "s3://abc/d/", "bucket=abc prefix=d/"},
		{"path", "abc", "bucket=abc prefix="},
		{"device", "abc/d", "bucket=abc prefix=d/"},
		{"remote", ":s3:abc/d", "bucket=abc prefix=d/"},
		{"remote", ":s3,provider=Minio,env_auth,endpoint='http://minio:9000':abc/d", "endpoint=" + url + " bucket=abc prefix=d/"},
		{"remote", `:s3,endpoint="http://minio:9000",region="r1":abc`, "endpoint=" + url + " region=r1 bucket=abc prefix="},
		{"o", "uid=1000,gid=1000,ro,noatime,_netdev", "uid=1000 gid=1000 read-only=true"},
		{"o", "rw,umask=022", "read-only=false file-mode=0644 dir-mode=0755"},
		{"opts", "cache=/var/cache/minfs,uid=7", "uid=7"},
		{"options", "endpoint=" + url + ",allow_other", "endpoint=" + url},
		{"mountOptions", "--uid=7,--file-mode=0640", "uid=7 file-mode=0640"},
		{"mountFlags", "ro", "read-only=true"},
		{
			"s3fsopts", "url=http://minio:9000,endpoint=r1,use_path_request_style,allow_other,use_cache=/tmp,umask=0077,bucket=abc:/d/e",
			"endpoint=" + url + " region=r1 path-style=true file-mode=0600 dir-mode=0700 bucket=abc prefix=d/e/",
		},
		{"S3FS_OPTIONS", "endpoint=r1,parallel_count=20,multipart_size=52,ensure_diskfree=100", "region=r1"},
		{"o", "prefix='a,b'", "prefix=a,b/"},
		{"o", "prefix='it''s',uid=1", "prefix=it's/ uid=1"},
		{"o", "", ""},
		// What is so anyway.
		{"type", "s3", ""},
		{"type", "fuse.s3fs", ""},
		{"storage", "s3", ""},
		{"s3-provider", "Minio", ""},
		{"provider", "AWS", ""},
		{"allow-other", "true", ""},
		{"allow_other", "", ""},
		{"s3-env-auth", "true", ""},
		{"cache-dir", "/var/cache", ""},
		{"use_cache", "/tmp", ""},
		{"vfs-cache-mode", "full", ""},
		{"cache-mode", "writes", ""},
		{"vfs-cache-max-age", "1h", ""},
		{"cache-max-age", "1h", ""},
		{"vfs-write-back", "5s", ""},
		{"upload-delay", "5s", ""},
		{"part-size", "8", ""},
		{"s3-chunk-size", "5M", ""},
		{"s3-upload-concurrency", "4", ""},
		{"concurrency", "4", ""},
		{"max-uploads", "20", ""},
	} {
		s, err := BuiltIn().Resolve("v", map[string]string{c.key: c.text})
		if err != nil {
			t.Errorf("%s=%s: %v", c.key, c.text, err)
			continue
		}
		if want := pairs(strings.Fields(c.want)); !maps.Equal(s.Given, want) {
			t.Errorf("%s=%s comes to %v, want %v", c.key, c.text, s.Given, want)
		}
	}
}

func TestSpellingsOfSecrets(t *testing.T) {
	for _, keys := range [][2]string{
		{"access-key-id", "secret-access-key"},
		{"accessKeyID", "secretAccessKey"},
		{"accesskey", "secretkey"},
		{"access_key", "secret_key"},
		{"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"},
		{"AWSACCESSKEYID", "AWSSECRETACCESSKEY"},
		{"s3-access-key-id", "s3-secret-access-key"},
		{"S3FS_ACCESSKEY", "S3FS_SECRETKEY"},
	} {
		for _, opts := range []map[string]string{
			{keys[0]: "id", keys[1]: "hunter2"},
			{"o": keys[0] + "=id," + keys[1] + "=hunter2"},
			{"remote": ":s3," + keys[0] + "=id," + keys[1] + "='hunter2':abc"},
		} {
			s, err := BuiltIn().Resolve("v", opts)
			if err != nil || s.AccessKey.Reveal() != "id" || s.SecretKey.Reveal() != "hunter2" {
				t.Errorf("%v: %v, %v", keys, s.AccessKey.IsSet(), err)
			}
			for key, text := range s.Given {
				if strings.Contains(text, "hunter2") {
					t.Errorf("%v: %s shows the secret", keys, key)
				}
			}
		}
	}
}

func TestSpellingsRefused(t *testing.T) {
	for _, c := range []struct {
		key, text string
		want      []string
	}{
		{"s3-endpoint", "us-east-1", []string{`option "region"`}},
		{"url", "us-east-1", []string{"option endpoint", `option "region"`, `given by "url"`}},
		{"o", "endpoint=us-east-1", []string{`option "region"`}},
		{"s3fsopts", "endpoint=r1,region=r2", []string{"region is given twice"}},
		{"s3fsopts", "url=minio:9000", []string{`"http://minio:9000"`, `given by "s3fsopts"`}},
		{"path", "My_Bucket/d", []string{"option bucket", `given by "path"`}},
		{"path", "abc/../d", []string{"option prefix"}},
		{"o", "nosuid", []string{`unknown option "nosuid"`}},
		{"o", "use_sse", []string{`unknown option "use_sse"`}},
		{"storage-class", "GLACIER", []string{"unknown option"}},
		{"size", "10G", []string{"unknown option"}},
		{"o", "o=ro", []string{"a list in a list"}},
		{"o", "prefix='hunter2", []string{"does not end"}},
		{"o", "prefix='hunter2'x", []string{"behind a quote"}},
		{"remote", "minio:abc/hunter2", []string{":s3,provider=Minio", "configuration file"}},
		{"remote", ":s3x:abc", []string{":s3,provider=Minio"}},
		{"remote", ":s3,endpoint=http://minio:9000:abc", []string{"option endpoint"}},
		{"type", "nfs", []string{`"nfs" is not one of s3`}},
		{"allow-other", "false", []string{"leave it out"}},
		{"noatime", "maybe", []string{"leave it out"}},
		{"umask", "rwx", []string{"no mode"}},
		{"rw", "perhaps", []string{"is not one of"}},
		{"reclaimPolicy", "Recycle", []string{"Retain, Delete"}},
	} {
		_, err := BuiltIn().Resolve("v", map[string]string{c.key: c.text})
		wantErr(t, err, c.want...)
		if err != nil && strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s=%s: the error shows what may be a secret: %v", c.key, c.text, err)
		}
	}
	_, err := BuiltIn().Resolve("v", map[string]string{"o": "uid=1", "uid": "2"})
	wantErr(t, err, "uid is given twice", `"o"`, `"uid"`)
}

// TestSpellingsAreDistinct shows that no key means two things.
func TestSpellingsAreDistinct(t *testing.T) {
	seen := map[string]string{}
	check := func(key, of string) {
		if other, twice := seen[squeeze(key)]; twice {
			t.Errorf("%s is spelled of %s and of %s", key, other, of)
		}
		seen[squeeze(key)] = of
	}
	for _, o := range options {
		for _, key := range append([]string{o.key}, o.aliases...) {
			check(key, o.key)
		}
	}
	for _, s := range spellings {
		for _, key := range s.keys {
			check(key, s.keys[0])
		}
	}
}
