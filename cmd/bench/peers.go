package main

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
)

const objvolName = "objvol"

// objvol mounts with the program that is measured.
func objvol(program string) filesystem {
	return filesystem{name: objvolName, markers: true, command: func(m mountpoint) (*exec.Cmd, error) {
		args := []string{"mount", "s3://" + m.store.Bucket + "/" + m.prefix, m.dir, "--state-dir", m.state, "--endpoint", m.store.Endpoint, "--log-level", "info", "--stop-timeout", "2m"}
		for _, option := range m.options {
			args = append(args, "-o", option)
		}
		cmd := exec.Command(program, args...)
		cmd.Env = []string{"OBJVOL_ACCESS_KEY=" + m.store.AccessKey, "OBJVOL_SECRET_KEY=" + m.store.SecretKey, "OBJVOL_REGION=us-east-1"}
		return cmd, nil
	}}
}

// peers are those that are wanted and found on the PATH, with the options that their own
// guides recommend for speed.
func peers(wanted *regexp.Regexp) []filesystem {
	var found []filesystem
	for _, fs := range []filesystem{
		{name: "geesefs", command: geesefs},
		{name: "goofys", command: goofys},
		{name: "juicefs", command: juicefs, foreign: true},
		{name: "rclone", command: rclone},
		{name: "s3fs", command: s3fs},
	} {
		fs.peer = true
		if _, err := exec.LookPath(fs.name); err == nil && wanted.MatchString(fs.name) {
			found = append(found, fs)
		}
	}
	return found
}

// awsKeys are the variables that most take.
func (s store) awsKeys() []string {
	return []string{"AWS_ACCESS_KEY_ID=" + s.AccessKey, "AWS_SECRET_ACCESS_KEY=" + s.SecretKey, "AWS_REGION=us-east-1"}
}

func geesefs(m mountpoint) (*exec.Cmd, error) {
	cmd := exec.Command("geesefs", "-f", "--endpoint", m.store.Endpoint, m.store.Bucket+":"+m.prefix, m.dir)
	cmd.Env = m.store.awsKeys()
	return cmd, nil
}

func goofys(m mountpoint) (*exec.Cmd, error) {
	cmd := exec.Command("goofys", "-f", "--endpoint", m.store.Endpoint, m.store.Bucket+":"+m.prefix, m.dir)
	cmd.Env = m.store.awsKeys()
	return cmd, nil
}

// rclone keeps all that is read and written, as a volume does.
func rclone(m mountpoint) (*exec.Cmd, error) {
	cmd := exec.Command("rclone", "mount", ":s3:"+m.store.Bucket+"/"+m.prefix, m.dir,
		"--config", os.DevNull, "--cache-dir", m.state, "--vfs-cache-mode", "full",
		"--s3-provider", "Minio", "--s3-endpoint", m.store.Endpoint, "--s3-region", "us-east-1",
		"--s3-access-key-id", m.store.AccessKey, "--s3-secret-access-key", m.store.SecretKey)
	return cmd, nil
}

func s3fs(m mountpoint) (*exec.Cmd, error) {
	cache := m.cache()
	if err := os.MkdirAll(cache, 0o700); err != nil {
		return nil, err
	}
	cmd := exec.Command("s3fs", m.store.Bucket+":/"+m.prefix, m.dir, "-f",
		"-o", "url="+m.store.Endpoint, "-o", "use_path_request_style", "-o", "endpoint=us-east-1",
		"-o", "use_cache="+cache)
	cmd.Env = []string{"AWSACCESSKEYID=" + m.store.AccessKey, "AWSSECRETACCESSKEY=" + m.store.SecretKey}
	return cmd, nil
}

// juicefs has its names in a database on this host and its objects in a layout of its own.
func juicefs(m mountpoint) (*exec.Cmd, error) {
	endpoint, err := url.JoinPath(m.store.Endpoint, m.store.Bucket)
	if err != nil {
		return nil, err
	}
	database := "sqlite3://" + filepath.Join(m.state, "names.db")
	if _, err := os.Stat(filepath.Join(m.state, "names.db")); errors.Is(err, os.ErrNotExist) {
		format := exec.Command("juicefs", "format", "--storage", "minio", "--bucket", endpoint,
			"--access-key", m.store.AccessKey, "--secret-key", m.store.SecretKey, database, filepath.Base(m.prefix))
		if said, err := format.CombinedOutput(); err != nil {
			return nil, fmt.Errorf("juicefs format: %w\n%s", err, said)
		}
	}
	return exec.Command("juicefs", "mount", "--no-usage-report", "--cache-dir", m.cache(), database, m.dir), nil
}
