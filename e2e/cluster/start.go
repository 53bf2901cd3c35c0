package cluster

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

// start is one run of [Up].
type start struct {
	Options
	repo string

	mu    sync.Mutex
	built map[string]string // upstream -> folder
	image map[string]string // image name -> reference
}

// nodeUpstreams are those whose programs run on the node itself.
var nodeUpstreams = []string{
	"etcd", "kubernetes", "coredns", "kube-router",
	"external-snapshotter", "external-provisioner", "versitygw", "gitea",
}

// podImages run in the cluster from the start.
var podImages = []string{"pause", "redis", "velero", "argocd"}

func newStart(ctx context.Context, o Options) (*start, error) {
	repo, err := Root()
	if err != nil {
		return nil, err
	}
	if _, err := docker(ctx, "version", "--format", "{{.Server.Version}}"); err != nil {
		return nil, fmt.Errorf("reach the Docker engine: %w; install it (apt-get install docker.io) and start dockerd", err)
	}
	return &start{Options: o, repo: repo, built: map[string]string{}, image: map[string]string{}}, nil
}

// Prepare builds every program and image that [Up] needs, without starting
// anything.
func Prepare(ctx context.Context, log *slog.Logger) error {
	o, err := Options{Log: log}.withDefaults()
	if err != nil {
		return err
	}
	s, err := newStart(ctx, o)
	if err != nil {
		return err
	}
	return s.prepare(ctx)
}

// upstreams are those that this cluster runs: one Argo CD of several.
func (s *start) upstreams() []upstream {
	others := maps.Clone(argoCDs)
	delete(others, s.ArgoCD)
	return slices.DeleteFunc(slices.Clone(upstreams), func(u upstream) bool {
		return slices.Contains(slices.Collect(maps.Values(others)), u.name)
	})
}

// prepare builds upstreams a few at a time, and images as their parts are
// there.
func (s *start) prepare(ctx context.Context) error {
	if err := EnsureBase(ctx, s.Log); err != nil {
		return err
	}
	all, ctx := errgroup.WithContext(ctx)
	all.Go(func() error {
		if err := s.programs(ctx); err != nil {
			return err
		}
		return s.images(ctx, "velero", "argocd")
	})
	all.Go(func() error { return s.images(ctx, "node", "pause", "redis") })
	return all.Wait()
}

// programs builds the upstreams that are not there yet, and says how far it is.
func (s *start) programs(ctx context.Context) error {
	counted, err := s.count(ctx)
	if err != nil {
		return err
	}
	if counted != nil {
		telling, stop := context.WithCancel(ctx)
		defer stop()
		go counted.tell(telling, s.Log)
	}
	builds, building := errgroup.WithContext(ctx)
	builds.SetLimit(parallelBuilds())
	for _, u := range s.upstreams() {
		builds.Go(func() error {
			dir, err := u.build(building, s.repo, counted, s.Log)
			s.mu.Lock()
			defer s.mu.Unlock()
			s.built[u.name] = dir
			return err
		})
	}
	return builds.Wait()
}

// count gets the sources of the upstreams that are not built yet, and returns
// what there is to do, nil if it is nothing.
func (s *start) count(ctx context.Context) (*progress, error) {
	var missing []upstream
	for _, u := range s.upstreams() {
		dir, err := u.dir(ctx, s.repo)
		if err != nil {
			return nil, err
		}
		pins, err := u.pinned(ctx, s.repo)
		if err != nil {
			return nil, err
		}
		if !exists(dir) && len(pins) == 0 {
			missing = append(missing, u)
		}
	}
	if len(missing) == 0 {
		return nil, nil
	}
	s.Log.Info("Kubernetes, Argo CD and the like are built from source, this once: half an hour on two cores", "programs", len(missing))
	var mu sync.Mutex
	packages, links := map[string][]string{}, map[string]int{}
	listing, ctx := errgroup.WithContext(ctx)
	listing.SetLimit(parallelBuilds())
	for _, u := range missing {
		listing.Go(func() error {
			made, err := u.madeFrom(ctx, s.repo)
			mu.Lock()
			defer mu.Unlock()
			packages[u.name], links[u.name] = made, len(u.binaries)
			return err
		})
	}
	if err := listing.Wait(); err != nil {
		return nil, err
	}
	return newProgress(packages, links), nil
}

func (s *start) images(ctx context.Context, names ...string) error {
	for _, name := range names {
		ref, err := imageFrom(ctx, name, imageUpstreams(name, s.ArgoCD), s.Log)
		if err != nil {
			return err
		}
		s.mu.Lock()
		s.image[name] = ref
		s.mu.Unlock()
	}
	return nil
}

// run brings the cluster up.
func (s *start) run(ctx context.Context) (*Cluster, error) {
	began := time.Now()
	if err := s.prepare(ctx); err != nil {
		return nil, err
	}
	s.Log.Info("programs and images are built", "took", time.Since(began).Round(100*time.Millisecond))
	c, err := s.node(ctx)
	if err != nil {
		return nil, err
	}
	c.log = s.Log
	bound, cancel := context.WithTimeout(ctx, 10*time.Minute)
	defer cancel()
	if err := s.fill(bound, c); err != nil {
		return nil, fmt.Errorf("%w (what it left can be looked at: go run ./e2e/cmd/cluster logs)", err)
	}
	s.Log.Info("cluster is up", "name", c.name, "took", time.Since(began).Round(100*time.Millisecond), "kubeconfig", c.kubeconfig)
	return c, nil
}

