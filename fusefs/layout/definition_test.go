package layout

import (
	"bytes"
	"errors"
	"reflect"
	"testing"
	"time"
)

func TestDefinition(t *testing.T) {
	want := Definition{
		Name: "data", Prefix: "data/", Options: map[string]string{"ttl": "1s", "sync": "local"},
		Created: time.Date(2026, 11, 21, 9, 8, 7, 6, time.UTC), Nonce: "n", Own: true,
	}
	body, err := EncodeDefinition(want)
	if err != nil {
		t.Fatal(err)
	}
	got, err := DecodeDefinition(body)
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v\nwant %+v", got, err, want)
	}

	local := want
	local.Created = want.Created.In(time.FixedZone("", 3600))
	if again, err := EncodeDefinition(local); err != nil || !bytes.Equal(again, body) {
		t.Errorf("the same definition, %v, is\n%s\nnot\n%s", err, again, body)
	}
}

// TestDefinitionFormat keeps the format of the first release readable.
func TestDefinitionFormat(t *testing.T) {
	const first = `{"version":1,"name":"data","prefix":"data/","options":{"ttl":"1s"},"created":"2026-11-21T09:08:07Z","nonce":"n","own":true,"later":1}`
	want := Definition{
		Name: "data", Prefix: "data/", Options: map[string]string{"ttl": "1s"},
		Created: time.Date(2026, 11, 21, 9, 8, 7, 0, time.UTC), Nonce: "n", Own: true,
	}
	if got, err := DecodeDefinition([]byte(first)); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestDecodeDefinitionRefuses(t *testing.T) {
	for _, body := range []string{"", "null", "[]", "{}", `{"version":2,"name":"a"}`, `{"version":1}`, `{"version":1,"name":7}`, `{"version":1,"name":"a"`} {
		if got, err := DecodeDefinition([]byte(body)); !errors.Is(err, ErrDefinition) {
			t.Errorf("DecodeDefinition(%q) = %+v, %v, want ErrDefinition", body, got, err)
		}
	}
}
