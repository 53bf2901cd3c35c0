package cluster

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// OpenHost lets pods reach the machine that the node runs on, at the node's
// gateway, until shut is called. What listens for them there must listen on that
// address.
func (c *Cluster) OpenHost(ctx context.Context) (host netip.Addr, shut func(context.Context) error, err error) {
	if host, err = c.gateway(ctx); err != nil {
		return host, nil, fmt.Errorf("find the node's gateway: %w", err)
	}
	// Pods' addresses mean nothing there: it is the node that calls.
	rule := func(ctx context.Context, verb string) error {
		_, err := c.Exec(ctx, "iptables", "-t", "nat", verb, "POSTROUTING", "-d", host.String()+"/32", "-j", "MASQUERADE")
		return err
	}
	if err := rule(ctx, "-A"); err != nil {
		return host, nil, fmt.Errorf("let pods reach %s: %w", host, err)
	}
	return host, func(ctx context.Context) error { return rule(ctx, "-D") }, nil
}

func (c *Cluster) gateway(ctx context.Context) (netip.Addr, error) {
	out, err := c.Exec(ctx, "cat", "/proc/net/route")
	if err != nil {
		return netip.Addr{}, err
	}
	for line := range strings.Lines(out) {
		f := strings.Fields(line)
		if len(f) < 3 || f[1] != "00000000" {
			continue
		}
		// Four bytes, the last one first.
		b, err := hex.DecodeString(f[2])
		slices.Reverse(b)
		if addr, ok := netip.AddrFromSlice(b); err == nil && ok {
			return addr, nil
		}
	}
	return netip.Addr{}, errors.New("it has no default route")
}
