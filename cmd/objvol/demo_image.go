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

// writeImage writes a tar that "docker import" makes an image of.
func writeImage(path string) (err error) {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	w := tar.NewWriter(f)
	return errors.Join(addBusybox(w), w.Close())
}

// addBusybox writes busybox and sh, which finds all other commands inside itself.
func addBusybox(w *tar.Writer) error {
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
	if err := w.WriteHeader(&tar.Header{Name: "bin/busybox", Mode: 0o755, Size: int64(len(data))}); err != nil {
		return err
	}
	if _, err := w.Write(data); err != nil {
		return err
	}
	return w.WriteHeader(&tar.Header{Name: "bin/sh", Typeflag: tar.TypeSymlink, Linkname: "busybox"})
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
