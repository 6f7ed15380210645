package s3

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"
)

// What servers send: MinIO with metadata, AWS with owners, and a page of nothing.
var listings = []string{
	`<?xml version="1.0" encoding="UTF-8"?>
<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>b</Name><Prefix>p%2F</Prefix><NextContinuationToken>cC9mW21pbmlvX2NhY2hlOnYyXQ==</NextContinuationToken><KeyCount>2</KeyCount><MaxKeys>1000</MaxKeys><Delimiter>/</Delimiter><IsTruncated>true</IsTruncated><Contents><Key>p/a%26b</Key><LastModified>2026-11-21T15:44:30.123Z</LastModified><ETag>&#34;0cc175b9c0f1b6a831c399e269772661&#34;</ETag><Size>4096</Size><StorageClass>STANDARD</StorageClass><UserMetadata><X-Amz-Meta-Mode>33188</X-Amz-Meta-Mode><content-type>text/plain; a=&#34;b&#34;&#xA;&amp;</content-type><expires>Mon, 01 Jan 0001 00:00:00 GMT</expires></UserMetadata><UserTags></UserTags></Contents><Contents><Key>p/b</Key><LastModified>2026-11-21T15:44:30Z</LastModified><ETag>&quot;x-2&quot;</ETag><Size>0</Size><Owner><ID>i</ID><DisplayName>d</DisplayName></Owner><StorageClass>STANDARD</StorageClass><UserMetadata/></Contents><CommonPrefixes><Prefix>p/d/</Prefix></CommonPrefixes><CommonPrefixes><Prefix>p/é/</Prefix></CommonPrefixes><EncodingType>url</EncodingType></ListBucketResult>
`,
	`<?xml version="1.0" encoding="utf-8"?>
<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">
  <Name>bucket</Name>
  <Prefix/>
  <IsTruncated>false</IsTruncated>
  <Contents>
    <Key> a key </Key>
    <LastModified>2009-10-12T17:50:30.000Z</LastModified>
    <ETag>"fba9dede5f27731c9771645a39863328"</ETag>
    <ChecksumAlgorithm>CRC64NVME</ChecksumAlgorithm>
    <Size>434234</Size>
    <StorageClass>STANDARD</StorageClass>
  </Contents>
  <Contents/>
  <CommonPrefixes/>
</ListBucketResult>`,
	`<ListBucketResult></ListBucketResult>`,
}

// wanted is what is used of a listing. What else is wrong in an answer is nobody's concern.
type wanted struct {
	CommonPrefixes []minio.CommonPrefix
	Contents       []struct {
		Key, ETag    string
		Size         int64
		LastModified time.Time
		UserMetadata minio.StringMap
	}
	EncodingType          string
	IsTruncated           bool
	NextContinuationToken string
}

// sameListing compares what the scanner makes of a text with what encoding/xml does. It
// reports whether the scanner understood it.
func sameListing(t *testing.T, text []byte) bool {
	t.Helper()
	got, ok := scanListing(text)
	if !ok {
		return false
	}
	var want wanted
	if err := xml.NewDecoder(bytes.NewReader(text)).Decode(&want); err != nil {
		t.Fatalf("the scanner reads what is no XML: %v\n%s", err, text)
	}
	kept := minio.ListBucketV2Result{
		IsTruncated: want.IsTruncated, NextContinuationToken: want.NextContinuationToken,
		EncodingType: want.EncodingType, CommonPrefixes: want.CommonPrefixes,
	}
	for _, o := range want.Contents {
		kept.Contents = append(kept.Contents, minio.ObjectInfo{
			Key: o.Key, ETag: o.ETag, Size: o.Size, LastModified: o.LastModified, UserMetadata: o.UserMetadata,
		})
	}
	//nolint:govet // ObjectInfo has a field for an error, which no listing sets.
	if !reflect.DeepEqual(got, kept) {
		t.Fatalf("the scanner reads\n%+v\nand not\n%+v\nin %s", got, kept, text)
	}
	return true
}

