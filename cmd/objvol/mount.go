package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"objvol/driver"
)

// mountTimeout bounds the mounting itself.
const mountTimeout = time.Minute

func newMount() *cobra.Command {
	var options []string
	cmd := &cobra.Command{
		Use:   "mount VOLUME-OR-s3://BUCKET/PREFIX DIR",
		Short: "Mount one volume without Docker, in the foreground",
		Long: `mount mounts one volume on a directory and stays in the foreground. It prints a line
that begins with "mounted" when the directory can be used. SIGTERM, SIGINT or umount(8)
end it: it sends what is not in the bucket yet and unmounts. A second signal ends it at
once. VOLUME is the place where "docker volume create VOLUME" would put it.

` + exitCodes,
		Example: `  objvol mount s3://photos/2024 /mnt --endpoint http://127.0.0.1:9000
  objvol mount data /mnt -o read-only`,
		Args: args(cobra.ExactArgs(2)),
		RunE: func(cmd *cobra.Command, given []string) error {
			c, err := readConfig(cmd)
			if err != nil {
				return err
			}
			spec, err := mountSpec(c.Defaults, given[0], options)
			if err != nil {
				return usageError{err}
			}
			// The embedded store moves the working directory.
			dir, err := filepath.Abs(given[1])
			if err != nil {
				return err
			}
			if err := requireRoot(); err != nil {
				return err
			}
			return mount(cmd, c, spec, dir)
		},
	}
	addOptionsFlag(cmd, &options)
	addFlags(cmd, map[string]string{optMetricsAddr: off, optDebugAddr: off, optLogLevel: "warn"},
		append(storeSettings, optStateDir, optCacheSize, optMetricsAddr, optDebugAddr, optDiskProbe, optLogLevel, optLogFormat, optStopTimeout)...)
	return cmd
}

// addOptionsFlag gives a command -o key=value.
func addOptionsFlag(cmd *cobra.Command, options *[]string) {
	cmd.Flags().StringArrayVarP(options, "option", "o", nil, "an option of the volume, as `key=value`; may be repeated")
}

// parseOptions reads -o key=value. A key alone is a yes.
func parseOptions(given []string) (map[string]string, error) {
	options := map[string]string{}
	for _, text := range given {
		key, value, _ := strings.Cut(text, "=")
		if _, twice := options[key]; twice {
			return nil, fmt.Errorf("option %s is given twice", key)
		}
		options[key] = value
	}
	return options, nil
}

// mountSpec decides the options of what is to be mounted. Its ID follows from its place,
// so that it finds its local state again.
func mountSpec(defaults driver.Defaults, what string, given []string) (driver.Spec, error) {
	options, err := parseOptions(given)
	if err != nil {
		return driver.Spec{}, err
	}
	name := what
	if place, isURL := strings.CutPrefix(what, "s3://"); isURL {
		bucket, prefix, _ := strings.Cut(place, "/")
		// A prefix of the defaults is for volumes with a name.
		defaults.BasePrefix = ""
		here := map[string]string{"bucket": bucket, "prefix": prefix}
		for key := range here {
			if _, twice := options[key]; twice {
				return driver.Spec{}, fmt.Errorf("option %s is given twice: %s names it too", key, what)
			}
		}
		maps.Copy(options, here)
		name = strings.TrimSuffix(place, "/")
	}
	spec, err := defaults.Resolve(name, options)
	if err != nil {
		return driver.Spec{}, err
	}
	sum := sha256.Sum256([]byte(spec.Endpoint + "\x00" + spec.Bucket + "\x00" + spec.Prefix))
	spec.ID = hex.EncodeToString(sum[:16])
	return spec, nil
}

// mount serves one volume until a signal or until it is unmounted.
func mount(cmd *cobra.Command, c config, spec driver.Spec, dir string) (err error) {
	ctx, restore := signal.NotifyContext(cmd.Context(), syscall.SIGTERM, syscall.SIGINT)
	defer restore()
	log := c.newLog(os.Stderr)
	h, err := newHost(c.StateDir, log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, h.close()) }()
	m := newMounter(h)
	defer func() { err = errors.Join(err, m.Close()) }()
	side := &servers{log: log}
	defer func() { err = errors.Join(err, side.close()) }()
	if err := side.serveMetrics(c.MetricsAddr, h.metrics.Handler()); err != nil {
		return err
	}
	if err := side.measureDisk(c, h.metrics.Disk); err != nil {
		return err
	}
	// debug.sock in the state directory is the driver's, which may share it.
	if c.DebugAddr != "" {
		if err := side.serveDebug(c.DebugAddr, c.StateDir); err != nil {
			return err
		}
	}
	l, err := mountWithin(ctx, m, spec, dir)
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintf(cmd.OutOrStdout(), "mounted %s on %s\n", spec.Name, dir); err != nil {
		log.Warn("nobody is told of the mount", "err", err)
	}
	l.awaitEnd(ctx)
	restore() // from here on a signal ends the process

	stop, cancel := context.WithTimeout(context.Background(), c.StopTimeout)
	defer cancel()
	if err := errors.Join(l.Unmount(stop), m.Close()); err != nil {
		return err
	}
	// Who had a file open could write until the connection was ended.
	left, err := m.slot(spec.ID).count(spec)
	if err == nil && !left.None() {
		err = &driver.PendingError{Pending: left}
	}
	return err
}

// mountWithin prepares the bucket and mounts.
func mountWithin(ctx context.Context, m *mounter, spec driver.Spec, dir string) (*live, error) {
	ctx, cancel := context.WithTimeout(ctx, mountTimeout)
	defer cancel()
	if _, err := m.Prepare(ctx, spec); err != nil {
		return nil, err
	}
	return m.mount(ctx, spec, dir)
}
