package driver

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
)

// reserved belongs to the engine; a plugin must not write below it.
const reserved = "/var/lib/docker"

// Config is what a Driver is made of.
type Config struct {
	// StateDir holds everything that survives a restart. It is made if missing, 0711.
	StateDir string
	Defaults Defaults
	Mounter  Mounter
	Observer Observer     // nil: nobody
	Log      *slog.Logger // nil: no log
}

// Driver is the volume driver. All methods may be called from many goroutines at once.
type Driver struct {
	stateDir string
	defaults Defaults
	mounter  Mounter
	observer Observer
	log      *slog.Logger
	lock     *os.File
	state    *state
	server   *http.Server

	stopping context.Context // ends when Close begins
	stop     context.CancelFunc
	alive    context.Context // ends when Close has no time left
	kill     context.CancelFunc
	running  sync.WaitGroup // see begin

	mu      sync.Mutex // protects what follows
	volumes map[string]*volume
}

// Open takes the state directory, loads what it holds, detaches what a dead driver left
// mounted and mounts volumes with references again, in the background. A second driver on
// the directory is refused, and so is a state file that cannot be understood.
func Open(cfg Config) (*Driver, error) {
	d := &Driver{
		defaults: cfg.Defaults, mounter: cfg.Mounter, observer: cfg.Observer, log: cfg.Log,
		volumes: map[string]*volume{},
	}
	if d.log == nil {
		d.log = slog.New(slog.DiscardHandler)
	}
	if d.observer == nil {
		d.observer = nobody{}
	}
	if err := d.takeStateDir(cfg.StateDir); err != nil {
		return nil, fmt.Errorf("state directory: %w", err)
	}
	if err := d.load(); err != nil {
		return nil, errors.Join(err, d.lock.Close())
	}
	d.stopping, d.stop = context.WithCancel(context.Background())
	d.alive, d.kill = context.WithCancel(context.Background())
	d.server = newServer(d)
	for _, v := range d.volumes {
		d.running.Go(func() { d.restore(v) })
	}
	return d, nil
}

// takeStateDir makes the directories and locks them.
func (d *Driver) takeStateDir(dir string) error {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return err
	}
	if below(dir, reserved) {
		return fmt.Errorf("%s is below %s, which is Docker's own", dir, reserved)
	}
	if err := makeDir(dir, 0o711); err != nil {
		return err
	}
	// mountinfo shows paths without symbolic links.
	if d.stateDir, err = filepath.EvalSymlinks(dir); err != nil {
		return err
	}
	if below(d.stateDir, reserved) {
		return fmt.Errorf("%s leads below %s, which is Docker's own", dir, reserved)
	}
	if err := makeDir(filepath.Join(d.stateDir, "mnt"), 0o711); err != nil {
		return err
	}
	if err := makeDir(filepath.Join(d.stateDir, "secrets"), 0o700); err != nil {
		return err
	}
	d.lock, err = lockFile(filepath.Join(d.stateDir, "lock"))
	return err
}

// load reads driver.json into d.volumes.
func (d *Driver) load() error {
	var err error
	if d.state, err = openState(filepath.Join(d.stateDir, "driver.json")); err != nil {
		return err
	}
	if err := d.detachStale(); err != nil {
		return err
	}
	for name, r := range d.state.records() {
		d.volumes[name] = d.revive(name, r)
	}
	return d.sweepSecrets()
}

// lookup returns a volume that is known.
func (d *Driver) lookup(name string) (*volume, error) {
	if err := validateName(name); err != nil {
		return nil, err
	}
	d.mu.Lock()
	v := d.volumes[name]
	d.mu.Unlock()
	if v == nil || !v.known() {
		return nil, errUnknown
	}
	return v, nil
}

// Spec returns a volume's options. An unknown name is an error.
func (d *Driver) Spec(name string) (Spec, error) {
	v, err := d.lookup(name)
	if err != nil {
		return Spec{}, about(name, err)
	}
	spec := v.spec
	spec.Given = maps.Clone(spec.Given)
	return spec, nil
}

// Activate says that an engine has started: what earlier engines held is counted anew.
func (d *Driver) Activate() error { return d.state.newEpoch() }

func (d *Driver) mountpoint(name string) string {
	return filepath.Join(d.stateDir, "mnt", escapeName(name))
}

// below reports whether path is dir or lies in it. Both are clean and absolute.
func below(path, dir string) bool {
	return path == dir || strings.HasPrefix(path, dir+"/")
}
