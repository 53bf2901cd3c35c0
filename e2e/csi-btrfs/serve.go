package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"
	registration "k8s.io/kubelet/pkg/apis/pluginregistration/v1"

	"github.com/seedling-dev/seedling/e2e/csi-btrfs/pool"
)

// serve answers on the CSI socket and on the registration socket until ctx ends or the kubelet turns the driver down.
func serve(ctx context.Context, c config, p *pool.Pool, log *slog.Logger) error {
	reads, err := newSlowReads(c.behaviour, c.root, log)
	if err != nil {
		return err
	}
	defer reads.Close()
	group, ctx := errgroup.WithContext(ctx)

	driver := grpc.NewServer(grpc.ChainUnaryInterceptor(logged(log), throttled(c.behaviour)))
	csi.RegisterIdentityServer(driver, &identity{zones: c.behaviour.zone != ""})
	csi.RegisterControllerServer(driver, &controller{pool: p, behaviour: c.behaviour})
	csi.RegisterNodeServer(driver, &node{pool: p, name: c.node, behaviour: c.behaviour, reads: reads, attaching: map[string]time.Time{}})
	if err := start(ctx, group, driver, c.socket); err != nil {
		return err
	}
	log.Info("serving", "driver", driverName, "socket", c.socket, "root", c.root, "node", c.node)

	// The kubelet calls the driver as soon as it sees this socket, so it comes second.
	if c.registration != "" {
		r := &registrar{socket: c.socket, log: log, refused: make(chan error, 1)}
		server := grpc.NewServer()
		registration.RegisterRegistrationServer(server, r)
		if err := start(ctx, group, server, filepath.Join(c.registration, driverName+"-reg.sock")); err != nil {
			return errors.Join(err, group.Wait())
		}
		group.Go(func() error {
			select {
			case err := <-r.refused:
				return err
			case <-ctx.Done():
				return nil
			}
		})
	}
	return group.Wait()
}

// start runs server on a fresh socket at path, in place of one that an earlier process left there.
func start(ctx context.Context, group *errgroup.Group, server *grpc.Server, path string) error {
	fail := func(err error) error { return fmt.Errorf("serve on %s: %w", path, err) }
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		return fail(err)
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fail(err)
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "unix", path)
	if err != nil {
		return fail(err)
	}
	group.Go(func() error {
		if err := server.Serve(listener); err != nil {
			return fail(err)
		}
		return nil
	})
	group.Go(func() error {
		<-ctx.Done()
		server.Stop()
		return nil
	})
	return nil
}

// logged writes a line for each call that failed or that changed something.
func logged(log *slog.Logger) grpc.UnaryServerInterceptor {
	return func(ctx context.Context, req any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
		began := time.Now()
		resp, err := handler(ctx, req)
		call := log.With("call", filepath.Base(info.FullMethod), "took", time.Since(began).Round(time.Microsecond))
		if r, ok := req.(interface{ GetName() string }); ok {
			call = call.With("name", r.GetName())
		}
		if r, ok := req.(interface{ GetVolumeId() string }); ok {
			call = call.With("volume", r.GetVolumeId())
		}
		if r, ok := req.(interface{ GetSnapshotId() string }); ok {
			call = call.With("snapshot", r.GetSnapshotId())
		}
		switch {
		case err != nil:
			call.Warn("failed", "error", err)
		case changes(req):
			call.Info("done")
		}
		return resp, err
	}
}

func changes(req any) bool {
	switch req.(type) {
	case *csi.CreateVolumeRequest, *csi.DeleteVolumeRequest, *csi.CreateSnapshotRequest, *csi.DeleteSnapshotRequest,
		*csi.NodePublishVolumeRequest, *csi.NodeUnpublishVolumeRequest:
		return true
	default:
		return false
	}
}

// registrar tells the kubelet where the driver answers (plugin registration v1).
type registrar struct {
	registration.UnimplementedRegistrationServer
	socket  string
	log     *slog.Logger
	refused chan error
}

func (r *registrar) GetInfo(context.Context, *registration.InfoRequest) (*registration.PluginInfo, error) {
	return &registration.PluginInfo{
		Type:              registration.CSIPlugin,
		Name:              driverName,
		Endpoint:          r.socket,
		SupportedVersions: []string{"1.0.0"},
	}, nil
}

func (r *registrar) NotifyRegistrationStatus(_ context.Context, s *registration.RegistrationStatus) (*registration.RegistrationStatusResponse, error) {
	if s.PluginRegistered {
		r.log.Info("registered with the kubelet")
	} else {
		// The kubelet does not ask again until the socket appears anew, so end and let whoever runs us start over.
		select {
		case r.refused <- fmt.Errorf("the kubelet refused to register %s: %s", driverName, s.Error):
		default:
		}
	}
	return &registration.RegistrationStatusResponse{}, nil
}
