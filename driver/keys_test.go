package driver

import (
	"path/filepath"
	"testing"
)

// TestKeysOverARestart shows that a volume's keys, and nothing of the defaults', come back
// from its file.
func TestKeysOverARestart(t *testing.T) {
	given, err := BuiltIn().Resolve("v", map[string]string{"access-key": "k", "secret-key": "s", "session-token": "t"})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "secrets")
	if err := saveSecrets(path, given); err != nil {
		t.Fatal(err)
	}
	defaults := BuiltIn()
	defaults.Profile, defaults.CredentialsFile = "p", "/c"
	restored, err := defaults.Resolve("v", given.Given)
	if err != nil {
		t.Fatal(err)
	}
	if err := loadSecrets(path, &restored); err != nil {
		t.Fatal(err)
	}
	if diff := differences(given, restored); diff != "" {
		t.Error(diff)
	}
}

func TestHasKeys(t *testing.T) {
	for key, spec := range map[string]Spec{
		"access-key":       {AccessKey: NewSecret("k")},
		"access-key-file":  {AccessKeyFile: "/a"},
		"profile":          {Profile: "p"},
		"credentials-file": {CredentialsFile: "/c"},
	} {
		if !spec.HasKeys() {
			t.Errorf("%s is no source of keys", key)
		}
	}
	if (Spec{SessionToken: NewSecret("t")}).HasKeys() {
		t.Error("a token alone is a source of keys")
	}
}
