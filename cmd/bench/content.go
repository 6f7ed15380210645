package main

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
)

// sizes are how large the works are.
type sizes struct {
	Large   int64 // bytes of the large file
	Changed int64 // bytes of the file that is changed in places
	Small   int   // small files that are created or read
	Renamed int   // files of the directory that is renamed, and of the one that is removed
	Dirs    int   // directories of the tree that is walked
	PerDir  int   // files in each of them
	Flat    int   // files of the directory that is listed
	Archive int   // files in the archive
	Commits int   // transactions of the database
	Reads   int   // random reads of each thread
	Warm    int   // random reads of each thread where all is local
	Writes  int   // random writes before the fsync
	Shaped  int64 // bytes of the resident file
	Trios   int   // of measurements of a resident file
}

// tableSizes are those of the tables.
var tableSizes = sizes{
	Large: 1 << 30, Changed: 256 << 20, Small: 2000, Renamed: 1000,
	Dirs: 100, PerDir: 100, Flat: 50_000, Archive: 2000, Commits: 500,
	Reads: 500, Warm: 5000, Writes: 1000, Shaped: 64 << 20, Trios: 7,
}

const (
	pageSize  = 4 << 10  // bytes of a small file, and of a random read or write
	chunkSize = 1 << 20  // bytes of one read or write of a large file
	partSize  = 16 << 20 // bytes of a part of a large object
)

// noise is a chunk of bytes that do not compress.
var noise = sync.OnceValue(func() []byte {
	data := make([]byte, chunkSize)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(data) // it never fails
	return data
})

// page is the content of a small file. Each begins with its number, so that what is read
// can be told from what others hold.
func page(number int) []byte {
	data := bytes.Clone(noise()[:pageSize])
	binary.LittleEndian.PutUint64(data, uint64(number))
	return data
}

// stamp numbers the pages of a piece of a large file that lies at an offset.
func stamp(data []byte, offset int64) {
	for at := 0; at < len(data); at += pageSize {
		binary.LittleEndian.PutUint64(data[at:], uint64(offset+int64(at))/pageSize)
	}
}

// fillLarge writes what a large file has at an offset, which is that of a page.
func fillLarge(data []byte, offset int64) {
	for done := 0; done < len(data); {
		done += copy(data[done:], noise()[(offset+int64(done))%chunkSize:])
	}
	stamp(data, offset)
}

// checkStamps reports pages that are not those of the offset.
func checkStamps(data []byte, offset int64) error {
	for at := 0; at+8 <= len(data); at += pageSize {
		want := uint64(offset+int64(at)) / pageSize
		if got := binary.LittleEndian.Uint64(data[at:]); got != want {
			return fmt.Errorf("page %d has the number %d", want, got)
		}
	}
	return nil
}

func smallName(i int) string { return fmt.Sprintf("file-%05d", i) }

// parallel calls do with 0 to n-1 from several goroutines.
func parallel(n, threads int, do func(i int) error) error {
	errs := make([]error, threads)
	var running sync.WaitGroup
	for thread := range threads {
		running.Go(func() {
			for i := thread; i < n && errs[thread] == nil; i += threads {
				errs[thread] = do(i)
			}
		})
	}
	running.Wait()
	return errors.Join(errs...)
}
