package fusefs

import "objvol/fusefs/vfs"

// NotifierOf returns what the vfs of a session calls.
func NotifierOf(s *Session) vfs.Notifier { return s.notifier }