func TestScanListing(t *testing.T) {
	for _, text := range listings {
		if !sameListing(t, []byte(text)) {
			t.Errorf("not understood: %s", text)
		}
	}
}

// TestOddListings: what the scanner does not expect is left to encoding/xml, and errors are
// still errors.
func TestOddListings(t *testing.T) {
	for _, text := range []string{
		`<ListBucketResult><Contents><Key><![CDATA[a<b]]></Key></Contents></ListBucketResult>`,
		`<ListBucketResult><!-- hm --><IsTruncated>true</IsTruncated></ListBucketResult>`,
		"<ListBucketResult><Contents><Key>a\r\nb</Key></Contents></ListBucketResult>",
		`<ListBucketResult><Contents><Key>a&#233;</Key></Contents></ListBucketResult>`,
		`<ListBucketResult a="b"></ListBucketResult>`,
		`<ListBucketResult/>`,
		`<ListBucketResult><IsTruncated>1</IsTruncated></ListBucketResult>`,
	} {
		if sameListing(t, []byte(text)) {
			t.Errorf("understood: %s", text)
		}
		if _, err := decodeListing(strings.NewReader(text)); err != nil {
			t.Errorf("%v: %s", err, text)
		}
	}
	for _, text := range []string{
		"", "no XML", `<ListBucketResult>`, `<ListBucketResult><Contents><Key>a</Key></ListBucketResult>`,
		listings[0][:len(listings[0])/2],
		`<ListBucketResult><Contents><Size>x</Size></Contents></ListBucketResult>`,
	} {
		if _, err := decodeListing(strings.NewReader(text)); err == nil {
			t.Errorf("accepted: %s", text)
		}
	}
}

// TestDamagedListings: whatever becomes of an answer on its way, the scanner comes to an
// end, and reads nothing that encoding/xml would read otherwise.
func TestDamagedListings(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 8))
	const marks = "<>/&;\"'= ]!?-ax\n\r"
	for i := range 20_000 {
		text := []byte(listings[i%len(listings)])
		for range 1 + rng.IntN(3) {
			at := rng.IntN(len(text))
			end := min(len(text), at+rng.IntN(40))
			switch rng.IntN(4) {
			case 0:
				text[at] = marks[rng.IntN(len(marks))]
			case 1:
				text = slices.Delete(text, at, end)
			case 2:
				text = slices.Insert(text, rng.IntN(len(text)), text[at:end]...)
			case 3:
				text = slices.Insert(text, at, marks[rng.IntN(len(marks))])
			}
			if len(text) == 0 {
				break
			}
		}
		sameListing(t, text)
	}
}

func FuzzScanListing(f *testing.F) {
	for _, text := range listings {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) { sameListing(t, text) })
}

// BenchmarkDecodeListing reads a page of a listing, beside the reader of the standard library.
func BenchmarkDecodeListing(b *testing.B) {
	var text strings.Builder
	text.WriteString(`<?xml version="1.0" encoding="UTF-8"?>` + "\n" + `<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><IsTruncated>false</IsTruncated>`)
	for i := range 1000 {
		fmt.Fprintf(&text, `<Contents><Key>dir/file%05d</Key><LastModified>2026-11-21T15:44:30.123Z</LastModified><ETag>&#34;0cc175b9c0f1b6a831c399e269772661&#34;</ETag><Size>4096</Size><StorageClass>STANDARD</StorageClass><UserMetadata><X-Amz-Meta-Mode>33188</X-Amz-Meta-Mode><X-Amz-Meta-Mtime>1700000000.123456789</X-Amz-Meta-Mtime><content-type>text/plain</content-type></UserMetadata></Contents>`, i)
	}
	text.WriteString(`</ListBucketResult>`)
	b.Run("scanner", func(b *testing.B) {
		for b.Loop() {
			if _, err := decodeListing(strings.NewReader(text.String())); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("encoding-xml", func(b *testing.B) {
		for b.Loop() {
			var result minio.ListBucketV2Result
			if err := xml.NewDecoder(strings.NewReader(text.String())).Decode(&result); err != nil {
				b.Fatal(err)
			}
		}
	})
}
