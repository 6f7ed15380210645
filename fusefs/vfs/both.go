package vfs

import "errors"

// both does two things at the same time and returns when they are done.
func both(one, other func() error) error {
	done := make(chan error, 1)
	go func() { done <- other() }()
	return errors.Join(one(), <-done)
}
