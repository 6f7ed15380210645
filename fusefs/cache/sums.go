package cache

import (
	"errors"
	"io"

	"github.com/zeebo/xxh3"
)

// SumGrain is how many bytes one Sum is of; the last of a content may be of fewer.
const SumGrain = 1 << 20

// Sum tells contents apart: those with equal ones are the same, unless somebody made them so
// on purpose.
type Sum [16]byte

// Sums returns the sums of the first size bytes of a content.
func Sums(r io.ReaderAt, size int64) ([]Sum, error) {
	sums := make([]Sum, 0, (size+SumGrain-1)/SumGrain)
	buf := make([]byte, min(size, SumGrain))
	for off := int64(0); off < size; off += SumGrain {
		p := buf[:min(SumGrain, size-off)]
		if n, err := r.ReadAt(p, off); n < len(p) {
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return nil, err
		}
		sums = append(sums, xxh3.Hash128(p).Bytes())
	}
	return sums, nil
}
