package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/seedling-dev/seedling/plugin/flood"
)

// Listener is one address with what is served there.
type Listener struct {
	Name    string
	Address string
	Handler http.Handler
}

// drain is how long requests may take after the end was asked for.
const drain = 10 * time.Second

// maxConnections is how many each listener has at once. With the headers that
// they may send they take some 25 MiB.
const maxConnections = 512

// Listen opens every address, or none.
func Listen(ctx context.Context, listeners []Listener) ([]net.Listener, error) {
	var open []net.Listener
	for _, l := range listeners {
		n, err := (&net.ListenConfig{}).Listen(ctx, "tcp", l.Address)
		if err != nil {
			for _, o := range open {
				o.Close()
			}
			return nil, fmt.Errorf("listen for %s: %w", l.Name, err)
		}
		open = append(open, n)
	}
	return open, nil
}

// Serve serves until ctx ends, in pairs: one goroutine serves, one shuts down.
func Serve(ctx context.Context, log *slog.Logger, listeners []Listener, open []net.Listener) error {
	group, ctx := errgroup.WithContext(ctx)
	for i, l := range listeners {
		s := &http.Server{
			Handler:           l.Handler,
			ReadHeaderTimeout: 5 * time.Second,
			ReadTimeout:       15 * time.Second,
			WriteTimeout:      60 * time.Second,
			IdleTimeout:       2 * time.Minute,
			MaxHeaderBytes:    16 << 10,
			// A handler's panic is said here and nowhere else.
			ErrorLog: slog.NewLogLogger(log.With("listener", l.Name).Handler(), slog.LevelError),
		}
		group.Go(func() error {
			log.InfoContext(ctx, "listening", "listener", l.Name, "address", open[i].Addr().String())
			if err := s.Serve(flood.Listener(open[i], maxConnections)); err != nil && !errors.Is(err, http.ErrServerClosed) {
				return fmt.Errorf("serve %s: %w", l.Name, err)
			}
			return nil
		})
		group.Go(func() error {
			<-ctx.Done()
			stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), drain)
			defer cancel()
			if err := s.Shutdown(stop); err != nil {
				return errors.Join(fmt.Errorf("shut %s down: %w", l.Name, err), s.Close())
			}
			return nil
		})
	}
	return group.Wait()
}
