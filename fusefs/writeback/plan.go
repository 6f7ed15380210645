package writeback

import (
	"errors"
	"strings"

	"objvol/fusefs/index"
	"objvol/fusefs/layout"
	"objvol/objstore"
)

// Action is what a Step does.
type Action int

// The actions, from nothing to what changes the bucket.
const (
	Nothing Action = iota // the bucket is as it should be
	Wait                  // Blocker goes first
	Resolve               // find out what became of earlier writes to Key
	Rescue                // fetch what Ino has only in the bucket: Key is going
	Park                  // copy Ino's object from From to the hidden Key
	Put                   // write Ino's content and attributes to Key
	Copy                  // write Ino's attributes and From's bytes to Key
	Count                 // ask Key, a group's record, for the number of Ino's names
	Bind                  // give each of Ino's names a member, in the index, and plan again
	Delete                // remove Key
)

// Step is the plan for one task: at most one object changes.
type Step struct {
	Action  Action
	Ino     index.Ino
	Key     string
	From    string
	Gen     uint64 // of the content at From
	Cond    objstore.Condition
	Blocker task
}

// planner decides what a task needs. It only reads.
type planner struct {
	Reader
	layout layout.Layout
	// busy: a request is under way on the key, or it rests after a lost answer.
	busy func(key string) bool
	// resolved: what became of earlier writes to the key is known.
	resolved func(key string) bool
	// local: the whole content is on this host and small enough to be sent rather than
	// copied.
	local func(n index.Inode) (bool, error)
}

// plan answers with the next step of a task.
func (p planner) plan(t task) (Step, error) {
	if t.key != "" {
		return p.planKey(t.key)
	}
	return p.planInode(t.ino)
}

func wait(t task) Step { return Step{Action: Wait, Blocker: t} }

// planInode plans the next request that brings an inode's object to where and what it
// should be.
func (p planner) planInode(ino index.Ino) (Step, error) {
	n, err := p.Inode(ino)
	if errors.Is(err, index.ErrNotFound) {
		return Step{}, nil
	}
	if err != nil {
		return Step{}, err
	}
	if n.Sending != "" {
		if p.busy(n.Sending) {
			return wait(keyTask(n.Sending)), nil
		}
		if !p.resolved(n.Sending) {
			return Step{Action: Resolve, Key: n.Sending}, nil
		}
	}
	if n.Nlink == 0 {
		return Step{}, nil
	}
	if isLoose(n) {
		return Step{Action: Bind, Ino: ino}, nil
	}
	if n.HasMembers() {
		return p.planMembers(n)
	}
	key, err := KeyOf(p, p.layout, n)
	if err != nil {
		return Step{}, err
	}
	if n.IsRecord() && n.Vague {
		return Step{Action: Count, Ino: ino, Key: key}, nil
	}
	if !differs(n, key) {
		return Step{}, nil
	}
	if record, behind, err := p.recordFirst(n); err != nil || behind {
		return wait(inodeTask(record)), err
	}
	if unclear, err := p.unclear(key); err != nil || unclear {
		return Step{Action: Resolve, Key: key}, err
	}
	block, blocked, err := p.inTheWay(n, key)
	if err != nil {
		return Step{}, err
	}
	if blocked {
		return p.waitOrPark(ino, block)
	}
	return p.write(n, key)
}

// differs reports whether the bucket holds an inode elsewhere or otherwise than wanted.
func differs(n index.Inode, key string) bool {
	return n.Nlink > 0 && (n.Gen > n.PlacedGen || n.AttrGen > n.PlacedAttrGen ||
		n.Placed != key && (n.Placed != "" || n.Of != 0))
}

// unclear reports whether a write to a key was sent of which nobody knows the end.
func (p planner) unclear(key string) (bool, error) {
	k, ok, err := p.Key(key)
	return ok && k.Request != "" && !p.busy(key) && !p.resolved(key), err
}

