package driver

import (
	"context"
	"fmt"

	docker "github.com/docker/go-plugins-helpers/volume"
)

// request is the driver as one request sees it: the library's interface has no room for a
// context, so each request brings its own.
type request struct {
	d   *Driver
	ctx context.Context
}

var _ docker.Driver = request{}

// Create makes a volume known. It may be repeated with equal options.
func (r request) Create(q *docker.CreateRequest) error { return r.d.Create(r.ctx, q.Name, q.Options) }

// Remove forgets a volume that nobody holds.
func (r request) Remove(q *docker.RemoveRequest) error { return r.d.Remove(q.Name) }

// Mount counts a reference of q.ID and answers the mountpoint.
func (r request) Mount(q *docker.MountRequest) (*docker.MountResponse, error) {
	dir, err := r.d.Mount(r.ctx, q.Name, q.ID)
	return &docker.MountResponse{Mountpoint: dir}, err
}

// Unmount ends a reference of q.ID.
func (r request) Unmount(q *docker.UnmountRequest) error { return r.d.Unmount(q.Name, q.ID) }

// Path answers the mountpoint, empty if the volume is not mounted.
func (r request) Path(q *docker.PathRequest) (*docker.PathResponse, error) {
	i, err := r.d.Info(q.Name)
	if err != nil {
		return nil, err
	}
	return &docker.PathResponse{Mountpoint: i.Mountpoint}, nil
}

// Get tells of one volume, from memory.
func (r request) Get(q *docker.GetRequest) (*docker.GetResponse, error) {
	i, err := r.d.Info(q.Name)
	if err != nil {
		return nil, err
	}
	v := i.volume()
	v.Status = i.status()
	return &docker.GetResponse{Volume: v}, nil
}

// List tells of all volumes, by name, from memory.
func (r request) List() (*docker.ListResponse, error) {
	list := &docker.ListResponse{Volumes: []*docker.Volume{}}
	for _, i := range r.d.Infos() {
		list.Volumes = append(list.Volumes, i.volume())
	}
	return list, nil
}

// Capabilities tells whether the same volumes are seen from other hosts.
func (r request) Capabilities() *docker.CapabilitiesResponse {
	scope := "global"
	if r.d.defaults.Endpoint == "" {
		scope = "local" // the embedded store is this host's own
	}
	return &docker.CapabilitiesResponse{Capabilities: docker.Capability{Scope: scope}}
}

// about names the volume in an error.
func about(name string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("volume %.64q: %w", name, err)
}
