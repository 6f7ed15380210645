package objstoretest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// SecureMinIO is MinIO behind TLS. Its certificate is of an authority that was made for it
// and that no system knows; authority is the file with that one's.
func SecureMinIO(tb testing.TB) (s Server, authority string) {
	tb.Helper()
	dir := tb.TempDir()
	authority, err := certify(certsDir(dir))
	if err != nil {
		tb.Fatal(err)
	}
	s, stop, err := StartMinIO(dir)
	must(tb, err)
	tb.Cleanup(stop)
	return s, authority
}

// certsDir is where the server looks for its certificate.
func certsDir(dir string) string { return filepath.Join(dir, "certs") }

// certify makes an authority and, signed by it, the certificate of a server on 127.0.0.1.
// It returns the file of the authority's own.
func certify(dir string) (authority string, err error) {
	now := time.Now()
	ca := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "objvol test authority"},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "127.0.0.1"},
		NotBefore: ca.NotBefore, NotAfter: ca.NotAfter,
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		KeyUsage:    x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	caKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return "", err
	}
	leafKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return "", err
	}
	caText, err := x509.CreateCertificate(rand.Reader, ca, ca, caKey.Public(), caKey)
	if err != nil {
		return "", err
	}
	leafText, err := x509.CreateCertificate(rand.Reader, leaf, ca, leafKey.Public(), caKey)
	if err != nil {
		return "", err
	}
	keyText, err := x509.MarshalPKCS8PrivateKey(leafKey)
	if err != nil {
		return "", err
	}
	authority = filepath.Join(dir, "authority.pem")
	return authority, errors.Join(
		os.MkdirAll(dir, 0o700),
		writePEM(authority, "CERTIFICATE", caText),
		writePEM(filepath.Join(dir, "public.crt"), "CERTIFICATE", leafText),
		writePEM(filepath.Join(dir, "private.key"), "PRIVATE KEY", keyText))
}

func writePEM(path, kind string, data []byte) error {
	return os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: data}), 0o600)
}
