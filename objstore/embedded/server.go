package embedded

import (
	"errors"
	"log/slog"

	"objvol/objstore"
)

// Region is the region that the server answers for.
const Region = "us-east-1"

// Endpoint is the URL of requests that go through the socket. Its host is never
// resolved.
const Endpoint = "http://localhost"

// ErrLeftOut is the error of Start in a program that was built without the server.
var ErrLeftOut = errors.New("this program was built without the embedded store (build tag noembedded): give an S3 endpoint")

// Options say where the store lives.
type Options struct {
	// Dir is the store's folder, made with mode 0700 if it is missing. Its file system
	// must hold user xattrs. Only one process serves it at a time.
	Dir string
	// Listen is a TCP address, host:port, on which the server answers as well, without
	// TLS. Empty means on the socket alone.
	Listen string
	// Log takes the server's messages.
	Log *slog.Logger
}

// Server is a running store. Its methods may be called from many goroutines at once.
type Server struct {
	socket    string
	accessKey string
	secretKey string
	syncs     *syncs
	stop      func() error // called once
}

// Socket returns the absolute path of the unix socket.
func (s *Server) Socket() string { return s.socket }

// AccessKey returns the access key of the store's only account.
func (s *Server) AccessKey() string { return s.accessKey }

// SecretKey returns the secret that belongs to AccessKey.
func (s *Server) SecretKey() string { return s.secretKey }

// Capabilities says what the store can do; nobody needs to probe it.
func (s *Server) Capabilities() objstore.Capabilities {
	return objstore.Capabilities{
		ConditionalPut:      true,
		ConditionalComplete: true,
		ConditionalDelete:   true,
		BatchDelete:         true,
		SetAttributes:       true,
		CopyPart:            true,
	}
}

// Close ends the server: it refuses new connections, gives running requests 10 s, waits
// for the server's goroutines and for the last sync, and removes the socket. It is
// called once.
func (s *Server) Close() error { return s.stop() }
