package writeback_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"objvol/fusefs/vfs"
	"objvol/fusefs/writeback"
	"objvol/objstore"
	"objvol/objstore/memory"
)

// big is a content that is copied inside the store when only its name changes.
var big = strings.Repeat("0123456789abcdef", 1<<17)

// lose lets the answers of some requests be lost after they were executed.
func lose(b *memory.Bucket, op, key string) (remove func()) {
	return b.Inject(memory.Fault{Op: op, Key: key, Err: objstore.ErrUnavailable, After: true})
}

// quiet fails the test if something went wrong that it did not provoke.
func (v *volume) quiet() {
	v.t.Helper()
	if s := v.State(); s.Conflicts != 0 || s.LastError != nil || s.Queue != 0 {
		v.t.Errorf("%d conflicts, %d tasks, error %v", s.Conflicts, s.Queue, s.LastError)
	}
}

func (v *volume) wantObject(b *memory.Bucket, key, want string) {
	v.t.Helper()
	if got, ok := content(b, key); !ok || got != want {
		v.t.Errorf("%q holds %.40q (there: %t), not %.40q", key, got, ok, want)
	}
}

func (v *volume) wantKeys(b *memory.Bucket, want ...string) {
	v.t.Helper()
	got := keys(b, "")
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		v.t.Errorf("the bucket has %q, not %q", got, want)
	}
}

// A write whose answer was lost is recognised as ours: of each kind, in the same process
// and in the next one (hard-cases 6).
func TestLostAnswers(t *testing.T) {
	for name, test := range map[string]struct {
		op, key string
		do      func(v *volume)
		want    string // of v/a; empty: it is gone
	}{
		"put":         {objstore.OpPut, "v/a", func(v *volume) { v.write("a", "second") }, "second"},
		"first put":   {objstore.OpPut, "v/b", func(v *volume) { v.write("b", "x"); v.rename("b", "a") }, "x"},
		"complete":    {objstore.OpCompleteUpload, "v/a", func(v *volume) { v.write("b", big); v.drain(); v.rename("b", "a") }, big},
		"attributes":  {objstore.OpSetAttributes, "v/a", func(v *volume) { v.write("a", big); v.drain(); v.chmod("a", 0o600) }, big},
		"delete":      {objstore.OpDelete, "v/a", func(v *volume) { v.unlink("a") }, ""},
		"then delete": {objstore.OpPut, "v/a", func(v *volume) { v.write("a", "second"); time.Sleep(150 * time.Millisecond); v.unlink("a") }, ""},
	} {
		for _, crash := range []bool{false, true} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				b := memory.New(memory.Options{})
				bubble(t, b, func(v *volume) {
					v.write("a", "first")
					v.drain()
					lose(b, test.op, test.key)
					test.do(v)
					time.Sleep(300 * time.Millisecond)
					if crash {
						v.close()
						v.open()
					}
					v.drain()
					v.quiet()
					want := []string{"v/"}
					if test.want != "" {
						want = append(want, "v/a")
						v.wantObject(b, "v/a", test.want)
					}
					v.wantKeys(b, want...)
					if up := b.Uploads(); len(up) > 0 {
						t.Errorf("unfinished uploads are left: %v", up)
					}
				})
			})
		}
	}
}

// A file that was written again after its write was lost is sent again: what is found in
// the bucket is the earlier content.
func TestLostAnswerOfAnEarlierContent(t *testing.T) {
	t.Parallel()
	b := memory.New(memory.Options{})
	bubble(t, b, func(v *volume) {
		lose(b, objstore.OpPut, "v/a")
		v.write("a", "first")
		time.Sleep(300 * time.Millisecond)
		v.write("a", "second")
		v.drain()
		v.quiet()
		v.wantObject(b, "v/a", "second")
		if got := v.read("a"); got != "second" {
			t.Errorf("a reads %q", got)
		}
	})
}

// What a name left behind whose write never arrived does not hide another writer's file.
func TestNamesOfLostWritesAreForgotten(t *testing.T) {
	t.Parallel()
	b := memory.New(memory.Options{})
	bubble(t, b, func(v *volume) {
		for _, name := range []string{"renamed", "unlinked"} {
			b.Inject(memory.Fault{Op: objstore.OpPut, Key: "v/" + name, Err: objstore.ErrUnavailable})
			v.write(name, "ours")
		}
		time.Sleep(300 * time.Millisecond)
		v.rename("renamed", "a")
		v.unlink("unlinked")
		v.drain()
		v.quiet()
		b.Set("v/renamed", []byte("theirs"), objstore.Attributes{})
		b.Set("v/unlinked", []byte("theirs"), objstore.Attributes{})
		time.Sleep(30 * patience)
		v.names("")
		time.Sleep(time.Second)
		if got := v.names(""); !slices.Contains(got, "renamed") || !slices.Contains(got, "unlinked") {
			t.Errorf("the names are %q", got)
		}
	})
}

