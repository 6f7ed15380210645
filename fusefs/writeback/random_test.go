package writeback_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"path"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"objvol/fusefs/layout"
	"objvol/objstore"
	"objvol/objstore/memory"
)

// entry is what a name of the model stands for: a directory or a file. Several names can
// stand for one file.
type entry struct {
	dir bool
	*file
}

type file struct {
	content string
	mode    uint32
}

// player plays a program on a volume and on a model of it, and looks after the bucket at
// every request: content that was in the bucket and is still wanted stays there.
type player struct {
	v      *volume
	bucket *memory.Bucket
	rest   []byte
	tree   map[string]entry
	serial int
	log    []string
	heal   []func() // ends the faults

	mu     sync.Mutex      // protects what follows; requests look at it
	wanted map[string]bool // content -> the bucket has had it
	lost   []string
}

// play runs a program: a few kinds of stores, then one operation after the other.
func play(t *testing.T, program []byte) {
	t.Helper()
	p := &player{rest: program, tree: map[string]entry{}, wanted: map[string]bool{}}
	var without objstore.Capabilities
	kind := p.draw(32)
	without.FileAndDirectory = kind&1 != 0
	without.ConditionalDelete = kind&2 != 0
	without.CopyPart = kind&4 != 0
	without.BatchDelete = kind&16 != 0
	more := p.draw(4)
	without.SetAttributes = more&2 != 0
	p.bucket = memory.New(memory.Options{Without: without, ContentETags: more&1 == 0})
	for _, op := range []string{objstore.OpPut, objstore.OpDelete, objstore.OpDeleteMany, objstore.OpCompleteUpload, objstore.OpSetAttributes} {
		p.bucket.Inject(memory.Fault{Op: op, Count: memory.Forever, After: true, Hook: p.look})
	}
	store := objstore.Bucket(p.bucket)
	if kind&8 != 0 {
		store = objstore.WithLimit(p.bucket, 1+p.draw(3))
	}
	bubble(t, store, func(v *volume) {
		p.v = v
		v.names("")
		for len(p.rest) > 0 && !t.Failed() {
			p.step()
		}
		p.calm()
		v.drain()
		time.Sleep(time.Minute) // leftovers that could not be looked for are looked for again
		v.drain()
		p.compare()
		if state := v.State(); state.LastError != nil || state.Conflicts != 0 {
			t.Errorf("after all was sent: %d conflicts, error %v", state.Conflicts, state.LastError)
		}
		if t.Failed() {
			t.Logf("store %05b %02b\n%s", kind, more, strings.Join(p.log, "\n"))
		}
	})
}

// draw takes a number below n from the program.
func (p *player) draw(n int) int {
	if len(p.rest) == 0 {
		return 0
	}
	b := p.rest[0]
	p.rest = p.rest[1:]
	return int(b) % n
}

// names are those of the model. Of a directory with the third, the marker is in overflow
// form and what lies in it is not; four of it make the path too long for a key. With the
// last everything is in overflow form.
var names = []string{"a", "b", strings.Repeat("n", 250), strings.Repeat("\xff", 255)}

func (p *player) name() string { return names[p.draw(len(names))] }

// path draws a path whose parent is a directory.
func (p *player) path() string {
	name := p.name()
	for p.tree[name].dir && strings.Count(name, "/") < 5 && p.draw(4) > 0 {
		name += "/" + p.name()
	}
	return name
}

func (p *player) note(format string, args ...any) {
	line := fmt.Sprintf(format, args...)
	for i, name := range names[2:] {
		line = strings.ReplaceAll(line, name, []string{"LONG", "WORST"}[i])
	}
	p.log = append(p.log, line)
}

