package s3

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"objvol/objstore"
)

// probeCreates is how many clients try to create one key at once.
const probeCreates = 16

// probeCleanup bounds the removal of the scratch objects.
const probeCleanup = 10 * time.Second

// Probe finds out by trying what the store can do. Its scratch objects lie under the
// prefix and are removed before it returns, also if it fails. It takes about sixty
// small requests, most of them at the same time. The answer holds until the store is
// replaced or upgraded: callers remember it.
//
// A store that answers a trial with a no lacks the capability. Any other failure (not
// reachable, no permission) is an error, and nothing is learnt.
func (b *Bucket) Probe(ctx context.Context, prefix string) (objstore.Capabilities, error) {
	p := &probe{
		bucket: b.WithCapabilities(objstore.Capabilities{ConditionalDelete: true, BatchDelete: true, SetAttributes: true, ListMetadata: true}),
		prefix: prefix + "probe-" + rand.Text() + "/",
	}
	// MinIO removes a directory with its last object, and denies what is written into it at
	// that moment: one object stays until all trials are over.
	if _, err := p.bucket.Put(ctx, p.key("stays"), objstore.Bytes("x"), objstore.PutOptions{}); err != nil {
		return objstore.Capabilities{}, errors.Join(fmt.Errorf("probe: %w", err), p.cleanUp(ctx))
	}
	var caps objstore.Capabilities
	trials := []struct {
		name string
		can  *bool
		try  func(context.Context) (bool, error)
	}{
		{"conditional put", &caps.ConditionalPut, p.conditionalPut},
		{"conditional complete", &caps.ConditionalComplete, p.conditionalComplete},
		{"conditional delete", &caps.ConditionalDelete, p.conditionalDelete},
		{"delete of many", &caps.BatchDelete, p.batchDelete},
		{"attributes without the bytes", &caps.SetAttributes, p.setAttributes},
		{"listing with metadata", &caps.ListMetadata, p.listMetadata},
		{"copying a part", &caps.CopyPart, p.copyPart},
		{"file and directory", &caps.FileAndDirectory, p.fileAndDirectory},
	}
	errs := make([]error, len(trials))
	var wg sync.WaitGroup
	for i, t := range trials {
		wg.Go(func() {
			can, err := t.try(ctx)
			if *t.can = can && err == nil; err != nil && !refusal(err) {
				errs[i] = fmt.Errorf("probe of %s: %w", t.name, err)
			}
		})
	}
	wg.Wait()
	errs = append(errs, p.cleanUp(ctx))
	// What keeps one trial from an answer mostly keeps all: one is enough to read.
	if err := cmp.Or(errs...); err != nil {
		return objstore.Capabilities{}, err
	}
	// A request without a condition is no substitute for one with it.
	caps.BatchDelete = caps.BatchDelete && (p.batchCondition || !caps.ConditionalDelete)
	return caps, nil
}

// refusal reports whether an error is the store's way to say that it cannot do this.
func refusal(err error) bool {
	for _, kind := range []error{objstore.ErrPreconditionFailed, objstore.ErrInvalid, objstore.ErrUnsupported, objstore.ErrNotFound} {
		if errors.Is(err, kind) {
			return true
		}
	}
	return false
}

// refused reports whether a request failed for its condition. Another error is
// returned; none means that the condition was ignored.
func refused(err error) (bool, error) {
	if errors.Is(err, objstore.ErrPreconditionFailed) {
		return true, nil
	}
	return false, err
}

// otherETag is no object's.
const otherETag = "00000000000000000000000000000000"

// probe is one run. Its objects have names of their own, so that the trials do not meet.
type probe struct {
	bucket *Bucket
	prefix string
	keys   sync.Map // key -> struct{}: all that may exist
	// batchCondition: batchDelete found that ETags are compared.
	batchCondition bool
	uploads        sync.Map // id -> key: all that may be open
}

// key names a scratch object, which will be removed.
func (p *probe) key(name string) string {
	key := p.prefix + name
	p.keys.Store(key, struct{}{})
	return key
}

