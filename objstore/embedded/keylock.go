//go:build !noembedded

package embedded

import "sync"

// keyLocks are read-write locks by name, which exist while someone holds or wants one.
type keyLocks struct {
	mu    sync.Mutex // mu protects locks; it is not held while waiting for one
	locks map[string]*keyLock
}

type keyLock struct {
	sync.RWMutex

	users int // protected by keyLocks.mu
}

// share takes the name's lock for reading and returns its release.
func (k *keyLocks) share(name string) (release func()) {
	l := k.get(name)
	l.RLock()
	return func() { l.RUnlock(); k.put(name, l) }
}

// own takes the name's lock for writing and returns its release.
func (k *keyLocks) own(name string) (release func()) {
	l := k.get(name)
	l.Lock()
	return func() { l.Unlock(); k.put(name, l) }
}

func (k *keyLocks) get(name string) *keyLock {
	k.mu.Lock()
	defer k.mu.Unlock()
	l := k.locks[name]
	if l == nil {
		l = &keyLock{}
		if k.locks == nil {
			k.locks = map[string]*keyLock{}
		}
		k.locks[name] = l
	}
	l.users++
	return l
}

func (k *keyLocks) put(name string, l *keyLock) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if l.users--; l.users == 0 {
		delete(k.locks, name)
	}
}
