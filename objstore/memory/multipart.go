package memory

import (
	"bytes"
	"context"
	"fmt"
	"strconv"

	"objvol/objstore"
)

// upload is a multipart upload under way.
type upload struct {
	key   string
	attrs objstore.Attributes
	parts map[int]part
}

type part struct {
	etag string
	data []byte
}

// CreateUpload begins a multipart upload.
func (b *Bucket) CreateUpload(ctx context.Context, key string, attrs objstore.Attributes) (string, error) {
	id := ""
	err := b.do(ctx, objstore.OpCreateUpload, key, func() error {
		if err := validAttributes(attrs); err != nil {
			return err
		}
		b.writes++
		id = "upload-" + strconv.Itoa(b.writes)
		b.uploads[id] = &upload{key: key, attrs: attrs, parts: map[int]part{}}
		return nil
	})
	return id, err
}

// UploadPart sends one part.
func (b *Bucket) UploadPart(ctx context.Context, key, id string, number int, body objstore.Body) (objstore.Part, error) {
	data, err := receive(ctx, body)
	if err != nil {
		b.record(objstore.OpUploadPart, key)
		return objstore.Part{}, &objstore.OpError{Op: objstore.OpUploadPart, Key: key, Err: err}
	}
	var sent objstore.Part
	err = b.do(ctx, objstore.OpUploadPart, key, func() error {
		sent, err = b.addPartLocked(key, id, number, data)
		return err
	})
	return sent, err
}

// CopyPart makes a part of a range of an object. A range that reaches beyond the end of
// the source is refused.
func (b *Bucket) CopyPart(ctx context.Context, key, id string, number int, src objstore.CopySource) (objstore.Part, error) {
	var copied objstore.Part
	err := b.do(ctx, objstore.OpCopyPart, key, func() error {
		if !b.caps.CopyPart {
			return objstore.ErrUnsupported
		}
		source, err := b.findLocked(src.Key)
		if err != nil {
			return err
		}
		if src.IfMatch != "" && src.IfMatch != source.ETag {
			return objstore.ErrPreconditionFailed
		}
		data := source.Data
		if src.Length != 0 || src.Offset != 0 {
			if src.Offset < 0 || src.Length <= 0 || src.Offset+src.Length > source.Size {
				return objstore.ErrInvalidRange
			}
			data = data[src.Offset : src.Offset+src.Length]
		}
		copied, err = b.addPartLocked(key, id, number, data)
		return err
	})
	return copied, err
}

// CompleteUpload joins the parts.
func (b *Bucket) CompleteUpload(ctx context.Context, key, id string, parts []objstore.Part, cond objstore.Condition) (objstore.Object, error) {
	var object objstore.Object
	err := b.do(ctx, objstore.OpCompleteUpload, key, func() error {
		up, err := b.uploadLocked(key, id)
		if err != nil {
			return err
		}
		data, etag, err := up.join(parts, b.minPartSize)
		if err != nil {
			return err
		}
		if err := b.allowLocked(key, cond, b.caps.ConditionalComplete); err != nil {
			return err
		}
		object = written(b.storeLocked(key, data, up.attrs, etag))
		delete(b.uploads, id)
		return nil
	})
	return object, err
}

// AbortUpload discards an upload.
func (b *Bucket) AbortUpload(ctx context.Context, key, id string) error {
	return b.do(ctx, objstore.OpAbortUpload, key, func() error {
		if _, err := b.uploadLocked(key, id); err == nil {
			delete(b.uploads, id)
		}
		return nil
	})
}

func (b *Bucket) uploadLocked(key, id string) (*upload, error) {
	up, ok := b.uploads[id]
	if !ok || up.key != key {
		return nil, fmt.Errorf("%w: upload %q", objstore.ErrNotFound, id)
	}
	return up, nil
}

func (b *Bucket) addPartLocked(key, id string, number int, data []byte) (objstore.Part, error) {
	up, err := b.uploadLocked(key, id)
	if err != nil {
		return objstore.Part{}, err
	}
	if number < 1 || number > objstore.MaxParts {
		return objstore.Part{}, fmt.Errorf("%w: part number %d", objstore.ErrInvalid, number)
	}
	added := part{etag: hash(data), data: data}
	up.parts[number] = added
	return objstore.Part{Number: number, ETag: added.etag, Size: int64(len(data))}, nil
}

// join returns the bytes of the parts and the ETag that they make. All but the last have
// at least so many bytes.
func (u *upload) join(parts []objstore.Part, least int) (data []byte, etag string, err error) {
	if len(parts) == 0 {
		return nil, "", fmt.Errorf("%w: an upload without parts", objstore.ErrInvalid)
	}
	var all, etags bytes.Buffer
	for i, p := range parts {
		have, ok := u.parts[p.Number]
		switch {
		case i > 0 && p.Number <= parts[i-1].Number:
			return nil, "", fmt.Errorf("%w: parts out of order", objstore.ErrInvalid)
		case !ok || have.etag != p.ETag:
			return nil, "", fmt.Errorf("%w: part %d was not uploaded so", objstore.ErrInvalid, p.Number)
		case i < len(parts)-1 && len(have.data) < least:
			return nil, "", fmt.Errorf("%w: part %d is too small", objstore.ErrInvalid, p.Number)
		}
		all.Write(have.data)
		etags.WriteString(have.etag)
	}
	return all.Bytes(), hash(etags.Bytes()) + "-" + strconv.Itoa(len(parts)), nil
}