// conditionalPut: of many creates at once one wins, and If-Match is refused with a
// wrong ETag and on a missing key.
func (p *probe) conditionalPut(ctx context.Context) (bool, error) {
	key := p.key("create")
	var wins atomic.Int32
	errs := make([]error, probeCreates)
	var wg sync.WaitGroup
	for i := range probeCreates {
		wg.Go(func() {
			body := objstore.Bytes(fmt.Sprintf("%d", i))
			_, err := p.bucket.Put(ctx, key, body, objstore.PutOptions{Condition: objstore.Condition{IfAbsent: true}})
			switch {
			case err == nil:
				wins.Add(1)
			case !errors.Is(err, objstore.ErrPreconditionFailed):
				errs[i] = err
			}
		})
	}
	wg.Wait()
	if wins.Load() > 1 {
		return false, nil
	}
	// A loser may also be told to try again: two creates that meet are 409 at AWS.
	if wins.Load() == 0 {
		if slices.ContainsFunc(errs, refusal) {
			return false, nil
		}
		if err := cmp.Or(errs...); err != nil {
			return false, err
		}
	}
	for _, key := range []string{key, p.key("missing")} {
		_, err := p.bucket.Put(ctx, key, objstore.Bytes("x"), objstore.PutOptions{Condition: objstore.Condition{IfMatch: otherETag}})
		if ok, err := refused(err); !ok {
			return false, err
		}
	}
	return wins.Load() == 1, nil
}

// conditionalComplete: an upload over an existing object is refused with
// If-None-Match: * and with a wrong ETag, and accepted with the right one.
func (p *probe) conditionalComplete(ctx context.Context) (bool, error) {
	key := p.key("complete")
	old, err := p.bucket.Put(ctx, key, objstore.Bytes("old"), objstore.PutOptions{})
	if err != nil {
		return false, err
	}
	id, err := p.create(ctx, key)
	if err != nil {
		return false, err
	}
	part, err := p.bucket.UploadPart(ctx, key, id, 1, objstore.Bytes("new"))
	if err != nil {
		return false, err
	}
	for _, cond := range []objstore.Condition{{IfAbsent: true}, {IfMatch: otherETag}} {
		_, err := p.bucket.CompleteUpload(ctx, key, id, []objstore.Part{part}, cond)
		if ok, err := refused(err); !ok {
			return false, err
		}
	}
	_, err = p.bucket.CompleteUpload(ctx, key, id, []objstore.Part{part}, objstore.Condition{IfMatch: old.ETag})
	return err == nil, err
}

// conditionalDelete: a delete is refused with a wrong ETag, and done with the right one.
func (p *probe) conditionalDelete(ctx context.Context) (bool, error) {
	key := p.key("delete")
	obj, err := p.bucket.Put(ctx, key, objstore.Bytes("x"), objstore.PutOptions{})
	if err != nil {
		return false, err
	}
	if ok, err := refused(p.bucket.Delete(ctx, key, objstore.Condition{IfMatch: otherETag})); !ok {
		return false, err
	}
	if err := p.bucket.Delete(ctx, key, objstore.Condition{IfMatch: obj.ETag}); err != nil {
		return false, err
	}
	return true, nil
}

// batchDelete: of two objects both, or only that with the right ETag, are removed by one
// request.
func (p *probe) batchDelete(ctx context.Context) (bool, error) {
	kept, gone := p.key("many-1"), p.key("many-2")
	if _, err := p.bucket.Put(ctx, kept, objstore.Bytes("x"), objstore.PutOptions{}); err != nil {
		return false, err
	}
	obj, err := p.bucket.Put(ctx, gone, objstore.Bytes("x"), objstore.PutOptions{})
	if err != nil {
		return false, err
	}
	errs := p.bucket.DeleteMany(ctx, []objstore.Doomed{{Key: kept, IfMatch: otherETag}, {Key: gone, IfMatch: obj.ETag}})
	if errs[1] != nil {
		return false, errs[1]
	}
	if p.batchCondition, err = refused(errs[0]); err != nil {
		return false, err
	}
	if _, err = p.bucket.Head(ctx, gone); err == nil {
		return false, nil // it says that it did, and did not
	}
	if errors.Is(err, objstore.ErrNotFound) {
		err = nil
	}
	return err == nil, err
}

