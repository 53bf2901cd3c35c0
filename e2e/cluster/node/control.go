package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/seedling-dev/seedling/e2e/cluster/node/supervise"
)

const controlSocket = "/run/seedling/node.sock"

// serveControl answers status, stop, start and kill on a socket in the container.
func serveControl(ctx context.Context, s *supervise.Supervisor) (io.Closer, error) {
	if err := os.MkdirAll(filepath.Dir(controlSocket), 0o700); err != nil {
		return nil, err
	}
	_ = os.Remove(controlSocket)
	listener, err := new(net.ListenConfig).Listen(ctx, "unix", controlSocket)
	if err != nil {
		return nil, fmt.Errorf("listen for commands: %w", err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /status", func(w http.ResponseWriter, _ *http.Request) {
		_ = printJSON(w, s.Status())
	})
	mux.HandleFunc("GET /stop/{name}", func(w http.ResponseWriter, r *http.Request) {
		answer(w, s.Stop(r.Context(), r.PathValue("name")))
	})
	mux.HandleFunc("GET /start/{name}", func(w http.ResponseWriter, r *http.Request) {
		answer(w, s.Start(r.Context(), r.PathValue("name")))
	})
	mux.HandleFunc("GET /kill/{name}", func(w http.ResponseWriter, r *http.Request) {
		answer(w, s.Kill(r.PathValue("name")))
	})
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	go func() { _ = server.Serve(listener) }()
	return server, nil
}

func answer(w http.ResponseWriter, err error) {
	switch {
	case errors.Is(err, supervise.ErrUnknown):
		http.Error(w, err.Error(), http.StatusNotFound)
	case err != nil:
		http.Error(w, err.Error(), http.StatusInternalServerError)
	}
}

// ask sends a command to the running supervisor and prints its answer.
func ask(ctx context.Context, stdout io.Writer, path string) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	client := http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", controlSocket)
		},
	}}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://node"+path, nil)
	if err != nil {
		return err
	}
	response, err := client.Do(request)
	if err != nil {
		return fmt.Errorf("ask the supervisor: %w", err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return fmt.Errorf("read the supervisor's answer: %w", err)
	}
	if response.StatusCode != http.StatusOK {
		return errors.New(strings.TrimSpace(string(body)))
	}
	_, err = stdout.Write(body)
	return err
}
