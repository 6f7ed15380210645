package writeback

import "objvol/fusefs/index"

// task is one thing to reconcile: an inode (key is empty), a key to delete, or a
// directory whose whole subtree has moved.
type task struct {
	ino  index.Ino
	key  string
	tree bool
}

func inodeTask(ino index.Ino) task { return task{ino: ino} }
func keyTask(key string) task      { return task{key: key} }
func treeTask(dir index.Ino) task  { return task{ino: dir, tree: true} }
