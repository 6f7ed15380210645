package vfs

import (
	"context"
	"strings"
	"sync"
	"sync/atomic"

	"objvol/fusefs/index"
)

// A directory whose small files are read one after the other, in the order of their names
// or of readdir, has its next ones fetched ahead: a few at first, twice as many when those
// were read too, none any more when they were not.

const (
	// walkStart is how many files must follow each other before one is fetched ahead.
	walkStart = 2
	// walkNear is how many names a file that follows another comes behind it at most:
	// several threads share one way, and directories are between.
	walkNear = 16
	// walkFirst and walkMost are how many files are fetched ahead, at first and at most.
	walkFirst = 8
	walkMost  = 64
	// walkBytes is how many bytes of files are fetched ahead at most.
	walkBytes = 16 << 20
	// walksMost is how many directories are remembered.
	walksMost = 32
	// walkFile is the size of the largest file that is fetched ahead, in bytes.
	walkFile = 1 << 20
	// walkWaste is how many files that nobody read end a walk, where they are more than
	// half of those that were read.
	walkWaste = 16
)

// walk is the way through one directory.
type walk struct {
	dir    Ino
	byName bool
	last   index.Dirent // the furthest that was read
	front  index.Dirent // up to where names were looked at
	used   uint64       // when it was last, by the clock of walks

	streak  int // files that followed each other
	width   int // how many may be ahead; 0 before the start
	credit  int // files read since the width grew
	hits    int
	wasted  int
	filling bool
	out     []*ahead // in order
	bytes   int64    // of out
}

// ahead is a file that was fetched before anybody asked for it.
type ahead struct {
	index.Dirent
	walk *walk
	size int64
	read bool
	ctx  context.Context // ends when nobody wants it any more
	end  context.CancelFunc
}

// walks are those of a volume.
type walks struct {
	some atomic.Bool // files are out

	mu    sync.Mutex // protects what follows and the walks; a leaf
	clock uint64
	byDir map[Ino]*walk
	out   map[Ino]*ahead

	fetched, fetchedBytes atomic.Int64
	wasted, wastedBytes   atomic.Int64
}

// behind reports whether one name comes after another in the order of the walk.
func (w *walk) behind(e, other index.Dirent) bool {
	if w.byName {
		return strings.Compare(e.Name, other.Name) > 0
	}
	return e.Cookie > other.Cookie
}

// of returns a copy of what is known of a directory's walk, which begins with e if there
// is none yet.
func (ws *walks) of(dir Ino, e index.Dirent) (seen walk, known bool) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	ws.clock++
	if w, ok := ws.byDir[dir]; ok {
		w.used = ws.clock
		return *w, true
	}
	if len(ws.byDir) >= walksMost {
		var oldest *walk
		for _, w := range ws.byDir {
			if oldest == nil || w.used < oldest.used {
				oldest = w
			}
		}
		ws.stopLocked(oldest)
		delete(ws.byDir, oldest.dir)
	}
	if ws.byDir == nil {
		ws.byDir, ws.out = make(map[Ino]*walk), make(map[Ino]*ahead)
	}
	ws.byDir[dir] = &walk{dir: dir, last: e, used: ws.clock}
	return walk{}, false
}

// stopLocked gives up what was fetched ahead.
func (ws *walks) stopLocked(w *walk) {
	for _, a := range w.out {
		ws.dropLocked(a)
	}
	w.out, w.width, w.streak, w.credit, w.hits, w.wasted = nil, 0, 0, 0, 0, 0
}

// dropLocked forgets a file of w.out.
func (ws *walks) dropLocked(a *ahead) {
	a.walk.bytes -= a.size
	if a.read {
		return
	}
	a.end()
	a.walk.wasted++
	ws.wasted.Add(1)
	ws.wastedBytes.Add(a.size)
	delete(ws.out, a.Ino)
	ws.some.Store(len(ws.out) > 0)
}

// followed notes that a file was read which was not fetched ahead, and came near behind
// the last one; byName says in which order.
func (ws *walks) followed(dir Ino, e index.Dirent, byName bool) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	w, ok := ws.byDir[dir]
	if !ok {
		return
	}
	if w.byName != byName {
		ws.stopLocked(w)
		w.byName = byName
	}
	w.last = e
	if w.streak++; w.streak >= walkStart && w.width == 0 {
		w.width, w.front = walkFirst, e
	}
}

// strayed notes that a file was read which is nowhere near the last one.
func (ws *walks) strayed(dir Ino, e index.Dirent) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	if w, ok := ws.byDir[dir]; ok {
		ws.stopLocked(w)
		w.last = e
	}
}

// found notes that a file is read, and returns its directory if it had been fetched ahead.
func (ws *walks) found(ino Ino) (dir Ino, ok bool) {
	if !ws.some.Load() {
		return 0, false
	}
	ws.mu.Lock()
	defer ws.mu.Unlock()
	a, ok := ws.out[ino]
	if !ok {
		return 0, false
	}
	delete(ws.out, ino)
	ws.some.Store(len(ws.out) > 0)
	w := a.walk
	a.read = true
	ws.clock++
	w.used = ws.clock
	w.hits++
	if w.credit++; w.credit >= w.width {
		w.width, w.credit = min(w.width*2, walkMost), 0
	}
	if w.behind(a.Dirent, w.last) {
		w.last = a.Dirent
	}
	ws.passLocked(w, a)
	if w.wasted >= walkWaste && w.wasted*2 > w.hits {
		ws.stopLocked(w)
	}
	return w.dir, true
}

// passLocked drops what lies before a file that was read: what nobody read, a little
// later than the rest.
func (ws *walks) passLocked(w *walk, a *ahead) {
	at := 0
	for i, other := range w.out {
		if other == a {
			at = i
		}
	}
	for len(w.out) > 0 && (w.out[0].read || at >= walkMost) {
		ws.dropLocked(w.out[0])
		w.out = w.out[1:]
		at--
	}
}

// room returns how many files, and bytes, may be fetched ahead of a walk now, and behind
// which name. Who gets a number above 0 calls filled.
func (ws *walks) room(dir Ino) (files int, bytes int64, front index.Dirent, byName bool) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	w, ok := ws.byDir[dir]
	if !ok || w.filling || w.width == 0 {
		return 0, 0, front, false
	}
	unread := 0
	for _, a := range w.out {
		if !a.read {
			unread++
		}
	}
	files, bytes = w.width-unread, walkBytes-w.bytes
	if files < (w.width+1)/2 || bytes <= 0 {
		return 0, 0, front, false
	}
	w.filling = true
	if w.behind(w.last, w.front) {
		w.front = w.last
	}
	return files, bytes, w.front, w.byName
}

// filled enters the files that are fetched ahead now, and up to where names were looked at.
func (ws *walks) filled(dir Ino, files []*ahead, front index.Dirent) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	w, ok := ws.byDir[dir]
	if ok {
		w.filling = false
		w.front = front
	}
	for _, a := range files {
		if !ok || w.width == 0 {
			a.end()
			continue
		}
		a.walk = w
		w.out = append(w.out, a)
		w.bytes += a.size
		ws.out[a.Ino] = a
		ws.some.Store(true)
		ws.fetched.Add(1)
		ws.fetchedBytes.Add(a.size)
	}
}
