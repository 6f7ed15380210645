package main

import (
	"archive/tar"
	"debug/elf"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
)

// writeImage writes a tar that "docker import" makes an image of: busybox, and the few of
// its commands that the demo uses.
func writeImage(path string) (err error) {
	busybox, err := exec.LookPath("busybox")
	if err != nil {
		return err
	}
	if err := static(busybox); err != nil {
		return err
	}
	data, err := os.ReadFile(busybox)
	if err != nil {
		return err
	}
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	w := tar.NewWriter(f)
	if err := w.WriteHeader(&tar.Header{Name: "bin/busybox", Mode: 0o755, Size: int64(len(data))}); err != nil {
		return err
	}
	if _, err := w.Write(data); err != nil {
		return err
	}
	for _, command := range []string{"cat", "ln", "ls", "mkdir", "sh"} {
		if err := w.WriteHeader(&tar.Header{Name: "bin/" + command, Typeflag: tar.TypeSymlink, Linkname: "busybox"}); err != nil {
			return err
		}
	}
	return w.Close()
}

// static reports a program that needs more than itself: an image of it alone cannot run.
func static(path string) error {
	f, err := elf.Open(path)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }() // read only
	if slices.ContainsFunc(f.Progs, func(p *elf.Prog) bool { return p.Type == elf.PT_INTERP }) {
		return fmt.Errorf("%s needs libraries, which the demo's image lacks: apt-get install -y busybox-static", path)
	}
	return nil
}
