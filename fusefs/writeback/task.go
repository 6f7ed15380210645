package writeback

import "objvol/fusefs/index"

// task is one thing to reconcile: an inode (key is empty), a key to delete, a directory
// whose whole subtree has moved, or the look for hidden copies and uploads that nobody has.
type task struct {
	ino   index.Ino
	key   string
	tree  bool
	sweep bool
}

func inodeTask(ino index.Ino) task { return task{ino: ino} }
func keyTask(key string) task      { return task{key: key} }
func treeTask(dir index.Ino) task  { return task{ino: dir, tree: true} }

var sweepTask = task{sweep: true}
