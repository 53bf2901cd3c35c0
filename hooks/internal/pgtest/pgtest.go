// Package pgtest gives tests a real Postgres: the image that seeds and
// previews run, in containers of their own.
//
// A seed's server belongs to one test (Start): imports lock the whole server,
// and who logs in has a certificate, as in the cluster. Databases to dump come
// from one server per test process (Source), which never is a seed, so that raw
// rows are nowhere in a seed's files.
package pgtest

import (
	"archive/tar"
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/moby/moby/api/types/container"
	"github.com/testcontainers/testcontainers-go"
	tcexec "github.com/testcontainers/testcontainers-go/exec"

	"github.com/seedling-dev/seedling/hooks/postgres"
)

// Image is what the containers run; another one, of another major version say,
// in SEEDLING_SEED_POSTGRES.
var Image = cmp.Or(os.Getenv("SEEDLING_SEED_POSTGRES"), "ghcr.io/seedling-dev/seed-postgres:dev")

const (
	password = "test-password"
	port     = "5432/tcp"
	// certificateDir is where the image looks for a seed's certificates.
	certificateDir = "/etc/seedling/certificates"
	// DataDir is the server's data directory in its container.
	DataDir = "/var/lib/postgresql/data/pgdata"
)

// Server is a running Postgres.
type Server struct {
	container testcontainers.Container
	address   string
	// logins is the folder with the certificates of a seed's roles, "" where
	// everybody has the password.
	logins string
}

// Run starts a throw-away server, with a password, with additional server
// arguments (-c name=value). The caller ends it with Stop.
func Run(ctx context.Context, args ...string) (*Server, error) { return RunMounted(ctx, "", args...) }

// RunMounted is Run with a folder of the host (from:to) in the container.
func RunMounted(ctx context.Context, bind string, args ...string) (*Server, error) {
	return launch(ctx, "", args, testcontainers.WithHostConfigModifier(func(c *container.HostConfig) {
		if bind != "" {
			c.Binds = append(c.Binds, bind)
		}
		c.ShmSize = 1 << 30 // parallel index builds
	}))
}

// start runs a command of an image, and waits until its server answers.
func start(ctx context.Context, image, logins string, command []string, more ...testcontainers.ContainerCustomizer) (*Server, error) {
	login, err := authenticate(logins)
	if err != nil {
		return nil, err
	}
	c, err := testcontainers.Run(ctx, image, append([]testcontainers.ContainerCustomizer{
		testcontainers.WithCmd(command...),
		login,
		testcontainers.WithExposedPorts(port),
	}, more...)...)
	s := &Server{container: c, logins: logins}
	if err == nil {
		err = s.ready(ctx)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("start %s: %w", image, err), s.Stop())
	}
	return s, nil
}

// authenticate gives a container its password, or its certificates, and the
// clients' to the folder.
func authenticate(logins string) (testcontainers.CustomizeRequestOption, error) {
	if logins == "" {
		return testcontainers.WithEnv(map[string]string{"POSTGRES_PASSWORD": password}), nil
	}
	certificates, err := postgres.NewCertificates(time.Now(), 24*time.Hour)
	if err != nil {
		return nil, err
	}
	var files []testcontainers.ContainerFile
	for name, content := range certificates {
		if err := os.WriteFile(filepath.Join(logins, name), content, 0o600); err != nil {
			return nil, err
		}
		switch name {
		case postgres.AuthorityFile, postgres.ServerCertificateFile, postgres.ServerKeyFile:
			files = append(files, testcontainers.ContainerFile{Reader: bytes.NewReader(content), ContainerFilePath: certificateDir + "/" + name, FileMode: 0o444})
		}
	}
	return testcontainers.WithFiles(files...), nil
}

// ready waits until the server answers. Its port may change with a restart.
func (s *Server) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	for {
		err := s.locate(ctx)
		if err == nil {
			var conn *pgx.Conn
			if conn, err = pgx.Connect(ctx, s.DSN("postgres")); err == nil {
				return conn.Close(ctx)
			}
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the server does not answer: %w", err)
		case <-time.After(100 * time.Millisecond):
		}
	}
}

