package memory_test

import (
	"testing"

	"objvol/objstore"
	"objvol/objstore/memory"
	"objvol/objstore/objstoretest"
)

// everything is what a bucket can do from which nothing is taken away.
var everything = objstore.Capabilities{
	ConditionalPut: true, ConditionalComplete: true, ConditionalDelete: true,
	ListMetadata: true, CopyPart: true, FileAndDirectory: true,
}

func TestContract(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		opts memory.Options
		can  func(*objstore.Capabilities)
	}{
		"everything":    {memory.Options{}, func(*objstore.Capabilities) {}},
		"content etags": {memory.Options{ContentETags: true, PageSize: 2}, func(*objstore.Capabilities) {}},
		"like minio": {
			memory.Options{Without: objstore.Capabilities{ConditionalDelete: true}},
			func(c *objstore.Capabilities) { c.ConditionalDelete = false },
		},
		"like versitygw": {
			memory.Options{Without: objstore.Capabilities{ListMetadata: true, FileAndDirectory: true}},
			func(c *objstore.Capabilities) { c.ListMetadata, c.FileAndDirectory = false, false },
		},
		"nothing": {
			memory.Options{Without: everything},
			func(c *objstore.Capabilities) { *c = objstore.Capabilities{} },
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			declared := everything
			c.can(&declared)
			objstoretest.Run(t, func(*testing.T) objstore.Bucket { return memory.New(c.opts) }, declared)
		})
	}
}
