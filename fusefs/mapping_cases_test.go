package fusefs_test

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// mappedPrivately keeps what is stored through a private mapping from the file, and shows
// a shared one what write(2) writes, also after the name is gone.
func mappedPrivately(dir string) error {
	f, err := newFile(dir, "f", "a")
	if err != nil {
		return err
	}
	const both = unix.PROT_READ | unix.PROT_WRITE
	private, err1 := unix.Mmap(int(f.Fd()), 0, block, both, unix.MAP_PRIVATE)
	shared, err2 := unix.Mmap(int(f.Fd()), 0, block, both, unix.MAP_SHARED)
	if err := must(err1, err2); err != nil {
		return err
	}
	private[0] = 'p'
	shared[1] = 's'
	_, err1 = f.WriteAt([]byte("w"), 2)
	at := make([]byte, 4)
	_, err2 = f.ReadAt(at, 0)
	if err := must(err1, err2, unix.Msync(private, unix.MS_SYNC)); err != nil {
		return err
	}
	if string(at) != "aswa" || string(private[:4]) != "pswa" && private[0] != 'p' || string(shared[:4]) != "aswa" {
		return fmt.Errorf("the file holds %q, the mappings %q and %q", at, private[:4], shared[:4])
	}
	if err := must(os.Remove(f.Name()), f.Close()); err != nil {
		return err
	}
	shared[3] = 'x'
	if err := unix.Msync(shared, unix.MS_SYNC); err != nil || string(shared[:4]) != "aswx" {
		return fmt.Errorf("without a name: %q, %w", shared[:4], err)
	}
	return must(unix.Munmap(private), unix.Munmap(shared))
}

// copyProgram copies a program of this machine.
func copyProgram(name, to string) error {
	path, err := exec.LookPath(name)
	if err != nil {
		return err
	}
	all, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	return os.WriteFile(to, all, 0o755)
}

// executes runs a program, a script and a setuid program; one that runs is not written to.
func executes(dir string) error {
	cat, script := filepath.Join(dir, "cat"), filepath.Join(dir, "script")
	if err := must(copyProgram("cat", cat), os.WriteFile(script, []byte("#!/bin/sh\necho \"$1 and $(id -u)\"\n"), 0o644)); err != nil {
		return err
	}
	err := exec.Command(script).Run()
	if err := must(expect("without permission", err, syscall.EACCES), os.Chmod(script, 0o755)); err != nil {
		return err
	}
	out, err := exec.Command(script, "here").Output()
	if err != nil || string(out) != "here and 0\n" {
		return fmt.Errorf("the script says %q, %w", out, err)
	}
	cmd := exec.Command(cat)
	in, err1 := cmd.StdinPipe()
	result, err2 := cmd.StdoutPipe()
	if err := must(err1, err2, cmd.Start()); err != nil {
		return err
	}
	_, err1 = io.WriteString(in, "it runs")
	echo := make([]byte, 7)
	_, err2 = io.ReadFull(result, echo)
	_, busy := os.OpenFile(cat, os.O_WRONLY, 0)
	return must(err1, err2, expect("write to a running program", busy, syscall.ETXTBSY),
		in.Close(), cmd.Wait(), os.WriteFile(cat, echo, 0o755), holds(cat, "it runs"))
}

// exclusive is run by several processes at once: each name is made by one of them.
func exclusive(dir string) error {
	wins := []string{}
	for i := range 200 {
		name := filepath.Join(dir, fmt.Sprint(i))
		f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
		if errors.Is(err, syscall.EEXIST) {
			continue
		}
		if err != nil {
			return err
		}
		if err := f.Close(); err != nil {
			return err
		}
		wins = append(wins, filepath.Base(name))
	}
	return os.WriteFile(filepath.Join(dir, fmt.Sprintf("won-%d", os.Getpid())), []byte(strings.Join(wins, " ")), 0o644)
}

func checkExclusive(dir string) error {
	all, err := filepath.Glob(filepath.Join(dir, "won-*"))
	if err != nil {
		return err
	}
	count := map[string]int{}
	for _, name := range all {
		won, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		for name := range strings.FieldsSeq(string(won)) {
			count[name]++
		}
	}
	for name, n := range count {
		if n != 1 {
			return fmt.Errorf("%s was made %d times", name, n)
		}
	}
	if len(count) != 200 {
		return fmt.Errorf("%d names were made", len(count))
	}
	return nil
}
