package objstoretest

import (
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"objvol/objstore"
	"objvol/objstore/memory"
)

// everything is what a memory bucket can do.
var everything = objstore.Capabilities{
	ConditionalPut: true, ConditionalComplete: true, ConditionalDelete: true, BatchDelete: true, SetAttributes: true,
	ListMetadata: true, CopyPart: true, FileAndDirectory: true,
}

// liar is a bucket that claims what it does not do, or breaks the contract in one
// place, with the test of the suite that must find out.
type liar struct {
	found string
	open  func() objstore.Bucket
}

// claims is a bucket that says it can do this, whatever it can.
type claims struct {
	objstore.Bucket
	caps objstore.Capabilities
}

func (c claims) Capabilities() objstore.Capabilities { return c.caps }

// pretends returns a bucket that lacks something and claims everything.
func pretends(without objstore.Capabilities) func() objstore.Bucket {
	return func() objstore.Bucket { return claims{memory.New(memory.Options{Without: without}), everything} }
}

// hides returns a bucket that does everything and claims less.
func hides(caps objstore.Capabilities) func() objstore.Bucket {
	return func() objstore.Bucket { return claims{memory.New(memory.Options{}), caps} }
}

// less returns everything but what is taken away.
func less(take func(*objstore.Capabilities)) objstore.Capabilities {
	caps := everything
	take(&caps)
	return caps
}

// faulty changes single methods of a bucket.
type faulty struct {
	objstore.Bucket
	put      func(b objstore.Bucket, ctx context.Context, key string, body objstore.Body, opts objstore.PutOptions) (objstore.Object, error)
	get      func(b objstore.Bucket, ctx context.Context, key string, opts objstore.GetOptions) (io.ReadCloser, objstore.Object, error)
	list     func(b objstore.Bucket, ctx context.Context, opts objstore.ListOptions) (objstore.Page, error)
	complete func(b objstore.Bucket, ctx context.Context, key, id string, parts []objstore.Part, cond objstore.Condition) (objstore.Object, error)
}

func (f faulty) Put(ctx context.Context, key string, body objstore.Body, opts objstore.PutOptions) (objstore.Object, error) {
	if f.put != nil {
		return f.put(f.Bucket, ctx, key, body, opts)
	}
	return f.Bucket.Put(ctx, key, body, opts)
}

func (f faulty) Get(ctx context.Context, key string, opts objstore.GetOptions) (io.ReadCloser, objstore.Object, error) {
	if f.get != nil {
		return f.get(f.Bucket, ctx, key, opts)
	}
	return f.Bucket.Get(ctx, key, opts)
}

func (f faulty) List(ctx context.Context, opts objstore.ListOptions) (objstore.Page, error) {
	if f.list != nil {
		return f.list(f.Bucket, ctx, opts)
	}
	return f.Bucket.List(ctx, opts)
}

func (f faulty) CompleteUpload(ctx context.Context, key, id string, parts []objstore.Part, cond objstore.Condition) (objstore.Object, error) {
	if f.complete != nil {
		return f.complete(f.Bucket, ctx, key, id, parts, cond)
	}
	return f.Bucket.CompleteUpload(ctx, key, id, parts, cond)
}

// breaks returns a bucket with a fault.
func breaks(f faulty) func() objstore.Bucket {
	return func() objstore.Bucket {
		f.Bucket = memory.New(memory.Options{})
		return f
	}
}

