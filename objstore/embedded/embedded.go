//go:build !noembedded

package embedded

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"sync"
	"sync/atomic"

	"github.com/versity/versitygw/auth"
	"github.com/versity/versitygw/backend/posix"
	"github.com/versity/versitygw/embedgw"
	"github.com/versity/versitygw/s3api"
)

// Requests beyond these limits are answered 503, which a client repeats.
const (
	maxConnections = 16384
	maxRequests    = 8192
	// maxActive bounds the requests that have a thread and a buffer at one time; others
	// wait.
	maxActive  = 256
	bufferSize = 256 << 10 // bytes
)

// running is true while this process has a server. The library has process-wide state
// (the working directory, its own switches) and can run once; it would find out only
// after it had moved the working directory away from under the first.
var running atomic.Bool

// Start starts the server and returns when it answers. The context bounds the start
// alone; Close ends the server. A process has at most one server at a time.
//
// It moves the process's working directory into the store, see the package comment.
func Start(ctx context.Context, opts Options) (*Server, error) {
	if opts.Listen != "" {
		// What is no host:port would be taken for the path of a socket.
		if _, _, err := net.SplitHostPort(opts.Listen); err != nil {
			return nil, fmt.Errorf("embedded store: listen: %w", err)
		}
	}
	if !running.CompareAndSwap(false, true) {
		return nil, errors.New("embedded store: this process runs one already")
	}
	s, err := start(ctx, opts)
	if err != nil {
		running.Store(false)
		return nil, err
	}
	return s, nil
}

func start(ctx context.Context, opts Options) (_ *Server, err error) {
	dir, err := openFolder(opts.Dir)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, dir.close())
		}
	}()
	keys, err := loadCredentials(dir.credentials())
	if err != nil {
		return nil, err
	}
	if err := sweep(dir.objects()); err != nil {
		return nil, err
	}
	// Nobody knows which requests of an earlier process were synced.
	if err := dir.sync(); err != nil {
		return nil, fmt.Errorf("embedded store: sync: %w", err)
	}
	gw := &gateway{dir: dir, log: opts.Log, ready: make(chan struct{}), done: make(chan struct{})}
	if err := gw.start(ctx, keys, opts.Listen); err != nil {
		return nil, err
	}
	s := &Server{
		socket:    dir.socket(),
		accessKey: keys.AccessKey,
		secretKey: keys.SecretKey,
		syncs:     &syncs{sync: dir.sync},
	}
	s.stop = func() error {
		err := gw.stop()
		s.syncs.close()
		err = errors.Join(err, dir.close())
		running.Store(false)
		return err
	}
	return s, nil
}

// gateway is versitygw, running.
type gateway struct {
	dir      *folder
	log      *slog.Logger
	cwd      string // the working directory before
	cancel   context.CancelFunc
	quieted  sync.Once
	requests atomic.Int64  // under way
	ready    chan struct{} // closed when it listens
	done     chan struct{} // closed when it has ended
	err      error         // why it ended, once done is closed
}

func (g *gateway) start(ctx context.Context, keys credentials, listen string) error {
	var err error
	if g.cwd, err = os.Getwd(); err != nil {
		g.cwd = "/"
	}
	var attrs attributes
	popts := posix.PosixOpts{
		// Bodies are received in a folder of their own and renamed. Without it the
		// backend links an overwriting object beside the old one first, under a longer
		// name: too long for a key of 255 bytes, and listed if a crash leaves it.
		ForceNoTmpFile: true,
		// One process, see folder.
		ForceNoObjLockFile:  true,
		CopyObjectThreshold: 5 << 30,
		Concurrency:         maxActive,
		IOBufferSize:        bufferSize,
	}
	popts.SetNewDirPerm(0o700)
	popts.SetNewFilePerm(0o600)
	be, err := posix.New(g.dir.objects(), attrs, popts)
	if err != nil {
		return errors.Join(fmt.Errorf("embedded store: %w", err), os.Chdir(g.cwd))
	}

	ports := []string{g.dir.socket()}
	if listen != "" {
		ports = append(ports, listen)
	}
	account := auth.Account{Access: keys.AccessKey, Secret: keys.SecretKey, Role: auth.RoleAdmin}
	cfg := &embedgw.Config{
		RootUserAccess:    keys.AccessKey,
		RootUserSecret:    keys.SecretKey,
		Region:            Region,
		Ports:             ports,
		SocketPerm:        "0600",
		MaxConnections:    maxConnections,
		MaxRequests:       maxRequests,
		MultipartMaxParts: 10_000,
		KeepAlive:         true,
		DisableACLs:       true,
		Quiet:             true,
		// The library would make the same and print that it did.
		IAMService: auth.NewIAMServiceSingle(account),
		S3Options: []s3api.Option{
			func(s *s3api.S3ApiServer) { s.Router.WithAdmSrv = false }, // no API but S3
			s3api.WithMiddleware("/", g.finish),
			s3api.WithOnListen(func() { close(g.ready) }),
		},
	}
	// The server outlives the request that started it.
	run, cancel := context.WithCancel(context.WithoutCancel(ctx))
	g.cancel = cancel
	go func() {
		defer close(g.done)
		g.err = embedgw.RunVersityGW(run, &store{Posix: be, attributes: attrs, log: g.log}, cfg)
		if run.Err() == nil {
			g.log.Error("embedded store: the server has ended", "err", g.err)
		}
	}()
	select {
	case <-g.ready:
		if err := g.greet(ctx); err != nil {
			return errors.Join(err, g.stop())
		}
		g.log.Info("embedded store started", "dir", g.dir.path, "listen", ports)
		return nil
	case <-g.done:
		return errors.Join(fmt.Errorf("embedded store: %w", g.err), g.stop())
	case <-ctx.Done():
		return errors.Join(ctx.Err(), g.stop())
	}
}

// stop ends the server. The working directory is given back only if no request is left
// that would go on in it.
func (g *gateway) stop() error {
	g.cancel()
	<-g.done
	var err error
	if g.requests.Load() == 0 {
		err = os.Chdir(g.cwd)
	} else {
		g.log.Warn("embedded store: requests were cut off", "requests", g.requests.Load())
	}
	if rerr := os.Remove(g.dir.socket()); !errors.Is(rerr, fs.ErrNotExist) {
		err = errors.Join(err, rerr)
	}
	return err
}
