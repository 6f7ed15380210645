package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"objvol/objstore/objstoretest"
)

// curlWith sends a signed request as any other client would and returns the status and
// the headers of the answer.
func curlWith(t *testing.T, s objstoretest.Server, path string, args ...string) (status, headers string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "headers")
	args = append([]string{
		"--silent", "--show-error", "--max-time", "20",
		"--user", s.AccessKey + ":" + s.SecretKey, "--aws-sigv4", "aws:amz:us-east-1:s3",
		"--dump-header", file, "--output", "/dev/null", "--write-out", "%{http_code}", s.Endpoint + "/" + path,
	}, args...)
	out, err := exec.CommandContext(within(t, deadline), "curl", args...).Output()
	if err != nil {
		t.Fatalf("curl %s: %v", path, err)
	}
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(out), strings.ToLower(string(data))
}

// put makes an object with headers, or, for a path without a slash, a bucket.
func put(t *testing.T, s objstoretest.Server, path string, body []byte, headers ...string) {
	t.Helper()
	args := []string{"--request", "PUT"}
	if strings.Contains(path, "/") {
		file := filepath.Join(t.TempDir(), "body")
		if err := os.WriteFile(file, body, 0o600); err != nil {
			t.Fatal(err)
		}
		args = []string{"--upload-file", file}
	}
	for _, h := range headers {
		args = append(args, "--header", h)
	}
	if status, _ := curlWith(t, s, path, args...); status != "200" {
		t.Fatalf("put %s: status %s", path, status)
	}
}

// headersOf are the headers of an object, in lower case.
func headersOf(t *testing.T, s objstoretest.Server, path string) string {
	t.Helper()
	status, headers := curlWith(t, s, path, "--head")
	if status != "200" {
		t.Fatalf("head %s: status %s", path, status)
	}
	return headers
}

// remove deletes an object.
func remove(t *testing.T, s objstoretest.Server, path string) {
	t.Helper()
	if status, _ := curlWith(t, s, path, "--request", "DELETE"); status != "204" {
		t.Fatalf("delete %s: status %s", path, status)
	}
}
