package driver

import (
	"errors"
	"fmt"
	"math"
	"net/netip"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// units are the suffixes of sizes, all powers of 1,024.
var units = []struct {
	name  string
	shift uint
}{{"TiB", 40}, {"GiB", 30}, {"MiB", 20}, {"KiB", 10}}

// parseSize reads bytes: a plain number, or one with K, M, G or T, each also followed by B
// or iB.
func parseSize(text string) (int64, error) {
	bad := fmt.Errorf("%q is no size; the nearest forms are 1073741824, 512M and 10GiB", text)
	number := strings.TrimRight(text, "kKmMgGtTiIbB")
	suffix := strings.ToLower(text[len(number):])
	n, err := strconv.ParseUint(strings.TrimSpace(number), 10, 63)
	if err != nil {
		return 0, bad
	}
	if suffix == "" || suffix == "b" {
		return int64(n), nil
	}
	for _, u := range units {
		full := strings.ToLower(u.name)
		if suffix != full && suffix != full[:1] && suffix != full[:1]+"b" {
			continue
		}
		if n > math.MaxInt64>>u.shift {
			return 0, fmt.Errorf("%q is larger than any disk", text)
		}
		return int64(n << u.shift), nil
	}
	return 0, bad
}

// formatSize spells bytes so that parseSize reads the same.
func formatSize(n int64) string {
	for _, u := range units {
		if n != 0 && n%(1<<u.shift) == 0 {
			return strconv.FormatInt(n>>u.shift, 10) + u.name
		}
	}
	return strconv.FormatInt(n, 10)
}

// parseDuration reads Go's spelling or plain seconds.
func parseDuration(text string) (time.Duration, error) {
	d, err := time.ParseDuration(text)
	if err != nil {
		d, err = time.ParseDuration(text + "s")
	}
	if err != nil || d < 0 {
		return 0, fmt.Errorf("%q is no duration; the nearest forms are 30, 1.5s and 10m", text)
	}
	return d, nil
}

// parseMode reads permission bits in octal.
func parseMode(text string) (uint32, error) {
	n, err := strconv.ParseUint(strings.TrimPrefix(text, "0o"), 8, 32)
	if err != nil || n > 0o7777 {
		return 0, fmt.Errorf("%q is no mode; the nearest forms are 0644 and 755 (octal, at most 7777)", text)
	}
	return uint32(n), nil
}

// parseOwner reads a numeric user or group.
func parseOwner(text string) (uint32, error) {
	n, err := strconv.ParseUint(text, 10, 32)
	if err != nil || n == math.MaxUint32 { // -1 is "no change" to chown
		return 0, fmt.Errorf("%q is no numeric id; valid are 0 to %d", text, uint32(math.MaxUint32-1))
	}
	return uint32(n), nil
}

// bools are the spellings of yes and no. The option alone, without a value, is yes.
var bools = map[string]bool{"": true, "true": true, "yes": true, "on": true, "1": true, "false": false, "no": false, "off": false, "0": false}

func parseBool(text string) (bool, error) {
	if b, ok := bools[strings.ToLower(text)]; ok {
		return b, nil
	}
	return false, notOneOf(text, []string{"true", "false", "yes", "no", "on", "off"})
}

func notOneOf(text string, valid []string) error {
	return fmt.Errorf("%q is not one of %s; the nearest is %q",
		text, strings.Join(valid, ", "), nearest(strings.ToLower(text), valid))
}

// parseFile reads the path of a file on this host. A relative one would lie somewhere else
// for each process.
func parseFile(text string) (string, error) {
	if !filepath.IsAbs(text) || strings.ContainsRune(text, 0) {
		return "", fmt.Errorf("%.64q is no absolute path of a file on the driver's host; the nearest form is %q", text, "/etc/objvol/file")
	}
	return filepath.Clean(text), nil
}

// parseBucket checks what every S3 server refuses.
func parseBucket(text string) (string, error) {
	rest := strings.Trim(text, "abcdefghijklmnopqrstuvwxyz0123456789.-")
	_, notAddress := netip.ParseAddr(text)
	if len(text) < 3 || len(text) > 63 || rest != "" || strings.Trim(text, ".-") != text ||
		strings.Contains(text, "..") || notAddress == nil {
		return "", fmt.Errorf("%q is no bucket name; the nearest is %q (3 to 63 of a-z, 0-9, - and ., letters or digits at both ends)",
			text, nearestBucket(text))
	}
	return text, nil
}

// nearestBucket makes a bucket name of what is none.
func nearestBucket(text string) string {
	name := strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9':
			return r
		case r >= 'A' && r <= 'Z':
			return r - 'A' + 'a'
		}
		return '-'
	}, text)
	name = strings.Trim(name[:min(len(name), 63)], "-")
	if len(name) < 3 {
		name = strings.TrimPrefix(name+"-data", "-")
	}
	return name
}

// parsePrefix makes "v" and "v/" the same. A component that names no object on some
// servers, or climbs on others, is refused.
func parsePrefix(text string) (string, error) {
	trimmed := strings.TrimSuffix(text, "/")
	if trimmed == "" && !strings.HasPrefix(text, "/") {
		return "", nil
	}
	bad := ""
	for part := range strings.SplitSeq(trimmed, "/") {
		switch {
		case part == "", part == ".", part == "..":
			bad = "has an empty, \".\" or \"..\" part"
		case len(part) > maxComponent:
			bad = fmt.Sprintf("has a part of more than %d bytes", maxComponent)
		case part == ".objvol", part == ".sgwtmp":
			bad = "has a part " + part + ", which is reserved"
		case strings.ContainsRune(part, 0):
			bad = "contains a NUL byte"
		}
	}
	if bad != "" {
		return "", fmt.Errorf("%.64q %s; the nearest is %q", text, bad, nearestPrefix(trimmed))
	}
	return trimmed + "/", nil
}

// nearestPrefix leaves out of a prefix what parsePrefix refuses.
func nearestPrefix(text string) string {
	var good []string
	for part := range strings.SplitSeq(strings.ReplaceAll(text, "\x00", ""), "/") {
		if part != "" && part[0] != '.' {
			good = append(good, part[:min(len(part), 32)])
		}
	}
	return strings.Join(good, "/")
}

// parseEndpoint checks a URL and spells it in one way. A user and password in it are
// refused and not repeated in the error.
func parseEndpoint(text string) (string, error) {
	if strings.Contains(text, "@") {
		return "", errors.New("contains user information; keys are given by \"access-key\" and \"secret-key\"")
	}
	if !strings.ContainsAny(text, ":.") && text != "localhost" {
		return "", fmt.Errorf("%q is no URL; a region is given by the option \"region\"", text)
	}
	scheme, rest, found := strings.Cut(text, "://")
	if !found {
		return "", fmt.Errorf("%q has no scheme; the nearest are %q and %q", text, "https://"+text, "http://"+text)
	}
	scheme = strings.ToLower(scheme)
	if scheme != "http" && scheme != "https" {
		return "", fmt.Errorf("%q: the scheme %w", text, notOneOf(scheme, []string{"http", "https"}))
	}
	u, err := url.Parse(scheme + "://" + strings.ToLower(strings.TrimRight(rest, "/")))
	if err != nil || u.Hostname() == "" || u.Path != "" || u.RawQuery != "" || u.Fragment != "" {
		return "", fmt.Errorf("%q is no URL of a server; the nearest form is %q", text, scheme+"://host:9000")
	}
	if port := u.Port(); scheme == "http" && port == "80" || scheme == "https" && port == "443" {
		u.Host = strings.TrimSuffix(u.Host, ":"+port)
	}
	return u.String(), nil
}
