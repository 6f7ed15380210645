package driver

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

func TestSecretHides(t *testing.T) {
	const text = "hunter2"
	type inner struct{ key Secret }
	spec := Spec{AccessKey: NewSecret(text), SecretKey: NewSecret(text)}
	var log logBuffer
	log.logger().Info("x", "secret", spec.SecretKey, "spec", spec, "pointer", &spec)
	encoded, err := json.Marshal(map[string]any{"spec": spec, "secret": NewSecret(text)})
	if err != nil {
		t.Fatal(err)
	}
	shown := []string{log.String(), string(encoded)}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%t", "%08b"} {
		shown = append(shown,
			fmt.Sprintf(verb, NewSecret(text)),
			fmt.Sprintf(verb, &spec),
			fmt.Sprintf(verb, inner{NewSecret(text)}),
			fmt.Sprintf(verb, []any{spec, inner{NewSecret(text)}}))
	}
	for _, s := range shown {
		if strings.Contains(s, text) || strings.Contains(s, fmt.Sprintf("%x", text)) {
			t.Errorf("a secret is shown: %s", s)
		}
	}
	if got := NewSecret(text).Reveal(); got != text {
		t.Errorf("Reveal is %q", got)
	}
	if s := NewSecret(""); s.IsSet() || s.String() != "" || s.Reveal() != "" {
		t.Error("an empty text is a secret")
	}
}
