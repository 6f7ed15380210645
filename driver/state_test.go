package driver

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

func newState(t *testing.T) *state {
	t.Helper()
	s, err := openState(filepath.Join(t.TempDir(), "driver.json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.add("v", record{Spec: specRecord{ID: "id"}}); err != nil {
		t.Fatal(err)
	}
	return s
}

// onDisk reads the state again, as the next driver would.
func onDisk(t *testing.T, s *state) *state {
	t.Helper()
	again, err := openState(s.path)
	if err != nil {
		t.Fatal(err)
	}
	return again
}

func TestStateCountsPerID(t *testing.T) {
	s := newState(t)
	for _, id := range []string{"a", "a", "b", ""} {
		if err := s.hold("v", id); err != nil {
			t.Fatal(err)
		}
	}
	if got, want := onDisk(t, s).holders("v"), map[string]int{"a": 2, "b": 1, "": 1}; !maps.Equal(got, want) {
		t.Errorf("on disk %v, want %v", got, want)
	}
	for _, step := range []struct {
		id   string
		held bool
		left int
	}{{"a", true, 3}, {"x", false, 3}, {"a", true, 2}, {"a", false, 2}, {"b", true, 1}, {"", true, 0}, {"", false, 0}} {
		held, left, err := s.drop("v", step.id)
		if held != step.held || left != step.left || err != nil {
			t.Errorf("drop %q: %v, %d, %v; want %v, %d", step.id, held, left, err, step.held, step.left)
		}
		if got := onDisk(t, s).references("v"); got != step.left {
			t.Errorf("drop %q: %d on disk, want %d", step.id, got, step.left)
		}
	}
	if held, _, err := s.drop("unknown", "a"); held || err != nil {
		t.Errorf("unknown volume: %v, %v", held, err)
	}
}

func TestStateEpochs(t *testing.T) {
	s := newState(t)
	hold := func(id string) {
		t.Helper()
		if err := s.hold("v", id); err != nil {
			t.Fatal(err)
		}
	}
	hold("a")
	hold("a")
	hold("b")
	hold("b")
	if err := s.newEpoch(); err != nil {
		t.Fatal(err)
	}
	s = onDisk(t, s) // an epoch outlives the driver
	hold("a")
	if got, want := s.holders("v"), map[string]int{"a": 1, "b": 2}; !maps.Equal(got, want) {
		t.Errorf("after the first Mount of an epoch %v, want %v", got, want)
	}
	hold("a")
	if got := s.holders("v")["a"]; got != 2 {
		t.Errorf("after the second Mount %d, want 2", got)
	}
	if held, left, err := s.drop("v", "b"); !held || left != 2 || err != nil {
		t.Errorf("an Unmount ends what an earlier epoch left: %v, %d, %v", held, left, err)
	}
}

// TestStateOfFailedWrite shows that what could not be written was not counted, and that
// the next write makes the file whole.
func TestStateOfFailedWrite(t *testing.T) {
	s := newState(t)
	if err := s.hold("v", "a"); err != nil {
		t.Fatal(err)
	}
	good := s.path
	s.path = filepath.Join(t.TempDir(), "missing", "driver.json")
	if err := s.hold("v", "a"); err == nil {
		t.Error("hold succeeded without a disk")
	}
	if err := s.hold("v", "b"); err == nil {
		t.Error("hold succeeded without a disk")
	}
	if err := s.add("w", record{}); err == nil {
		t.Error("add succeeded without a disk")
	}
	if err := s.remove("v"); err == nil {
		t.Error("remove succeeded without a disk")
	}
	if got, want := s.holders("v"), map[string]int{"a": 1}; !maps.Equal(got, want) {
		t.Errorf("in memory %v, want %v", got, want)
	}
	held, left, err := s.drop("v", "a")
	if !held || left != 0 || err == nil {
		t.Errorf("drop: %v, %d, %v; want it dropped in memory, and an error", held, left, err)
	}
	s.path = good
	if err := s.newEpoch(); err != nil {
		t.Fatal(err)
	}
	if got := onDisk(t, s); got.references("v") != 0 || len(got.records()) != 1 {
		t.Errorf("on disk %+v", got.records())
	}
}

func TestStateConcurrently(t *testing.T) {
	s := newState(t)
	var wg sync.WaitGroup
	for i := range 50 {
		wg.Go(func() {
			id := string(rune('a' + i%5))
			if err := s.hold("v", id); err != nil {
				t.Error(err)
			}
			if onDisk(t, s).references("v") == 0 {
				t.Error("a counted reference is not on disk")
			}
			if held, _, err := s.drop("v", id); !held || err != nil {
				t.Error(held, err)
			}
		})
	}
	wg.Wait()
	if n := onDisk(t, s).references("v"); n != 0 {
		t.Errorf("%d references are left on disk", n)
	}
}

func TestStateRefuses(t *testing.T) {
	for content, want := range map[string]string{
		`{"version": 2, "volumes": "new"}`:       "has version 2, this driver reads up to 1",
		`{"version": 1, "volumes": {`:            "damaged",
		``:                                       "damaged",
		`{}`:                                     "no version",
		`{"version": 1, "volumes": {"v": null}}`: "no valid id",
		`{"version": 1, "volumes": {"v": {"spec": {"id": "a/b"}}}}`: "no valid id",
		`{"version": 1, "volumes": {"v": {"spec": {"id": ".."}}}}`:  "no valid id",
		// What a lenient reader would take for a state with fewer volumes or references.
		`{"version": 1, "volumes": {"": {"spec": {"id": "a"}}}}`:                                                       "name is empty",
		`{"version": 1, "volumes": {"v": {"spec": {"id": "a"}}, "w": {"spec": {"id": "a"}}}}`:                          "the same id",
		`{"version": 1, "volumes": {"v": {"spec": {"id": "a"}}, "v": {"spec": {"id": "b"}}}}`:                          "once too often",
		`{"version": 1, "volumes": {"v": {"spec": {"id": "a"}}}, "Volumes": null}`:                                     "once too often",
		`{"version": 1, "volumes": {"v": {"spec": {"id": "a"}, "holdess": {"h": {"count": 1, "epoch": 0}}}}}`:          `"holdess" stands where it has no meaning`,
		`{"version": 1, "volumes": {"v": {"spec": {"id": "a"}, "holders": {"h": {"count": 0, "epoch": 0}}}}}`:          `holder "h" with count 0`,
		`{"version": 1, "volumes": {"v": {"spec": {"id": "a"}, "holders": {"h": {"count": 2147483648, "epoch": 0}}}}}`: "count 2147483648",
		"{\"version\": 1, \"volumes\": {\"v\": {\"spec\": {\"id\": \"a\"}, \"holders\": {\"\xff\": {\"count\": 1}}}}}": "not UTF-8",
	} {
		dir := stateDir(t)
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, "driver.json")
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := Open(Config{StateDir: dir, Defaults: BuiltIn(), Mounter: &fakeMounter{}})
		wantErr(t, err, "driver.json", want)
		if data, err := os.ReadFile(path); err != nil || string(data) != content {
			t.Errorf("the file was changed to %q, %v", data, err)
		}
	}
}

