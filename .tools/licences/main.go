// Command licences collects the licences of everything that is linked into the program,
// for those who pass it on, and fails if one of them is not known to allow that under the
// Apache License.
//
//	licences MODULE-FOLDER PACKAGE >licences.txt
package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: licences MODULE-FOLDER PACKAGE")
		os.Exit(2)
	}
	if err := run(os.Stdout, os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, "licences:", err)
		os.Exit(1)
	}
}

// run writes the licences of all that a package of the module in root is linked with.
func run(w io.Writer, root, pkg string) error {
	modules, err := linked(root, pkg)
	if err != nil {
		return err
	}
	var texts bytes.Buffer
	counts := make(map[string]int)
	var failed []error
	for _, m := range modules {
		kinds, err := m.collect(&texts)
		if err != nil {
			failed = append(failed, fmt.Errorf("%s: %w", m.name, err))
		}
		for _, kind := range kinds {
			counts[kind]++
		}
	}
	var out bytes.Buffer
	fmt.Fprintf(&out, "%d modules are linked into this program. Their licences, by the number of modules:\n\n", len(modules))
	for _, kind := range slices.Sorted(maps.Keys(counts)) {
		fmt.Fprintf(&out, "  %-12s %d\n", kind, counts[kind])
	}
	_, err = w.Write(append(out.Bytes(), texts.Bytes()...))
	return errors.Join(append(failed, err)...)
}

// module is a module of which packages are linked.
type module struct {
	name string // with its version
	root string
	dirs []string // of the packages
}

// linked asks the go command. Go's own library counts as a module.
func linked(root, pkg string) ([]*module, error) {
	cmd := exec.Command("go", "list", "-deps", "-f",
		"{{if .Standard}}go\t{{.Root}}\t{{.Root}}{{else if not .Module.Main}}{{.Module}}\t{{.Module.Dir}}\t{{.Dir}}{{end}}", pkg)
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	cmd.Stderr = os.Stderr
	list, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("go list: %w", err)
	}
	byName := make(map[string]*module)
	for line := range strings.Lines(string(list)) {
		fields := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		if len(fields) != 3 {
			continue // a package of the program's own
		}
		m := byName[fields[0]]
		if m == nil {
			m = &module{name: fields[0], root: fields[1]}
			byName[m.name] = m
		}
		m.dirs = append(m.dirs, fields[2])
	}
	modules := slices.Collect(maps.Values(byName))
	slices.SortFunc(modules, func(a, b *module) int { return strings.Compare(a.name, b.name) })
	return modules, nil
}

// collect writes the licences of a module and returns their kinds. Code that a module took
// from elsewhere has its licence in its own folder.
func (m *module) collect(w *bytes.Buffer) ([]string, error) {
	var errs []error
	kinds := make(map[string]bool)
	for _, dir := range m.folders() {
		entries, err := os.ReadDir(dir)
		if err != nil {
			return nil, err
		}
		for _, entry := range entries {
			role := roleOf(entry.Name())
			if role == other || entry.IsDir() {
				continue
			}
			path := filepath.Join(dir, entry.Name())
			text, err := os.ReadFile(path)
			if err != nil {
				return nil, err
			}
			name, err := filepath.Rel(m.root, path)
			if err != nil {
				return nil, err
			}
			fmt.Fprintf(w, "\n%s\n%s, %s\n\n%s\n", strings.Repeat("=", 80), m.name, name, bytes.TrimSpace(text))
			if role == notice {
				continue
			}
			found, err := classify(string(text))
			if err != nil {
				errs = append(errs, fmt.Errorf("%s: %w", name, err))
			}
			for _, kind := range found {
				kinds[kind] = true
			}
		}
	}
	if len(kinds) == 0 && len(errs) == 0 {
		errs = append(errs, errors.New("no licence"))
	}
	return slices.Sorted(maps.Keys(kinds)), errors.Join(errs...)
}

// folders are those of the linked packages, and all above them in the module.
func (m *module) folders() []string {
	folders := map[string]bool{m.root: true}
	for _, dir := range m.dirs {
		for ; dir != m.root && strings.HasPrefix(dir, m.root); dir = filepath.Dir(dir) {
			folders[dir] = true
		}
	}
	return slices.Sorted(maps.Keys(folders))
}
