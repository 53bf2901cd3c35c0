package postgres

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/seedling-dev/seedling/hooks/command"
)

func made(t *testing.T, now time.Time) map[string][]byte {
	t.Helper()
	files, err := NewCertificates(now, 100*24*time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func pair(t *testing.T, certificate, key []byte) tls.Certificate {
	t.Helper()
	p, err := tls.X509KeyPair(certificate, key)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func pool(files map[string][]byte) *x509.CertPool {
	p := x509.NewCertPool()
	p.AppendCertsFromPEM(files[AuthorityFile])
	return p
}

// Each certificate is good for one thing: the server's serves, the two clients'
// log in as one role each, none signs another one, and nothing signs any more.
func TestNewCertificates(t *testing.T) {
	t.Parallel()
	now := time.Now()
	files, others := made(t, now), made(t, now)
	for _, c := range []struct {
		certificate, key, name string
		use                    x509.ExtKeyUsage
	}{
		{ServerCertificateFile, ServerKeyFile, "postgres server", x509.ExtKeyUsageServerAuth},
		{ImportCertificateFile, ImportKeyFile, "postgres", x509.ExtKeyUsageClientAuth},
		{BackupCertificateFile, BackupKeyFile, "seed_backup", x509.ExtKeyUsageClientAuth},
	} {
		leaf, err := x509.ParseCertificate(pair(t, files[c.certificate], files[c.key]).Certificate[0])
		if err != nil {
			t.Fatal(err)
		}
		if leaf.Subject.CommonName != c.name || leaf.IsCA {
			t.Errorf("%s is of %q, an authority: %v", c.certificate, leaf.Subject.CommonName, leaf.IsCA)
		}
		for _, use := range []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth} {
			_, err := leaf.Verify(x509.VerifyOptions{Roots: pool(files), KeyUsages: []x509.ExtKeyUsage{use}})
			if (err == nil) != (use == c.use) {
				t.Errorf("%s for use %v: %v", c.certificate, use, err)
			}
		}
		if _, err := leaf.Verify(x509.VerifyOptions{Roots: pool(others), KeyUsages: []x509.ExtKeyUsage{c.use}}); err == nil {
			t.Errorf("%s passes in another seed", c.certificate)
		}
		for name, content := range files {
			if name != c.key && bytes.Contains(content, files[c.key]) {
				t.Errorf("%s holds %s", name, c.key)
			}
		}
	}
	if strings.Contains(string(files[AuthorityFile]), "PRIVATE") || len(files) != 7 {
		t.Errorf("%d files, or the authority's key is among them", len(files))
	}
}

func TestCheckCertificate(t *testing.T) {
	t.Parallel()
	now := time.Now()
	files, others := made(t, now), made(t, now)
	for _, test := range []struct {
		name           string
		after          time.Duration
		authority      map[string][]byte
		warning, fault string
	}{
		{"good", 0, files, "", ""},
		{"soon", 90 * 24 * time.Hour, files, "end soon", ""},
		{"ended", 101 * 24 * time.Hour, files, "", "for role seed_backup, ended on"},
		{"of another Secret", 0, others, "", "is not of the authority in sslrootcert"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var out bytes.Buffer
			config := &tls.Config{
				MinVersion: tls.VersionTLS13, RootCAs: pool(test.authority),
				Certificates: []tls.Certificate{pair(t, files[BackupCertificateFile], files[BackupKeyFile])},
			}
			err := checkCertificate(slog.New(slog.NewTextHandler(&out, nil)), config, now.Add(test.after))
			if (err == nil) != (test.fault == "") || err != nil && (!strings.Contains(err.Error(), test.fault) || command.ExitCode(err) != 2) {
				t.Errorf("error %v", err)
			}
			if test.warning == "" && out.Len() > 0 || !strings.Contains(out.String(), test.warning) {
				t.Errorf("log %q", out.String())
			}
		})
	}
}

// What the two sides hold against each other is one sentence, at once, and not a
// wait for something that does not come.
func TestDialWithCertificatesThatDoNotFit(t *testing.T) {
	t.Parallel()
	now := time.Now()
	mine, others, old := made(t, now), made(t, now), made(t, now.Add(-200*24*time.Hour))
	for _, test := range []struct {
		name             string
		server, client   map[string][]byte
		host, mode, says string
	}{
		{"another server", others, mine, "localhost", "verify-full", "the server's is not of the authority"},
		{"another server, its name ignored", others, mine, "127.0.0.1", "verify-ca", "the server's is not of the authority"},
		{"a server by another name", mine, mine, "127.0.0.1", "verify-full", "the server's is for other names"},
		{"both ended", old, old, "localhost", "verify-full", "ended on"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			address := serveTLS(t, test.server)
			dir := t.TempDir()
			for name, content := range test.client {
				if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			_, port, err := net.SplitHostPort(address)
			if err != nil {
				t.Fatal(err)
			}
			target, err := ParseTarget("host=" + test.host + " port=" + port + " user=postgres sslmode=" + test.mode +
				" sslrootcert=" + dir + "/ca.crt sslcert=" + dir + "/seed-import.crt sslkey=" + dir + "/seed-import.key")
			if err != nil {
				t.Fatal(err)
			}
			_, err = Dial(t.Context(), slog.New(slog.DiscardHandler), target, time.Hour)
			if command.ExitCode(err) != 2 || !strings.Contains(err.Error(), test.says) {
				t.Errorf("exit code %d, error %v", command.ExitCode(err), err)
			}
		})
	}
}

// serveTLS answers as Postgres does up to the handshake.
func serveTLS(t *testing.T, files map[string][]byte) string {
	t.Helper()
	var listen net.ListenConfig
	l, err := listen.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	config := &tls.Config{
		MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{pair(t, files[ServerCertificateFile], files[ServerKeyFile])},
		ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: pool(files),
	}
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			var request [8]byte // SSLRequest
			if _, err := conn.Read(request[:]); err == nil {
				if _, err = conn.Write([]byte("S")); err == nil {
					_ = tls.Server(conn, config).HandshakeContext(context.WithoutCancel(t.Context()))
				}
			}
			_ = conn.Close()
		}
	}()
	return l.Addr().String()
}
