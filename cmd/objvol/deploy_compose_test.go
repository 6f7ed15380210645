package main

import (
	"os"
	"regexp"
	"testing"
)

// The compose file is valid, and every file that it shows to its containers is there.
func TestComposeFile(t *testing.T) {
	requireProgram(t, "docker-compose", "docker-compose")
	t.Setenv("MINIO_PASSWORD", "one secret")
	t.Setenv("GRAFANA_PASSWORD", "another")
	out, err := command(t.Context(), "docker-compose", "--project-directory", "../../deploy/compose", "-f", "../../deploy/compose/compose.yml", "config")
	if err != nil {
		t.Fatal(err)
	}
	files := regexp.MustCompile(`(?m)^ +(?:- |source: )(/[^:\n]+)`).FindAllStringSubmatch(out, -1)
	if len(files) != 5 {
		t.Errorf("%d files, want 5: %s", len(files), out)
	}
	for _, f := range files {
		if info, err := os.Stat(f[1]); err != nil || !info.Mode().IsRegular() {
			t.Errorf("%s: %v", f[1], err)
		}
	}
}
