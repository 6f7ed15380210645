package fusefs

import (
	"bytes"
	"encoding/hex"
	"errors"
	"log/slog"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/hanwen/go-fuse/v2/fuse"
)

// The messages byte for byte, as linux/fuse.h lays them out on a little-endian machine.
func TestMessages(t *testing.T) {
	for name, c := range map[string]struct {
		got  []byte
		want string
	}{
		"FUSE_NOTIFY_INVAL_ENTRY": {expireEntry(1, "name"), `
			25000000 03000000 0000000000000000
			0100000000000000 04000000 01000000
			6e616d65 00`},
		"FUSE_NOTIFY_INVAL_INODE": {dropPages(0x1234, 0, 0), `
			28000000 02000000 0000000000000000
			3412000000000000 0000000000000000 0000000000000000`},
		"EIO":       {refusal(9, fuse.EIO), `10000000 fbffffff 0900000000000000`},
		"INTERRUPT": {interruptRequest(5), `30000000 24000000` + strings.Repeat("00", 32) + `0500000000000000`},
	} {
		want, err := hex.DecodeString(strings.Join(strings.Fields(c.want), ""))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(c.got, want) {
			t.Errorf("%s:\n got %x\nwant %x", name, c.got, want)
		}
	}
}

func TestNotifier(t *testing.T) {
	var (
		sent [][]byte
		fail error
		log  bytes.Buffer
	)
	n := &notifier{
		write:   func(m []byte) error { sent = append(sent, m); return fail },
		expires: true,
		log:     slog.New(slog.NewTextHandler(&log, nil)),
	}
	for _, fail = range []error{nil, syscall.ENOENT, syscall.ENODEV, os.ErrClosed} {
		n.EntryChanged(1, "a")
		n.InodeChanged(2)
	}
	if len(sent) != 8 || log.Len() != 0 {
		t.Errorf("%d messages, log: %s", len(sent), &log)
	}
	fail = errors.New("refused")
	n.InodeChanged(2)
	if !strings.Contains(log.String(), "refused") {
		t.Errorf("a refusal is not in the log: %s", &log)
	}
}

// Without EXPIRE_ONLY the kernel would unmount what is mounted on the name.
func TestNotifierLeavesNamesToOldKernels(t *testing.T) {
	n := &notifier{write: func([]byte) error { t.Error("sent"); return nil }, log: slog.New(slog.DiscardHandler)}
	n.EntryChanged(1, "a")
}
