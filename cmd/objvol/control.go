package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"path/filepath"
	"time"

	"objvol/driver"
	"objvol/metrics"
)

// controlSocket is the name of the socket in the state directory over which the commands
// talk to a running driver: JSON over HTTP, root only.
const controlSocket = "control.sock"

// The paths of the control socket. All are POST; names are in bodies, because they may hold
// anything.
const (
	pathList    = "/volumes/list"
	pathCreate  = "/volumes/create"
	pathInspect = "/volumes/inspect"
	pathRemove  = "/volumes/remove"
)

// volumeRequest names a volume.
type volumeRequest struct {
	Name    string            `json:"name"`
	Options map[string]string `json:"options,omitempty"` // of create
}

// volumeInfo is what list and inspect tell of a volume.
type volumeInfo struct {
	Name         string            `json:"name"`
	State        string            `json:"state"`
	Mountpoint   string            `json:"mountpoint,omitempty"`
	CreatedAt    time.Time         `json:"createdAt"`
	References   int               `json:"references"`
	Holders      map[string]int    `json:"holders,omitempty"`
	Endpoint     string            `json:"endpoint,omitempty"`
	Bucket       string            `json:"bucket"`
	Prefix       string            `json:"prefix"`
	PendingFiles int               `json:"pendingFiles"`
	PendingBytes int64             `json:"pendingBytes"`
	PendingNames []string          `json:"pendingNames,omitempty"`
	LastError    string            `json:"lastError,omitempty"`
	Options      map[string]string `json:"options,omitempty"` // of inspect; without secrets
	ID           string            `json:"id,omitempty"`      // of inspect
}

// failure is the answer to a request that failed.
type failure struct {
	Message string          `json:"error"`
	Pending *driver.Pending `json:"pending,omitempty"`
}

// err is the failure as an error of this process.
func (f failure) err() error {
	if f.Pending != nil {
		return remotePending{f.Message, &driver.PendingError{Pending: *f.Pending}}
	}
	return errors.New(f.Message)
}

// remotePending is a *driver.PendingError of the driver's process with its own message.
type remotePending struct {
	message string
	pending *driver.PendingError
}

func (e remotePending) Error() string { return e.message }

// Unwrap returns the *driver.PendingError.
func (e remotePending) Unwrap() error { return e.pending }

func infoOf(i driver.Info) volumeInfo {
	v := volumeInfo{
		Name: i.Name, State: string(i.Phase), Mountpoint: i.Mountpoint, CreatedAt: i.CreatedAt,
		References: i.References(), Holders: i.Holders,
		Endpoint: i.Endpoint, Bucket: i.Bucket, Prefix: i.Prefix,
		PendingFiles: i.Pending.Files, PendingBytes: i.Pending.Bytes, PendingNames: i.Pending.Names,
	}
	if i.LastError != nil {
		v.LastError = i.LastError.Error()
	}
	return v
}

// serveControl answers the commands.
func (s *servers) serveControl(path string, d *driver.Driver, m *metrics.Metrics) error {
	l, err := driver.Listen(path, driver.NoGroup)
	if err != nil {
		return fmt.Errorf("control: %w", err)
	}
	s.serve("control", path, l, controlHandler(d, m))
	return nil
}

func controlHandler(d *driver.Driver, m *metrics.Metrics) http.Handler {
	mux := http.NewServeMux()
	control(mux, pathList, func(context.Context, volumeRequest) (any, error) {
		all := []volumeInfo{}
		for _, i := range d.Infos() {
			all = append(all, infoOf(i))
		}
		return all, nil
	})
	control(mux, pathInspect, func(_ context.Context, q volumeRequest) (any, error) {
		i, err := d.Info(q.Name)
		if err != nil {
			return nil, err
		}
		spec, err := d.Spec(q.Name)
		if err != nil {
			return nil, err
		}
		v := infoOf(i)
		v.ID, v.Options = spec.ID, maps.Clone(spec.Given)
		return v, nil
	})
	control(mux, pathCreate, func(ctx context.Context, q volumeRequest) (any, error) {
		if err := d.Create(ctx, q.Name, q.Options); err != nil {
			return nil, err
		}
		m.Add(q.Name)
		return struct{}{}, nil
	})
	control(mux, pathRemove, func(_ context.Context, q volumeRequest) (any, error) {
		return struct{}{}, d.Remove(q.Name)
	})
	return mux
}

// control serves one path.
func control(mux *http.ServeMux, path string, call func(context.Context, volumeRequest) (any, error)) {
	mux.HandleFunc("POST "+path, func(w http.ResponseWriter, r *http.Request) {
		const most = 1 << 20
		var (
			q      volumeRequest
			answer any
		)
		status := http.StatusOK
		err := json.NewDecoder(http.MaxBytesReader(w, r.Body, most)).Decode(&q)
		if err == nil {
			answer, err = call(r.Context(), q)
		}
		if err != nil {
			f := failure{Message: err.Error()}
			if left, ok := errors.AsType[*driver.PendingError](err); ok {
				f.Pending = &left.Pending
			}
			status, answer = http.StatusInternalServerError, f
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(answer) // whoever asked has gone
	})
}

// client talks to the driver that runs with a state directory.
type client struct{ socket string }

func newClient(stateDir string) client {
	return client{filepath.Join(stateDir, controlSocket)}
}

// call asks the driver and reads its answer into answer; nil is not interested.
func (c client) call(ctx context.Context, path string, q volumeRequest, answer any) (err error) {
	body, err := json.Marshal(q)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://control"+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", c.socket)
	}}
	defer transport.CloseIdleConnections()
	resp, err := (&http.Client{Transport: transport}).Do(req)
	if err != nil {
		return fmt.Errorf("no driver answers on %s: start one with \"objvol serve\", or name its directory with --state-dir: %w", c.socket, err)
	}
	defer func() { err = errors.Join(err, resp.Body.Close()) }()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		var f failure
		if err := json.Unmarshal(data, &f); err != nil || f.Message == "" {
			return fmt.Errorf("the driver answers %s", resp.Status)
		}
		return f.err()
	}
	if answer == nil {
		return nil
	}
	return json.Unmarshal(data, answer)
}
