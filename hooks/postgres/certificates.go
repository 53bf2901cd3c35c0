package postgres

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	"net"
	"time"

	"github.com/seedling-dev/seedling/hooks/command"
)

// Secret is the Secret of a seed's namespace that holds its certificates.
const Secret = "seed-postgres"

// MakeCertificates is the command that makes that Secret, for sentences.
const MakeCertificates = "seed-import certificates"

// Roles that log in to a seed's Postgres over the network. Each is the common
// name of its certificate, and nobody else is let in.
const (
	ImportRole = "postgres"
	BackupRole = "seed_backup"
)

// Names of the files that NewCertificates makes.
const (
	AuthorityFile         = "ca.crt"
	ServerCertificateFile = "tls.crt"
	ServerKeyFile         = "tls.key"
	ImportCertificateFile = "seed-import.crt"
	ImportKeyFile         = "seed-import.key"
	BackupCertificateFile = "seed-backup.crt"
	BackupKeyFile         = "seed-backup.key"
)

// NewCertificates makes all that a seed's Postgres and its two Jobs need to know
// each other: an authority of their own, and a certificate with its key for each
// of the three, as PEM files by name. The authority's key is used here and
// forgotten, so that nobody can add a fourth. Made again, all of them are new,
// and the old ones open nothing.
func NewCertificates(now time.Time, valid time.Duration) (map[string][]byte, error) {
	begin, end := now.Add(-time.Hour), now.Add(valid) // clocks differ
	authorityKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	authority := &x509.Certificate{
		Subject:   pkix.Name{CommonName: "seedling seed"},
		NotBefore: begin, NotAfter: end,
		IsCA: true, BasicConstraintsValid: true, MaxPathLenZero: true,
		KeyUsage: x509.KeyUsageCertSign,
	}
	files := map[string][]byte{}
	// sign makes the files of one certificate and returns its key.
	sign := func(c *x509.Certificate, key *ecdsa.PrivateKey, certificateFile, keyFile string) error {
		var err error
		if c.SerialNumber, err = rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120)); err != nil {
			return err
		}
		der, err := x509.CreateCertificate(rand.Reader, c, authority, key.Public(), crypto.Signer(authorityKey))
		if err != nil {
			return fmt.Errorf("sign the certificate of %s: %w", c.Subject.CommonName, err)
		}
		files[certificateFile] = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
		if keyFile == "" {
			return nil
		}
		secret, err := x509.MarshalPKCS8PrivateKey(key)
		if err != nil {
			return err
		}
		files[keyFile] = pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret})
		return nil
	}
	if err := sign(authority, authorityKey, AuthorityFile, ""); err != nil {
		return nil, err
	}
	der, _ := pem.Decode(files[AuthorityFile])
	if authority, err = x509.ParseCertificate(der.Bytes); err != nil {
		return nil, err
	}
	for _, c := range []struct {
		name, certificate, key string
		use                    x509.ExtKeyUsage
		hosts                  []string
	}{
		{"postgres server", ServerCertificateFile, ServerKeyFile, x509.ExtKeyUsageServerAuth, []string{"postgres", "localhost"}},
		{ImportRole, ImportCertificateFile, ImportKeyFile, x509.ExtKeyUsageClientAuth, nil},
		{BackupRole, BackupCertificateFile, BackupKeyFile, x509.ExtKeyUsageClientAuth, nil},
	} {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			return nil, err
		}
		leaf := &x509.Certificate{
			Subject:   pkix.Name{CommonName: c.name},
			NotBefore: begin, NotAfter: end,
			BasicConstraintsValid: true,
			KeyUsage:              x509.KeyUsageDigitalSignature,
			ExtKeyUsage:           []x509.ExtKeyUsage{c.use},
			DNSNames:              c.hosts,
		}
		if err := sign(leaf, key, c.certificate, c.key); err != nil {
			return nil, err
		}
	}
	return files, nil
}

// errCertificates marks what only other certificates cure.
var errCertificates = errors.New("the two sides' certificates do not fit")

// remake is the way out of it.
const remake = "make Secret " + Secret + " again with `" + MakeCertificates + "` and restart the StatefulSet postgres"

// checkCertificate refuses a certificate of ours that cannot work, and warns a
// month before it ends. Without one there is nothing to say: a throw-away
// Postgres takes a password.
func checkCertificate(log *slog.Logger, config *tls.Config, now time.Time) error {
	if config == nil || len(config.Certificates) == 0 {
		return nil
	}
	own, err := x509.ParseCertificate(config.Certificates[0].Certificate[0])
	if err != nil {
		return command.Misconfiguredf("read its client certificate: %w", err)
	}
	if now.After(own.NotAfter) {
		return command.Misconfiguredf("its client certificate, for role %s, ended on %s: %s", own.Subject.CommonName, own.NotAfter.UTC().Format(time.DateOnly), remake)
	}
	if config.RootCAs != nil {
		// One Secret holds both. A server that learns it first would end the
		// connection without a word that reaches us.
		_, err := own.Verify(x509.VerifyOptions{Roots: config.RootCAs, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
		if err != nil {
			return command.Misconfiguredf("its client certificate, for role %s, is not of the authority in sslrootcert (%w): %s", own.Subject.CommonName, err, remake)
		}
	}
	if left := own.NotAfter.Sub(now); left < 30*24*time.Hour {
		log.Warn("the certificates of the seed's Postgres end soon", "on", own.NotAfter.UTC().Format(time.DateOnly), "then", remake)
	}
	return nil
}

// explainTLS says what to do about certificates that do not fit. Other errors
// pass.
func explainTLS(err error) error {
	var (
		unknown x509.UnknownAuthorityError
		host    x509.HostnameError
		invalid x509.CertificateInvalidError
		remote  *net.OpError
	)
	switch {
	case errors.As(err, &unknown):
		return fmt.Errorf("%w: the server's is not of the authority in sslrootcert; after a change of Secret %s restart the StatefulSet postgres", errCertificates, Secret)
	case errors.As(err, &host):
		return fmt.Errorf("%w: the server's is for other names than the connection string's host: call it postgres, or use sslmode=verify-ca", errCertificates)
	case errors.As(err, &invalid):
		return fmt.Errorf("%w: the server's cannot be used (%s): %s", errCertificates, invalid.Error(), remake)
	case errors.As(err, &remote) && remote.Op == "remote error":
		return fmt.Errorf("%w: the server refuses ours (%w): %s", errCertificates, remote.Err, remake)
	}
	return err
}
