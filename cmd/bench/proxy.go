package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"
)

// proxy stands before a server and passes each request on after a delay, as if the server
// were far away. Bytes are not delayed: the line is as wide as it was.
type proxy struct {
	delay    time.Duration
	dial     func() (net.Conn, error) // to the server
	listener net.Listener
	running  sync.WaitGroup

	mu    sync.Mutex // protects what follows
	conns map[net.Conn]struct{}
	ended bool
}

// startProxy listens on a port of its own.
func startProxy(server string, delay time.Duration) (*proxy, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	dial := func() (net.Conn, error) { return net.Dial("tcp", server) }
	p := &proxy{delay: delay, dial: dial, listener: l, conns: map[net.Conn]struct{}{}}
	p.running.Go(p.accept)
	return p, nil
}

func (p *proxy) address() string { return p.listener.Addr().String() }

// close ends all connections and waits until nobody uses them.
func (p *proxy) close() error {
	err := p.listener.Close()
	p.mu.Lock()
	p.ended = true
	for c := range p.conns {
		_ = c.Close() // whoever uses it finds out
	}
	p.mu.Unlock()
	p.running.Wait()
	return err
}

func (p *proxy) accept() {
	for {
		c, err := p.listener.Accept()
		if err != nil {
			return
		}
		p.running.Go(func() { p.serve(c) })
	}
}

// keep remembers a connection until close; false if that came first.
func (p *proxy) keep(c net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.ended {
		p.conns[c] = struct{}{}
	}
	return !p.ended
}

func (p *proxy) drop(c net.Conn) {
	_ = c.Close() // it may be closed
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.conns, c)
}

// serve passes the requests of one connection on, in a connection of their own.
func (p *proxy) serve(client net.Conn) {
	defer p.drop(client)
	if !p.keep(client) {
		return
	}
	server, err := p.dial()
	if err != nil {
		return
	}
	defer p.drop(server)
	if !p.keep(server) {
		return
	}
	p.running.Go(func() {
		_, _ = io.Copy(client, server) // answers, until one side has had enough
		_ = client.Close()
	})
	requests := bufio.NewReader(client)
	for {
		head, length, err := readHead(requests)
		if err != nil {
			return
		}
		time.Sleep(p.delay)
		if _, err := server.Write(head); err != nil {
			return
		}
		// What is not in the buffer yet goes from socket to socket inside the kernel.
		buffered := min(length, int64(requests.Buffered()))
		if _, err := io.CopyN(server, requests, buffered); err != nil {
			return
		}
		if _, err := io.CopyN(server, client, length-buffered); err != nil {
			return
		}
	}
}

// errTransfer is a body that does not say how long it is. No client of S3 sends one.
var errTransfer = errors.New("a body without a length")

// readHead reads a request up to its body, and how many bytes the body has.
func readHead(r *bufio.Reader) (head []byte, length int64, err error) {
	var text bytes.Buffer
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return nil, 0, err
		}
		text.WriteString(line)
		name, value, _ := strings.Cut(line, ":")
		switch {
		case strings.TrimRight(line, "\r\n") == "":
			return text.Bytes(), length, nil
		case strings.EqualFold(name, "Transfer-Encoding"):
			return nil, 0, errTransfer
		case strings.EqualFold(name, "Content-Length"):
			if length, err = strconv.ParseInt(strings.TrimSpace(value), 10, 64); err != nil || length < 0 {
				return nil, 0, fmt.Errorf("content-length %q", value)
			}
		}
	}
}