// write plans the request itself, once nothing is in its way.
func (p planner) write(n index.Inode, key string) (Step, error) {
	s := Step{Action: Put, Ino: n.Ino, Key: key, Cond: objstore.Condition{IfAbsent: true}}
	k, ok, err := p.Key(key)
	if err != nil {
		return Step{}, err
	}
	if ok && !k.Gone {
		s.Cond = objstore.Condition{IfMatch: k.ETag}
		// What is unlinked and open may still need the bytes that go.
		if k.Owner != 0 && k.Owner != n.Ino {
			missing, err := p.incomplete(k, n.Whole())
			if err != nil {
				return Step{}, err
			}
			if missing {
				return Step{Action: Rescue, Ino: k.Owner, Key: key}, nil
			}
		}
	}
	if n.Dir != nil && k.Size > 0 && !k.Gone {
		// Another tool has given the marker a content, which is kept.
		s.Action, s.From = Copy, key
		return s, nil
	}
	from, gen, err := p.source(n)
	if err != nil || n.Gen > gen || from == "" || n.IsRecord() || n.Dir != nil || n.Size == 0 || n.Target != "" {
		return s, err
	}
	if isRegular(n) {
		if small, err := p.local(n); err != nil || small {
			return s, err
		}
	}
	if p.busy(from) {
		return wait(keyTask(from)), nil
	}
	s.Action, s.From, s.Gen = Copy, from, gen
	return s, nil
}

// inTheWay returns what must happen before an inode can be written to a key.
func (p planner) inTheWay(n index.Inode, key string) (task, bool, error) {
	if p.busy(key) {
		return keyTask(key), true, nil
	}
	k, ok, err := p.Key(key)
	if err != nil {
		return task{}, false, err
	}
	if ok && !k.Gone && k.Owner != 0 && k.Owner != n.Ino {
		owner, alive, err := p.alive(k.Owner)
		if err != nil {
			return task{}, false, err
		}
		if alive && owner.Placed == key {
			return inodeTask(k.Owner), true, nil
		}
		if t, kept, err := p.lastCopy(k); err != nil || kept && t != inodeTask(n.Ino) {
			return t, kept, err
		}
	}
	if t, waits, err := p.unmarked(n, key); err != nil || waits {
		return t, waits, err
	}
	if ok && !k.Gone {
		// An object is there, and so none above it nor below: it came when there was none, and
		// they wait for its end.
		return task{}, false, nil
	}
	for _, above := range filesAbove(p.layout, key) {
		k, ok, err := p.Key(above)
		if err != nil {
			return task{}, false, err
		}
		if ok && p.mayHold(k) {
			t, err := p.remover(k)
			return t, true, err
		}
	}
	if n.Dir != nil {
		return task{}, false, nil
	}
	return p.below(key + "/")
}

// mayHold reports whether there is an object at a key, or may be one soon.
func (p planner) mayHold(k index.Key) bool {
	return !k.Gone || p.busy(k.Key) || k.Request != "" && !p.resolved(k.Key)
}

// filesAbove returns the keys of files that a key would lie below.
func filesAbove(l layout.Layout, key string) []string {
	from := len(l.Prefix())
	if l.IsLong(key) {
		from = len(l.Records().LongPrefix())
	}
	var above []string
	for i := from; i < len(key); i++ {
		if key[i] == '/' {
			above = append(above, key[:i])
		}
	}
	return above
}

// below returns what must happen before no key begins with prefix any more.
func (p planner) below(prefix string) (t task, found bool, err error) {
	var first index.Key
	err = p.Keys(prefix, func(k index.Key) bool {
		first, found = k, p.mayHold(k)
		return !found
	})
	if err != nil || !found {
		return task{}, false, err
	}
	t, err = p.remover(first)
	return t, true, err
}

// remover returns the task that will free a key: its owner's move, or its deletion.
func (p planner) remover(k index.Key) (task, error) {
	if k.Owner != 0 {
		owner, alive, err := p.alive(k.Owner)
		if err != nil {
			return task{}, err
		}
		if alive && (owner.Placed == k.Key || owner.Sending == k.Key) {
			return inodeTask(k.Owner), nil
		}
	}
	return keyTask(k.Key), nil
}

