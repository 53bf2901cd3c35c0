package cluster

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// DefaultName is the cluster that the command and the demo use.
const DefaultName = "dev"

// Options say which cluster [Up] brings up.
type Options struct {
	// Name tells clusters on one machine apart; empty means [DefaultName].
	Name string
	// Log receives progress; nil means silence.
	Log *slog.Logger
	// StorageGiB is the size of the sparse file behind the CSI volumes; 0
	// means 40.
	StorageGiB int
	// ArgoCD is the version of Argo CD, "3.6" or "2.14"; empty means what the
	// variable ARGOCD says, or 3.6.
	ArgoCD string
	// PoliciesOff leaves network policies unenforced, to measure what they
	// cost; so does the variable NETWORK_POLICIES=off.
	PoliciesOff bool
}

// withDefaults fills in what is empty, from the environment first.
func (o Options) withDefaults() (Options, error) {
	if o.Name == "" {
		o.Name = DefaultName
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.StorageGiB == 0 {
		o.StorageGiB = 40
	}
	o.ArgoCD = cmp.Or(o.ArgoCD, os.Getenv("ARGOCD"), defaultArgoCD)
	if _, known := argoCDs[o.ArgoCD]; !known {
		return o, fmt.Errorf("no Argo CD %q in the test cluster; ARGOCD is one of %s",
			o.ArgoCD, strings.Join(slices.Sorted(keysOf(argoCDs)), ", "))
	}
	switch policies := os.Getenv("NETWORK_POLICIES"); policies {
	case "", "on":
	case "off":
		o.PoliciesOff = true
	default:
		return o, fmt.Errorf("NETWORK_POLICIES=%s: it is on or off", policies)
	}
	return o, nil
}

// Cluster is a running cluster.
type Cluster struct {
	name       string
	log        *slog.Logger
	kubeconfig string
	rest       *rest.Config
	gitea, s3  Endpoint
	argoCD     string
}

// Endpoint is where a service of the cluster answers, and who may use it. The
// credentials are fixed: both listen on 127.0.0.1 and die with the cluster.
type Endpoint struct {
	// URL is for the host, InCluster for pods and for the node's processes.
	URL, InCluster string
	// User and Password are an administrator's; for S3 the access key and its
	// secret.
	User, Password string
}

// Up starts the cluster, or adopts the running one of that name, and returns
// when all of it answers.
func Up(ctx context.Context, o Options) (*Cluster, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	// Two test binaries may ask for the same cluster at the same time.
	dir, err := stateDir(o.Name)
	if err != nil {
		return nil, err
	}
	unlock, err := lock(dir)
	if err != nil {
		return nil, err
	}
	defer unlock()
	s, err := newStart(ctx, o)
	if err != nil {
		return nil, err
	}
	if c, err := Attach(ctx, o.Name); err == nil && c.answers(ctx) {
		c.log = o.Log
		o.Log.Info("adopted the running cluster", "name", o.Name)
		return c, errors.Join(s.checkAdopted(ctx, c), c.EnforceNetworkPolicies(ctx, !o.PoliciesOff))
	}
	return s.run(ctx)
}

// Attach connects to the running cluster of that name.
func Attach(ctx context.Context, name string) (*Cluster, error) {
	if name == "" {
		name = DefaultName
	}
	c := &Cluster{name: name, log: slog.New(slog.DiscardHandler)}
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	ports, err := c.ports(ctx)
	if err != nil {
		return nil, fmt.Errorf("attach to cluster %q: %w; start it with: go run ./e2e/cmd/cluster up", name, err)
	}
	if err := c.connect(ctx, ports); err != nil {
		return nil, fmt.Errorf("attach to cluster %q: %w", name, err)
	}
	return c, nil
}

// Down ends the cluster and removes its data. A cluster that is not there is
// no error.
func (c *Cluster) Down(ctx context.Context) error {
	return Remove(ctx, c.name)
}

// Remove ends the cluster of that name, whatever state it is in.
func Remove(ctx context.Context, name string) error {
	if name == "" {
		name = DefaultName
	}
	if _, err := docker(ctx, "rm", "--force", "--volumes", containerName(name)); err != nil {
		return fmt.Errorf("end cluster %q: %w", name, err)
	}
	dir, err := stateDir(name)
	if err != nil {
		return err
	}
	return os.RemoveAll(dir)
}

// REST returns a configuration with raised client limits for the cluster's
// administrator. The caller owns the copy.
func (c *Cluster) REST() *rest.Config { return rest.CopyConfig(c.rest) }

// Kubeconfig returns the path of the administrator's kubeconfig, which works
// on this host.
func (c *Cluster) Kubeconfig() string { return c.kubeconfig }

// Gitea returns the Git host, whose organisation acme exists.
func (c *Cluster) Gitea() Endpoint { return c.gitea }

// S3 returns the object store, whose bucket velero is Velero's.
func (c *Cluster) S3() Endpoint { return c.s3 }

// ArgoCD returns the version of Argo CD that it runs, as [Options] has it.
func (c *Cluster) ArgoCD() string { return c.argoCD }

// Name returns the cluster's name.
func (c *Cluster) Name() string { return c.name }

// connect fills in what needs the running container: ports and credentials.
func (c *Cluster) connect(ctx context.Context, p ports) error {
	raw, err := c.Exec(ctx, "cat", nodeKubeconfig)
	if err != nil {
		return fmt.Errorf("read the administrator's kubeconfig: %w", err)
	}
	config, err := clientcmd.Load([]byte(raw))
	if err != nil {
		return fmt.Errorf("parse the administrator's kubeconfig: %w", err)
	}
	for _, server := range config.Clusters {
		server.Server = "https://" + p.api
	}
	dir, err := stateDir(c.name)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	c.kubeconfig = filepath.Join(dir, "kubeconfig")
	if err := clientcmd.WriteToFile(*config, c.kubeconfig); err != nil {
		return fmt.Errorf("write %s: %w", c.kubeconfig, err)
	}
	c.rest, err = clientcmd.BuildConfigFromFlags("", c.kubeconfig)
	if err != nil {
		return fmt.Errorf("read back %s: %w", c.kubeconfig, err)
	}
	c.rest.QPS, c.rest.Burst = 200, 400
	c.rest.WarningHandler = rest.NoWarnings{}
	c.argoCD = p.argoCD
	c.gitea = Endpoint{URL: "http://" + p.gitea, InCluster: giteaInCluster, User: adminUser, Password: adminPassword}
	c.s3 = Endpoint{URL: "http://" + p.s3, InCluster: s3InCluster, User: adminUser, Password: adminPassword}
	return nil
}
