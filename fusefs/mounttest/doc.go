// Package mounttest runs tests that touch a FUSE mount.
//
// A process that touches a mount which it serves itself can wait for itself for ever, and
// not even SIGKILL ends it then. So the test process serves, and a child touches: the
// test binary, executed again, runs one named [Case]. A child that does not end in time
// is a failed test, not a hanging one: its connection is aborted through fusectl and it
// is killed. A mount that a test leaves behind fails that test.
//
//	func TestMain(m *testing.M) {
//		mounttest.Main(m, mounttest.Cases{"empty": empty})
//	}
//
//	func TestEmpty(t *testing.T) {
//		dir := mounttest.Dir(t)
//		// ... mount on dir, unmount in a cleanup
//		mounttest.Run(t, dir, "empty")
//	}
package mounttest
