package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"objvol/fusefs/mounttest"
)

// TestMemory has another process use the directory, which nothing is left of.
func TestMemory(t *testing.T) {
	mounttest.Require(t)
	m, err := newMemory()
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(m.path(), "file")
	if said, err := exec.Command("sh", "-c", "echo there >"+file).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, said)
	}
	if data, err := os.ReadFile(file); err != nil || string(data) != "there\n" {
		t.Errorf("%q (%v)", data, err)
	}
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(file); err == nil {
		t.Error("it is still there")
	}
}
