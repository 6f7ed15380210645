package driver

import (
	"maps"
	"slices"
	"time"

	docker "github.com/docker/go-plugins-helpers/volume"
)

// Info is what can be told of a volume without asking anybody.
type Info struct {
	Name       string
	Mountpoint string // empty unless mounted
	CreatedAt  time.Time
	Phase      Phase
	Holders    map[string]int // references by mount ID
	Endpoint   string
	Bucket     string
	Prefix     string
	Pending    Pending
	LastError  error // of the mount, or of mounting
}

// References counts the holders.
func (i Info) References() (n int) {
	for _, count := range i.Holders {
		n += count
	}
	return n
}

// info tells of the volume; known is false while only its Create knows it.
func (v *volume) info(s *state) (i Info, known bool) {
	v.mu.Lock()
	live := v.live
	i = Info{
		Name: v.spec.Name, CreatedAt: v.created, Phase: v.phase,
		Endpoint: v.spec.Endpoint, Bucket: v.spec.Bucket, Prefix: v.spec.Prefix,
		Pending: v.pending, LastError: v.lastError,
	}
	v.mu.Unlock()
	if i.Phase == Creating || i.Phase == removed {
		return Info{}, false
	}
	i.Holders = s.holders(i.Name)
	if i.LastError == nil {
		i.LastError = v.sick
	}
	if live != nil {
		status := live.Status()
		i.Mountpoint, i.Pending = v.dir, status.Pending
		if status.LastError != nil {
			i.LastError = status.LastError
		}
	}
	return i, true
}

// Info tells of one volume, from memory. An unknown name is an error.
func (d *Driver) Info(name string) (Info, error) {
	v, err := d.lookup(name)
	if err != nil {
		return Info{}, about(name, err)
	}
	i, known := v.info(d.state)
	if !known {
		return Info{}, about(name, errUnknown)
	}
	return i, nil
}

// Infos tells of all volumes, by name, from memory.
func (d *Driver) Infos() []Info {
	d.mu.Lock()
	volumes := maps.Clone(d.volumes)
	d.mu.Unlock()
	all := []Info{}
	for _, name := range slices.Sorted(maps.Keys(volumes)) {
		if i, known := volumes[name].info(d.state); known {
			all = append(all, i)
		}
	}
	return all
}

// volume is the part of Info that List shows.
func (i Info) volume() *docker.Volume {
	return &docker.Volume{
		Name:       i.Name,
		Mountpoint: i.Mountpoint,
		CreatedAt:  i.CreatedAt.UTC().Format(time.RFC3339), // the engine refuses anything else
	}
}

// status is the part of Info that only Get shows: "docker volume inspect" prints it.
func (i Info) status() map[string]any {
	s := map[string]any{
		"state":        string(i.Phase),
		"holders":      i.Holders,
		"endpoint":     i.Endpoint,
		"bucket":       i.Bucket,
		"prefix":       i.Prefix,
		"pendingFiles": i.Pending.Files,
		"pendingBytes": i.Pending.Bytes,
		"lastError":    "",
	}
	if i.LastError != nil {
		s["lastError"] = i.LastError.Error()
	}
	return s
}