func TestStateFileHasNoSecrets(t *testing.T) {
	dir := stateDir(t)
	var log logBuffer
	d := openWith(t, Config{StateDir: dir, Defaults: BuiltIn(), Mounter: &fakeMounter{}, Log: log.logger()})
	create(t, d, "v", "access-key=hunter1", "secret-key=hunter2")
	mount(t, d, "v", "a")
	data, err := os.ReadFile(filepath.Join(dir, "driver.json"))
	if err != nil {
		t.Fatal(err)
	}
	answer, err := request{d, t.Context()}.Get(getRequest("v"))
	if err != nil {
		t.Fatal(err)
	}
	shown, err := json.Marshal(answer)
	if err != nil {
		t.Fatal(err)
	}
	differs := d.Create(t.Context(), "v", pairs([]string{"access-key=hunter1", "secret-key=hunter3"}))
	wantErr(t, differs, "secret-key differs")
	for _, s := range []string{string(data), string(shown), log.String(), differs.Error()} {
		if strings.Contains(s, "hunter") {
			t.Errorf("a secret is in %s", s)
		}
	}
	spec, err := d.Spec("v")
	if err != nil {
		t.Fatal(err)
	}
	secrets := filepath.Join(dir, "secrets", spec.ID)
	wantMode(t, secrets, 0o600)
	unmount(t, d, "v", "a")
	if err := d.Remove("v"); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(secrets); !os.IsNotExist(err) {
		t.Errorf("the keys of a removed volume are still there: %v", err)
	}
}

func wantMode(t *testing.T, path string, want os.FileMode) {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if got := info.Mode().Perm(); got != want {
		t.Errorf("%s has mode %o, want %o", path, got, want)
	}
}

func TestModesAndLock(t *testing.T) {
	dir := stateDir(t)
	if err := os.Mkdir(dir, 0o700); err != nil { // made by somebody with another umask
		t.Fatal(err)
	}
	d := open(t, dir, &fakeMounter{})
	create(t, d, "v")
	mount(t, d, "v", "a")
	wantMode(t, dir, 0o711)
	wantMode(t, filepath.Join(dir, "mnt"), 0o711)
	wantMode(t, filepath.Join(dir, "mnt", "v"), 0o700)
	wantMode(t, filepath.Join(dir, "secrets"), 0o700)
	wantMode(t, filepath.Join(dir, "driver.json"), 0o600)
	wantMode(t, filepath.Join(dir, "lock"), 0o600)

	_, err := Open(Config{StateDir: dir, Defaults: BuiltIn(), Mounter: &fakeMounter{}})
	wantErr(t, err, "another driver, process", strings.TrimSpace(readFile(t, filepath.Join(dir, "lock"))))
	shut(t, d)
	open(t, dir, &fakeMounter{})
}

func readFile(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func TestStateDirIsNotDockers(t *testing.T) {
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(t.TempDir(), link); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{"/var/lib/docker", "/var/lib/docker/volumes/objvol", "/var/lib/x/../docker/y"} {
		_, err := Open(Config{StateDir: dir, Defaults: BuiltIn(), Mounter: &fakeMounter{}})
		wantErr(t, err, "Docker's own")
	}
	if below("/var/lib/docker-volumes", reserved) {
		t.Error("a neighbour counts as Docker's own")
	}
	d := open(t, link, &fakeMounter{})
	if resolved, err := filepath.EvalSymlinks(link); err != nil || d.stateDir != resolved {
		t.Errorf("state directory is %s: %v", d.stateDir, err)
	}
}