func (s *Server) locate(ctx context.Context) error {
	host, err := s.container.Host(ctx)
	if err != nil {
		return err
	}
	p, err := s.container.MappedPort(ctx, port)
	if err != nil {
		return err
	}
	s.address = fmt.Sprintf("%s:%d", host, p.Num())
	return nil
}

// ID is the container's.
func (s *Server) ID() string { return s.container.GetContainerID() }

// Stop removes the server's container.
func (s *Server) Stop() error {
	if s.container == nil {
		return nil
	}
	return testcontainers.TerminateContainer(s.container)
}

// Start runs a seed for one test. When the test fails its last log lines are
// shown.
func Start(t testing.TB, args ...string) *Server {
	t.Helper()
	s, err := launch(t.Context(), t.TempDir(), args,
		testcontainers.WithHostConfigModifier(func(c *container.HostConfig) { c.ShmSize = 1 << 30 }))
	return s.of(t, err)
}

// StartThrowAway is Start of a server with a password, where other roles than a
// seed's two log in.
func StartThrowAway(t testing.TB, args ...string) *Server {
	t.Helper()
	s, err := Run(t.Context(), args...)
	return s.of(t, err)
}

// StartSmall is Start with a disk of some megabytes for the server's data. A
// server that ends is started again, on the same data: see Await.
func StartSmall(t testing.TB, megabytes int, args ...string) *Server {
	t.Helper()
	if err := build(t.Context()); err != nil {
		t.Fatal(err)
	}
	s, err := start(t.Context(), Image, t.TempDir(), append([]string{"standalone", "-c", "fsync=off"}, args...),
		testcontainers.WithEntrypoint("sh", "-c", `while :; do seed-postgres "$@"; sleep 0.1; done`, "again"),
		testcontainers.WithHostConfigModifier(func(c *container.HostConfig) {
			c.Tmpfs = map[string]string{filepath.Dir(DataDir): fmt.Sprintf("size=%dm,uid=999,gid=999,mode=0750", megabytes)}
		}))
	return s.of(t, err)
}

// of makes a server that was just started a test's own.
func (s *Server) of(t testing.TB, err error) *Server {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("last lines of the server's log:\n%s", s.Logs(t))
		}
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// Await waits until the server answers again.
func (s *Server) Await(t testing.TB) {
	t.Helper()
	if err := s.ready(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// Major is the server's major version.
func (s *Server) Major(t testing.TB) int {
	t.Helper()
	n, err := strconv.Atoi(s.Strings(t, "postgres", "SELECT current_setting('server_version_num')::int / 10000")[0])
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// Address is where the server listens: host and port.
func (s *Server) Address() string { return s.address }

var origin struct {
	sync.Mutex
	server *Server
}

// Source is the server of this test process that databases to dump live in.
// It runs until Main ends.
func Source(t testing.TB) *Server {
	t.Helper()
	origin.Lock()
	defer origin.Unlock()
	if origin.server == nil {
		s, err := Run(context.Background(), "-c", "max_connections=200", "-c", "synchronous_commit=off", "-c", "full_page_writes=off")
		if err != nil {
			t.Fatal(err)
		}
		origin.server = s
	}
	return origin.server
}

// Main runs a package's tests and stops the server of Source after them. It is
// for TestMain: os.Exit(pgtest.Main(m)).
func Main(m *testing.M) int {
	code := m.Run()
	origin.Lock()
	defer origin.Unlock()
	if origin.server != nil {
		if err := origin.server.Stop(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	return code
}

// DSN is the connection string of a database for the superuser.
func (s *Server) DSN(database string) string { return s.DSNAs(postgres.ImportRole, database) }

// DSNAs is the connection string of a database for another role. In a seed only
// seed_backup gets in.
func (s *Server) DSNAs(role, database string) string {
	if s.logins == "" {
		return fmt.Sprintf("postgres://%s:%s@%s/%s?sslmode=disable", role, password, s.address, database)
	}
	certificate, key := postgres.ImportCertificateFile, postgres.ImportKeyFile
	if role == postgres.BackupRole {
		certificate, key = postgres.BackupCertificateFile, postgres.BackupKeyFile
	}
	file := func(name string) string { return url.QueryEscape(filepath.Join(s.logins, name)) }
	// A test may reach the server by another address than its certificate's.
	return fmt.Sprintf("postgres://%s@%s/%s?sslmode=verify-ca&sslrootcert=%s&sslcert=%s&sslkey=%s",
		role, s.address, database, file(postgres.AuthorityFile), file(certificate), file(key))
}

// Connect opens a session of the superuser for the test's duration.
func (s *Server) Connect(t testing.TB, database string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), s.DSN(database))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

// Exec runs statements in a database.
func (s *Server) Exec(t testing.TB, database, sql string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), s.DSN(database))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	if _, err := conn.PgConn().Exec(t.Context(), sql).ReadAll(); err != nil {
		t.Fatalf("execute in %s: %v", database, err)
	}
}

// Strings returns the first column of a query's rows as text.
func (s *Server) Strings(t testing.TB, database, query string, args ...any) []string {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), s.DSN(database))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	rows, err := conn.Query(t.Context(), query, append([]any{pgx.QueryExecModeSimpleProtocol}, args...)...)
	if err != nil {
		t.Fatalf("query %s: %v", database, err)
	}
	out, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (string, error) {
		if v := row.RawValues()[0]; v != nil {
			return string(v), nil
		}
		return "NULL", nil
	})
	if err != nil {
		t.Fatalf("query %s: %v", database, err)
	}
	return out
}

