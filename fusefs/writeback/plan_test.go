package writeback

import (
	"errors"
	"maps"
	"strings"
	"testing"

	"objvol/fusefs/index"
	"objvol/fusefs/layout"
	"objvol/objstore"
)

// scene is an index in which a test sets up two states: what is wanted, and what the
// bucket holds.
type scene struct {
	*index.Tx
	t        *testing.T
	layout   layout.Layout
	busy     map[string]bool
	resolved map[string]bool
	small    bool
}

// inScene runs a test on an empty tree with its root.
func inScene(t *testing.T, test func(s *scene)) {
	t.Helper()
	x, err := index.Open(t.TempDir(), index.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := x.Close(); err != nil {
			t.Error(err)
		}
	}()
	l, err := layout.New("v")
	if err != nil {
		t.Fatal(err)
	}
	err = x.Update(func(tx *index.Tx) error {
		s := &scene{Tx: tx, t: t, layout: l, busy: map[string]bool{}, resolved: map[string]bool{}, small: true}
		s.put(index.Inode{Ino: index.Root, Mode: 0o040755, Nlink: 1, Placed: "v/", Dir: &index.Dir{}})
		test(s)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func (s *scene) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

func (s *scene) put(n index.Inode) {
	s.t.Helper()
	s.must(s.PutInode(n))
}

// enter gives a path an inode. Its parent is there.
func (s *scene) enter(path string, ino index.Ino) {
	s.t.Helper()
	parent, name := index.Root, path
	for {
		dir, rest, deeper := strings.Cut(name, "/")
		if !deeper {
			break
		}
		var err error
		parent, err = s.Lookup(parent, dir)
		s.must(err)
		name = rest
	}
	s.must(s.Enter(parent, name, ino))
}

// at returns what a name in the root stands for.
func (s *scene) at(name string) index.Ino {
	s.t.Helper()
	ino, err := s.Lookup(index.Root, name)
	s.must(err)
	return ino
}

// file makes a file with a path, which is empty for an unlinked one, and the key at which
// the bucket has it. It has changes of attributes where both differ, as renames make.
func (s *scene) file(ino index.Ino, path, placed string) index.Inode {
	s.t.Helper()
	n := index.Inode{Ino: ino, Mode: 0o100644, Size: 10, Gen: 1, Placed: placed}
	if placed != "" {
		n.PlacedGen = 1
		s.key(placed, ino)
	}
	if path != "" {
		n.Nlink = 1
		s.enter(path, ino)
	}
	s.put(n)
	return n
}

// dir makes a directory with the marker that the bucket has, if it has one.
func (s *scene) dir(ino index.Ino, path, placed string) {
	s.t.Helper()
	n := index.Inode{Ino: ino, Mode: 0o040755, Nlink: 1, AttrGen: 1, Placed: placed, Dir: &index.Dir{}}
	if placed != "" {
		n.PlacedAttrGen = 1
		s.key(placed, ino)
	}
	s.enter(path, ino)
	s.put(n)
}

// key records an object.
func (s *scene) key(key string, owner index.Ino) {
	s.t.Helper()
	size := int64(10)
	if isMarker(key) {
		size = 0
	}
	s.must(s.PutKey(index.Key{Key: key, ETag: "etag of " + key, Size: size, Owner: owner}))
}

// linked makes a file with two names, of which the bucket has the first one's object, and
// the group's record. It returns the names' members, whose numbers are new ones: small.
func (s *scene) linked(ino index.Ino, path, placed, other string) (first, second index.Ino) {
	s.t.Helper()
	n, err := AddName(s.Tx, s.file(ino, path, placed), index.Root, other)
	s.must(err)
	record, err := s.Inode(n.Record)
	s.must(err)
	record.Placed, record.PlacedGen, record.PlacedAttrGen = s.layout.Records().Link(n.Link), n.Gen, record.AttrGen
	s.put(record)
	s.key(record.Placed, record.Ino)
	return s.at(path), s.at(other)
}

// leave ends a member whose name was removed.
func (s *scene) leave(ino index.Ino) {
	s.t.Helper()
	m, err := s.Inode(ino)
	s.must(err)
	n, err := New(Config{}).Leave(s.Tx, m)
	s.must(err)
	s.put(n)
}

// worst is a name that no key can have.
var worst = strings.Repeat("\xff", layout.MaxName)

// long is the key of a path, which is in overflow form.
func (s *scene) long(path string, isDir bool) string {
	s.t.Helper()
	locate := s.layout.File
	if isDir {
		locate = s.layout.Dir
	}
	key, err := locate(path)
	s.must(err)
	if !s.layout.IsLong(key) {
		s.t.Fatalf("%q is plain", key)
	}
	return key
}

// placed records that a directory's marker is in the bucket.
func (s *scene) placed(ino index.Ino, key string) {
	s.t.Helper()
	n, err := s.Inode(ino)
	s.must(err)
	n.Placed, n.PlacedAttrGen = key, n.AttrGen
	s.put(n)
	s.key(key, ino)
}

func (s *scene) plan(t task) Step {
	s.t.Helper()
	p := planner{
		Reader: s.Tx, layout: s.layout,
		busy:     func(key string) bool { return s.busy[key] },
		resolved: func(key string) bool { return s.resolved[key] },
		local:    func(index.Inode) (bool, error) { return s.small, nil },
	}
	step, err := p.plan(t)
	s.must(err)
	return step
}

func (s *scene) want(t task, want Step) {
	s.t.Helper()
	if got := s.plan(t); got != want {
		s.t.Errorf("the plan for %+v is %+v, not %+v", t, got, want)
	}
}

var absent = objstore.Condition{IfAbsent: true}

func match(key string) objstore.Condition { return objstore.Condition{IfMatch: "etag of " + key} }

// The plans of simple states.
func TestPlan(t *testing.T) {
	t.Parallel()
	hidden := ".objvol/volumes/v/moving/5"
	for name, test := range map[string]func(s *scene){
		"new file": func(s *scene) {
			s.file(5, "a", "")
			s.want(inodeTask(5), Step{Action: Put, Ino: 5, Key: "v/a", Cond: absent})
		},
		"nothing to do": func(s *scene) {
			s.file(5, "a", "v/a")
			s.want(inodeTask(5), Step{})
			s.want(keyTask("v/a"), Step{})
			s.want(keyTask("v/unknown"), Step{})
			s.want(inodeTask(99), Step{})
		},
		"new content": func(s *scene) {
			n := s.file(5, "a", "v/a")
			n.Gen++
			s.put(n)
			s.want(inodeTask(5), Step{Action: Put, Ino: 5, Key: "v/a", Cond: match("v/a")})
		},
		"new attributes of a small and of a large file": func(s *scene) {
			n := s.file(5, "a", "v/a")
			n.AttrGen++
			s.put(n)
			s.want(inodeTask(5), Step{Action: Put, Ino: 5, Key: "v/a", Cond: match("v/a")})
			s.small = false
			s.want(inodeTask(5), Step{Action: Copy, Ino: 5, Key: "v/a", From: "v/a", Gen: 1, Cond: match("v/a")})
		},
		"renamed": func(s *scene) {
			s.file(5, "b", "v/a")
			s.small = false
			s.want(inodeTask(5), Step{Action: Copy, Ino: 5, Key: "v/b", From: "v/a", Gen: 1, Cond: absent})
			s.want(keyTask("v/a"), wait(inodeTask(5)))
		},
		"unlinked and created again: the old object is overwritten": func(s *scene) {
			s.file(5, "", "v/a")
			s.file(6, "a", "")
			s.want(inodeTask(6), Step{Action: Put, Ino: 6, Key: "v/a", Cond: match("v/a")})
			s.want(keyTask("v/a"), wait(inodeTask(6)))
		},
		"an object is there: nothing waits for what was found below it, on a store that holds both": func(s *scene) {
			s.file(5, "", "v/a")
			s.file(6, "a", "")
			s.key("v/a/b", 0)
			s.want(inodeTask(6), Step{Action: Put, Ino: 6, Key: "v/a", Cond: match("v/a")})
		},
		"unlinked": func(s *scene) {
			s.file(5, "", "v/a")
			s.want(inodeTask(5), Step{})
			s.want(keyTask("v/a"), Step{Action: Delete, Key: "v/a", Cond: match("v/a")})
		},
		"unlinked, open and not complete: fetched before its key goes": func(s *scene) {
			s.file(5, "", "v/a")
			s.must(s.PutContent(5, index.Content{BaseLen: 10}))
			s.want(keyTask("v/a"), Step{Action: Rescue, Ino: 5, Key: "v/a"})
			s.file(6, "a", "")
			s.want(inodeTask(6), Step{Action: Rescue, Ino: 5, Key: "v/a"})
			whole := index.Content{BaseLen: 10}
			whole.Resident.Add(0, 10)
			s.must(s.PutContent(5, whole))
			s.want(inodeTask(6), Step{Action: Put, Ino: 6, Key: "v/a", Cond: match("v/a")})
		},
		"unlinked, and its object is another writer's: nothing to fetch": func(s *scene) {
			n := s.file(5, "", "v/a")
			s.must(s.PutContent(5, index.Content{BaseLen: 10}))
			n.Placed = ""
			s.put(n)
			s.want(keyTask("v/a"), Step{Action: Delete, Key: "v/a", Cond: match("v/a")})
		},
		"a key with a request under way": func(s *scene) {
			n := s.file(5, "a", "v/a")
			n.Gen++
			s.put(n)
			s.busy["v/a"] = true
			s.want(inodeTask(5), wait(keyTask("v/a")))
			s.want(keyTask("v/a"), wait(keyTask("v/a")))
		},
		"a source with a request under way": func(s *scene) {
			s.file(5, "b", "v/a")
			s.small = false
			s.busy["v/a"] = true
			s.want(inodeTask(5), wait(keyTask("v/a")))
		},
		"a write of unknown end is looked for first": func(s *scene) {
			n := s.file(5, "a", "")
			s.must(s.PutKey(index.Key{Key: "v/a", Gone: true, Request: "1-x"}))
			s.want(inodeTask(5), Step{Action: Resolve, Key: "v/a"})
			s.want(keyTask("v/a"), Step{Action: Resolve, Key: "v/a"})
			n.Sending = "v/old"
			s.put(n)
			s.want(inodeTask(5), Step{Action: Resolve, Key: "v/old"})
			s.resolved["v/a"], s.resolved["v/old"] = true, true
			s.want(inodeTask(5), Step{Action: Put, Ino: 5, Key: "v/a", Cond: absent})
		},
		"an unlinked inode's write of unknown end": func(s *scene) {
			n := s.file(5, "", "")
			n.Sending = "v/a"
			s.put(n)
			s.want(inodeTask(5), Step{Action: Resolve, Key: "v/a"})
			s.resolved["v/a"] = true
			s.want(inodeTask(5), Step{})
		},
		"a chain moves from its end": func(s *scene) {
			s.file(5, "b", "v/a")
			s.file(6, "c", "v/b")
			s.want(inodeTask(5), wait(inodeTask(6)))
			s.want(inodeTask(6), Step{Action: Put, Ino: 6, Key: "v/c", Cond: absent})
		},
		"swapped: one is copied out of the way, the same whoever asks": func(s *scene) {
			s.file(6, "a", "v/b")
			s.file(5, "b", "v/a")
			parked := Step{Action: Park, Ino: 5, From: "v/a", Key: hidden}
			s.want(inodeTask(5), parked)
			s.want(inodeTask(6), parked)
			s.busy[hidden] = true // an earlier hidden copy is being deleted
			s.want(inodeTask(6), wait(keyTask(hidden)))
			s.busy[hidden], s.busy["v/a"] = false, true
			s.want(inodeTask(5), wait(inodeTask(6)))
		},
		"moved below its own name": func(s *scene) {
			s.dir(6, "a", "")
			s.file(5, "a/b", "v/a")
			s.want(inodeTask(5), Step{Action: Park, Ino: 5, From: "v/a", Key: hidden})
			s.want(inodeTask(6), wait(inodeTask(5)))
		},
		"the newest copy of a removed name is in the way of another one": func(s *scene) {
			removed, other := s.linked(50, "a", "v/a", "b")
			s.must(s.Remove(index.Root, "a"))
			s.leave(removed)
			s.dir(60, "a", "")
			s.must(s.Remove(index.Root, "b"))
			s.enter("a/b", other)
			moving := s.layout.Records().Moving(uint64(removed))
			s.want(keyTask("v/a"), wait(inodeTask(other)))
			s.want(inodeTask(other), Step{Action: Park, Ino: removed, From: "v/a", Key: moving})
			s.want(inodeTask(60), wait(keyTask("v/a")))
		},
		"of two removed names neither relies on the other's copy": func(s *scene) {
			first, second := s.linked(50, "a", "v/a", "b")
			m, err := s.Inode(second)
			s.must(err)
			m.Placed, m.PlacedGen, m.PlacedAttrGen = "v/b", m.Gen, m.AttrGen
			s.put(m)
			s.key("v/b", second)
			whole, err := s.Inode(50)
			s.must(err)
			_, err = AddName(s.Tx, whole, index.Root, "c")
			s.must(err)
			for name, ino := range map[string]index.Ino{"a": first, "b": second} {
				s.must(s.Remove(index.Root, name))
				s.leave(ino)
			}
			for _, key := range []string{"v/a", "v/b"} {
				s.want(keyTask(key), wait(inodeTask(s.at("c"))))
			}
		},
		"several names of what was never sent": func(s *scene) {
			n, err := AddName(s.Tx, s.file(5, "a", ""), index.Root, "b")
			s.must(err)
			s.put(n)
			s.want(inodeTask(5), Step{Action: Bind, Ino: 5})
			s.must(s.Remove(index.Root, "a"))
			n.Nlink--
			s.put(n)
			s.want(inodeTask(5), Step{Action: Put, Ino: 5, Key: "v/b", Cond: objstore.Condition{IfAbsent: true}})
		},
		"a key waits for what is wanted there, whatever that waits for under another name": func(s *scene) {
			s.file(5, "", "v/x")
			s.key("v/a", 0)
			n, err := AddName(s.Tx, s.file(6, "a", ""), index.Root, "x")
			s.must(err)
			s.put(n)
			s.want(keyTask("v/x"), wait(inodeTask(6)))
		},
		"a file goes before a key below it comes": func(s *scene) {
			s.file(5, "", "v/a")
			s.dir(6, "a", "")
			s.file(7, "a/b", "")
			s.want(inodeTask(6), wait(keyTask("v/a")))
			s.want(inodeTask(7), wait(keyTask("v/a")))
			s.want(keyTask("v/a"), Step{Action: Delete, Key: "v/a", Cond: match("v/a")})
		},
		"a file under way, or with an end that nobody knows, counts": func(s *scene) {
			s.must(s.PutKey(index.Key{Key: "v/a", Gone: true, Request: "1-x"}))
			s.dir(6, "a", "")
			s.want(inodeTask(6), wait(keyTask("v/a")))
			s.busy["v/a"] = true
			s.want(inodeTask(6), wait(keyTask("v/a")))
			s.busy["v/a"], s.resolved["v/a"] = false, true
			s.want(inodeTask(6), Step{Action: Put, Ino: 6, Key: "v/a/", Cond: absent})
		},
		"the keys below go before a file comes": func(s *scene) {
			s.key("v/a/", 0)
			s.key("v/a/b", 0)
			s.file(5, "a", "")
			s.want(keyTask("v/a/"), wait(keyTask("v/a/b")))
			s.want(keyTask("v/a/b"), Step{Action: Delete, Key: "v/a/b", Cond: match("v/a/b")})
			if got := s.plan(inodeTask(5)); got.Action != Wait {
				s.t.Errorf("the plan is %+v", got)
			}
			s.must(s.DeleteKey("v/a/b"))
			s.want(inodeTask(5), wait(keyTask("v/a/")))
			s.want(keyTask("v/a/"), Step{Action: Delete, Key: "v/a/", Cond: match("v/a/")})
			s.must(s.PutKey(index.Key{Key: "v/a/", Gone: true, Request: "1-x"}))
			s.want(inodeTask(5), wait(keyTask("v/a/")))
		},
		"a marker comes before the last key below it goes": func(s *scene) {
			s.dir(6, "d", "")
			s.key("v/d/a", 0)
			s.want(keyTask("v/d/a"), wait(inodeTask(6)))
			s.want(inodeTask(6), Step{Action: Put, Ino: 6, Key: "v/d/", Cond: absent})
		},
		"a marker in overflow form comes before the last key below it goes": func(s *scene) {
			name := strings.Repeat("n", layout.MaxName)
			s.dir(6, name, "")
			s.key("v/"+name+"/a", 0)
			s.want(keyTask("v/"+name+"/a"), wait(inodeTask(6)))
			s.want(inodeTask(6), Step{Action: Put, Ino: 6, Key: s.long(name, true), Cond: absent})
		},
		"a file that moves to overflow form waits for the marker of its directory": func(s *scene) {
			s.dir(6, "d", "")
			key := s.long("d/"+worst, false)
			s.file(5, "d/"+worst, "v/old")
			s.want(inodeTask(5), wait(inodeTask(6)))
			s.want(inodeTask(6), Step{Action: Put, Ino: 6, Key: "v/d/", Cond: absent})
			s.placed(6, "v/d/")
			s.want(inodeTask(5), Step{Action: Put, Ino: 5, Key: key, Cond: absent})
		},
		"a marker goes after the names in overflow form below it": func(s *scene) {
			key := s.long("d/"+worst, false)
			s.key("v/d/", 0)
			s.key(key, 0)
			s.want(keyTask("v/d/"), wait(keyTask(key)))
			s.want(keyTask(key), Step{Action: Delete, Key: key, Cond: match(key)})
			s.must(s.DeleteKey(key))
			s.want(keyTask("v/d/"), Step{Action: Delete, Key: "v/d/", Cond: match("v/d/")})
		},
		"a key in overflow form is overwritten by the name that its record tells": func(s *scene) {
			key := s.long(worst, false)
			s.file(6, worst, "")
			s.key(key, 0)
			s.want(keyTask(key), Step{Action: Delete, Key: key, Cond: match(key)})
			s.must(s.PutKey(index.Key{Key: key, ETag: "etag of " + key, At: index.Name{Parent: index.Root, Name: worst}}))
			s.want(keyTask(key), wait(inodeTask(6)))
			s.want(inodeTask(6), Step{Action: Put, Ino: 6, Key: key, Cond: match(key)})
		},
		"of a file and a directory in overflow form one goes first": func(s *scene) {
			file, marker := s.long(worst, false), s.long(worst, true)
			s.dir(6, worst, "")
			s.key(file, 0)
			s.want(inodeTask(6), wait(keyTask(file)))
			s.must(s.Remove(index.Root, worst))
			s.must(s.DeleteKey(file))
			s.file(5, worst, "")
			s.key(marker, 0)
			s.want(inodeTask(5), wait(keyTask(marker)))
		},
		"a marker with a content is copied, not written anew": func(s *scene) {
			s.dir(6, "d", "v/d/")
			n, err := s.Inode(6)
			s.must(err)
			n.AttrGen++
			s.put(n)
			s.want(inodeTask(6), Step{Action: Put, Ino: 6, Key: "v/d/", Cond: match("v/d/")})
			s.must(s.PutKey(index.Key{Key: "v/d/", ETag: "etag of v/d/", Size: 5, Owner: 6}))
			s.want(inodeTask(6), Step{Action: Copy, Ino: 6, Key: "v/d/", From: "v/d/", Cond: match("v/d/")})
		},
		"a hidden copy goes without regard to directories": func(s *scene) {
			s.key(hidden, 0)
			s.want(keyTask(hidden), Step{Action: Delete, Key: hidden, Cond: match(hidden)})
		},
		"what is parked goes home": func(s *scene) {
			s.file(5, "b", hidden)
			s.small = false
			s.want(inodeTask(5), Step{Action: Copy, Ino: 5, Key: "v/b", From: hidden, Gen: 1, Cond: absent})
			s.want(keyTask(hidden), wait(inodeTask(5)))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inScene(t, test)
		})
	}
}

// A path is put together from the names, and a key from the path.
func TestPath(t *testing.T) {
	t.Parallel()
	inScene(t, func(s *scene) {
		s.dir(5, "d", "v/d/")
		s.file(6, "d/f", "")
		s.file(7, "", "")
		got := map[index.Ino]string{}
		for _, ino := range []index.Ino{index.Root, 5, 6} {
			path, err := Path(s, ino)
			s.must(err)
			n, err := s.Inode(ino)
			s.must(err)
			key, err := KeyOf(s, s.layout, n)
			s.must(err)
			got[ino] = path + " " + key
			owner, ok, err := wantedBy(s, s.layout, key)
			if err != nil || !ok || owner.Ino != ino {
				t.Errorf("%q is wanted by %d: %t, %v", key, owner.Ino, ok, err)
			}
		}
		if want := map[index.Ino]string{index.Root: " v/", 5: "d v/d/", 6: "d/f v/d/f"}; !maps.Equal(got, want) {
			t.Errorf("the paths are %v", got)
		}
		if _, err := Path(s, 7); !errors.Is(err, index.ErrNotFound) {
			t.Errorf("the path of what has no name: %v", err)
		}
		for _, key := range []string{"v/d", "v/d/f/", "v/x/f", "v/d/x", "elsewhere"} {
			if n, ok, err := wantedBy(s, s.layout, key); ok || err != nil {
				t.Errorf("%q is wanted by %d, %v", key, n.Ino, err)
			}
		}
		s.must(s.Enter(8, "loop", 9))
		s.must(s.Enter(9, "loop", 8))
		if _, err := Path(s, 8); err == nil {
			t.Error("a damaged index has a path")
		}
	})
}
