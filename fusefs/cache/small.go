package cache

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// SmallMost is the largest content, in bytes, that lies in a shared file.
	SmallMost = 32 << 10
	// slots is how many contents share a file.
	slots    = 1 << slotBits
	slotBits = 10
	// smallGen marks the generations of contents in shared files: the number of the file
	// and the slot follow.
	smallGen = 1 << 63
	// openShared is how many shared files stay open that nobody uses.
	openShared = 16
)

// IsSmall reports whether a generation is that of a content in a shared file.
func IsSmall(gen uint64) bool { return gen&smallGen != 0 }

// smalls are the contents in shared files.
type smalls struct {
	dir string

	mu      sync.Mutex // protects what follows; held while a shared file is made or opened
	shared  map[uint64]*shared
	current *shared  // the one that slots are given out from; nil before the first
	dead    []uint64 // generations given up, whose space is not given back yet
	opened  int      // shared files that are open
}

// shared is a file with a slot for each of its contents. Slots are given out in order and
// never again.
type shared struct {
	number uint64
	given  int                // slots given out
	left   int                // contents that are wanted
	wanted [slots / 64]uint64 // which ones
	users  map[int]int        // slot -> how many have it open
	file   *os.File           // nil while nobody uses it
	named  atomic.Bool        // the file's name is durable
}

func (s *shared) gen(slot int) uint64 { return smallGen | s.number<<slotBits | uint64(slot) }

func placeOf(gen uint64) (number uint64, slot int) {
	return gen &^ smallGen >> slotBits, int(gen % slots)
}

func (s *shared) isWanted(slot int) bool { return s.wanted[slot/64]&(1<<(slot%64)) != 0 }

func (s *shared) want(slot int) {
	if !s.isWanted(slot) {
		s.wanted[slot/64] |= 1 << (slot % 64)
		s.left++
	}
}

// unwant reports whether the slot was wanted until now.
func (s *shared) unwant(slot int) bool {
	if !s.isWanted(slot) {
		return false
	}
	s.wanted[slot/64] &^= 1 << (slot % 64)
	s.left--
	return true
}

// load finds the shared files of earlier processes. None of their contents is wanted
// before Keep.
func (m *smalls) load(dir string) error {
	m.dir, m.shared = dir, make(map[uint64]*shared)
	files, err := os.ReadDir(dir)
	if os.IsNotExist(err) {
		return nil
	}
	for _, file := range files {
		number, err := strconv.ParseUint(file.Name(), 10, 64)
		if err != nil || m.path(number) != filepath.Join(dir, file.Name()) {
			continue
		}
		info, err := file.Info()
		if err != nil {
			return err
		}
		m.shared[number] = &shared{number: number, given: int(min((info.Size()+SmallMost-1)/SmallMost, slots))}
	}
	return err
}

func (m *smalls) path(number uint64) string {
	return filepath.Join(m.dir, strconv.FormatUint(number, 10))
}

// create gives out a slot.
func (m *smalls) create() (*File, uint64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := m.current
	if s == nil || s.given == slots {
		var err error
		if s, err = m.nextLocked(); err != nil {
			return nil, 0, err
		}
	}
	if err := m.openLocked(s); err != nil {
		return nil, 0, err
	}
	slot := s.given
	s.given++
	s.want(slot)
	return m.useLocked(s, slot), s.gen(slot), nil
}

// nextLocked begins a shared file. Its number is none that was there before, not even
// before a power cut: a slot names one content for ever.
func (m *smalls) nextLocked() (*shared, error) {
	const flags = os.O_RDWR | os.O_CREATE | os.O_EXCL
	number := uint64(time.Now().UnixMilli())
	if m.current != nil {
		number = max(number, m.current.number+1)
	}
	f, err := os.OpenFile(m.path(number), flags, 0o600)
	if os.IsNotExist(err) {
		if err := os.Mkdir(m.dir, 0o700); err != nil {
			return nil, noSpace(err)
		}
		f, err = os.OpenFile(m.path(number), flags, 0o600)
	}
	for try := 0; os.IsExist(err) && try < slots; try++ {
		number++
		f, err = os.OpenFile(m.path(number), flags, 0o600)
	}
	if err != nil {
		return nil, noSpace(err)
	}
	full := m.current
	m.current = &shared{number: number, file: f}
	m.shared[number] = m.current
	m.opened++
	if full != nil {
		m.restLocked(full)
	}
	return m.current, nil
}

// open opens a wanted content.
func (m *smalls) open(gen uint64) (*File, error) {
	number, slot := placeOf(gen)
	m.mu.Lock()
	defer m.mu.Unlock()
	s := m.shared[number]
	if s == nil || !s.isWanted(slot) {
		return nil, &fs.PathError{Op: "open", Path: m.path(number) + "." + strconv.Itoa(slot), Err: fs.ErrNotExist}
	}
	if err := m.openLocked(s); err != nil {
		return nil, err
	}
	return m.useLocked(s, slot), nil
}

