package probe

import (
	"context"
	"fmt"
	"net"
	"time"
)

// Port is where the server listens.
const Port = "8080"

// dialTimeout is how long a connection that is dropped, not refused, is waited
// for.
const dialTimeout = time.Second

// Serve takes connections on an address and closes them, until ctx ends.
func Serve(ctx context.Context, address string) error {
	var config net.ListenConfig
	l, err := config.Listen(ctx, "tcp", address)
	if err != nil {
		return fmt.Errorf("serve the probe: %w", err)
	}
	context.AfterFunc(ctx, func() { l.Close() })
	for {
		conn, err := l.Accept()
		switch {
		case ctx.Err() != nil:
			return nil //nolint:nilerr // it was to end
		case err != nil:
			return fmt.Errorf("serve the probe: %w", err)
		}
		conn.Close()
	}
}

// Dial fails where no connection to the address comes through.
func Dial(ctx context.Context, address string) error {
	dialer := net.Dialer{Timeout: dialTimeout}
	conn, err := dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		return fmt.Errorf("dial the probe: %w", err)
	}
	return conn.Close()
}