// step does one operation, if the model says that it can be done.
func (p *player) step() {
	from := p.path()
	e, exists := p.tree[from]
	switch op := p.draw(18); {
	case op < 4 && !e.dir:
		p.write(from)
	case op == 4 && !exists:
		p.note("mkdir %s", from)
		p.v.mkdir(from)
		p.tree[from] = entry{dir: true, file: &file{mode: 0o755}}
	case op == 5 && exists && !e.dir:
		p.note("unlink %s", from)
		delete(p.tree, from)
		p.unwant(e)
		p.v.unlink(from)
	case op == 6 && e.dir && p.empty(from):
		p.note("rmdir %s", from)
		p.v.rmdir(from)
		delete(p.tree, from)
	case op < 10 && exists:
		p.rename(from, p.path())
	case op == 10 && exists:
		if other := p.path(); p.tree[other] != (entry{}) && other != from && !within(from, other) && !within(other, from) {
			p.rename(from, "swap")
			p.rename(other, from)
			p.rename("swap", other)
		}
	case op == 11 && exists:
		mode := uint32(0o700 + p.draw(64))
		p.note("chmod %s %o", from, mode)
		p.v.chmod(from, mode)
		e.mode = mode
	case op == 12:
		p.crash()
	case op == 13:
		p.fault()
	case op == 14 && exists && !e.dir && len(p.heal) == 0:
		p.note("fsync %s", from)
		p.v.must(p.v.fsync(from))
	case op == 15:
		pause := time.Duration(p.draw(256)) * 10 * time.Millisecond
		p.note("pause %v", pause)
		time.Sleep(pause)
	case op > 15 && exists && !e.dir:
		if to := p.path(); p.tree[to] == (entry{}) {
			p.note("link %s %s", from, to)
			p.v.link(from, to)
			p.tree[to] = e
		}
	}
}

func within(dir, name string) bool { return strings.HasPrefix(name, dir+"/") }

func (p *player) empty(dir string) bool {
	for name := range p.tree {
		if within(dir, name) {
			return false
		}
	}
	return true
}

func (p *player) write(name string) {
	p.serial++
	content := fmt.Sprintf("content %d of %s", p.serial, name)
	p.note("write %s: %s", name, content)
	e, ok := p.tree[name]
	if !ok {
		e.file = &file{mode: 0o644}
		p.tree[name] = e
	}
	p.mu.Lock()
	delete(p.wanted, e.content)
	p.mu.Unlock()
	e.content = content
	p.v.write(name, content)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.wanted[content] = false
}

