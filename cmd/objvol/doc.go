// Command objvol is a Docker volume driver that keeps volumes in object storage. It is the
// only room that knows all others: it reads flags and the environment, chooses the store,
// and puts a volume together.
//
//	main.go      the root command, errors and exit codes
//	config.go    every flag and variable, its default and its check
//	serve.go     objvol serve: the driver
//	mount.go     objvol mount: one volume without Docker
//	volume_cmd.go, control.go   objvol volume ..., over control.sock
//	debug.go     /metrics, /healthz and pprof
//	demo*.go     objvol demo: the tour
//
//	mounter.go   what the driver asks of a filesystem (driver.Mounter)
//	live.go      a volume that is open in this process (driver.Mount)
//	volume.go    one volume's local state: bucket, index, cache, vfs
//	store.go     a volume's bucket
//	remove.go    deleting a volume's objects
//	tree.go      a mount without a directory
//	recent.go    a volume's numbers for those who may not wait
//	host.go      what all volumes of a process share
//
// # A volume after its last Unmount
//
//	mounted --Unmount--> sending --all is sent--> in use elsewhere? --no--> closing --> closed
//	   ^                    |                          | yes
//	   +------- Mount ------+--------------------------+
//
// A volume is opened once: a lock in its state directory keeps other processes out, a slot
// in the mounter a second filesystem in this one. It stays open while something is not in
// the bucket, and while a bind mount or another mount namespace still shows it: whoever has
// the mount is served until the kernel ends the connection. A Mount in that time finds the
// same filesystem and the same connection, so that a volume never has two of them
// (hard-cases 17): its mount is kept without a directory, and put back on one.
//
// A volume that is not mounted and has something pending after a restart is opened to send
// it. Local state alone is looked at to find that out.
package main
