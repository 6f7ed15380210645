package mounttest

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

func TestMain(m *testing.M) {
	Main(m, Cases{
		"write": func(dir string) error {
			return os.WriteFile(filepath.Join(dir, "written"), nil, 0o644)
		},
		"user": func(string) error {
			if os.Getuid() != 4711 || os.Getegid() != 4711 {
				return errors.New("not the user that was asked for")
			}
			return nil
		},
		"denied": func(dir string) error {
			if err := os.WriteFile(filepath.Join(dir, "denied"), nil, 0o644); !os.IsPermission(err) {
				return errors.New("a user wrote into a directory of root's")
			}
			return nil
		},
	})
}

func TestChildRunsTheCase(t *testing.T) {
	dir := Dir(t)
	Run(t, dir, "write")
	if _, err := os.Stat(filepath.Join(dir, "written")); err != nil {
		t.Fatal(err)
	}
}

func TestChildBecomesTheUser(t *testing.T) {
	dir := Dir(t)
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	RunAs(t, dir, "user", 4711)
	RunAs(t, dir, "denied", 4711)
}

func TestMounted(t *testing.T) {
	if dir := Dir(t); Mounted(t, dir) {
		t.Errorf("%s is no mount", dir)
	}
	if !Mounted(t, "/proc") {
		t.Error("/proc is not seen as a mount")
	}
}