// unwant says that a name is gone: what the file held need not stay without any.
func (p *player) unwant(e entry) {
	for _, other := range p.tree {
		if other.file == e.file {
			return
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.wanted, e.content)
}

func (p *player) rename(from, to string) {
	e, there := p.tree[from], p.tree[to]
	if _, exists := p.tree[to]; exists && (e.dir != there.dir || !p.empty(to)) || from == to || within(from, to) {
		return
	}
	p.note("rename %s %s", from, to)
	if e.file == there.file {
		p.v.rename(from, to) // two names of one file: nothing happens
		return
	}
	delete(p.tree, to)
	if there.file != nil && !there.dir {
		p.unwant(there)
	}
	p.v.rename(from, to)
	moved := map[string]entry{to: e}
	delete(p.tree, from)
	for name, e := range p.tree {
		if within(from, name) {
			moved[to+strings.TrimPrefix(name, from)] = e
			delete(p.tree, name)
		}
	}
	maps.Copy(p.tree, moved)
}

// crash lets the process end at one of the next requests, before or after it was
// executed, and starts the next one.
func (p *player) crash() {
	nth, after := 1+p.draw(6), p.draw(2) == 0
	p.note("crash at request %d, executed: %t", nth, after)
	remove := p.bucket.Inject(memory.Fault{Nth: nth, Count: memory.Forever, Err: objstore.ErrUnavailable, After: after})
	time.Sleep(time.Duration(p.draw(8)) * 100 * time.Millisecond)
	p.v.close()
	remove()
	p.calm()
	p.v.open()
}

// fault lets some requests fail whose answers are lost, executed or not.
func (p *player) fault() {
	ops := []string{"", objstore.OpPut, objstore.OpDelete, objstore.OpDeleteMany, objstore.OpCompleteUpload, objstore.OpSetAttributes, objstore.OpHead, objstore.OpGet}
	f := memory.Fault{Op: ops[p.draw(len(ops))], Nth: 1 + p.draw(3), Count: 1 + p.draw(3), Err: objstore.ErrUnavailable, After: p.draw(3) > 0}
	p.note("lose %d answers of %q from number %d, executed: %t", f.Count, f.Op, f.Nth, f.After)
	p.heal = append(p.heal, p.bucket.Inject(f))
}

// calm ends the faults.
func (p *player) calm() {
	for _, end := range p.heal {
		end()
	}
	p.heal = nil
}

// look checks, after a request that changed the bucket, that nothing wanted has gone.
func (p *player) look() {
	p.mu.Lock()
	defer p.mu.Unlock()
	there := make(map[string]bool)
	for _, stored := range p.bucket.Snapshot() {
		there[string(stored.Data)] = true
	}
	for content, had := range p.wanted {
		if had && !there[content] {
			p.lost = append(p.lost, content)
		}
		p.wanted[content] = had || there[content]
	}
}

// compare compares the bucket with the model and with the tree that programs see.
func (p *player) compare() {
	t := p.v.t
	t.Helper()
	for _, content := range p.lost {
		t.Errorf("%q was not in the bucket for a while", content)
	}
	objects := p.bucket.Snapshot()
	lay, err := layout.New("v")
	p.v.must(err)
	want := map[string]bool{"v/": true}
	for name, e := range p.tree {
		key := keyOf(t, name, e.dir)
		want[key] = true
		obj, ok := objects[key]
		if !ok {
			t.Errorf("%q is not in the bucket", key)
			continue
		}
		attr, _, _ := layout.Decode(obj.Object, e.dir, layout.Defaults{})
		a, err := p.v.stat(name)
		p.v.must(err)
		if string(obj.Data) != e.content {
			t.Errorf("%q holds %q, not %q", key, obj.Data, e.content)
		}
		if attr.Mode != a.Mode || attr.Mode&^syscall.S_IFMT != e.mode || attr.UID != a.UID || attr.GID != a.GID || !attr.Mtime.Equal(a.Mtime) {
			t.Errorf("%q has mode %o and time %v, want %o and %v", key, attr.Mode, attr.Mtime, a.Mode, a.Mtime)
		}
		if !e.dir && p.v.read(name) != e.content {
			t.Errorf("%s reads %q, not %q", name, p.v.read(name), e.content)
		}
		if links := p.links(e); !e.dir && a.Nlink != links {
			t.Errorf("%s has %d links, want %d", name, a.Nlink, links)
		}
		dir, base := path.Split(name)
		if got := p.v.names(strings.TrimSuffix(dir, "/")); !slices.Contains(got, base) {
			t.Errorf("%s is not listed: %v", name, got)
		}
	}
	p.compareGroups(objects)
	for key := range objects {
		if _, isRecord := lay.Records().Group(key); !want[key] && !isRecord {
			t.Errorf("%q should not be in the bucket", key)
		}
	}
}

// keyOf is the key of a path of the volume.
func keyOf(t *testing.T, path string, isDir bool) string {
	t.Helper()
	l, err := layout.New("v")
	if err != nil {
		t.Fatal(err)
	}
	locate := l.File
	if isDir {
		locate = l.Dir
	}
	key, err := locate(path)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// links counts the names of a file.
func (p *player) links(e entry) uint32 {
	var n uint32
	for _, other := range p.tree {
		if other.file == e.file {
			n++
		}
	}
	return n
}

// compareGroups checks that the names of a file are one group of objects of one generation,
// and that the group's record says how many they are.
func (p *player) compareGroups(objects map[string]memory.Stored) {
	t := p.v.t
	t.Helper()
	decode := func(key string) layout.Attr {
		attr, _, _ := layout.Decode(objects[key].Object, false, layout.Defaults{})
		return attr
	}
	lay, err := layout.New("v")
	p.v.must(err)
	counts := make(map[string]uint32)
	for name, e := range p.tree {
		attr := decode(keyOf(t, name, e.dir))
		if attr.Link == "" {
			if !e.dir && p.links(e) > 1 {
				t.Errorf("%s is in no group", name)
			}
			continue
		}
		counts[attr.Link]++
		if record := decode(lay.Records().Link(attr.Link)); record.Links != p.links(e) || record.LinkGen != attr.LinkGen {
			t.Errorf("the record of %s counts %d links of generation %d, want %d of %d", name, record.Links, record.LinkGen, p.links(e), attr.LinkGen)
		}
	}
	for key := range objects {
		if group, ok := lay.Records().Group(key); ok && counts[group] != decode(key).Links {
			t.Errorf("%d objects are in the group of %s", counts[group], key)
		}
	}
}

// TestRandom plays random programs (hard-cases 6, 7, 8).
func TestRandom(t *testing.T) {
	for seed := range uint64(60) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			play(t, randomProgram(seed, 8, 400))
		})
	}
}

// randomProgram draws so many bytes, others for each pair of seeds.
func randomProgram(seed, more uint64, length int) []byte {
	r := rand.New(rand.NewPCG(seed, more))
	program := make([]byte, length)
	for i := range program {
		program[i] = byte(r.IntN(256))
	}
	return program
}

// FuzzPlanner searches for a program that loses something.
func FuzzPlanner(f *testing.F) {
	f.Add([]byte("\x00\x01"))
	f.Add([]byte("\x01\x00" + "aa\x00" + "bb\x00" + "a\x0ab" + "c\x0f\xff"))
	f.Fuzz(func(t *testing.T, program []byte) {
		play(t, program[:min(len(program), 600)])
	})
}
