package fusefs

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
)

// inGroup reports whether a group is among the supplementary ones of a thread. Requests do
// not carry them; it waits for its answer, so they are those of now. Of a thread that
// cannot be seen from here (0) none are known.
func inGroup(thread, gid uint32) bool {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", thread))
	if err != nil {
		return false
	}
	for line := range strings.Lines(string(status)) {
		if list, ok := strings.CutPrefix(line, "Groups:"); ok {
			return slices.Contains(strings.Fields(list), strconv.FormatUint(uint64(gid), 10))
		}
	}
	return false
}
