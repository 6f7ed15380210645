package main

import (
	"slices"
	"strings"
	"testing"
)

// copyTree makes what copying programs get wrong: odd modes, owners, times and names, an
// empty directory, a hole, symlinks that lead nowhere, hard links, a fifo, devices, and
// extended attributes, with capabilities and access control lists among them.
const copyTree = `
	cd $LOCAL
	mkdir -p tree/empty tree/sub/deep; cd tree
	seq 5000 >sub/numbers; : >sub/nothing
	printf 'data' | dd of=sub/hole bs=1 seek=3000000 conv=notrunc status=none
	for i in $(seq 50); do echo $i >"sub/deep/file $i"; done
	printf x >'sub/a+b%20#?&=c'; printf x >'sub/ends in a space '; printf x >"$(printf 'sub/two\nlines')"; printf x >sub/\\; printf x >'sub/déjà'
	ln -s sub/numbers link; ln -s nowhere/at/all dangling
	ln sub/numbers sub/deep/same; ln sub/deep/same again
	mkfifo -m 620 fifo; ln fifo fifo2; mknod -m 640 null c 1 3; mknod -m 600 disk b 7 99
	chown 12:34 sub/numbers; chown -h 56:78 link; chown 65534:65534 empty
	chmod 4751 sub/numbers; chmod 2770 sub/deep; chmod 1777 empty; chmod 000 sub/nothing
	setfattr -n user.text -v 'a value' sub/numbers; setfattr -n user.empty sub/hole; setfattr -n user.dir -v 0x00ff0a sub
	setfattr -n trusted.note -v 'root only' sub/hole; setfattr -h -n trusted.note -v 'of a link' link
	setfattr -n security.capability -v 0x0100000200200000000000000000000000000000 'sub/deep/file 7'
	setfacl -m u:1234:rw,g:99:r sub/nothing; setfacl -d -m u:12:rwx,g::r-x empty
	touch -d '1999-12-31 23:59:59.123456789' sub/numbers; touch -hd '2001-02-03 04:05:06.000000007' link
	touch -d '1965-04-03 02:01:00.5' sub/hole; touch -d '2038-01-19 03:14:08' fifo; touch -d '1980-01-01' empty sub/deep sub .`

// requireCopying skips the test where a program is missing, or what makes copyTree.
func requireCopying(t *testing.T, program string) {
	t.Helper()
	requireProgram(t, program, program)
	requireProgram(t, "setfattr", "attr")
	requireProgram(t, "setfacl", "acl")
}

// What rsync brings to a volume it finds there without a difference, there and on a host
// that sees the volume for the first time, and it brings the same back.
func TestRsync(t *testing.T) {
	requireCopying(t, "rsync")
	t.Parallel()
	d, local := newDisk(t), "LOCAL="+t.TempDir()
	d.sh(t, copyTree, local)
	d.sh(t, `rsync -aHAX $LOCAL/tree .`, local)
	// Itemised, a difference in anything is a line.
	const compare = `rsync -aHAXni --checksum --delete $LOCAL/tree/ tree`
	const back = `rsync -aHAX tree/ $LOCAL/back; rsync -aHAXni --checksum --delete tree/ $LOCAL/back; rsync -aHAXni --checksum --delete $LOCAL/tree/ $LOCAL/back`
	for range 2 {
		if got := d.sh(t, compare, local); got != "" {
			t.Errorf("the volume differs:\n%s", got)
		}
		d.move(t)
	}
	if got := d.sh(t, back, local); got != "" {
		t.Errorf("what came back differs:\n%s", got)
	}
}

// lookAtTree prints all that lists, reads and asks show of a tree. A directory's size is
// each filesystem's own.
const lookAtTree = `
	find . >/dev/null
	find . -type d -printf '%p %M %U %G %n %T@\n' -o -printf '%p %M %U %G %n %T@ %s %l\n' | sort
	find . -type f -exec md5sum {} + | sort
	find . \( -type c -o -type b \) -exec stat -c '%n %t %T' {} + | sort
	find . -print0 | sort -z | xargs -0 getfattr -h -d -m - -e hex --`

// linesWithout returns the lines of a text that another text does not have.
func linesWithout(text, other string) string {
	has := strings.Split(other, "\n")
	return strings.Join(slices.DeleteFunc(strings.Split(text, "\n"), func(line string) bool { return slices.Contains(has, line) }), "\n")
}

// An archive of tar is unpacked on a volume as on a local disk, and packed there again
// with the same in it.
func TestTar(t *testing.T) {
	requireCopying(t, "tar")
	t.Parallel()
	d, local := newDisk(t), "LOCAL="+t.TempDir()
	d.sh(t, copyTree, local)
	const options = ` --acls --xattrs --xattrs-include='*' --sparse --numeric-owner `
	d.sh(t, `mkdir $LOCAL/unpacked; tar -C $LOCAL`+options+`-cf $LOCAL/tar tree; tar -C $LOCAL/unpacked`+options+`-xpf $LOCAL/tar`, local)
	want := d.sh(t, `cd $LOCAL/unpacked/tree`+lookAtTree, local)
	same := func(what, dir string) {
		t.Helper()
		if got := d.sh(t, `cd `+dir+lookAtTree, local); got != want {
			t.Errorf("%s: without\n%s\nand with\n%s", what, linesWithout(want, got), linesWithout(got, want))
		}
	}
	d.sh(t, `tar`+options+`-xpf $LOCAL/tar`, local)
	same("unpacked", "tree")
	d.move(t)
	same("on another host", "tree")
	d.sh(t, `mkdir $LOCAL/back; tar`+options+`-c tree | tar -C $LOCAL/back`+options+`-xp`, local)
	same("brought back", "$LOCAL/back/tree")
}