// setAttributes: the attributes of an object are replaced, on the condition of its ETag,
// and its bytes stay.
func (p *probe) setAttributes(ctx context.Context) (bool, error) {
	key := p.key("attributes")
	attrs := objstore.Attributes{ContentType: "text/plain", Metadata: map[string]string{"before": "yes"}}
	obj, err := p.bucket.Put(ctx, key, objstore.Bytes("content"), objstore.PutOptions{Attributes: attrs})
	if err != nil {
		return false, err
	}
	attrs = objstore.Attributes{ContentType: "text/html", Metadata: map[string]string{"after": "yes"}}
	_, err = p.bucket.SetAttributes(ctx, key, otherETag, attrs)
	if ok, err := refused(err); !ok {
		return false, err
	}
	set, err := p.bucket.SetAttributes(ctx, key, obj.ETag, attrs)
	if err != nil {
		return false, err
	}
	now, err := p.bucket.Head(ctx, key)
	same := now.Size == obj.Size && now.ETag == set.ETag && now.ContentType == attrs.ContentType
	return same && maps.Equal(now.Metadata, attrs.Metadata), err
}

// listMetadata: a listing has an object's user metadata.
func (p *probe) listMetadata(ctx context.Context) (bool, error) {
	key := p.key("metadata")
	attrs := objstore.Attributes{Metadata: map[string]string{"probe": "yes"}}
	if _, err := p.bucket.Put(ctx, key, objstore.Bytes(""), objstore.PutOptions{Attributes: attrs}); err != nil {
		return false, err
	}
	page, err := p.bucket.List(ctx, objstore.ListOptions{Prefix: key})
	if err != nil {
		return false, err
	}
	return len(page.Objects) == 1 && page.Objects[0].Metadata["probe"] == "yes", nil
}

// copyPart: a part can be copied from an object, also from an empty one, and the
// source's condition is honoured.
func (p *probe) copyPart(ctx context.Context) (bool, error) {
	for _, content := range []string{"", "content"} {
		source := p.key("source" + content)
		if _, err := p.bucket.Put(ctx, source, objstore.Bytes(content), objstore.PutOptions{}); err != nil {
			return false, err
		}
		key := p.key("copy" + content)
		id, err := p.create(ctx, key)
		if err != nil {
			return false, err
		}
		_, err = p.bucket.CopyPart(ctx, key, id, 1, objstore.CopySource{Key: source, IfMatch: otherETag})
		if ok, err := refused(err); !ok {
			return false, err
		}
		part, err := p.bucket.CopyPart(ctx, key, id, 1, objstore.CopySource{Key: source})
		if err != nil {
			return false, err
		}
		if _, err := p.bucket.CompleteUpload(ctx, key, id, []objstore.Part{part}, objstore.Condition{}); err != nil {
			return false, err
		}
		obj, err := p.bucket.Head(ctx, key)
		if err != nil || obj.Size != int64(len(content)) {
			return false, err
		}
	}
	return true, nil
}

// fileAndDirectory: "f" and "f/g" exist at once, and both are listed. MinIO keeps both,
// but hides the second from every listing.
func (p *probe) fileAndDirectory(ctx context.Context) (bool, error) {
	prefix := p.prefix + "directory/"
	for _, key := range []string{p.key("directory/f"), p.key("directory/f/g")} {
		if _, err := p.bucket.Put(ctx, key, objstore.Bytes("x"), objstore.PutOptions{}); err != nil {
			return false, err
		}
	}
	page, err := p.bucket.List(ctx, objstore.ListOptions{Prefix: prefix})
	return len(page.Objects) == 2, err
}

func (p *probe) create(ctx context.Context, key string) (string, error) {
	id, err := p.bucket.CreateUpload(ctx, key, objstore.Attributes{})
	if err == nil {
		p.uploads.Store(id, key)
	}
	return id, err
}

// cleanUp removes what the trials left, also after the context ended.
func (p *probe) cleanUp(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), probeCleanup)
	defer cancel()
	var errs []error
	p.uploads.Range(func(id, key any) bool {
		errs = append(errs, p.bucket.AbortUpload(ctx, key.(string), id.(string)))
		return true
	})
	var keys []string
	p.keys.Range(func(key, _ any) bool {
		keys = append(keys, key.(string))
		return true
	})
	removed := make([]error, len(keys))
	var wg sync.WaitGroup
	for i, key := range keys {
		wg.Go(func() { removed[i] = p.bucket.Delete(ctx, key, objstore.Condition{}) })
	}
	wg.Wait()
	if err := errors.Join(append(errs, removed...)...); err != nil {
		return fmt.Errorf("probe left objects under %q: %w", p.prefix, err)
	}
	return nil
}
