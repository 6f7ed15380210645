package driver

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// option is one -o key=value. A new one has three places: its field in Spec, its row in
// options, and its line in the README. What others write for several options at once, or
// with values of their own, is in spellings.
type option struct {
	key     string
	aliases []string // what others call it, in any case and with any dashes
	place   bool     // says where the volume lies
	secret  bool     // its value is shown nowhere

	set   func(s *Spec, text string) error
	text  func(s *Spec) string // canonical: set reads it back as the same; a secret's is hidden
	equal func(a, b *Spec) bool
	copy  func(to, from *Spec)
}

// options is the one table of what a volume can be told.
var options = []option{
	place(word("endpoint", parseEndpoint, func(s *Spec) *string { return &s.Endpoint },
		"url", "endpoint-url", "endpoint-url-s3", "s3fs-endpoint")),
	place(word("region", oneLine, func(s *Spec) *string { return &s.Region },
		"default-region", "location-constraint", "s3fs-region")),
	place(word("bucket", parseBucket, func(s *Spec) *string { return &s.Bucket }, "bucket-name", "src")),
	place(word("prefix", parsePrefix, func(s *Spec) *string { return &s.Prefix }, "subdir", "folder")),
	secret("access-key", func(s *Spec) *Secret { return &s.AccessKey },
		"access-key-id", "awsaccesskeyid", "s3fs-access-key"),
	secret("secret-key", func(s *Spec) *Secret { return &s.SecretKey },
		"secret-access-key", "awssecretaccesskey", "s3fs-secret-key"),
	secret("session-token", func(s *Spec) *Secret { return &s.SessionToken }, "awssessiontoken"),
	word("access-key-file", parseFile, func(s *Spec) *string { return &s.AccessKeyFile }),
	word("secret-key-file", parseFile, func(s *Spec) *string { return &s.SecretKeyFile }),
	word("profile", oneLine, func(s *Spec) *string { return &s.Profile }),
	word("credentials-file", parseFile, func(s *Spec) *string { return &s.CredentialsFile },
		"shared-credentials-file", "passwd-file"),
	value("path-style", parseBool, strconv.FormatBool, func(s *Spec) *bool { return &s.PathStyle },
		"force-path-style", "use-path-request-style"),
	word("ca-cert", parseFile, func(s *Spec) *string { return &s.CACert }, "ca-bundle"),
	value("insecure-skip-verify", parseBool, strconv.FormatBool, func(s *Spec) *bool { return &s.InsecureSkipVerify },
		"no-check-certificate"),
	value("uid", parseOwner, decimal, func(s *Spec) *uint32 { return &s.UID }),
	value("gid", parseOwner, decimal, func(s *Spec) *uint32 { return &s.GID }),
	value("file-mode", parseMode, octal, func(s *Spec) *uint32 { return &s.FileMode }, "file-perms"),
	value("dir-mode", parseMode, octal, func(s *Spec) *uint32 { return &s.DirMode }, "dir-perms"),
	value("ttl", parseDuration, time.Duration.String, func(s *Spec) *time.Duration { return &s.TTL },
		"attr-ttl", "dir-ttl", "attr-timeout", "dir-cache-time", "stat-cache-expire", "metadata-ttl",
		"attr-cache", "entry-cache", "dir-entry-cache"),
	word("sync", oneOf(SyncBucket, SyncLocal), func(s *Spec) *Sync { return &s.Sync }),
	word("close", oneOf(CloseAsync, CloseBucket), func(s *Spec) *Close { return &s.Close }),
	value("read-only", parseBool, strconv.FormatBool, func(s *Spec) *bool { return &s.ReadOnly }, "ro"),
	value("cache-size", parseSize, formatSize, func(s *Spec) *int64 { return &s.CacheSize }, "vfs-cache-max-size"),
	value("passthrough", parseBool, strconv.FormatBool, func(s *Spec) *bool { return &s.Passthrough }),
	value("passthrough-new", parseBool, strconv.FormatBool, func(s *Spec) *bool { return &s.PassthroughNew }),
	value("passthrough-min", parseSize, formatSize, func(s *Spec) *int64 { return &s.PassthroughMin }),
	word("on-remove", oneOf(OnRemoveKeep, OnRemoveDelete), func(s *Spec) *OnRemove { return &s.OnRemove }),
}