// node returns the running node, and starts it if there is none.
func (s *start) node(ctx context.Context) (*Cluster, error) {
	c := &Cluster{name: s.Name, log: s.Log}
	found, err := c.inspect(ctx)
	if err == nil && found.State.Running {
		if err := s.checkAdopted(ctx, c); err != nil {
			return nil, err
		}
	} else {
		parts, err := s.parts(ctx)
		if err != nil {
			return nil, err
		}
		if err := Remove(ctx, s.Name); err != nil {
			return nil, err
		}
		s.Log.Info("starting the node", "name", s.Name)
		if err := runNode(ctx, s.Options, parts); err != nil {
			return nil, err
		}
	}
	bound, cancel := context.WithTimeout(ctx, 3*time.Minute)
	defer cancel()
	if err := c.waitProcesses(bound, "containerd"); err != nil {
		return nil, err
	}
	mapped, err := c.ports(ctx)
	if err != nil {
		return nil, err
	}
	return c, c.connect(ctx, mapped)
}

// checkAdopted refuses a running cluster with another Argo CD than the wanted
// one, and says so when it was made from something else than what is here now.
func (s *start) checkAdopted(ctx context.Context, c *Cluster) error {
	parts, err := s.parts(ctx)
	if err != nil {
		return err
	}
	found, err := c.inspect(ctx)
	if err != nil {
		return err
	}
	if runs := found.Config.Labels[labelArgoCD]; runs != s.ArgoCD {
		return fmt.Errorf("the running cluster %q has Argo CD %s, not %s; end it first: go run ./e2e/cmd/cluster -name %s down",
			s.Name, cmp.Or(runs, "2.14"), s.ArgoCD, s.Name)
	}
	if found.Config.Labels[labelMadeFrom] != parts.digest() {
		s.Log.Warn("the running cluster was started from other sources; to renew it: down, then up", "name", s.Name)
	}
	return nil
}

// parts says what the node is made from, as things are now. Only programs of
// this repository are built.
func (s *start) parts(ctx context.Context) (nodeParts, error) {
	p := nodeParts{storageGiB: s.StorageGiB, programs: map[string]string{}}
	for name, ref := range map[string]*string{"node": &p.image, "pause": &p.pause} {
		var err error
		if *ref, _, err = imageRef(ctx, s.repo, name, nil, s.Log); err != nil {
			return p, err
		}
	}
	for _, name := range nodeUpstreams {
		u, err := upstreamNamed(name)
		if err != nil {
			return p, err
		}
		if p.programs[name], err = u.dir(ctx, s.repo); err != nil {
			return p, err
		}
	}
	var own []ingredient
	for name, pkg := range map[string]string{"node": "./cluster/node", "csi-btrfs": "./csi-btrfs"} {
		path, err := buildOwn(ctx, s.repo, "e2e", pkg, name)
		if err != nil {
			return p, err
		}
		digest, err := fileDigest(path)
		if err != nil {
			return p, err
		}
		own = append(own, ingredient{path: name, source: path, digest: digest})
	}
	// A folder by content: a build for the next cluster must not change the
	// programs under a running one.
	bin, err := CacheDir("bin")
	if err != nil {
		return p, err
	}
	dir := filepath.Join(bin, "node-"+contentTag(own))
	p.programs["node"] = dir
	if exists(dir) {
		return p, nil
	}
	staged, err := os.MkdirTemp(bin, "node-partial-")
	if err != nil {
		return p, err
	}
	if err := os.Chmod(staged, 0o755); err != nil {
		return p, err
	}
	for _, part := range own {
		if err := copyFile(part.source, filepath.Join(staged, part.path)); err != nil {
			return p, err
		}
	}
	if err := os.Rename(staged, dir); err != nil && !exists(dir) {
		return p, errors.Join(err, os.RemoveAll(staged))
	}
	return p, nil
}

// fill puts into the running node what makes it a cluster with Velero and
// Argo CD.
func (s *start) fill(ctx context.Context, c *Cluster) error {
	found, err := c.inspect(ctx)
	if err != nil {
		return err
	}
	all, filling := errgroup.WithContext(ctx)
	loaded := make(chan struct{})
	all.Go(func() error {
		began := time.Now()
		var refs []string
		for _, name := range podImages {
			refs = append(refs, s.image[name])
		}
		if err := c.Load(filling, refs...); err != nil {
			return err
		}
		s.Log.Info("images are loaded", "took", time.Since(began).Round(100*time.Millisecond))
		close(loaded)
		return nil
	})
	if err := c.waitProcesses(filling, "kube-apiserver"); err != nil {
		return errors.Join(err, all.Wait())
	}
	a, err := newApplier(c.REST())
	if err != nil {
		return errors.Join(err, all.Wait())
	}
	a.images = loaded
	all.Go(func() error { return s.applyServices(filling, a, found.NetworkSettings.IPAddress) })
	all.Go(func() error { return s.applyStorage(filling, a) })
	all.Go(func() error { return s.applyArgoCD(filling, a) })
	all.Go(func() error { return s.applyVelero(filling, a, c) })
	all.Go(func() error { return setUpGitea(filling, c) })
	if err := all.Wait(); err != nil {
		return err
	}
	s.Log.Info("waiting for Velero and Argo CD")
	if err := c.waitComplete(ctx, a); err != nil {
		return err
	}
	return c.EnforceNetworkPolicies(ctx, !s.PoliciesOff)
}

func keysOf[V any](m map[string]V) iter.Seq[string] { return maps.Keys(m) }
