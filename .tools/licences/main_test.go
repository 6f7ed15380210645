package main

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// A module's own licence and those in the folders of linked packages are collected, and
// nothing beside them.
func TestCollect(t *testing.T) {
	root := t.TempDir()
	for name, text := range map[string]string{
		"LICENSE":          "Apache License, Version 2.0",
		"NOTICE":           "a notice",
		"linked/LICENSE":   "This is free and unencumbered software released into the public domain.",
		"linked/in/a.go":   "package in",
		"unlinked/LICENSE": "GNU General Public License",
	} {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	m := &module{name: "example v1", root: root, dirs: []string{filepath.Join(root, "linked", "in")}}
	var out bytes.Buffer
	kinds, err := m.collect(&out)
	if err != nil || !slices.Equal(kinds, []string{"Apache-2.0", "Unlicense"}) {
		t.Errorf("%v, %v", kinds, err)
	}
	for text, want := range map[string]bool{"example v1, NOTICE": true, "a notice": true, "example v1, linked/LICENSE": true, "GNU": false} {
		if strings.Contains(out.String(), text) != want {
			t.Errorf("%q is there: %v\n%s", text, !want, &out)
		}
	}
	m.dirs = append(m.dirs, filepath.Join(root, "unlinked"))
	if _, err := m.collect(&out); err == nil {
		t.Error("a refused licence is taken")
	}
	m = &module{name: "bare", root: filepath.Join(root, "linked", "in")}
	if _, err := m.collect(&out); err == nil {
		t.Error("a module without a licence is taken")
	}
}
