package fusefs

import (
	"testing"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"
)

func TestChangesKillPrivileges(t *testing.T) {
	for name, c := range map[string]struct {
		valid uint32
		want  bool
	}{
		"nothing":                 {0, true},
		"nothing, with a handle":  {fuse.FATTR_FH, true},
		"nothing, with an owner":  {fuse.FATTR_LOCKOWNER, true},
		"chown":                   {fuse.FATTR_UID, true},
		"chgrp":                   {fuse.FATTR_GID, true},
		"truncate":                {fuse.FATTR_SIZE, false},
		"truncate by others":      {fuse.FATTR_SIZE | fuse.FATTR_KILL_SUIDGID, true},
		"chmod":                   {fuse.FATTR_MODE, false},
		"utimes":                  {fuse.FATTR_ATIME | fuse.FATTR_MTIME, false},
		"ftruncate with a handle": {fuse.FATTR_SIZE | fuse.FATTR_FH, false},
	} {
		in := &fuse.SetAttrIn{}
		in.Valid = c.valid
		if got := changes(in).KillPriv; got != c.want {
			t.Errorf("%s: got %v, want %v", name, got, c.want)
		}
	}
}

func TestChangesAreWhatIsValid(t *testing.T) {
	in := &fuse.SetAttrIn{}
	in.Mode, in.Uid, in.Gid, in.Size, in.Fh = 0o104755, 1, 2, 3, 4
	in.Atime, in.Atimensec, in.Mtime, in.Mtimensec = 5, 6, 7, 8
	if s := changes(in); s.Mode != nil || s.UID != nil || s.GID != nil || s.Size != nil || s.Atime != nil || s.Mtime != nil || s.Ctime != nil || s.Handle != 0 {
		t.Errorf("nothing is valid, got %+v", s)
	}
	in.Valid = fuse.FATTR_MODE | fuse.FATTR_UID | fuse.FATTR_GID | fuse.FATTR_SIZE | fuse.FATTR_FH | fuse.FATTR_ATIME | fuse.FATTR_MTIME
	s := changes(in)
	if *s.Mode != 0o4755 || *s.UID != 1 || *s.GID != 2 || *s.Size != 3 || s.Handle != 4 || !s.Atime.Equal(time.Unix(5, 6)) || !s.Mtime.Equal(time.Unix(7, 8)) {
		t.Errorf("got %+v", s)
	}
	in.Valid = fuse.FATTR_MTIME | fuse.FATTR_MTIME_NOW
	if s := changes(in); s.Atime != nil || s.Mtime.Unix() <= 7 {
		t.Errorf("now is %v", s.Mtime)
	}
}
