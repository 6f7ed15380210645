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
	"slices"
	"strings"
	"sync"
	"time"
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
	return nil
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

// Info tells of one volume, from memory. An unknown name is an error.
func (d *Driver) Info(name string) (Info, error) {
	v, err := d.lookup(name)
	if err != nil {
		return Info{}, about(name, err)
	}
	i, known := v.info(d.state)
	if !known {
		return Info{}, about(name, errUnknown)
	}
	return i, nil
}

// Infos tells of all volumes, by name, from memory.
func (d *Driver) Infos() []Info {
	d.mu.Lock()
	volumes := maps.Clone(d.volumes)
	d.mu.Unlock()
	all := []Info{}
	for _, name := range slices.Sorted(maps.Keys(volumes)) {
		if i, known := volumes[name].info(d.state); known {
			all = append(all, i)
		}
	}
	return all
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

// Close stops: it takes no more requests, unmounts all volumes, draining them until the
// context ends, and keeps their references for the next start. The error names what is
// left. It is called once.
func (d *Driver) Close(ctx context.Context) error {
	defer d.kill()
	defer context.AfterFunc(ctx, d.kill)()
	patient, cancel := after(ctx, grace)
	defer cancel()

	d.mu.Lock()
	d.stop()
	volumes := slices.Collect(maps.Values(d.volumes))
	d.mu.Unlock()

	results := make(chan error, len(volumes))
	for _, v := range volumes {
		go func() { results <- about(v.spec.Name, v.close(ctx, patient)) }()
	}
	errs := []error{d.server.Shutdown(ctx)}
	for range volumes {
		errs = append(errs, <-results)
	}
	idle := make(chan struct{})
	go func() {
		d.running.Wait()
		close(idle)
	}()
	select {
	case <-idle:
	case <-patient.Done(): // something hangs in the Mounter
	}
	return errors.Join(append(errs, d.server.Close(), d.lock.Close())...)
}

// after ends some time later than ctx does: what ctx ended can still say so.
func after(ctx context.Context, more time.Duration) (context.Context, context.CancelFunc) {
	longer, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() { time.AfterFunc(more, cancel) })
	return longer, func() {
		stop()
		cancel()
	}
}

// close unmounts the volume at the end, draining until ctx ends, and waits until patient
// ends for whatever hangs.
func (v *volume) close(ctx, patient context.Context) error {
	if err := v.turn.take(patient); err != nil {
		return err
	}
	result := make(chan error, 1)
	go func() {
		defer v.turn.release()
		if v.mount == nil {
			result <- nil
			return
		}
		result <- v.detach(ctx)
	}()
	select {
	case err := <-result:
		return err
	case <-patient.Done():
		return errors.New("unmounting hangs")
	}
}

func (d *Driver) mountpoint(name string) string {
	return filepath.Join(d.stateDir, "mnt", escapeName(name))
}

func (d *Driver) secrets(spec Spec) string { return filepath.Join(d.stateDir, "secrets", spec.ID) }

// dropSecrets removes the keys of a volume, if it has any.
func (d *Driver) dropSecrets(spec Spec) error {
	if err := os.Remove(d.secrets(spec)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

// below reports whether path is dir or lies in it. Both are clean and absolute.
func below(path, dir string) bool {
	return path == dir || strings.HasPrefix(path, dir+"/")
}