var liars = map[string]liar{
	"claims conditional put":      {"put_condition", pretends(objstore.Capabilities{ConditionalPut: true})},
	"claims conditional complete": {"complete_condition", pretends(objstore.Capabilities{ConditionalComplete: true})},
	"claims list metadata":        {"list_attributes", pretends(objstore.Capabilities{ListMetadata: true})},
	"claims copy part":            {"copy_part", pretends(objstore.Capabilities{CopyPart: true})},
	"claims set attributes":       {"set_attributes", pretends(objstore.Capabilities{SetAttributes: true})},
	"hides set attributes":        {"set_attributes", hides(less(func(c *objstore.Capabilities) { c.SetAttributes = false }))},
	"claims file and directory":   {"file_and_directory", pretends(objstore.Capabilities{FileAndDirectory: true})},
	"hides conditional complete":  {"complete_condition", hides(less(func(c *objstore.Capabilities) { c.ConditionalComplete = false }))},
	"hides list metadata":         {"list_attributes", hides(less(func(c *objstore.Capabilities) { c.ListMetadata = false }))},
	"hides copy part":             {"copy_part", hides(less(func(c *objstore.Capabilities) { c.CopyPart = false }))},
	"hides file and directory":    {"file_and_directory", hides(less(func(c *objstore.Capabilities) { c.FileAndDirectory = false }))},

	"compares before it writes": {"parallel_creates", breaks(faulty{put: func(b objstore.Bucket, ctx context.Context, key string, body objstore.Body, opts objstore.PutOptions) (objstore.Object, error) {
		if opts.IfAbsent {
			if _, err := b.Head(ctx, key); err == nil {
				return objstore.Object{}, &objstore.OpError{Op: objstore.OpPut, Key: key, Err: objstore.ErrPreconditionFailed}
			}
			time.Sleep(10 * time.Millisecond) // the others look as well
			opts.IfAbsent = false
		}
		return b.Put(ctx, key, body, opts)
	}})},
	"stores what came of a body": {"broken_body", breaks(faulty{put: func(b objstore.Bucket, ctx context.Context, key string, body objstore.Body, opts objstore.PutOptions) (objstore.Object, error) {
		r, err := body.Open()
		if err != nil {
			return objstore.Object{}, &objstore.OpError{Op: objstore.OpPut, Key: key, Err: err}
		}
		data, broken := io.ReadAll(r)
		object, err := b.Put(ctx, key, objstore.Bytes(data), opts)
		if err = errors.Join(err, broken, r.Close()); err != nil {
			return objstore.Object{}, &objstore.OpError{Op: objstore.OpPut, Key: key, Err: err}
		}
		return object, nil
	}})},
	"lists metadata that nobody wants": {"list_attributes", breaks(faulty{list: func(b objstore.Bucket, ctx context.Context, opts objstore.ListOptions) (objstore.Page, error) {
		opts.Bare = false
		return b.List(ctx, opts)
	}})},
	"forgets the content type": {"attributes", breaks(faulty{put: func(b objstore.Bucket, ctx context.Context, key string, body objstore.Body, opts objstore.PutOptions) (objstore.Object, error) {
		opts.ContentType = ""
		return b.Put(ctx, key, body, opts)
	}})},
	"names no request": {"put_condition", breaks(faulty{put: func(b objstore.Bucket, ctx context.Context, key string, body objstore.Body, opts objstore.PutOptions) (objstore.Object, error) {
		object, err := b.Put(ctx, key, body, opts)
		if err != nil {
			err = errors.Unwrap(err)
		}
		return object, err
	}})},
	"ignores ranges beyond the end": {"ranges", breaks(faulty{get: func(b objstore.Bucket, ctx context.Context, key string, opts objstore.GetOptions) (io.ReadCloser, objstore.Object, error) {
		body, object, err := b.Get(ctx, key, opts)
		if errors.Is(err, objstore.ErrInvalidRange) {
			object, err = b.Head(ctx, key)
			return io.NopCloser(strings.NewReader("")), object, err
		}
		return body, object, err
	}})},
	"describes the range": {"ranges", breaks(faulty{get: func(b objstore.Bucket, ctx context.Context, key string, opts objstore.GetOptions) (io.ReadCloser, objstore.Object, error) {
		body, object, err := b.Get(ctx, key, opts)
		if opts.Length > 0 {
			object.Size = min(opts.Length, object.Size)
		}
		return body, object, err
	}})},
	"lists without order": {"list", breaks(faulty{list: func(b objstore.Bucket, ctx context.Context, opts objstore.ListOptions) (objstore.Page, error) {
		page, err := b.List(ctx, opts)
		slices.Reverse(page.Objects)
		return page, err
	}})},
	"lists one page": {"list_pages", breaks(faulty{list: func(b objstore.Bucket, ctx context.Context, opts objstore.ListOptions) (objstore.Page, error) {
		page, err := b.List(ctx, opts)
		page.Next = ""
		return page, err
	}})},
	"ignores after": {"list_after", breaks(faulty{list: func(b objstore.Bucket, ctx context.Context, opts objstore.ListOptions) (objstore.Page, error) {
		opts.After = ""
		return b.List(ctx, opts)
	}})},
	"ends a refused upload": {"complete_condition", breaks(faulty{complete: func(b objstore.Bucket, ctx context.Context, key, id string, parts []objstore.Part, cond objstore.Condition) (objstore.Object, error) {
		object, err := b.CompleteUpload(ctx, key, id, parts, cond)
		if err != nil {
			err = errors.Join(err, b.AbortUpload(ctx, key, id))
		}
		return object, err
	}})},
}

// liarName is the variable that makes TestLiar one of liars.
const liarName = "OBJVOL_TEST_LIAR"

// TestLiar is the suite on one of liars. It must fail, and so runs as a child of
// TestLiars only.
func TestLiar(t *testing.T) {
	name := os.Getenv(liarName)
	if name == "" {
		t.Skip("runs as a part of TestLiars")
	}
	b := liars[name].open()
	Run(t, func(*testing.T) objstore.Bucket { return b }, b.Capabilities())
}

// TestLiars checks that the suite fails where it should.
func TestLiars(t *testing.T) {
	t.Parallel()
	for name, l := range liars {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestLiar$/^"+l.found+"$", "-test.timeout=1m")
			cmd.Env = append(os.Environ(), liarName+"="+name)
			out, err := cmd.CombinedOutput()
			if _, failed := errors.AsType[*exec.ExitError](err); !failed || !strings.Contains(string(out), "--- FAIL: TestLiar/"+l.found+" ") {
				t.Errorf("the suite does not find out: %v\n%s", err, out)
			}
		})
	}
}

// Other words than declared fail, even with the right deeds.
func TestDeclaration(t *testing.T) {
	t.Parallel()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestDeclaredTooMuch$/^object$", "-test.timeout=1m")
	cmd.Env = append(os.Environ(), liarName+"=declaration")
	out, err := cmd.CombinedOutput()
	if err == nil || !strings.Contains(string(out), "declared are") {
		t.Errorf("the suite does not find out: %v\n%s", err, out)
	}
}

// TestDeclaredTooMuch must fail; it runs as a child of TestDeclaration only.
func TestDeclaredTooMuch(t *testing.T) {
	if os.Getenv(liarName) != "declaration" {
		t.Skip("runs as a part of TestDeclaration")
	}
	b := memory.New(memory.Options{Without: objstore.Capabilities{ConditionalDelete: true}})
	Run(t, func(*testing.T) objstore.Bucket { return b }, everything)
}