// waitOrPark waits for a blocker, unless the blocker waits, over any number of others,
// for this inode: then somebody in the circle is copied out of the way.
func (p planner) waitOrPark(ino index.Ino, first task) (Step, error) {
	start := inodeTask(ino)
	seen := map[task]bool{start: true}
	for t := first; ; {
		if t == start {
			return p.park(seen)
		}
		if seen[t] {
			// A circle further on: its members see to it.
			return wait(first), nil
		}
		seen[t] = true
		next, blocked, err := p.blockerOf(t)
		if err != nil {
			return Step{}, err
		}
		if !blocked {
			return wait(first), nil
		}
		t = next
	}
}

// park plans to free one key of a circle: that of the lowest inode which has an object,
// so that every member of the circle comes to the same plan.
func (p planner) park(circle map[task]bool) (Step, error) {
	var lowest index.Inode
	for t := range circle {
		n, movable, err := p.movable(t)
		if err != nil {
			return Step{}, err
		}
		if movable && (lowest.Ino == 0 || n.Ino < lowest.Ino) {
			lowest = n
		}
	}
	if lowest.Ino == 0 {
		return Step{}, errors.New("tasks wait for each other, and none has an object to move")
	}
	hidden := p.layout.Records().Moving(uint64(lowest.Ino))
	for _, key := range []string{lowest.Placed, hidden} {
		if p.busy(key) {
			return wait(keyTask(key)), nil
		}
	}
	return Step{Action: Park, Ino: lowest.Ino, From: lowest.Placed, Key: hidden}, nil
}

// movable returns the inode whose object can be copied out of the way for a task of a
// circle: that of an inode which leaves its key, or, for a key that waits for another name
// to have a copy, that of the removed name.
func (p planner) movable(t task) (n index.Inode, ok bool, err error) {
	if t.key != "" {
		k, known, err := p.Key(t.key)
		if err != nil || !known || k.Owner == 0 {
			return n, false, err
		}
		if _, kept, err := p.lastCopy(k); err != nil || !kept {
			return n, false, err
		}
		n, err = p.Inode(k.Owner)
		return n, err == nil && n.Placed == t.key && !p.isHidden(n), err
	}
	n, alive, err := p.alive(t.ino)
	if err != nil || !alive || n.Placed == "" || p.isHidden(n) {
		return n, false, err
	}
	key, err := KeyOf(p, p.layout, n)
	return n, err == nil && n.Placed != key, err
}

// isHidden reports whether an inode's object is its hidden copy.
func (p planner) isHidden(n index.Inode) bool {
	return n.Placed == p.layout.Records().Moving(uint64(n.Ino))
}

// blockerOf returns what a task itself waits for. A key that is busy waits for nothing
// but its request.
func (p planner) blockerOf(t task) (task, bool, error) {
	if t.key != "" {
		if p.busy(t.key) {
			return task{}, false, nil
		}
		return p.keepsKey(t.key)
	}
	n, alive, err := p.alive(t.ino)
	if err != nil || !alive || n.HasMembers() {
		return task{}, false, err
	}
	if n.Sending != "" && p.busy(n.Sending) {
		return task{}, false, nil
	}
	key, err := KeyOf(p, p.layout, n)
	if err != nil {
		return task{}, false, err
	}
	return p.inTheWay(n, key)
}

