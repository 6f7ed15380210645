package memory

import (
	"context"
	"errors"
	"fmt"

	"objvol/objstore"
)

// DeleteMany removes objects in one request, which the journal shows with its first key.
// Beside the faults of the request each key meets the errors of those of an OpDelete of it. Where the bucket is without ConditionalDelete, the conditions are
// compared by listings and Heads before, and what arrives between is lost.
func (b *Bucket) DeleteMany(ctx context.Context, batch []objstore.Doomed) []error {
	errs := make([]error, len(batch))
	all := func(err error) []error {
		for i, d := range batch {
			if errs[i] == nil {
				errs[i] = &objstore.OpError{Op: objstore.OpDeleteMany, Key: d.Key, Err: err}
			}
		}
		return errs
	}
	if len(batch) == 0 {
		return nil
	}
	switch {
	case !b.caps.BatchDelete:
		b.record(objstore.OpDeleteMany, batch[0].Key)
		return all(fmt.Errorf("%w: deletes of many objects at once", objstore.ErrUnsupported))
	case len(batch) > objstore.MaxDeletes:
		b.record(objstore.OpDeleteMany, batch[0].Key)
		return all(fmt.Errorf("%w: %d keys at once", objstore.ErrInvalid, len(batch)))
	}
	if !b.caps.ConditionalDelete {
		errs = objstore.Confirm(ctx, b, batch)
	}
	disturbed := make([][]Fault, len(batch))
	for i, d := range batch {
		disturbed[i] = b.faultsOf(objstore.OpDelete, d.Key)
	}
	err := b.do(ctx, objstore.OpDeleteMany, batch[0].Key, func() error {
		for i, d := range batch {
			if errs[i] != nil {
				continue
			}
			if err := b.deleteLocked(d, disturbed[i]); err != nil {
				errs[i] = &objstore.OpError{Op: objstore.OpDeleteMany, Key: d.Key, Err: err}
			}
		}
		return nil
	})
	if op, ok := errors.AsType[*objstore.OpError](err); ok {
		return all(op.Err)
	}
	return errs
}

// deleteLocked removes one of a batch, unless a fault forbids it.
func (b *Bucket) deleteLocked(d objstore.Doomed, faults []Fault) error {
	for _, f := range faults {
		if f.Err != nil && !f.After {
			return f.Err
		}
	}
	if err := validKey(d.Key); err != nil {
		return err
	}
	if d.IfMatch != "" && b.caps.ConditionalDelete {
		stored, err := b.findLocked(d.Key)
		if err != nil {
			return err
		}
		if stored.ETag != d.IfMatch {
			return objstore.ErrPreconditionFailed
		}
	}
	delete(b.objects, d.Key)
	for _, f := range faults {
		if f.Err != nil {
			return f.Err
		}
	}
	return nil
}
