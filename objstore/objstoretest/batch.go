package objstoretest

import (
	"fmt"
	"slices"
	"strings"

	"objvol/objstore"
)

// deleteMany checks a batch of which each key ends otherwise.
func (s suite) deleteMany() {
	if !s.b.Capabilities().BatchDelete {
		for _, err := range s.b.DeleteMany(s.Context(), []objstore.Doomed{{Key: s.prefix + "a"}}) {
			s.fails(err, objstore.ErrUnsupported, objstore.OpDeleteMany, s.prefix+"a")
		}
		return
	}
	free := s.put(s.prefix+"dir/any", "x")
	right := s.put(s.prefix+"dir/sub/right", "x")
	stale := s.put(s.prefix+"dir/sub/wrong", "x")
	wrong := s.put(s.prefix+"dir/sub/wrong", "y")
	marker := s.put(s.prefix+"dir/sub/", "")
	alone := s.put(s.prefix+"z", "x")
	kept := s.put(s.prefix+"dir/sub/kept", "x")
	batch := []objstore.Doomed{
		{Key: free.Key},
		{Key: alone.Key, IfMatch: alone.ETag},
		{Key: s.prefix + "dir/missing"},
		{Key: s.prefix + "dir/sub/missing", IfMatch: otherETag},
		{Key: wrong.Key, IfMatch: stale.ETag},
		{Key: marker.Key, IfMatch: marker.ETag},
		{Key: right.Key, IfMatch: right.ETag},
	}
	kinds := []error{nil, nil, nil, objstore.ErrNotFound, objstore.ErrPreconditionFailed, nil, nil}
	errs := s.b.DeleteMany(s.Context(), batch)
	if len(errs) != len(batch) {
		s.Fatalf("%d answers for %d keys", len(errs), len(batch))
	}
	for i, err := range errs {
		switch {
		case kinds[i] != nil:
			s.fails(err, kinds[i], objstore.OpDeleteMany, batch[i].Key)
		case err != nil:
			s.Error(err)
		default:
			s.absent(batch[i].Key)
		}
	}
	s.holds(wrong.Key, "y")
	s.holds(kept.Key, "x")
}

// deleteManyKeys removes keys that are not easily spelled.
func (s suite) deleteManyKeys() {
	if !s.b.Capabilities().BatchDelete {
		return
	}
	var batch []objstore.Doomed
	for _, name := range []string{"a&b", "<x>", "ä ö", "a+b%20c", `"q'`, "\U0001F600", "tab\tline\nend", "a\x01b", " "} {
		o, err := s.b.Put(s.Context(), s.prefix+name, objstore.Bytes("x"), objstore.PutOptions{})
		if err != nil {
			continue // not every store takes it; special keys says which must be
		}
		batch = append(batch, objstore.Doomed{Key: o.Key, IfMatch: o.ETag})
	}
	for i, err := range s.b.DeleteMany(s.Context(), batch) {
		if err != nil {
			s.Error(err)
		}
		s.absent(batch[i].Key)
	}
}

// deleteManyFull removes as many as a batch can hold, from among others, and refuses more.
func (s suite) deleteManyFull() {
	if !s.b.Capabilities().BatchDelete {
		return
	}
	const others = 50
	batch := make([]objstore.Doomed, objstore.MaxDeletes)
	for _, err := range parallel(len(batch)+others, func(i int) error {
		key := fmt.Sprintf("%sdir/%04d", s.prefix, i)
		o, err := s.b.Put(s.Context(), key, objstore.Bytes("x"), objstore.PutOptions{})
		if i >= others {
			batch[i-others] = objstore.Doomed{Key: key, IfMatch: o.ETag}
		}
		return err
	}) {
		if err != nil {
			s.Fatal(err)
		}
	}
	tooMany := append(slices.Clone(batch), objstore.Doomed{Key: s.prefix + "one more"})
	s.fails(s.b.DeleteMany(s.Context(), tooMany)[0], objstore.ErrInvalid, objstore.OpDeleteMany, batch[0].Key)
	slices.Reverse(batch)
	for _, err := range s.b.DeleteMany(s.Context(), batch) {
		if err != nil {
			s.Fatal(err)
		}
	}
	var left []string
	for opts := (objstore.ListOptions{Prefix: s.prefix}); ; {
		page, err := s.b.List(s.Context(), opts)
		if err != nil {
			s.Fatal(err)
		}
		for _, o := range page.Objects {
			left = append(left, o.Key)
		}
		if opts.Token = page.Next; opts.Token == "" {
			break
		}
	}
	if len(left) != others || !strings.HasSuffix(left[others-1], "0049") {
		s.Errorf("%d objects are left instead of %d", len(left), others)
	}
}
