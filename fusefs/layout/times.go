package layout

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// putTime writes a time as s3fs does: seconds, and nine digits behind a dot where there
// are nanoseconds. They count upwards before 1970 too: -2.500000000 is 1.5 s before it.
func putTime(metadata map[string]string, name string, t time.Time) {
	switch {
	case t.IsZero():
	case t.Nanosecond() == 0:
		metadata[name] = strconv.FormatInt(t.Unix(), 10)
	default:
		metadata[name] = fmt.Sprintf("%d.%09d", t.Unix(), t.Nanosecond())
	}
}

// parseTime reads the ways in which tools write a time:
//
//	1700000000            s3fs, geesefs: seconds
//	1700000000.123456789  s3fs, objvol: nine digits of nanoseconds, counting upwards
//	1700000000.5          rclone: a decimal number
//	1700000000000000000ns FSx, DataSync (ms as well)
//	2023-11-14T22:13:20Z  rclone with its metadata option
//
// A decimal number below zero with exactly nine digits is taken for ours. Seconds that need
// more than 34 bits are refused.
func parseTime(text string) (time.Time, bool) {
	if digits, ok := strings.CutSuffix(text, "ns"); ok {
		return scaledTime(digits, 1)
	}
	if digits, ok := strings.CutSuffix(text, "ms"); ok {
		return scaledTime(digits, int64(time.Millisecond))
	}
	whole, fraction, _ := strings.Cut(text, ".")
	seconds, err := strconv.ParseInt(whole, 10, 64)
	if err != nil {
		t, err := time.Parse(time.RFC3339Nano, text)
		return t.UTC(), err == nil && inRange(t.Unix())
	}
	if !inRange(seconds) {
		return time.Time{}, false
	}
	nanos, ok := parseFraction(fraction)
	if !ok {
		return time.Time{}, false
	}
	if len(fraction) != 9 && strings.HasPrefix(whole, "-") {
		nanos = -nanos
	}
	return time.Unix(seconds, nanos).UTC(), true
}

// scaledTime reads an integer number of units of so many nanoseconds.
func scaledTime(digits string, unit int64) (time.Time, bool) {
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || n > math.MaxInt64/unit || n < math.MinInt64/unit {
		return time.Time{}, false
	}
	t := time.Unix(0, n*unit).UTC()
	return t, inRange(t.Unix())
}

// parseFraction reads the digits behind a decimal point as nanoseconds.
func parseFraction(digits string) (int64, bool) {
	if strings.Trim(digits, "0123456789") != "" {
		return 0, false
	}
	nanos, err := strconv.ParseInt((digits + "000000000")[:9], 10, 64)
	return nanos, err == nil
}

// inRange reports whether a second is one that a local filesystem could hold: what is
// far beyond is another unit.
func inRange(seconds int64) bool {
	const limit = 1 << 34 // ext4's last one is a little before
	return -limit <= seconds && seconds <= limit
}
