package platform

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"time"

	"github.com/jackc/pgx/v5"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/seedling-dev/seedling/hooks/postgres"
)

// PostgresPod is the pod of a seed's or a preview's Postgres.
const PostgresPod = "postgres-0"

// Connect opens a session in the Postgres of a namespace, through the
// API server: with the certificate of seed-import in the seed, as the user of
// Secret postgres in a preview. Close it.
func (p *Platform) Connect(ctx context.Context, namespace string) (*Session, error) {
	login, err := p.login(ctx, namespace)
	if err != nil {
		return nil, fmt.Errorf("connect to the Postgres of %s: %w", namespace, err)
	}
	return p.ConnectAs(ctx, namespace, login)
}

// Login is who opens a session, and where: with a password, or with the
// certificate in TLS.
type Login struct {
	User, Password, Database string
	TLS                      *tls.Config
}

// login reads the Secret of the namespace's database.
func (p *Platform) login(ctx context.Context, namespace string) (Login, error) {
	if namespace == Seed {
		return p.SeedLogin(ctx)
	}
	var preview corev1.Secret
	if err := p.Kube.Get(ctx, client.ObjectKey{Namespace: namespace, Name: "postgres"}, &preview); err != nil {
		return Login{}, err
	}
	return Login{User: string(preview.Data["username"]), Password: string(preview.Data["password"]), Database: string(preview.Data["database"])}, nil
}

// SeedLogin is the one of seed-import.
func (p *Platform) SeedLogin(ctx context.Context) (Login, error) {
	own, err := p.seedTLS(ctx)
	return Login{User: postgres.ImportRole, Database: SeedDatabase, TLS: own}, err
}

// Session is a session in a Postgres of the cluster.
type Session struct {
	*pgx.Conn
}

// ConnectAs is [Platform.Connect] as somebody else.
func (p *Platform) ConnectAs(ctx context.Context, namespace string, l Login) (*Session, error) {
	config, err := pgx.ParseConfig("host=127.0.0.1 sslmode=disable connect_timeout=10")
	if err != nil {
		return nil, err
	}
	config.User, config.Password, config.Database, config.TLSConfig = l.User, l.Password, l.Database, l.TLS
	config.DialFunc = func(context.Context, string, string) (net.Conn, error) {
		return p.dial(namespace, PostgresPod, 5432)
	}
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("connect to the Postgres of %s: %w", namespace, err)
	}
	return &Session{Conn: conn}, nil
}

// Close ends the session.
func (s *Session) Close() {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	_ = s.Conn.Close(ctx) // it ends with its stream in any case
}

// Rows runs a query and returns its rows as text.
func (s *Session) Rows(ctx context.Context, sql string) ([][]string, error) {
	results, err := s.PgConn().Exec(ctx, sql).ReadAll()
	if err != nil {
		return nil, err
	}
	var rows [][]string
	for _, r := range results {
		for _, row := range r.Rows {
			fields := make([]string, len(row))
			for i, f := range row {
				fields[i] = string(f)
				if f == nil {
					fields[i] = "NULL"
				}
			}
			rows = append(rows, fields)
		}
	}
	return rows, nil
}

// Query runs SQL in the Postgres of a namespace and returns the rows as text.
func (p *Platform) Query(ctx context.Context, namespace, sql string) ([][]string, error) {
	s, err := p.Connect(ctx, namespace)
	if err != nil {
		return nil, err
	}
	defer s.Close()
	rows, err := s.Rows(ctx, sql)
	if err != nil {
		return nil, fmt.Errorf("query the Postgres of %s: %w", namespace, err)
	}
	return rows, nil
}
