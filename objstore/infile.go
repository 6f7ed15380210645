package objstore

// FileRange is where the bytes of a body lie in a file of this host: the kernel can send
// them from there. They may change at any time, as what a reader of the body gets may.
type FileRange struct {
	// Use calls a function with the file's descriptor, which stays open meanwhile.
	Use    func(call func(fd int)) error
	Offset int64 // bytes
	Length int64 // bytes
	// Moved, if it is not nil, is told of each piece of so many bytes that was read or
	// sent; sent says which.
	Moved func(n int, sent bool)
}

// InFile returns where a body lies in a file. It is false of a body that has to be read:
// most have to.
func InFile(b Body) (FileRange, bool) {
	if f, ok := b.(interface{ InFile() (FileRange, bool) }); ok {
		return f.InFile()
	}
	return FileRange{}, false
}

// InFile is the function InFile for the Section: its R may have a method InFile, which says
// where n bytes from off lie.
func (s Section) InFile() (FileRange, bool) {
	if f, ok := s.R.(Filed); ok && s.Length > 0 {
		return f.InFile(s.Offset, s.Length)
	}
	return FileRange{}, false
}

// Filed is an io.ReaderAt whose bytes may lie in a file.
type Filed interface {
	// InFile says where n bytes from off lie. It is false if some of them are in no file.
	InFile(off, n int64) (FileRange, bool)
}