func (m *smalls) openLocked(s *shared) error {
	if s.file != nil {
		return nil
	}
	f, err := os.OpenFile(m.path(s.number), os.O_RDWR, 0)
	if err != nil {
		return err
	}
	s.file = f
	m.opened++
	return nil
}

func (m *smalls) useLocked(s *shared, slot int) *File {
	if s.users == nil {
		s.users = make(map[int]int)
	}
	s.users[slot]++
	return &File{f: s.file, named: &s.named, at: int64(slot) * SmallMost, room: SmallMost, close: func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		if s.users[slot]--; s.users[slot] == 0 {
			delete(s.users, slot)
		}
		m.restLocked(s)
	}}
}

// restLocked closes a shared file that is not used, and removes it when nothing of it is
// wanted.
func (m *smalls) restLocked(s *shared) {
	if s == m.current && s.given < slots || len(s.users) > 0 {
		return
	}
	if s.left == 0 && m.shared[s.number] == s {
		delete(m.shared, s.number)
		// What stays is found by the next process: none of it is wanted.
		_ = os.Remove(m.path(s.number))
	}
	if s.file != nil && (s.left == 0 || m.opened > openShared) {
		m.closeLocked(s)
	}
}

// closeLocked closes a shared file. It was written through the descriptor before, so that
// closing it can lose nothing.
func (m *smalls) closeLocked(s *shared) {
	_ = s.file.Close()
	s.file = nil
	m.opened--
}

// remove gives up a content. Who has it open reads it to the end.
func (m *smalls) remove(gen uint64) {
	number, slot := placeOf(gen)
	m.mu.Lock()
	defer m.mu.Unlock()
	s := m.shared[number]
	if s == nil || !s.unwant(slot) {
		return
	}
	m.dead = append(m.dead, gen)
	m.restLocked(s)
}

// CreateSmall makes an empty content that can grow to SmallMost bytes, and
// returns its generation. Errors: ErrNoSpace.
func (c *Cache) CreateSmall() (f *File, gen uint64, err error) { return c.smalls.create() }

// Keep tells, before anything else is done, of a content in a shared file that is wanted
// still. Others of before are as good as removed. It reports whether there is such a file.
func (c *Cache) Keep(gen uint64) bool {
	number, slot := placeOf(gen)
	m := &c.smalls
	m.mu.Lock()
	defer m.mu.Unlock()
	s := m.shared[number]
	if s != nil {
		s.want(slot)
	}
	return s != nil
}

// Kept tells that all that is wanted was told to Keep: the space of the rest is given back.
func (c *Cache) Kept() {
	m := &c.smalls
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, s := range m.shared {
		if s.left == 0 {
			m.restLocked(s)
			continue
		}
		for slot := range s.given {
			if !s.isWanted(slot) {
				m.dead = append(m.dead, s.gen(slot))
			}
		}
	}
}

// Unused is how many removed contents in shared files may still take space.
func (c *Cache) Unused() int {
	c.smalls.mu.Lock()
	defer c.smalls.mu.Unlock()
	return len(c.smalls.dead)
}

// Reclaim gives back the space of the contents in shared files that were removed, and are
// not open any more. Before that it calls durable, after which not even a power cut brings
// back that they were wanted.
func (c *Cache) Reclaim(durable func() error) error {
	m := &c.smalls
	m.mu.Lock()
	if s := m.current; s != nil && s.left == 0 && len(s.users) == 0 {
		m.current = nil
		m.restLocked(s)
	}
	dead := m.dead
	m.dead = nil
	m.mu.Unlock()
	if len(dead) == 0 {
		return nil
	}
	err := durable()
	for i, gen := range dead {
		if err == nil {
			err = m.punch(gen)
		}
		if err != nil {
			m.mu.Lock()
			m.dead = append(m.dead, dead[i:]...)
			m.mu.Unlock()
			return err
		}
	}
	return nil
}

// punch gives back the space of a content, or remembers it where somebody reads it still.
func (m *smalls) punch(gen uint64) error {
	number, slot := placeOf(gen)
	m.mu.Lock()
	s := m.shared[number]
	if s == nil {
		m.mu.Unlock()
		return nil // the whole file is gone
	}
	if s.users[slot] > 0 {
		m.dead = append(m.dead, gen)
		m.mu.Unlock()
		return nil
	}
	err := m.openLocked(s)
	if err != nil {
		m.mu.Unlock()
		return err
	}
	f := m.useLocked(s, slot) // keeps the file open, not the content
	m.mu.Unlock()
	err = f.Punch(0, SmallMost)
	_ = f.Close() // nothing was written
	if errors.Is(err, errors.ErrUnsupported) {
		return nil // it goes with the whole file
	}
	return err
}

// Close lets go of the shared files that are open and that nobody uses.
func (c *Cache) Close() {
	m := &c.smalls
	m.mu.Lock()
	defer m.mu.Unlock()
	m.current = nil
	for _, s := range m.shared {
		if s.file != nil && len(s.users) == 0 {
			m.closeLocked(s)
		}
	}
}