// A name that a lost write was sent to, and that another writer took meanwhile, is his:
// the question is asked once.
func TestLostWriteAtAnothersKey(t *testing.T) {
	t.Parallel()
	b := memory.New(memory.Options{})
	bubble(t, b, func(v *volume) {
		b.Inject(memory.Fault{Op: objstore.OpPut, Key: "v/a", Err: objstore.ErrUnavailable})
		v.write("a", "ours")
		time.Sleep(300 * time.Millisecond)
		v.rename("a", "b")
		b.Set("v/a", []byte("theirs"), objstore.Attributes{})
		b.Forget()
		v.drain()
		v.quiet()
		v.wantKeys(b, "v/", "v/a", "v/b")
		v.wantObject(b, "v/a", "theirs")
		v.wantObject(b, "v/b", "ours")
		if n := b.Count(objstore.OpHead); n > 2 {
			t.Errorf("the key was looked at %d times", n)
		}
	})
}

// conflict returns the one key that a file was kept at.
func (v *volume) conflict(b *memory.Bucket, key string) string {
	v.t.Helper()
	found := keys(b, key+".conflict-here-")
	if len(found) != 1 || v.State().Conflicts != 1 {
		v.t.Fatalf("%q was kept as %q, %d conflicts", key, found, v.State().Conflicts)
	}
	return found[0]
}

// Another writer's object keeps the name, ours is kept beside it, and who has it open is
// told once.
func TestConflict(t *testing.T) {
	for _, first := range []bool{true, false} {
		t.Run("", func(t *testing.T) {
			t.Parallel()
			b := memory.New(memory.Options{})
			bubble(t, b, func(v *volume) {
				v.mkdir("d")
				if !first {
					v.write("d/a", "base")
				}
				v.drain()
				fh := v.openFile("d/a", 0)
				_, err := v.Write(v.t.Context(), fh, 0, []byte("ours"))
				v.must(err)
				b.Set("v/d/a", []byte("theirs"), objstore.Attributes{})
				if err := v.Fsync(v.t.Context(), fh, false); err != nil && !errors.Is(err, writeback.ErrConflict) {
					t.Errorf("fsync: %v", err)
				} else if err == nil {
					if err := v.Flush(v.t.Context(), fh); !errors.Is(err, writeback.ErrConflict) {
						t.Errorf("close after a conflict: %v", err)
					}
				}
				v.must(v.Flush(v.t.Context(), fh))
				v.Release(fh)
				v.drain()
				v.wantObject(b, "v/d/a", "theirs")
				v.wantObject(b, v.conflict(b, "v/d/a"), "ours")
				if got := v.read("d/a"); got != "theirs" {
					t.Errorf("d/a reads %q", got)
				}
				if got := v.names("d"); len(got) != 2 {
					t.Errorf("d has %q", got)
				}
			})
		})
	}
}

// A conflict's name fits where the key is nearly as long as it can be.
func TestConflictInADeepDirectory(t *testing.T) {
	t.Parallel()
	b := memory.New(memory.Options{})
	bubble(t, b, func(v *volume) {
		dir := ""
		for range 4 {
			dir += "/" + strings.Repeat("d", 240)
			v.mkdir(strings.Trim(dir, "/"))
		}
		dir = strings.Trim(dir, "/")
		v.drain()
		v.write(dir+"/a", "ours")
		b.Set("v/"+dir+"/a", []byte("theirs"), objstore.Attributes{})
		v.drain()
		v.wantObject(b, "v/"+dir+"/a", "theirs")
		ours := 0
		for _, stored := range b.Snapshot() {
			if string(stored.Data) == "ours" && strings.Contains(stored.Key, ".conflict-here-") {
				ours++
			}
		}
		if ours != 1 {
			t.Errorf("ours was kept %d times", ours)
		}
	})
}

// What another client removed is written again if we have changes, and goes otherwise.
func TestForeignDelete(t *testing.T) {
	t.Parallel()
	b := memory.New(memory.Options{})
	bubble(t, b, func(v *volume) {
		v.write("written", "base")
		v.write("local", big)
		v.write("remote", big)
		v.drain()
		v.close()
		v.open() // nothing is local now
		if v.read("local") != big {
			t.Error("local reads otherwise")
		}
		for _, name := range []string{"written", "local", "remote"} {
			b.Remove("v/" + name)
		}
		v.write("written", "ours")
		v.chmod("local", 0o600)
		v.chmod("remote", 0o600)
		v.drain()
		v.quiet()
		v.wantKeys(b, "v/", "v/written", "v/local")
		v.wantObject(b, "v/written", "ours")
		if _, err := v.stat("remote"); !errors.Is(err, vfs.ErrNotExist) {
			t.Errorf("remote: %v", err)
		}
	})
}

