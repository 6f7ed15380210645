package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/spf13/cobra"

	"objvol/driver"
)

func newServe() *cobra.Command {
	var managed bool
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run the volume driver",
		Long: `serve runs the volume driver until SIGTERM or SIGINT. A stop takes no more requests,
sends what is not in the bucket yet, and unmounts all volumes; those that containers
still use are mounted again by the next start. A second signal ends it at once.

OBJVOL_ACCESS_KEY and OBJVOL_SECRET_KEY are the keys of volumes that have none of their
own; without them those of AWS are used: AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and
AWS_SESSION_TOKEN. An option of a volume is stronger than a flag, a flag than its
variable OBJVOL_..., that than AWS's variable.

If systemd passes a socket, that is the driver's, and --socket and --socket-group mean
nothing.`,
		Args: args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := readConfig(cmd)
			if err != nil {
				return err
			}
			if err := requireRoot(); err != nil {
				return err
			}
			return serve(cmd.Context(), c, managed)
		},
	}
	cmd.Flags().BoolVar(&managed, "managed", false, "this is a managed plugin, whose every start is one of its engine")
	addFlags(cmd, map[string]string{optMetricsAddr: "127.0.0.1:10469"},
		append(storeSettings, optSocket, optSocketGroup, optStateDir, optCacheSize,
			optMetricsAddr, optDebugAddr, optDiskProbe, optLogLevel, optLogFormat, optStopTimeout)...)
	return cmd
}

// serve runs the driver until a signal. Engines do not tell a managed plugin when they start.
func serve(ctx context.Context, c config, managed bool) (err error) {
	ctx, restore := signal.NotifyContext(ctx, syscall.SIGTERM, syscall.SIGINT)
	defer restore()
	log := c.newLog(os.Stderr)

	// The engine waits for the socket, and for nothing else.
	socket, err := inherited(os.Getenv)
	if socket == nil && err == nil {
		socket, err = driver.Listen(c.Socket, c.SocketGroup)
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, socket.Close()) }()
	h, err := newHost(c.StateDir, log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, h.close()) }()
	m := newMounter(h)
	defer func() { err = errors.Join(err, m.Close()) }()
	d, err := driver.Open(driver.Config{
		StateDir: c.StateDir, Defaults: c.Defaults, Mounter: m, Observer: h.metrics, Log: log,
	})
	if err != nil {
		return err
	}
	if managed {
		if err := d.Activate(); err != nil {
			return err
		}
	}
	m.countReferences(func(volume string) int {
		info, err := d.Info(volume)
		if err != nil {
			return 0 // it is being removed
		}
		return info.References()
	})
	for _, info := range d.Infos() {
		h.metrics.Add(info.Name)
	}

	side := &servers{log: log}
	failed := make(chan error, 1)
	go func() { failed <- d.Serve(socket) }()
	err = errors.Join(
		side.serveMetrics(c.MetricsAddr, h.metrics.Handler()),
		side.measureDisk(c, h.metrics.Disk),
		side.serveDebug(c.DebugAddr, c.StateDir),
		side.serveControl(filepath.Join(c.StateDir, controlSocket), d, h.metrics))
	if err == nil {
		log.Info("serving", "version", version, "socket", socket.Addr(), "state", c.StateDir, "endpoint", c.Defaults.Endpoint)
		select {
		case <-ctx.Done():
			log.Info("stopping", "timeout", c.StopTimeout)
		case err = <-failed:
			err = fmt.Errorf("serve %s: %w", socket.Addr(), err)
		}
	}
	restore() // from here on a signal ends the process

	stop, cancel := context.WithTimeout(context.Background(), c.StopTimeout)
	defer cancel()
	return errors.Join(err, d.Close(stop), side.close())
}
