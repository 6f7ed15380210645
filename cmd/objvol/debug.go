package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"os"
	"path/filepath"
	"sync"
	"time"

	"objvol/driver"
)

// servers are the program's own http servers, beside the engine's, and what measures for
// them.
type servers struct {
	log     *slog.Logger
	running sync.WaitGroup
	all     []*http.Server
	probe   *diskProbe // nil for none
	stop    context.CancelFunc
}

// serve answers on l, whose address is on, until close.
func (s *servers) serve(name, on string, l net.Listener, handler http.Handler) {
	server := &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       2 * time.Minute,
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelWarn),
	}
	s.all = append(s.all, server)
	s.log.Info("listening", "for", name, "on", on)
	s.running.Go(func() {
		if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			s.log.Error("the server has ended", "for", name, "err", err)
		}
	})
}

// close ends all of them at once: nobody loses anything by it.
func (s *servers) close() error {
	var errs []error
	for _, server := range s.all {
		errs = append(errs, server.Close())
	}
	if s.probe != nil {
		s.stop()
	}
	s.running.Wait()
	if s.probe != nil {
		errs = append(errs, s.probe.close())
	}
	return errors.Join(errs...)
}

// measureDisk begins to measure the disk of the state directory, if anybody can ask for it.
func (s *servers) measureDisk(c config, observe func(op string, took time.Duration)) error {
	if c.MetricsAddr == "" || c.DiskProbe == 0 {
		return nil
	}
	err := os.MkdirAll(c.StateDir, 0o700)
	var p *diskProbe
	if err == nil {
		p, err = newDiskProbe(c.StateDir, observe)
	}
	if err != nil {
		return fmt.Errorf("measure the disk: %w", err)
	}
	ctx, stop := context.WithCancel(context.Background())
	s.probe, s.stop = p, stop
	s.running.Go(func() { p.run(ctx, c.DiskProbe, s.log) })
	return nil
}

// serveMetrics answers /metrics and /healthz on an address; an empty one is nowhere.
func (s *servers) serveMetrics(addr string, metrics http.Handler) error {
	if addr == "" {
		return nil
	}
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return fmt.Errorf("metrics: %w; choose another with --metrics-addr, or off", err)
	}
	s.serve("metrics", l.Addr().String(), l, metricsHandler(metrics))
	return nil
}

func metricsHandler(metrics http.Handler) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", metrics)
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "ok\n") // whoever asked has gone
	})
	return mux
}

// serveDebug answers pprof on an address, or on debug.sock in the state directory.
func (s *servers) serveDebug(addr, stateDir string) error {
	var (
		l   net.Listener
		err error
	)
	if addr == "" {
		addr = filepath.Join(stateDir, "debug.sock")
		l, err = driver.Listen(addr, driver.NoGroup)
	} else {
		l, err = net.Listen("tcp", addr)
	}
	if err != nil {
		return fmt.Errorf("debug: %w", err)
	}
	if l.Addr().Network() == "tcp" {
		addr = l.Addr().String() // the port, where any was asked for
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	s.serve("debug", addr, l, mux)
	return nil
}