// What another client wrote into a file whose name or attributes alone we change goes
// along.
func TestForeignChangeUnderOurs(t *testing.T) {
	for _, size := range []string{"small", big} {
		t.Run("", func(t *testing.T) {
			t.Parallel()
			b := memory.New(memory.Options{})
			bubble(t, b, func(v *volume) {
				v.write("moved", size)
				v.write("changed", size+".")
				v.drain()
				v.close()
				v.open()
				theirs := "theirs " + big
				b.Set("v/moved", []byte(theirs), objstore.Attributes{})
				b.Set("v/changed", []byte(theirs), objstore.Attributes{})
				v.rename("moved", "here")
				v.chmod("changed", 0o600)
				v.drain()
				v.quiet()
				v.wantKeys(b, "v/", "v/here", "v/changed")
				v.wantObject(b, "v/here", theirs)
				v.wantObject(b, "v/changed", theirs)
				if v.read("here") != theirs || v.read("changed") != theirs {
					t.Error("the files read otherwise")
				}
			})
		})
	}
}

// What another client wrote at a name that we unlinked stays his.
func TestForeignChangeOfTheUnlinked(t *testing.T) {
	t.Parallel()
	b := memory.New(memory.Options{})
	bubble(t, b, func(v *volume) {
		v.write("a", "first")
		v.write("b", "first of b")
		v.drain()
		v.close()
		v.open()
		a, c := v.openFile("a", 0), v.openFile("b", 0) // open, and not local
		defer v.Release(a)
		defer v.Release(c)
		v.unlink("a")
		v.unlink("b")
		v.write("b", "second of b")
		b.Set("v/a", []byte("theirs"), objstore.Attributes{})
		b.Set("v/b", []byte("theirs"), objstore.Attributes{})
		v.drain()
		v.wantObject(b, "v/a", "theirs")
		v.wantObject(b, "v/b", "theirs")
		v.wantObject(b, v.conflict(b, "v/b"), "second of b")
	})
}

// Two writers make the same directory: it is one, with our attributes and their headers.
func TestSameDirectory(t *testing.T) {
	t.Parallel()
	b := memory.New(memory.Options{})
	bubble(t, b, func(v *volume) {
		v.names("")
		v.mkdir("d")
		v.chmod("d", 0o700)
		b.Set("v/d/", nil, objstore.Attributes{Metadata: map[string]string{"mode": "16877", "color": "red"}})
		v.write("d/f", "x")
		v.drain()
		v.quiet()
		v.wantKeys(b, "v/", "v/d/", "v/d/f")
		meta := b.Snapshot()["v/d/"].Metadata
		if meta["mode"] != "16832" || meta["color"] != "red" {
			t.Errorf("the marker has %v", meta)
		}
	})
}

// Foreign headers stay with their file through changes, moves and other files in its
// place.
func TestForeignHeaders(t *testing.T) {
	for _, unlisted := range []bool{false, true} {
		t.Run("", func(t *testing.T) {
			t.Parallel()
			foreignHeaders(t, objstore.Capabilities{ListMetadata: unlisted})
		})
	}
}

func foreignHeaders(t *testing.T, without objstore.Capabilities) {
	t.Helper()
	b := memory.New(memory.Options{Without: without})
	theirs := objstore.Attributes{ContentType: "text/html", Metadata: map[string]string{"color": "red", "md5chksum": "x"}}
	b.Set("v/a", []byte("page"), theirs)
	b.Set("v/b", []byte("page"), theirs)
	bubble(t, b, func(v *volume) {
		v.names("")
		wantRed := func(key string, red, sum bool) {
			t.Helper()
			obj := b.Snapshot()[key]
			_, has := obj.Metadata["md5chksum"]
			if got := obj.ContentType == "text/html" && obj.Metadata["color"] == "red"; got != red || has != sum {
				t.Errorf("%q has %q and %v", key, obj.ContentType, obj.Metadata)
			}
		}
		v.chmod("a", 0o600)
		v.rename("b", "c")
		v.drain()
		wantRed("v/a", true, true)
		wantRed("v/c", true, true)
		v.write("a", "other")
		v.drain()
		wantRed("v/a", true, false)
		v.rename("a", "d")
		v.drain()
		wantRed("v/d", true, false) // the hash of what it was does not come back
		v.unlink("d")
		v.write("d", "ours")
		v.drain()
		wantRed("v/d", false, false)
		v.chmod("d", 0o600)
		v.drain()
		wantRed("v/d", false, false)
		v.quiet()
	})
}