// planKey plans the removal of a key that nobody wants.
func (p planner) planKey(key string) (Step, error) {
	k, ok, err := p.Key(key)
	if err != nil || !ok {
		return Step{}, err
	}
	if p.busy(key) {
		return wait(keyTask(key)), nil
	}
	if k.Request != "" && !p.resolved(key) {
		return Step{Action: Resolve, Key: key}, nil
	}
	if k.Gone {
		return Step{}, nil
	}
	if k.Owner != 0 {
		owner, alive, err := p.alive(k.Owner)
		if err != nil {
			return Step{}, err
		}
		if alive && owner.Placed == key {
			if want, err := KeyOf(p, p.layout, owner); err != nil || want == key {
				return Step{}, err
			}
		}
	}
	if t, kept, err := p.keepsKey(key); err != nil || kept {
		return wait(t), err
	}
	if k.Owner != 0 {
		if missing, err := p.incomplete(k, 0); err != nil || missing {
			return Step{Action: Rescue, Ino: k.Owner, Key: key}, err
		}
	}
	return Step{Action: Delete, Key: key, Cond: objstore.Condition{IfMatch: k.ETag}}, nil
}

// keepsKey returns what must happen before a key may be deleted.
func (p planner) keepsKey(key string) (task, bool, error) {
	if k, ok, err := p.Key(key); err != nil || !ok {
		return task{}, false, err
	} else if k.Owner != 0 {
		owner, alive, err := p.alive(k.Owner)
		if err != nil {
			return task{}, false, err
		}
		if alive && owner.Placed == key {
			return inodeTask(k.Owner), true, nil
		}
		if t, kept, err := p.lastCopy(k); err != nil || kept {
			return t, kept, err
		}
	}
	if strings.HasPrefix(key, p.layout.Records().Prefix()) && !p.layout.IsLong(key) {
		return task{}, false, nil // a hidden copy lies in no directory
	}
	// Whoever belongs here overwrites it: there is no moment without the name.
	n, wanted, err := wantedBy(p, p.layout, key)
	if err != nil {
		return task{}, false, err
	}
	if wanted && differs(n, key) {
		return inodeTask(n.Ino), true, nil
	}
	if strings.HasSuffix(key, "/") {
		return p.doomedBelow(key)
	}
	return p.markerAbove(key)
}

// doomedBelow returns a key below a marker that is going too: the marker goes last.
func (p planner) doomedBelow(marker string) (t task, found bool, err error) {
	for _, prefix := range []string{marker, p.layout.LongBelow(marker)} {
		var failed error
		err = p.Keys(prefix, func(k index.Key) bool {
			if k.Key == marker || k.Gone {
				return true
			}
			t, failed = p.remover(k)
			found = failed == nil
			return false
		})
		if err = errors.Join(err, failed); err != nil || found {
			return t, found, err
		}
	}
	return task{}, false, nil
}

// markerAbove returns the directory of a key when it exists only by the keys in it.
func (p planner) markerAbove(key string) (task, bool, error) {
	n, ok, err := parentOf(p, p.layout, key)
	if err != nil || !ok || n.Ino == index.Root || n.Nlink == 0 || n.Placed != "" || n.AttrGen <= n.PlacedAttrGen {
		return task{}, false, err
	}
	return inodeTask(n.Ino), true, nil
}

// alive returns an inode that exists and has a name.
func (p planner) alive(ino index.Ino) (index.Inode, bool, error) {
	n, err := p.Inode(ino)
	if errors.Is(err, index.ErrNotFound) {
		return index.Inode{}, false, nil
	}
	return n, err == nil && n.Nlink > 0, err
}

// incomplete reports whether a key's owner is unlinked and has bytes that only the
// object there holds. A content record is dropped at the last close, so it is open. That
// the object goes to a name of the inode given is no loss.
func (p planner) incomplete(k index.Key, to index.Ino) (bool, error) {
	n, err := p.Inode(k.Owner)
	if errors.Is(err, index.ErrNotFound) {
		return false, nil
	}
	if err != nil || n.Nlink > 0 || n.Placed != k.Key || n.IsRecord() || n.Whole() == to {
		return false, err
	}
	if n.Of != 0 {
		n, err = p.Inode(n.Of)
		if errors.Is(err, index.ErrNotFound) || err == nil && n.Placed != k.Key {
			return false, nil
		}
		if err != nil {
			return false, err
		}
	}
	c, err := p.Content(n.Ino)
	if err != nil {
		return false, err
	}
	return len(c.Absent(0, n.Size)) > 0, nil
}
