package driver

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// revive makes a volume of its record. What is wrong with one volume stays with it: it is
// known, it says why, and it cannot be mounted.
func (d *Driver) revive(name string, r record) *volume {
	spec, err := d.defaults.Resolve(name, r.Spec.Options)
	if err != nil { // written by another version
		spec = d.defaults.Spec
		spec.Name, spec.Given = name, r.Spec.Options
	}
	spec.ID = r.Spec.ID
	spec.Endpoint, spec.Region, spec.Bucket, spec.Prefix = r.Spec.Endpoint, r.Spec.Region, r.Spec.Bucket, r.Spec.Prefix
	v := &volume{
		dir: d.mountpoint(name), created: r.CreatedAt, wasEmpty: r.PrefixWasEmpty,
		turn: newTurn(), phase: Unmounted,
	}
	if err == nil && r.Spec.HasSecrets {
		spec.ownSecrets = true
		if err = loadSecrets(d.secrets(spec), &spec); err != nil {
			err = fmt.Errorf("its keys cannot be read; remove the volume (its data stays) and create it again: %w", err)
		}
	}
	v.spec, v.sick = spec, err
	if err != nil {
		d.log.Error("volume cannot be mounted", "volume", name, "err", err)
	}
	return v
}

// restore brings one volume back after a restart: mounted if it has references, else with
// what its local state has pending.
func (d *Driver) restore(v *volume) {
	err := recovered(func() error {
		if v.sick != nil {
			return nil
		}
		ctx, cancel := context.WithTimeout(d.stopping, mountTimeout)
		defer cancel()
		if err := v.turn.take(ctx); err != nil {
			return err
		}
		defer v.turn.release()
		switch {
		case v.mount != nil || v.gone():
			return nil
		case d.state.references(v.spec.Name) > 0:
			return v.attach(ctx, d.mounter)
		}
		err := d.checkPending(ctx, v)
		if _, left := errors.AsType[*PendingError](err); left {
			d.watch(v)
		}
		return err
	})
	if err != nil {
		d.log.Warn("restore volume", "volume", v.spec.Name, "err", err)
	}
}

// detachStale ends the FUSE mounts that a dead driver left below mnt: they answer nothing.
func (d *Driver) detachStale() error {
	mnt := filepath.Join(d.stateDir, "mnt")
	return detachMounts(func(path string) bool { return path != mnt && below(path, mnt) })
}

// detachAt ends FUSE mounts exactly at dir, so that a new one does not lie on an old one.
func detachAt(dir string) error {
	return detachMounts(func(path string) bool { return path == dir })
}

// detachMounts ends the FUSE mounts at the paths that match, lazily: nothing is asked of their
// servers.
func detachMounts(match func(path string) bool) error {
	table, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return err
	}
	defer func() { _ = table.Close() }() // read only
	paths, err := fuseMounts(table)
	if err != nil {
		return err
	}
	for _, path := range slices.Backward(paths) { // inner ones first
		if !match(path) {
			continue
		}
		const noFollow = 0x8 // UMOUNT_NOFOLLOW
		if err := syscall.Unmount(path, syscall.MNT_DETACH|noFollow); err != nil {
			return fmt.Errorf("detach stale mount %s: %w", path, err)
		}
	}
	return nil
}

// fuseMounts returns the mountpoints of FUSE filesystems in the order of mounting. The
// format is proc_pid_mountinfo(5).
func fuseMounts(table io.Reader) ([]string, error) {
	var paths []string
	lines := bufio.NewScanner(table)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		before, after, _ := strings.Cut(lines.Text(), " - ")
		fields := strings.Fields(before)
		kind, _, _ := strings.Cut(after, " ")
		if len(fields) > 4 && (kind == "fuse" || strings.HasPrefix(kind, "fuse.")) {
			paths = append(paths, unescapeOctal(fields[4]))
		}
	}
	return paths, lines.Err()
}

// unescapeOctal undoes the kernel's \040 for a space and its like.
func unescapeOctal(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+3 < len(s) {
			if n, err := strconv.ParseUint(s[i+1:i+4], 8, 8); err == nil {
				b.WriteByte(byte(n))
				i += 3
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}