// A delete whose answer was lost may come late where the store does not condition it:
// until it expires, nobody writes to its key, in the next process neither (hard-cases 7).
func TestLateDelete(t *testing.T) {
	for _, crash := range []bool{false, true} {
		t.Run("", func(t *testing.T) {
			t.Parallel()
			b := memory.New(memory.Options{Without: objstore.Capabilities{ConditionalDelete: true}})
			bubble(t, b, func(v *volume) {
				v.write("a", "first")
				v.drain()
				var sent time.Time
				b.Inject(memory.Fault{Op: objstore.OpDelete, Key: "v/a", Err: objstore.ErrUnavailable, Hook: func() {
					if sent = time.Now(); !crash {
						return
					}
					time.Sleep(time.Second)
				}})
				v.unlink("a")
				time.Sleep(200 * time.Millisecond)
				if crash {
					v.close()
					v.open()
				}
				v.write("a", "second")
				v.write("b", "another")
				time.Sleep(time.Until(sent.Add(objstore.DeleteExpiry - time.Millisecond)))
				v.wantObject(b, "v/a", "first")
				v.wantObject(b, "v/b", "another")
				b.Remove("v/a") // the late delete
				v.drain()
				v.quiet()
				v.wantObject(b, "v/a", "second")
			})
		})
	}
}

// A process that knows of no delete without an answer leaves none to the next: a key that waits
// to be deleted need not rest. After one that does not know it rests, also in later ones.
func TestNoLateDelete(t *testing.T) {
	const stops, never = 2, 2
	for lostBefore := range never + 1 { // so many stops the answer of a delete is lost
		t.Run("", func(t *testing.T) {
			t.Parallel()
			b := memory.New(memory.Options{Without: objstore.Capabilities{ConditionalDelete: true, BatchDelete: true}})
			bubble(t, b, func(v *volume) {
				// Each process asks for the delete once; it is refused, or its answer is lost.
				fail := func(stop int) (end func()) {
					err := objstore.ErrAccessDenied
					if stop == lostBefore {
						err = objstore.ErrUnavailable
					}
					return b.Inject(memory.Fault{Op: objstore.OpDelete, Key: "v/a", Count: memory.Forever, Err: err})
				}
				v.write("a", "first")
				v.drain()
				end := fail(0)
				v.unlink("a")
				for stop := range stops {
					time.Sleep(200 * time.Millisecond)
					v.close()
					end()
					if stop+1 < stops {
						end = fail(stop + 1)
					}
					v.open()
				}
				begun := time.Now()
				v.drain()
				took := time.Since(begun)
				if rested := took >= objstore.DeleteExpiry; rested != (lostBefore < never) {
					t.Errorf("lost before stop %d: it was deleted %v after the last", lostBefore, took)
				}
				if _, there := b.Snapshot()["v/a"]; there {
					t.Error("it is there still")
				}
			})
		})
	}
}

// A late write of ours that meets our next one is no conflict.
func TestLateWrite(t *testing.T) {
	t.Parallel()
	b := memory.New(memory.Options{})
	bubble(t, b, func(v *volume) {
		var late func()
		b.Inject(memory.Fault{Op: objstore.OpPut, Key: "v/a", Err: objstore.ErrUnavailable})
		v.write("a", "first")
		time.Sleep(300 * time.Millisecond)
		// The first attempt is executed between the look for it and the second attempt.
		b.Inject(memory.Fault{Op: objstore.OpPut, Key: "v/a", Nth: 1, Err: objstore.ErrUnavailable, After: true})
		late = b.Inject(memory.Fault{Op: objstore.OpHead, Key: "v/a", Nth: 2, Hook: func() { v.write("b", "other") }})
		defer late()
		v.drain()
		v.quiet()
		v.wantObject(b, "v/a", "first")
	})
}

// A file of ours that is not whole on this host, and whose object another writer
// replaced, is kept under a conflict's name with what there is of it (hard-cases 22).
func TestBaseIsReplaced(t *testing.T) {
	for _, gone := range []bool{false, true} {
		t.Run("", func(t *testing.T) {
			t.Parallel()
			b := memory.New(memory.Options{})
			bubble(t, b, func(v *volume) {
				v.write("a", big)
				v.drain()
				v.close()
				v.open()
				fh := v.openFile("a", 0)
				_, err := v.Write(v.t.Context(), fh, 0, []byte("ours"))
				v.must(err)
				v.Release(fh)
				ours := "ours" + strings.Repeat("\x00", len(big)-4)
				if b.Remove("v/a"); gone {
					v.drain()
					v.wantObject(b, "v/a", ours)
					v.quiet()
					return
				}
				b.Set("v/a", []byte("theirs"), objstore.Attributes{})
				v.drain()
				v.wantObject(b, "v/a", "theirs")
				v.wantObject(b, v.conflict(b, "v/a"), ours)
			})
		})
	}
}