func random() string {
	var b [6]byte
	_, _ = rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}

// Database creates a database with a name of its own and runs statements in
// it.
func (s *Server) Database(t testing.TB, sql string) string {
	t.Helper()
	name := "d" + random()
	s.Exec(t, "postgres", "CREATE DATABASE "+name+" TEMPLATE template0")
	t.Cleanup(func() {
		conn, err := pgx.Connect(context.Background(), s.DSN("postgres"))
		if err != nil {
			return // the server is gone
		}
		defer conn.Close(context.Background())
		_, _ = conn.Exec(context.Background(), "DROP DATABASE IF EXISTS "+name+" WITH (FORCE)")
	})
	if sql != "" {
		s.Exec(t, name, sql)
	}
	return name
}

// Shell runs a command in the container, as the server's user, and returns
// what it wrote to both streams.
func (s *Server) Shell(t testing.TB, command string) (string, error) {
	t.Helper()
	code, r, err := s.container.Exec(t.Context(), []string{"sh", "-c", command}, tcexec.Multiplexed())
	if err != nil {
		t.Fatal(err)
	}
	out, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	if code != 0 {
		return string(out), fmt.Errorf("%s: exit code %d: %s", command, code, out)
	}
	return string(out), nil
}

// MustShell is Shell for commands that must not fail.
func (s *Server) MustShell(t testing.TB, command string) string {
	t.Helper()
	out, err := s.Shell(t, command)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// Dump runs pg_dump on a database and returns the dump's path: a file, or for
// -Fd a directory.
func (s *Server) Dump(t testing.TB, database string, args ...string) string {
	t.Helper()
	name := database + "-" + random() + ".dump"
	command := "cd /tmp && rm -rf " + name + " && pg_dump -h /run/postgresql -U postgres " + strings.Join(args, " ") + " -f " + name + " " + database
	s.MustShell(t, command)
	defer s.MustShell(t, "rm -rf /tmp/"+name+" /tmp/"+name+".tar")
	out := filepath.Join(t.TempDir(), name)
	directory := strings.TrimSpace(s.MustShell(t, "cd /tmp && if [ -d "+name+" ]; then tar cf "+name+".tar "+name+" && echo yes; fi")) == "yes"
	if directory {
		s.Fetch(t, "/tmp/"+name+".tar", out+".tar")
		untar(t, out+".tar", filepath.Dir(out))
	} else {
		s.Fetch(t, "/tmp/"+name, out)
	}
	return out
}

// Pipe runs a command in the container, in a folder of its own, with DB
// standing for a database, and returns the file with its standard output.
func (s *Server) Pipe(t testing.TB, command, database string) string {
	t.Helper()
	dir := "/tmp/" + random()
	s.MustShell(t, "mkdir "+dir+" && cd "+dir+" && export PGHOST=/run/postgresql PGUSER=postgres && { "+strings.ReplaceAll(command, "DB", database)+"; } > out")
	defer s.MustShell(t, "rm -rf "+dir)
	out := filepath.Join(t.TempDir(), "out")
	s.Fetch(t, dir+"/out", out)
	return out
}

// Fetch copies a file out of the container.
func (s *Server) Fetch(t testing.TB, from, to string) {
	t.Helper()
	r, err := s.container.CopyFileFromContainer(t.Context(), from)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	f, err := os.Create(to)
	if err != nil {
		t.Fatal(err)
	}
	if _, err = io.Copy(f, r); err == nil {
		err = f.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
}

// Put copies a file into the container.
func (s *Server) Put(t testing.TB, from, to string) {
	t.Helper()
	if err := s.container.CopyFileToContainer(t.Context(), from, to, 0o644); err != nil {
		t.Fatal(err)
	}
}

func untar(t testing.TB, file, dir string) {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for r := tar.NewReader(f); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		to := filepath.Join(dir, filepath.Clean("/"+h.Name))
		if h.FileInfo().IsDir() {
			err = os.MkdirAll(to, 0o755)
		} else {
			var b []byte
			if b, err = io.ReadAll(r); err == nil {
				err = os.WriteFile(to, b, 0o600)
			}
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// Logs returns the last lines of the server's log.
func (s *Server) Logs(t testing.TB) string {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), 10*time.Second)
	defer cancel()
	r, err := s.container.Logs(ctx)
	if err != nil {
		return err.Error()
	}
	defer r.Close()
	b, _ := io.ReadAll(r)
	return string(b[max(0, len(b)-8000):])
}

// Restart kills the server as a power cut would and starts it again on the
// same files.
func (s *Server) Restart(t testing.TB) {
	t.Helper()
	id := s.container.GetContainerID()
	for _, args := range [][]string{{"kill", "-s", "KILL", id}, {"start", id}} {
		if _, err := docker(t.Context(), args...); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.ready(t.Context()); err != nil {
		t.Fatal(err)
	}
}

var built = sync.OnceValue(func() error {
	ctx := context.Background()
	// As the Makefile has it, for a plain `go test`: Ryuk's image is on a
	// registry.
	for name, value := range map[string]string{"TESTCONTAINERS_RYUK_DISABLED": "true", "TESTCONTAINERS_HOST_OVERRIDE": "127.0.0.1"} {
		if os.Getenv(name) == "" {
			if err := os.Setenv(name, value); err != nil {
				return err
			}
		}
	}
	if _, err := docker(ctx, "image", "inspect", Image); err == nil {
		return nil
	}
	// The tests run in their package's folder. The image starts from a base that
	// a fresh machine lacks, and e2e's command knows how to come by it.
	root, err := os.Getwd()
	if err != nil {
		return err
	}
	for !exists(filepath.Join(root, "go.work")) {
		if root == filepath.Dir(root) {
			return fmt.Errorf("build %s: no folder above this one holds go.work; run it inside the repository", Image)
		}
		root = filepath.Dir(root)
	}
	c := exec.CommandContext(ctx, "go", "run", "./e2e/cmd/cluster", "image", "seed-postgres")
	c.Dir, c.Env = root, append(os.Environ(), "GOWORK=")
	if out, err := c.CombinedOutput(); err != nil {
		return fmt.Errorf("build %s: %w: %s", Image, err, out[max(0, len(out)-2000):])
	}
	return nil
})

func exists(file string) bool {
	_, err := os.Stat(file)
	return err == nil
}

// build makes the image if the machine does not have it.
func build(context.Context) error { return built() }
