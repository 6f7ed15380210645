package vfs

import (
	"slices"
	"testing"
)

// list makes a list of tag, permissions, and whose, again and again.
func list(numbers ...uint32) acl {
	var a acl
	for e := range slices.Chunk(numbers, 3) {
		a = append(a, aclEntry{uint16(e[0]), uint16(e[1]), e[2]})
	}
	return a
}

const none = aclNoID

func TestParseACL(t *testing.T) {
	whole := list(1, 7, none, 2, 5, 8, 2, 5, 8, 4, 1, none, 8, 2, 9, 16, 7, none, 32, 0, none)
	if got, ok := parseACL(whole.String()); !ok || !slices.Equal(got, whole) {
		t.Errorf("got %v, %v", got, ok)
	}
	for name, bad := range map[string]acl{
		"nothing":           {},
		"no owner":          list(4, 7, none, 32, 7, none),
		"no group":          list(1, 7, none, 32, 7, none),
		"no others":         list(1, 7, none, 4, 7, none),
		"two owners":        list(1, 7, none, 1, 7, none, 4, 7, none, 32, 7, none),
		"out of order":      list(1, 7, none, 32, 7, none, 4, 7, none),
		"named, no mask":    list(1, 7, none, 2, 7, 1, 4, 7, none, 32, 7, none),
		"user without id":   list(1, 7, none, 2, 7, none, 4, 7, none, 16, 7, none, 32, 7, none),
		"more permissions":  list(1, 8, none, 4, 7, none, 32, 7, none),
		"unknown tag":       list(1, 7, none, 3, 7, none, 4, 7, none, 32, 7, none),
		"tag out of bounds": list(1, 7, none, 4, 7, none, 32, 7, none, 64, 7, none),
	} {
		if got, ok := parseACL(bad.String()); ok {
			t.Errorf("%s: read %v", name, got)
		}
	}
	value := whole.String()
	for _, bad := range []string{"", "\x02\x00\x00\x00", value[:len(value)-1], value + "\x00", "\x01" + value[1:]} {
		if got, ok := parseACL(bad); ok {
			t.Errorf("%q: read %v", bad, got)
		}
	}
}

func TestACLAndMode(t *testing.T) {
	masked := list(1, 6, none, 2, 7, 8, 4, 1, none, 16, 5, none, 32, 4, none)
	for _, tc := range []struct {
		a          acl
		mode       uint32
		equivalent bool
	}{
		{list(1, 6, none, 4, 5, none, 32, 1, none), 0o102651, true},
		{list(1, 6, none, 4, 5, none, 16, 1, none, 32, 0, none), 0o102610, false},
		{masked, 0o102654, false},
	} {
		if mode, equivalent := tc.a.mode(0o102777); mode != tc.mode || equivalent != tc.equivalent {
			t.Errorf("%v: mode %o, %v, want %o, %v", tc.a, mode, equivalent, tc.mode, tc.equivalent)
		}
	}
	if got := masked.chmod(0o1732); !slices.Equal(got, list(1, 7, none, 2, 7, 8, 4, 1, none, 16, 3, none, 32, 2, none)) {
		t.Errorf("after chmod: %v", got)
	}
	if got := list(1, 0, none, 4, 0, none, 32, 0, none).chmod(0o751); !slices.Equal(got, list(1, 7, none, 4, 5, none, 32, 1, none)) {
		t.Errorf("after chmod: %v", got)
	}
	if got, mode := masked.inherit(0o102772); mode != 0o102650 || !slices.Equal(got, list(1, 6, none, 2, 7, 8, 4, 1, none, 16, 5, none, 32, 0, none)) {
		t.Errorf("inherited: %v and %o", got, mode)
	}
	if masked[0].perm != 6 || masked[4].perm != 4 {
		t.Errorf("the list itself was changed: %v", masked)
	}
}

// FuzzACL: what is read can be written, and stays sound whatever is done with it.
func FuzzACL(f *testing.F) {
	f.Add(list(1, 7, none, 2, 5, 8, 4, 1, none, 16, 7, none, 32, 0, none).String(), uint32(0o754))
	f.Fuzz(func(t *testing.T, value string, mode uint32) {
		a, ok := parseACL(value)
		if !ok {
			return
		}
		own, granted := a.inherit(mode)
		for _, b := range []acl{a, a.chmod(mode), own} {
			if again, ok := parseACL(b.String()); !ok || len(again) != len(a) {
				t.Errorf("%v became %v, %v", b, again, ok)
			}
		}
		if same, _ := own.mode(granted); same != granted || granted&^mode != 0 {
			t.Errorf("mode %o became %o, the list says %o", mode, granted, same)
		}
	})
}
