// Command web stands for somebody's service in the tests of the test cluster. It
// answers at port 80, with what its environment asks for: at / with a greeting, at
// /users with how many users its database has (DATABASE_URL), which it only says who
// has its API key (API_KEY), or with what another service says (UPSTREAM).
package main

import (
	"cmp"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"time"

	"github.com/jackc/pgx/v5"
)

func main() {
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "hello") })
	mux.HandleFunc("GET /users", func(w http.ResponseWriter, r *http.Request) {
		answer := users
		if os.Getenv("UPSTREAM") != "" {
			answer = upstream
		}
		text, err := answer(r)
		if err != nil {
			log.ErrorContext(r.Context(), "cannot answer", "error", err)
			http.Error(w, "not now", http.StatusServiceUnavailable)
			return
		}
		fmt.Fprint(w, text)
	})
	server := &http.Server{Addr: cmp.Or(os.Getenv("LISTEN"), ":80"), Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	log.Error("cannot serve", "error", server.ListenAndServe())
	os.Exit(1)
}

// users counts those of the database.
func users(r *http.Request) (string, error) {
	if os.Getenv("API_KEY") == "" {
		return "", fmt.Errorf("API_KEY is empty")
	}
	db, err := pgx.Connect(r.Context(), os.Getenv("DATABASE_URL"))
	if err != nil {
		return "", fmt.Errorf("connect to the database: %w", err)
	}
	defer db.Close(r.Context())
	var n int
	err = db.QueryRow(r.Context(), "select count(*) from public.users").Scan(&n)
	return fmt.Sprintln(n, "users"), err
}

// upstream is what another service says.
func upstream(r *http.Request) (string, error) {
	ask, err := http.NewRequestWithContext(r.Context(), http.MethodGet, os.Getenv("UPSTREAM")+"/users", nil)
	if err != nil {
		return "", err
	}
	answer, err := http.DefaultClient.Do(ask)
	if err != nil {
		return "", err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(io.LimitReader(answer.Body, 1<<10))
	if err == nil && answer.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s answers %s", os.Getenv("UPSTREAM"), answer.Status)
	}
	return string(text), err
}
