package driver

import (
	"fmt"
	"slices"
	"strings"
)

// keySources are the options that say where a volume's keys come from, one source a line.
var keySources = [][]string{
	{"access-key", "secret-key", "session-token"},
	{"access-key-file", "secret-key-file"},
	{"profile", "credentials-file"},
}

// keyPairs are options of which the first is nothing without the second.
var keyPairs = [][2]string{
	{"access-key", "secret-key"},
	{"secret-key", "access-key"},
	{"session-token", "access-key"},
	{"access-key-file", "secret-key-file"},
	{"secret-key-file", "access-key-file"},
}

// decideKeys checks what was given of the keys. One source counts: what the defaults say of
// the others does not if the volume is given its own.
func (s *Spec) decideKeys(given map[string]string) error {
	var used, named []string
	for _, source := range keySources {
		for _, key := range source {
			if _, ok := given[key]; ok {
				used, named = source, append(named, key)
				break
			}
		}
	}
	if len(named) > 1 {
		return fmt.Errorf("options %s each say where the keys are: leave one", strings.Join(named, " and "))
	}
	for _, pair := range keyPairs {
		_, first := given[pair[0]]
		if _, second := given[pair[1]]; first && !second {
			return fmt.Errorf("option %s needs %s beside it", pair[0], pair[1])
		}
	}
	if used == nil {
		return nil
	}
	told := *s
	s.forgetKeys()
	for _, o := range options {
		// The defaults' token is of other keys. Their file may well hold the given profile.
		_, ok := given[o.key]
		if slices.Contains(used, o.key) && (ok || o.key != "session-token") {
			o.copy(s, &told)
		}
	}
	_, s.ownSecrets = given["access-key"]
	return nil
}

// HasKeys reports whether the volume says where its keys come from.
func (s Spec) HasKeys() bool {
	return s.AccessKey.IsSet() || s.AccessKeyFile != "" || s.Profile != "" || s.CredentialsFile != ""
}

// forgetKeys leaves the keys to AWS's places.
func (s *Spec) forgetKeys() {
	var none Spec
	for _, o := range options {
		for _, source := range keySources {
			if slices.Contains(source, o.key) {
				o.copy(s, &none)
			}
		}
	}
}
