package driver

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// given is one key and value as a user wrote them.
type given struct{ key, text string }

// spelling is a key of other drivers that is no option here, and what it comes to.
type spelling struct {
	keys  []string
	means func(text string) ([]given, error) // none: it is accepted and has no effect
	list  bool                               // its value holds further keys
}

// spellings are for those who come with the options of rclone, s3fs, minfs, mount-s3, of
// CSI, or of the engine's local driver. What would be missed if it had no effect (encryption,
// storage classes, quotas, nosuid) is not here: it is an unknown option.
var spellings = []spelling{
	{keys: []string{"path", "device"}, means: parsePath},
	{keys: []string{"remote"}, means: parseRemote, list: true},
	{keys: []string{"o", "opts", "options", "mount-options", "mount-flags"}, means: parseList, list: true},
	{keys: []string{"s3fsopts", "s3fs-options"}, means: parseS3FS, list: true},
	{keys: []string{"umask"}, means: umask("file-mode", 0o666, "dir-mode", 0o777)},
	{keys: []string{"rw"}, means: opposite("read-only")},
	{keys: []string{"s3fs-disable-path-style"}, means: opposite("path-style")},
	{keys: []string{"ssl-verify-hostname"}, means: opposite("insecure-skip-verify")},
	{keys: []string{"reclaim-policy"}, means: reclaim},
	{keys: []string{"max-cache-size"}, means: mebibytes("cache-size")},

	// What is so anyway.
	{keys: []string{"type", "storage"}, means: only("s3", "s3fs", "fuse.s3fs", "objvol")},
	{keys: []string{"provider", "use-cache", "cache-dir", "cache"}, means: nothing},
	{keys: []string{"allow-other", "env-auth"}, means: only("", "true", "1", "yes")},
	{keys: []string{"defaults", "netdev", "nodev", "noatime", "nodiratime", "relatime"}, means: only("")},
	// What changes speed alone, and is decided here by itself.
	{keys: []string{
		"cache-mode", "vfs-cache-mode", "cache-max-age", "vfs-cache-max-age", "vfs-write-back", "upload-delay",
		"part-size", "chunk-size", "multipart-size", "ensure-diskfree",
		"concurrency", "upload-concurrency", "parallel-count", "max-uploads",
	}, means: nothing},
}

// squeeze leaves of a key what tells it from others: case, "-", "_" and whose it says to be
// do not matter.
func squeeze(key string) string {
	name := normalizeKey(key)
	for _, of := range []string{"s3-", "aws-"} {
		name = strings.TrimPrefix(name, of)
	}
	return strings.ReplaceAll(name, "-", "")
}

func hasSpelling(keys []string, squeezed string) bool {
	return slices.ContainsFunc(keys, func(key string) bool { return squeeze(key) == squeezed })
}

// translate replaces a key of other drivers by what it comes to; any other it returns as it
// is.
func translate(g given) ([]given, error) {
	name := squeeze(g.key)
	for _, s := range spellings {
		if !hasSpelling(s.keys, name) {
			continue
		}
		found, err := s.means(g.text)
		if err != nil {
			return nil, fmt.Errorf("option %.64q: %w", g.key, err)
		}
		if !s.list {
			return found, nil
		}
		var all []given
		for _, inner := range found {
			if isList(inner.key) {
				return nil, fmt.Errorf("option %.64q: holds %q, a list in a list", g.key, inner.key)
			}
			more, err := translate(inner)
			if err != nil {
				return nil, err
			}
			all = append(all, more...)
		}
		return all, nil
	}
	return []given{g}, nil
}

func isList(key string) bool {
	name := squeeze(key)
	return slices.ContainsFunc(spellings, func(s spelling) bool { return s.list && hasSpelling(s.keys, name) })
}

func nothing(string) ([]given, error) { return nil, nil }

// only accepts what this driver does anyway.
func only(valid ...string) func(string) ([]given, error) {
	return func(text string) ([]given, error) {
		if slices.Contains(valid, strings.ToLower(text)) {
			return nil, nil
		}
		if valid[0] == "" {
			return nil, fmt.Errorf("%q: this cannot be changed, leave it out", text)
		}
		return nil, notOneOf(text, valid)
	}
}

func opposite(key string) func(string) ([]given, error) {
	return func(text string) ([]given, error) {
		yes, err := parseBool(text)
		return []given{{key, strconv.FormatBool(!yes)}}, err
	}
}

