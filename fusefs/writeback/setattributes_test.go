package writeback_test

import (
	"context"
	"io"
	"slices"
	"testing"
	"time"

	"objvol/fusefs/layout"
	"objvol/objstore"
	"objvol/objstore/memory"
)

// wantMode checks what mode the object of a key has.
func (v *volume) wantMode(b *memory.Bucket, key string, want uint32) {
	v.t.Helper()
	attr, _, _ := layout.Decode(b.Snapshot()[key].Object, false, layout.Defaults{})
	if got := attr.Mode &^ layout.TypeMask; got != want {
		v.t.Errorf("%q has mode %o, not %o", key, got, want)
	}
}

// A change of attributes alone is one small request, whatever the object's size; what other
// tools put on it stays (hard-cases 7, 27).
func TestAttributesAlone(t *testing.T) {
	t.Parallel()
	for _, kept := range []bool{false, true} {
		b := memory.New(memory.Options{ContentETags: kept})
		bubble(t, b, func(v *volume) {
			theirs := objstore.Attributes{
				ContentType: "text/html", Headers: map[string]string{"Cache-Control": "no-cache"}, Metadata: map[string]string{"color": "red"},
			}
			b.Set("v/theirs", []byte(big), theirs)
			b.Set("v/small", []byte("small, and not on this host"), theirs)
			v.write("ours", big)
			v.drain()
			v.names("")
			b.Forget()
			for _, name := range []string{"ours", "theirs", "small"} {
				v.chmod(name, 0o600)
				v.chmod(name, 0o640)
			}
			v.drain()
			v.quiet()
			if n := b.Count(objstore.OpSetAttributes); n != 3 || b.Count("") > 3+2 {
				t.Errorf("%d requests set attributes, of %v", n, b.Requests())
			}
			for name, content := range map[string]string{"ours": big, "theirs": big, "small": "small, and not on this host"} {
				v.wantObject(b, "v/"+name, content)
				v.wantMode(b, "v/"+name, 0o640)
			}
			for _, key := range []string{"v/theirs", "v/small"} {
				o := b.Snapshot()[key]
				if o.ContentType != theirs.ContentType || o.Headers["Cache-Control"] != "no-cache" || o.Metadata["color"] != "red" {
					t.Errorf("of theirs is left %+v", o.Attributes)
				}
			}
			// It is the same content: nothing is read again, nor sent.
			b.Forget()
			if v.read("ours") != big {
				t.Error("ours reads otherwise")
			}
			v.chmod("ours", 0o400)
			v.drain()
			if n := b.Count(objstore.OpGet) + b.Count(objstore.OpPut) + b.Count(objstore.OpCreateUpload); n != 0 {
				t.Errorf("requests: %v", b.Requests())
			}
		})
	}
}

// What is small and on this host goes with its bytes: that request has the stricter condition.
func TestAttributesOfASmallFile(t *testing.T) {
	t.Parallel()
	b := memory.New(memory.Options{})
	bubble(t, b, func(v *volume) {
		v.write("a", "small")
		v.drain()
		b.Forget()
		v.chmod("a", 0o600)
		v.drain()
		v.wantMode(b, "v/a", 0o600)
		if b.Count(objstore.OpPut) != 1 || b.Count(objstore.OpSetAttributes) != 0 {
			t.Errorf("requests: %v", b.Requests())
		}
	})
}

// A store that cannot set them, or seemed to and cannot, copies the bytes.
func TestAttributesAreRefused(t *testing.T) {
	t.Parallel()
	for _, refusal := range []error{nil, objstore.ErrInvalid, objstore.ErrUnsupported} {
		b := memory.New(memory.Options{Without: objstore.Capabilities{SetAttributes: refusal == nil}})
		bubble(t, b, func(v *volume) {
			v.write("a", big)
			v.drain()
			b.Inject(memory.Fault{Op: objstore.OpSetAttributes, Err: refusal, Count: memory.Forever})
			for _, mode := range []uint32{0o600, 0o640} {
				v.chmod("a", mode)
				v.drain()
				v.quiet()
				v.wantMode(b, "v/a", mode)
			}
			v.wantObject(b, "v/a", big)
			if tried := b.Count(objstore.OpSetAttributes); tried > 1 || b.Count(objstore.OpCopyPart) == 0 {
				t.Errorf("%d requests set attributes, of %v", tried, b.Requests())
			}
		})
	}
}

