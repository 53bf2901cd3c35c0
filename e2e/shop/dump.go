package shop

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/jackc/pgx/v5"
	"github.com/testcontainers/testcontainers-go"
	tclog "github.com/testcontainers/testcontainers-go/log"
	"github.com/testcontainers/testcontainers-go/wait"

	"github.com/seedling-dev/seedling/e2e/cluster"
)

// sources are what the data is made from: a dump is made anew when they change.
//
//go:embed *.go *.sql
var sources embed.FS

// Dump is the shop's data as pg_dump -Fc writes it.
type Dump struct {
	// Path is the archive on this host, in the cache.
	Path string `json:"-"`
	// SHA256 is the archive's, in hex.
	SHA256 string `json:"sha256"`
	// Bytes is the archive's size, TextBytes that of its rows as COPY text.
	Bytes     int64 `json:"bytes"`
	TextBytes int64 `json:"textBytes"`
	Rows      int64 `json:"rows"`
}

// Dump makes the data in a throw-away Postgres and dumps it, or takes the dump
// from the cache.
func (d Data) Dump(ctx context.Context, log *slog.Logger) (Dump, error) {
	dir, err := cluster.CacheDir("dumps")
	if err != nil {
		return Dump{}, err
	}
	key, err := d.key()
	if err != nil {
		return Dump{}, err
	}
	path := filepath.Join(dir, key+".dump")
	if dump, err := readCached(path); err == nil {
		log.Info("the sample shop's dump is in the cache", "dump", path, "text", dump.TextBytes)
		return dump, nil
	}
	dump, err := d.makeDump(ctx, log, path)
	if err != nil {
		return Dump{}, fmt.Errorf("dump the sample shop: %w", err)
	}
	return dump, nil
}

// key names the data by what it is made from.
func (d Data) key() (string, error) {
	h := sha256.New()
	names, err := fs.Glob(sources, "*")
	if err != nil {
		return "", err
	}
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") || name == "policy.go" || name == "doc.go" || name == "dump.go" {
			continue
		}
		b, err := sources.ReadFile(name)
		if err != nil {
			return "", err
		}
		fmt.Fprintf(h, "%s %d\n%s", name, len(b), b)
	}
	fmt.Fprintf(h, "%d %d", d.Users, d.Seed)
	return hex.EncodeToString(h.Sum(nil))[:16], nil
}

// readCached reads what is known of the archive at path. The note beside it is
// written last, so an archive with a note is whole.
func readCached(path string) (Dump, error) {
	note, err := os.ReadFile(path + ".json")
	if err != nil {
		return Dump{}, err
	}
	dump := Dump{Path: path}
	if err := json.Unmarshal(note, &dump); err != nil {
		return Dump{}, err
	}
	info, err := os.Stat(path)
	if err != nil {
		return Dump{}, err
	}
	if info.Size() != dump.Bytes {
		return Dump{}, errors.New("the cached dump has another size than was noted")
	}
	return dump, nil
}

func (d Data) makeDump(ctx context.Context, log *slog.Logger, path string) (Dump, error) {
	began := time.Now()
	pg, config, err := throwAway(ctx)
	if err != nil {
		return Dump{}, err
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
		defer cancel()
		if err := pg.Terminate(ctx); err != nil {
			log.Warn("the throw-away Postgres is still there", "container", pg.GetContainerID(), "error", err)
		}
	}()
	if err := run(ctx, config, "CREATE DATABASE shop"); err != nil {
		return Dump{}, fmt.Errorf("make the database: %w", err)
	}
	config.Database = "shop"
	textBytes, err := Load(ctx, config, d)
	if err != nil {
		return Dump{}, err
	}
	log.Info("made the sample shop's data", "bytes", textBytes, "rows", d.Rows(), "took", since(began))

	began = time.Now()
	const inside = "/tmp/shop.dump"
	code, said, err := pg.Exec(ctx, []string{"pg_dump", "--format=custom", "--file=" + inside, "--host=/run/postgresql", "--username=postgres", "shop"})
	if err != nil {
		return Dump{}, fmt.Errorf("run pg_dump: %w", err)
	}
	if code != 0 {
		text, _ := io.ReadAll(io.LimitReader(said, 2000))
		return Dump{}, fmt.Errorf("pg_dump ended with exit code %d: %s", code, text)
	}
	archive, err := pg.CopyFileFromContainer(ctx, inside)
	if err != nil {
		return Dump{}, fmt.Errorf("copy the dump out of the container: %w", err)
	}
	defer archive.Close()
	dump := Dump{Path: path, TextBytes: textBytes, Rows: d.Rows()}
	if dump.Bytes, dump.SHA256, err = writeFile(path, archive); err != nil {
		return Dump{}, err
	}
	note, err := json.Marshal(dump)
	if err != nil {
		return Dump{}, err
	}
	if err := os.WriteFile(path+".json", note, 0o644); err != nil {
		return Dump{}, err
	}
	log.Info("dumped it with pg_dump", "bytes", dump.Bytes, "dump", path, "took", since(began))
	return dump, nil
}

