package s3

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/minio/minio-go/v7/pkg/credentials"
)

// The parts of a signature of Amazon's version 4 that are always the same.
const (
	signAlgorithm = "AWS4-HMAC-SHA256"
	signService   = "s3"
	signEnd       = "aws4_request"
	signTime      = "20060102T150405Z"
)

// signHeader signs a request in a header. All headers that it has are part of the
// signature, and its host.
func (b *Bucket) signHeader(req *http.Request, keys credentials.Value, payload string) {
	now := time.Now().UTC().Format(signTime)
	req.Header.Set("X-Amz-Date", now)
	req.Header.Set("X-Amz-Content-Sha256", payload)
	if keys.SessionToken != "" {
		req.Header.Set("X-Amz-Security-Token", keys.SessionToken)
	}
	names, text := canonical(req, payload)
	day := now[:len("20060102")]
	scope := day + "/" + b.region + "/" + signService + "/" + signEnd
	sum := sha256.Sum256(text)
	signature := macOf(b.keyOf(day, keys.SecretAccessKey), signAlgorithm+"\n"+now+"\n"+scope+"\n"+hex.EncodeToString(sum[:]))
	req.Header.Set("Authorization", signAlgorithm+" Credential="+keys.AccessKeyID+"/"+scope+
		", SignedHeaders="+names+", Signature="+hex.EncodeToString(signature))
}

// dayKey is what is signed with on a day.
type dayKey struct {
	day, secret string
	key         []byte
}

// keyOf returns what is signed with on a day. The latest is remembered.
func (b *Bucket) keyOf(day, secret string) []byte {
	if k := b.dayKey.Load(); k != nil && k.day == day && k.secret == secret {
		return k.key
	}
	key := []byte("AWS4" + secret)
	for _, part := range []string{day, b.region, signService, signEnd} {
		key = macOf(key, part)
	}
	b.dayKey.Store(&dayKey{day, secret, key})
	return key
}

func macOf(key []byte, text string) []byte {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(text))
	return mac.Sum(nil)
}

// canonical is the text of a request that is signed, and the names of the headers in it. Path
// and query are encoded already as they have to be.
func canonical(req *http.Request, payload string) (names string, text []byte) {
	type header struct {
		name   string
		values []string
	}
	headers := make([]header, 0, len(req.Header)+1)
	headers = append(headers, header{"host", []string{req.Host}})
	for name, values := range req.Header {
		headers = append(headers, header{strings.ToLower(name), values})
	}
	slices.SortFunc(headers, func(a, b header) int { return strings.Compare(a.name, b.name) })
	text = make([]byte, 0, 2<<10)
	for _, part := range []string{req.Method, req.URL.EscapedPath(), req.URL.RawQuery} {
		text = append(append(text, part...), '\n')
	}
	list := make([]byte, 0, 256)
	for i, h := range headers {
		if i > 0 {
			list = append(list, ';')
		}
		list = append(list, h.name...)
		text = append(append(text, h.name...), ':')
		for j, value := range h.values {
			if j > 0 {
				text = append(text, ',')
			}
			text = append(text, singleSpaced(value)...)
		}
		text = append(text, '\n')
	}
	text = append(append(append(text, '\n'), list...), '\n')
	return string(list), append(text, payload...)
}

// singleSpaced has no space twice, and none around.
func singleSpaced(value string) string {
	if strings.Contains(value, "  ") || strings.HasPrefix(value, " ") || strings.HasSuffix(value, " ") {
		return strings.Join(strings.Fields(value), " ")
	}
	return value
}