// After a lost answer nothing is written to the key until a late request is refused: one that
// arrives then does no harm. So it is after a crash (hard-cases 7).
func TestLateAttributes(t *testing.T) {
	t.Parallel()
	for _, crash := range []bool{false, true} {
		b := memory.New(memory.Options{ContentETags: true})
		bubble(t, b, func(v *volume) {
			v.write("a", big)
			v.drain()
			first := b.Snapshot()["v/a"]
			b.Inject(memory.Fault{Op: objstore.OpSetAttributes, Err: objstore.ErrUnavailable})
			v.chmod("a", 0o600)
			time.Sleep(300 * time.Millisecond)
			if crash {
				v.close()
				v.open()
			}
			v.chmod("a", 0o640)
			time.Sleep(objstore.DeleteExpiry)
			v.wantMode(b, "v/a", 0o644)
			// The late one: of an attribute change that was overtaken since.
			late := objstore.Attributes{Metadata: map[string]string{"mode": "33152"}}
			if _, err := b.SetAttributes(t.Context(), "v/a", first.ETag, late); err != nil {
				t.Error(err)
			}
			v.drain()
			v.quiet()
			v.wantMode(b, "v/a", 0o640)
			v.wantObject(b, "v/a", big)
		})
	}
}

// What another client wrote before attributes are set is taken over, and gets them.
func TestAttributesOfAnotherContent(t *testing.T) {
	t.Parallel()
	b := memory.New(memory.Options{ContentETags: true})
	bubble(t, b, func(v *volume) {
		v.write("a", big)
		v.drain()
		b.Inject(memory.Fault{Op: objstore.OpSetAttributes, Hook: func() { b.Set("v/a", []byte("theirs"), objstore.Attributes{}) }})
		v.chmod("a", 0o600)
		v.drain()
		v.quiet()
		v.wantObject(b, "v/a", "theirs")
		v.wantMode(b, "v/a", 0o600)
		if got := v.read("a"); got != "theirs" {
			t.Errorf("a reads %.20q", got)
		}
	})
}

// Another client's object that got our ETag, because it was written while attributes were set,
// is known by its size.
func TestForeignObjectUnderOurETag(t *testing.T) {
	t.Parallel()
	b := &disguise{Bucket: memory.New(memory.Options{})}
	bubble(t, b, func(v *volume) {
		v.write("a", big)
		v.drain()
		b.key, b.etag = "v/a", b.Snapshot()["v/a"].ETag
		b.Set("v/a", []byte("theirs"), objstore.Attributes{})
		time.Sleep(20 * patience)
		if names := v.names(""); !slices.Equal(names, []string{"a"}) {
			t.Errorf("names are %q", names)
		}
		if a, err := v.stat("a"); err != nil || a.Size != int64(len("theirs")) {
			t.Errorf("a has %d bytes, error %v", a.Size, err)
		}
		if got := v.read("a"); got != "theirs" {
			t.Errorf("a reads %.20q", got)
		}
	})
}

// disguise is a bucket that shows the object of one key under the ETag of another.
type disguise struct {
	*memory.Bucket
	key, etag string
}

func (d *disguise) show(o objstore.Object) objstore.Object {
	if o.Key == d.key {
		o.ETag = d.etag
	}
	return o
}

func (d *disguise) Head(ctx context.Context, key string) (objstore.Object, error) {
	o, err := d.Bucket.Head(ctx, key)
	return d.show(o), err
}

func (d *disguise) Get(ctx context.Context, key string, opts objstore.GetOptions) (io.ReadCloser, objstore.Object, error) {
	if key == d.key {
		opts.IfMatch = ""
	}
	body, o, err := d.Bucket.Get(ctx, key, opts)
	return body, d.show(o), err
}

func (d *disguise) List(ctx context.Context, opts objstore.ListOptions) (objstore.Page, error) {
	page, err := d.Bucket.List(ctx, opts)
	for i := range page.Objects {
		page.Objects[i] = d.show(page.Objects[i])
	}
	return page, err
}