// throwAway starts a Postgres that nothing depends on, so it need not be safe
// from a power cut.
func throwAway(ctx context.Context) (testcontainers.Container, *pgx.ConnConfig, error) {
	image, err := cluster.BuildImage(ctx, "seed-postgres")
	if err != nil {
		return nil, nil, err
	}
	// The reaper's image is not to be had here; and published ports are on this
	// machine also where it is a container itself.
	for name, value := range map[string]string{"TESTCONTAINERS_RYUK_DISABLED": "true", "TESTCONTAINERS_HOST_OVERRIDE": "127.0.0.1"} {
		if os.Getenv(name) == "" {
			if err := os.Setenv(name, value); err != nil {
				return nil, nil, err
			}
		}
	}
	// testcontainers would print between a program's own lines.
	silence := slog.NewLogLogger(slog.DiscardHandler, slog.LevelInfo)
	tclog.SetDefault(silence)
	password := rand.Text()
	pg, err := testcontainers.GenericContainer(ctx, testcontainers.GenericContainerRequest{
		Started: true,
		Logger:  silence,
		ContainerRequest: testcontainers.ContainerRequest{
			Image:        image,
			Cmd:          []string{"standalone", "-c", "fsync=off", "-c", "full_page_writes=off", "-c", "autovacuum=off", "-c", "shared_buffers=512MB"},
			Env:          map[string]string{"POSTGRES_PASSWORD": password},
			ExposedPorts: []string{"5432/tcp"},
			WaitingFor:   wait.ForExec([]string{"pg_isready", "--host=127.0.0.1", "--quiet"}).WithStartupTimeout(2 * time.Minute).WithPollInterval(200 * time.Millisecond),
		},
	})
	if err != nil {
		if pg != nil {
			err = errors.Join(err, pg.Terminate(context.WithoutCancel(ctx)))
		}
		return nil, nil, fmt.Errorf("start a throw-away Postgres: %w", err)
	}
	address, err := pg.PortEndpoint(ctx, "5432/tcp", "")
	if err == nil {
		var config *pgx.ConnConfig
		if config, err = pgx.ParseConfig("postgres://postgres@" + address + "/postgres?sslmode=disable"); err == nil {
			config.Password = password
			return pg, config, nil
		}
	}
	return nil, nil, errors.Join(fmt.Errorf("find the throw-away Postgres: %w", err), pg.Terminate(context.WithoutCancel(ctx)))
}

// writeFile writes a file that is whole or not there, and returns its size and
// digest.
func writeFile(path string, from io.Reader) (int64, string, error) {
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".partial-")
	if err != nil {
		return 0, "", err
	}
	defer os.Remove(f.Name())
	h := sha256.New()
	n, err := io.Copy(io.MultiWriter(f, h), from)
	if err := errors.Join(err, f.Close()); err != nil {
		return 0, "", fmt.Errorf("write %s: %w", path, err)
	}
	return n, hex.EncodeToString(h.Sum(nil)), os.Rename(f.Name(), path)
}

// Bucket is where dumps are uploaded to.
const Bucket = "dumps"

// Upload puts the dump into the object store, unless it is there, and returns
// the URL by which a pod reads it (without credentials).
func (dump Dump) Upload(ctx context.Context, store cluster.Endpoint) (string, error) {
	key := dump.key()
	if err := Put(ctx, store, key, dump.Path); err != nil {
		return "", fmt.Errorf("upload the dump: %w", err)
	}
	return URL(store, key), nil
}

func (dump Dump) key() string { return "shop-" + dump.SHA256[:16] + ".dump" }

// URL is the address of an object of the bucket, for pods.
func URL(store cluster.Endpoint, key string) string {
	return "s3://" + Bucket + "/" + key + "?endpoint=" + store.InCluster + "&region=us-east-1&use_path_style=true"
}

func newS3(store cluster.Endpoint) *s3.Client {
	return s3.New(s3.Options{
		BaseEndpoint: aws.String(store.URL),
		Region:       "us-east-1",
		UsePathStyle: true,
		Credentials:  credentials.NewStaticCredentialsProvider(store.User, store.Password, ""),
	})
}

// Put uploads a file into the bucket under the given key, and makes the bucket.
// An object of the same size is taken to be the same.
func Put(ctx context.Context, store cluster.Endpoint, key, path string) error {
	client := newS3(store)
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if head, err := client.HeadObject(ctx, &s3.HeadObjectInput{Bucket: aws.String(Bucket), Key: &key}); err == nil && aws.ToInt64(head.ContentLength) == info.Size() {
		return nil
	}
	if _, err := client.HeadBucket(ctx, &s3.HeadBucketInput{Bucket: aws.String(Bucket)}); err != nil {
		if _, err := client.CreateBucket(ctx, &s3.CreateBucketInput{Bucket: aws.String(Bucket)}); err != nil {
			return fmt.Errorf("make bucket %s: %w", Bucket, err)
		}
	}
	_, err = client.PutObject(ctx, &s3.PutObjectInput{Bucket: aws.String(Bucket), Key: &key, Body: f, ContentLength: aws.Int64(info.Size())})
	if err != nil {
		return fmt.Errorf("put %s: %w", key, err)
	}
	return nil
}

func since(t time.Time) time.Duration { return time.Since(t).Round(100 * time.Millisecond) }

// Presign is an URL by which a pod reads the dump without credentials, for a
// while.
func (dump Dump) Presign(ctx context.Context, store cluster.Endpoint, valid time.Duration) (string, error) {
	inside := store
	inside.URL = store.InCluster
	signed, err := s3.NewPresignClient(newS3(inside)).PresignGetObject(ctx, &s3.GetObjectInput{
		Bucket: aws.String(Bucket), Key: aws.String(dump.key()),
	}, s3.WithPresignExpires(valid))
	if err != nil {
		return "", fmt.Errorf("sign the dump's URL: %w", err)
	}
	return signed.URL, nil
}