// umask reads what is taken away from the modes of files and directories.
func umask(fileKey string, file uint32, dirKey string, dir uint32) func(string) ([]given, error) {
	return func(text string) ([]given, error) {
		mask, err := parseMode(text)
		return []given{{fileKey, octal(file &^ mask)}, {dirKey, octal(dir &^ mask)}}, err
	}
}

// mebibytes reads sizes whose plain number is one of MiB, as mount-s3 has them.
func mebibytes(key string) func(string) ([]given, error) {
	return func(text string) ([]given, error) {
		if _, err := strconv.ParseUint(text, 10, 63); err == nil {
			text += "MiB"
		}
		return []given{{key, text}}, nil
	}
}

func reclaim(text string) ([]given, error) {
	switch strings.ToLower(text) {
	case "retain":
		return []given{{"on-remove", string(OnRemoveKeep)}}, nil
	case "delete":
		return []given{{"on-remove", string(OnRemoveDelete)}}, nil
	}
	return nil, notOneOf(text, []string{"Retain", "Delete"})
}

// parsePath reads bucket/prefix. Without a prefix it is the whole bucket.
func parsePath(text string) ([]given, error) {
	bucket, prefix, _ := strings.Cut(strings.TrimPrefix(text, "s3://"), "/")
	return []given{{"bucket", bucket}, {"prefix", prefix}}, nil
}

// parseList reads key=value,key,… as mount(8) has them.
func parseList(text string) ([]given, error) {
	all, end, err := cutList(text, "")
	if err == nil && end != "" {
		err = errors.New("is no list of key=value")
	}
	return all, err
}

// parseS3FS is parseList where "endpoint" is s3fs's word for the region. In that, a bucket
// may be followed by ":" and a path.
func parseS3FS(text string) ([]given, error) {
	all, err := parseList(text)
	var of []given
	for _, g := range all {
		bucket, prefix, found := strings.Cut(g.text, ":/")
		switch {
		case squeeze(g.key) == "endpoint":
			g.key = "region"
		case squeeze(g.key) == "bucket" && found:
			of = append(of, given{"prefix", prefix})
			g.text = bucket
		}
		of = append(of, g)
	}
	return of, err
}

// parseRemote reads rclone's remote without a configuration file: :s3,key=value,…:bucket/dir.
func parseRemote(text string) ([]given, error) {
	rest, isS3 := strings.CutPrefix(text, ":s3")
	if !isS3 || rest == "" || rest[0] != ',' && rest[0] != ':' {
		return nil, errors.New("is no remote of the form :s3,provider=Minio,endpoint='http://host:9000':bucket/dir; names in rclone's configuration file are not known here")
	}
	all, rest, err := cutList(strings.TrimPrefix(rest, ","), ":")
	if err != nil {
		return nil, err
	}
	where, err := parsePath(strings.TrimPrefix(rest, ":"))
	return append(all, where...), err
}

// cutList reads key=value,key,… up to the first of the bytes in stop, which is where rest
// begins. A value may stand in quotes, and holds one that is doubled. Errors do not repeat
// the text: it may hold a secret.
func cutList(text, stop string) (all []given, rest string, err error) {
	for text != "" && !strings.ContainsRune(stop, rune(text[0])) {
		end := strings.IndexAny(text, "=,"+stop)
		if end < 0 {
			end = len(text)
		}
		g := given{key: strings.TrimSpace(text[:end])}
		if text = text[end:]; strings.HasPrefix(text, "=") {
			if g.text, text, err = cutValue(text[1:], ","+stop); err != nil {
				return nil, "", err
			}
		}
		if g.key != "" {
			all = append(all, g)
		}
		text = strings.TrimPrefix(text, ",")
	}
	return all, text, nil
}

func cutValue(text, stop string) (value, rest string, err error) {
	if text == "" || text[0] != '"' && text[0] != '\'' {
		end := strings.IndexAny(text, stop)
		if end < 0 {
			end = len(text)
		}
		return text[:end], text[end:], nil
	}
	quote := text[:1]
	for text = text[1:]; ; text = text[1:] {
		part, after, closed := strings.Cut(text, quote)
		if !closed {
			return "", "", errors.New("has a quote that does not end")
		}
		value += part
		if text = after; !strings.HasPrefix(text, quote) {
			break
		}
		value += quote
	}
	if text != "" && !strings.ContainsRune(stop, rune(text[0])) {
		return "", "", errors.New("goes on behind a quote")
	}
	return value, text, nil
}