func value[T comparable](key string, parse func(string) (T, error), format func(T) string, field func(*Spec) *T, aliases ...string) option {
	return option{
		key:     key,
		aliases: aliases,
		set: func(s *Spec, text string) error {
			v, err := parse(text)
			if err == nil {
				*field(s) = v
			}
			return err
		},
		text:  func(s *Spec) string { return format(*field(s)) },
		equal: func(a, b *Spec) bool { return *field(a) == *field(b) },
		copy:  func(to, from *Spec) { *field(to) = *field(from) },
	}
}

func word[T ~string](key string, parse func(string) (T, error), field func(*Spec) *T, aliases ...string) option {
	return value(key, parse, func(v T) string { return string(v) }, field, aliases...)
}

func secret(key string, field func(*Spec) *Secret, aliases ...string) option {
	parse := func(text string) (Secret, error) {
		text, err := oneLine(text)
		return NewSecret(text), err
	}
	o := value(key, parse, Secret.String, field, aliases...)
	o.secret = true
	o.equal = func(a, b *Spec) bool { return field(a).Reveal() == field(b).Reveal() }
	return o
}

func place(o option) option {
	o.place = true
	return o
}

func oneOf[T ~string](valid ...T) func(string) (T, error) {
	return func(text string) (T, error) {
		if v := T(strings.ToLower(text)); slices.Contains(valid, v) {
			return v, nil
		}
		words := make([]string, len(valid))
		for i, v := range valid {
			words[i] = string(v)
		}
		return "", notOneOf(text, words)
	}
}

// oneLine reads what is sent in the header of a request. Its errors do not show it: it may
// be a secret.
func oneLine(text string) (string, error) {
	switch {
	case text == "":
		return "", errors.New("is empty")
	case strings.ContainsFunc(text, unicode.IsControl):
		return "", errors.New("has a line break or another control character in it")
	}
	return text, nil
}

func decimal(n uint32) string { return strconv.FormatUint(uint64(n), 10) }

func octal(n uint32) string { return fmt.Sprintf("%04o", n) }

// normalizeKey makes one spelling of what users of other drivers and of YAML write: case,
// "_" for "-" and a leading "--" do not matter.
func normalizeKey(key string) string {
	return strings.TrimPrefix(strings.ReplaceAll(strings.ToLower(strings.TrimSpace(key)), "_", "-"), "--")
}

// findOption returns the option that a user means by key.
func findOption(key string) (option, error) {
	name := squeeze(key)
	var known []string
	for _, o := range options {
		if squeeze(o.key) == name || hasSpelling(o.aliases, name) {
			return o, nil
		}
		known = append(append(known, o.key), o.aliases...)
	}
	return option{}, fmt.Errorf("unknown option %.64q; the nearest is %q", key, nearest(normalizeKey(key), known))
}

// apply sets the option on s; the error names the option.
func (o option) apply(s *Spec, text string) error {
	if err := o.set(s, text); err != nil {
		return fmt.Errorf("option %s: %w", o.key, err)
	}
	return nil
}

// givenAs names in an error what the user wrote, if that is not the option's own name.
func givenAs(key string, o option, err error) error {
	if squeeze(key) == squeeze(o.key) {
		return err
	}
	return fmt.Errorf("%w (given by %.64q)", err, key)
}

// applyAll sets the options that a volume is given and remembers them in s.Given.
func (s *Spec) applyAll(opts map[string]string) error {
	seen := map[string]string{}
	for _, key := range slices.Sorted(maps.Keys(opts)) {
		all, err := translate(given{key, opts[key]})
		if err != nil {
			return err
		}
		for _, g := range all {
			o, err := findOption(g.key)
			if err != nil {
				return err
			}
			if first, twice := seen[o.key]; twice {
				return fmt.Errorf("option %s is given twice: as %q and as %q", o.key, first, key)
			}
			seen[o.key] = key
			if err := o.apply(s, g.text); err != nil {
				return givenAs(key, o, err)
			}
			if !o.secret {
				s.Given[o.key] = o.text(s)
			}
		}
	}
	if err := s.decideKeys(seen); err != nil {
		return err
	}
	if s.ReadOnly && s.Given["on-remove"] == string(OnRemoveDelete) {
		return errors.New("options read-only and on-remove=delete contradict each other")
	}
	return nil
}

// differences says in which options asked is not like existing; empty if they are alike.
func differences(existing, asked Spec) string {
	var all []string
	for _, o := range options {
		switch {
		case o.equal(&existing, &asked):
		case o.secret:
			all = append(all, o.key+" differs")
		default:
			all = append(all, fmt.Sprintf("%s is %q, not %q", o.key, o.text(&existing), o.text(&asked)))
		}
	}
	return strings.Join(all, "; ")
}
