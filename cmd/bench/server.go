package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"

	"objvol/objstore/objstoretest"
)

// benchBucket is the bucket of everything.
const benchBucket = "bench"

// server is the MinIO of the bench.
type server struct {
	objstoretest.Server
}

// traffic is what a server has answered.
type traffic struct {
	requests int64
	received int64 // bytes of bodies
	sent     int64
}

func (t traffic) since(before traffic) traffic {
	return traffic{t.requests - before.requests, t.received - before.received, t.sent - before.sent}
}

// traffic asks the server: it counts every request of everybody, exactly and at once.
func (s server) traffic(ctx context.Context) (traffic, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.Endpoint+"/minio/metrics/v3/api/requests", nil)
	if err != nil {
		return traffic{}, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return traffic{}, err
	}
	defer func() { _ = resp.Body.Close() }() // it was read
	text, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("metrics of MinIO: %s\n%s", resp.Status, text)
	}
	if err != nil {
		return traffic{}, err
	}
	return readTraffic(string(text))
}

// readTraffic adds up what MinIO's metrics say, in the text format of Prometheus.
func readTraffic(text string) (t traffic, err error) {
	fields := map[string]*int64{
		"minio_api_requests_total":                  &t.requests,
		"minio_api_requests_traffic_received_bytes": &t.received,
		"minio_api_requests_traffic_sent_bytes":     &t.sent,
	}
	for line := range strings.Lines(text) {
		name, rest, _ := strings.Cut(line, "{")
		field := fields[name]
		if field == nil {
			continue
		}
		_, value, _ := strings.Cut(rest, "} ")
		n, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
		if err != nil {
			return t, fmt.Errorf("metrics of MinIO: %q: %w", line, err)
		}
		*field += int64(n)
	}
	return t, nil
}
