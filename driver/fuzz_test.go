package driver

import (
	"bytes"
	"context"
	"encoding/json"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"testing"
)

// FuzzState opens a driver on any driver.json. It is refused and left as it is, or every
// volume and reference in it is there, and stays there when the file is written anew.
func FuzzState(f *testing.F) {
	fixture, err := os.ReadFile(filepath.Join("testdata", "driver-v1.json"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(fixture)
	for _, seed := range []string{
		``, `{}`, `[]`, `null`, `{"version":1}`, `{"version":2}`, `{"version":1,"volumes":{"v":null}}`,
		`{"version":1,"epoch":18446744073709551615,"volumes":{"a":{"spec":{"id":"x"},"holders":{"":{"count":1,"epoch":7}}}}}`,
		`{"version":1,"volumes":{"../x":{"spec":{"id":"x","options":{"uid":"x"},"hasSecrets":true},"holders":{"h":{"count":1}}}}}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		dir := t.TempDir()
		path := filepath.Join(dir, "driver.json")
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		d, err := Open(Config{StateDir: dir, Defaults: BuiltIn(), Mounter: &fakeMounter{}})
		if after := readFile(t, path); after != string(data) {
			t.Errorf("the file was changed to %q", after)
		}
		if err != nil {
			wantErr(t, err, path)
			return
		}
		defer shut(t, d)
		want := held(t, data)
		if got := counted(d); !reflect.DeepEqual(got, want) {
			t.Errorf("the file has %v, the driver %v", want, got)
		}
		if err := d.Activate(); err != nil { // writes the file
			t.Fatal(err)
		}
		again := onDisk(t, d.state)
		if !reflect.DeepEqual(again.file, d.state.file) || !reflect.DeepEqual(held(t, []byte(readFile(t, path))), want) {
			t.Errorf("written and read again: %+v, was %+v", again.file, d.state.file)
		}
	})
}

// held reads volumes and references out of a valid driver.json, as somebody would who
// knows nothing of how the driver does it.
func held(t *testing.T, data []byte) map[string]map[string]int {
	t.Helper()
	var file struct {
		Volumes map[string]struct {
			Holders map[string]struct{ Count int }
		}
	}
	if err := json.Unmarshal(data, &file); err != nil {
		t.Fatal(err)
	}
	all := map[string]map[string]int{}
	for name, v := range file.Volumes {
		all[name] = map[string]int{}
		for id, h := range v.Holders {
			all[name][id] = h.Count
		}
	}
	return all
}

// counted returns the references of all volumes of a driver.
func counted(d *Driver) map[string]map[string]int {
	all := map[string]map[string]int{}
	for _, i := range d.Infos() {
		all[i.Name] = i.Holders
	}
	return all
}

// FuzzEndpoints sends any body to any path. The answer is always JSON with Err in it, the
// status is 200 exactly if Err is empty, and what is refused leaves nothing. Only a Get that
// was lost has no answer.
func FuzzEndpoints(f *testing.F) {
	methods := []string{"Create", "Remove", "Mount", "Unmount", "Path", "Get", "List", "Capabilities"}
	bodies := []string{
		``, `null`, `{}`, `[]`, `{"Name":"held","ID":"a"}`, `{"Name":"new","Opts":{"uid":"7"}}`, `{"Name":"new","Opts":{"access-key":"a","secret-key":"b"}}`,
		`{"Name":"new","Opts":{"acces-key":1}}`, `{"Name":"../../x"}`, `{"Name":".."}`, `{"Name":"/"}`, `{"Name":"a\u0000"}`, `{"Name":"\ud800"}`, "{\"Name\":\"\xff\"}", `{"Name":`,
	}
	for _, body := range bodies {
		for _, method := range methods {
			f.Add("/VolumeDriver."+method, []byte(body))
		}
	}
	for _, path := range []string{"/Plugin.Activate", "/", "", "//VolumeDriver.List", "/VolumeDriver.List/", "/../VolumeDriver.List", "/VolumeDriver.Nothing", "/%00"} {
		f.Add(path, []byte("{}"))
	}
	base, drivers := f.TempDir(), 0
	var d *Driver // lives until an input changes what it has
	f.Cleanup(func() {
		if d != nil {
			_ = d.Close(context.Background()) // a fake has nothing to say
		}
	})
	f.Fuzz(func(t *testing.T, path string, body []byte) {
		if path == "/VolumeDriver.Get" && len(bytes.TrimSpace(body)) == 0 {
			t.Skip("see TestLostRequest")
		}
		if d == nil {
			drivers++
			d = fuzzedDriver(t, filepath.Join(base, strconv.Itoa(drivers)))
		}
		before := everything(t, d)
		q := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "http://plugin/", strings.NewReader(string(body)))
		q.URL.Path = path
		w := httptest.NewRecorder()
		d.server.Handler.ServeHTTP(w, q)
		var answer struct{ Err *string }
		if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil || answer.Err == nil || w.Header().Get("Content-Type") != contentType {
			t.Fatalf("%d %v %q is no answer: %v", w.Code, w.Header(), w.Body, err)
		}
		if (w.Code == http.StatusOK) != (*answer.Err == "") || strings.Contains(*answer.Err, "internal error") {
			t.Errorf("status %d with %q", w.Code, *answer.Err)
		}
		switch after := everything(t, d); {
		case reflect.DeepEqual(before, after):
		case w.Code != http.StatusOK:
			t.Errorf("refused with %q, and yet\n%v became\n%v", *answer.Err, before, after)
		default:
			shut(t, d)
			if err := os.RemoveAll(d.stateDir); err != nil {
				t.Error(err)
			}
			d = nil
		}
	})
}

// fuzzedDriver has one volume that is held and one that is not.
func fuzzedDriver(t *testing.T, dir string) *Driver {
	t.Helper()
	d, err := Open(Config{StateDir: dir, Defaults: BuiltIn(), Mounter: &fakeMounter{}})
	if err != nil {
		t.Fatal(err)
	}
	create(t, d, "held")
	mount(t, d, "held", "a")
	create(t, d, "idle", "access-key=a", "secret-key=b")
	return d
}

// snapshot is all that a call can change.
type snapshot struct {
	Held   map[string]map[string]int
	Mounts int64
	Files  map[string]string // content by path
}

func everything(t *testing.T, d *Driver) snapshot {
	t.Helper()
	s := snapshot{Held: counted(d), Mounts: d.mounter.(*fakeMounter).live.Load(), Files: map[string]string{}}
	err := filepath.WalkDir(d.stateDir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			s.Files[path] = "directory"
			return err
		}
		data, err := os.ReadFile(path)
		s.Files[path] = string(data)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}
