package main

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"objvol/fusefs/index"
	"objvol/metrics"
)

const (
	// indexMemory is what the indexes of all volumes remember together, in bytes.
	indexMemory = 64 << 20
	// openFiles is how many descriptors the process would like to have.
	openFiles = 1 << 20
)

// requireRoot says early what the kernel would say late.
func requireRoot() error {
	if os.Geteuid() != 0 {
		return errors.New("mounting needs root: run it with sudo")
	}
	return nil
}

// newHost gathers what the volumes of a process share, and prepares it for them. Nothing is opened yet.
func newHost(stateDir string, log *slog.Logger) (*host, error) {
	name, err := os.Hostname()
	if err != nil {
		return nil, err
	}
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return nil, err
	}
	if err := raiseFiles(); err != nil {
		log.Warn("there may be too few open files", "err", err)
	}
	leaveGarbage()
	return &host{
		stateDir: stateDir,
		name:     name,
		boot:     strings.TrimSpace(string(boot)),
		stores:   &stores{dir: filepath.Join(stateDir, "s3"), log: log},
		blocks:   index.NewCache(indexMemory),
		metrics:  metrics.New(version),
		log:      log,
	}, nil
}

// close ends what the volumes shared. All of them are closed.
func (h *host) close() error {
	h.blocks.Close()
	return h.stores.Close()
}

// raiseFiles raises the limit of open files as far as the kernel allows: every open file
// of a volume is one here, and so is every connection.
func raiseFiles() error {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return os.NewSyscallError("getrlimit", err)
	}
	if limit.Cur >= openFiles {
		return nil
	}
	wanted := unix.Rlimit{Cur: openFiles, Max: max(limit.Max, openFiles)}
	err := unix.Setrlimit(unix.RLIMIT_NOFILE, &wanted)
	if errors.Is(err, unix.EPERM) { // not root, or above fs.nr_open
		err = unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: limit.Max, Max: limit.Max})
	}
	if err != nil {
		return fmt.Errorf("raise the limit of open files: %w", os.NewSyscallError("setrlimit", err))
	}
	return nil
}
