package main

import "testing"

// Two processes that take turns by flock(2) never count one twice, one that does not want
// to wait is told so, and the death of a holder frees the lock.
func TestFlock(t *testing.T) {
	t.Parallel()
	d := newDisk(t)
	d.want(t, `
		echo 0 >count
		turns() {
			for i in $(seq 50); do
				flock lock sh -c 'n=$(cat count); echo $((n + 1)) >count'
			done
		}
		turns & first=$!
		turns & second=$!
		wait $first; wait $second
		cat count`, "100")
	d.want(t, `
		mkfifo held
		sh -c 'exec 9>lock; flock 9; echo >held; exec sleep 60' & holder=$!
		read _ <held
		flock --nonblock --conflict-exit-code 9 lock true || echo $?
		flock --shared --nonblock --conflict-exit-code 9 lock true || echo $?
		(flock lock echo freed) & waiter=$!
		kill -9 $holder
		wait $waiter`, "9\n9\nfreed")
}
