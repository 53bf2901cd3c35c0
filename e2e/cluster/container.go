package cluster

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/mount"
	"github.com/moby/moby/api/types/network"
	"github.com/testcontainers/testcontainers-go"
	tclog "github.com/testcontainers/testcontainers-go/log"

	"github.com/seedling-dev/seedling/e2e/cluster/node/supervise"
)

const (
	nodeKubeconfig = "/var/lib/seedling/pki/admin.kubeconfig"
	nodeLogs       = "/var/log/seedling"

	adminUser     = "seedling"
	adminPassword = "seedling-test-only"

	giteaInCluster = "http://gitea.gitea.svc.cluster.local:3000"
	s3InCluster    = "http://s3.s3.svc.cluster.local:7070"

	portAPI, portGitea, portS3 = "6443/tcp", "3000/tcp", "7070/tcp"

	labelCluster  = "dev.seedling.cluster"
	labelMadeFrom = "dev.seedling.made-from"
	labelArgoCD   = "dev.seedling.argocd"

	// policyEngine is the node's process that enforces network policies.
	policyEngine = "kube-router"
)

// containerName is the node's name in Docker.
func containerName(cluster string) string { return "seedling-" + cluster }

// nodeParts is everything that a node's container is made from.
type nodeParts struct {
	image, pause string
	// programs are host folders by their name under /opt.
	programs   map[string]string
	storageGiB int
}

// digest is a hash of the parts, to tell a stale cluster from a current one.
func (p nodeParts) digest() string {
	h := sha256.New()
	fmt.Fprintln(h, p.image, p.pause)
	for _, name := range slices.Sorted(keysOf(p.programs)) {
		fmt.Fprintln(h, name, p.programs[name])
	}
	return hex.EncodeToString(h.Sum(nil))[:16]
}

// runNode starts the node's container.
func runNode(ctx context.Context, o Options, p nodeParts) error {
	// The reaper would end the cluster together with this process, and its
	// image is not to be had here. testcontainers reads this once.
	if os.Getenv("TESTCONTAINERS_RYUK_DISABLED") == "" {
		if err := os.Setenv("TESTCONTAINERS_RYUK_DISABLED", "true"); err != nil {
			return err
		}
	}
	silence := slog.NewLogLogger(slog.DiscardHandler, slog.LevelInfo)
	tclog.SetDefault(silence)
	node, err := testcontainers.GenericContainer(ctx, testcontainers.GenericContainerRequest{
		Started: true,
		Logger:  silence,
		ContainerRequest: testcontainers.ContainerRequest{
			Name:         containerName(o.Name),
			Image:        p.image,
			ExposedPorts: []string{portAPI, portGitea, portS3},
			Labels:       map[string]string{labelCluster: o.Name, labelMadeFrom: p.digest(), labelArgoCD: o.ArgoCD},
			Env: map[string]string{
				"SEEDLING_PAUSE_IMAGE": p.pause,
				"SEEDLING_STORAGE":     fmt.Sprintf("%dG", p.storageGiB),
				"SEEDLING_USER":        adminUser,
				"SEEDLING_PASSWORD":    adminPassword,
			},
			Tmpfs:              map[string]string{"/run": "exec", "/tmp": "exec"},
			ConfigModifier:     func(c *container.Config) { c.Hostname = "node" },
			HostConfigModifier: p.host,
		},
	})
	if err != nil {
		said := ""
		if node != nil {
			said, _ = docker(ctx, "logs", "--tail", "20", containerName(o.Name))
		}
		return fmt.Errorf("start the node's container: %w %s", err, said)
	}
	return nil
}

// host gives the container what a kubelet needs. It is everything but
// --privileged, which Docker refuses on hosts that lack CAP_SYS_RESOURCE.
func (p nodeParts) host(h *container.HostConfig) {
	h.CapAdd = []string{"ALL"}
	h.CapDrop = []string{"SYS_RESOURCE"}
	h.SecurityOpt = []string{"seccomp=unconfined", "apparmor=unconfined"}
	h.MaskedPaths, h.ReadonlyPaths = []string{}, []string{}
	h.DeviceCgroupRules = []string{"b 7:* rmw", "c 10:* rmw", "c 1:11 rmw"} // loop, loop-control and fuse, kmsg
	h.Binds = []string{"/dev:/dev"}
	for _, name := range slices.Sorted(keysOf(p.programs)) {
		h.Binds = append(h.Binds, p.programs[name]+":/opt/"+name+":ro")
	}
	h.Mounts = []mount.Mount{{Type: mount.TypeVolume, Target: "/var/lib"}}
	loopback := []network.PortBinding{{HostIP: netip.MustParseAddr("127.0.0.1")}}
	h.PortBindings = network.PortMap{}
	for _, port := range []string{portAPI, portGitea, portS3} {
		h.PortBindings[network.MustParsePort(port)] = loopback
	}
}

// ports are the node's services as the host reaches them, as host:port, and
// the version of Argo CD that it was started for.
type ports struct{ api, gitea, s3, argoCD string }

// inspection is what Docker says about a container.
type inspection struct {
	State struct {
		Running bool `json:"Running"`
	} `json:"State"`
	Config struct {
		Labels map[string]string `json:"Labels"`
	} `json:"Config"`
	NetworkSettings struct {
		IPAddress string               `json:"IPAddress"`
		Ports     map[string][]binding `json:"Ports"`
	} `json:"NetworkSettings"`
}

// binding is where on the host a port of a container answers.
type binding struct {
	IP   string `json:"HostIp"`
	Port string `json:"HostPort"`
}

var errNotRunning = errors.New("it is not running")

// inspect asks Docker about the node's container.
func (c *Cluster) inspect(ctx context.Context) (inspection, error) {
	out, err := docker(ctx, "container", "inspect", containerName(c.name))
	if err != nil {
		return inspection{}, fmt.Errorf("%w: %w", errNotRunning, err)
	}
	var found []inspection
	if err := json.Unmarshal([]byte(out), &found); err != nil || len(found) != 1 {
		return inspection{}, fmt.Errorf("read what docker says of %s: %w", containerName(c.name), err)
	}
	return found[0], nil
}

func (c *Cluster) ports(ctx context.Context) (ports, error) {
	found, err := c.inspect(ctx)
	if err != nil {
		return ports{}, err
	}
	if !found.State.Running {
		return ports{}, errNotRunning
	}
	at := func(port string) string {
		for _, b := range found.NetworkSettings.Ports[port] {
			return net.JoinHostPort(b.IP, b.Port)
		}
		return ""
	}
	p := ports{at(portAPI), at(portGitea), at(portS3), found.Config.Labels[labelArgoCD]}
	if p.api == "" || p.gitea == "" || p.s3 == "" {
		return ports{}, errors.New("its ports are not mapped")
	}
	return p, nil
}

// Exec runs a program in the node and returns its standard output.
func (c *Cluster) Exec(ctx context.Context, argv ...string) (stdout string, err error) {
	return docker(ctx, append([]string{"exec", containerName(c.name)}, argv...)...)
}

// Kubectl runs kubectl in the node as the administrator and returns its
// standard output.
func (c *Cluster) Kubectl(ctx context.Context, args ...string) (stdout string, err error) {
	return c.Exec(ctx, append([]string{"kubectl", "--kubeconfig", nodeKubeconfig}, args...)...)
}

// missing is true for a process that ought to serve and does not. Network
// policies may have been switched off.
func missing(s supervise.State) bool {
	return !s.Ready && (s.Name != policyEngine || !s.Stopped)
}

// Processes returns the state of every process of the node.
func (c *Cluster) Processes(ctx context.Context) ([]supervise.State, error) {
	out, err := c.Exec(ctx, "node", "status")
	if err != nil {
		return nil, err
	}
	var states []supervise.State
	if err := json.Unmarshal([]byte(out), &states); err != nil {
		return nil, fmt.Errorf("read the state of the node's processes: %w", err)
	}
	return states, nil
}

// StopProcess ends a process of the node, such as "gitea" or "s3", and returns
// when it has ended. It stays stopped until [Cluster.StartProcess].
func (c *Cluster) StopProcess(ctx context.Context, name string) error {
	_, err := c.Exec(ctx, "node", "stop", name)
	return err
}

// StartProcess starts a stopped process of the node and returns when it
// serves.
func (c *Cluster) StartProcess(ctx context.Context, name string) error {
	_, err := c.Exec(ctx, "node", "start", name)
	return err
}

// KillProcess ends a process of the node as a crash would. It is started again.
func (c *Cluster) KillProcess(ctx context.Context, name string) error {
	_, err := c.Exec(ctx, "node", "kill", name)
	return err
}

// KillContainer ends a container of a pod as a crash would. Its ID is as the
// pod's status has it.
func (c *Cluster) KillContainer(ctx context.Context, id string) error {
	_, err := c.Exec(ctx, "ctr", "--namespace", "k8s.io", "tasks", "kill", "--signal", "SIGKILL", strings.TrimPrefix(id, "containerd://"))
	return err
}

// EnforceNetworkPolicies switches the enforcement of network policies on or
// off, and returns when that is so.
func (c *Cluster) EnforceNetworkPolicies(ctx context.Context, on bool) error {
	verb := c.StopProcess
	if on {
		verb = c.StartProcess
	}
	if err := verb(ctx, policyEngine); err != nil {
		return fmt.Errorf("switch the enforcement of network policies: %w", err)
	}
	return nil
}

// waitProcesses returns when every process of the node is ready, or with the
// sentence of those that are not.
func (c *Cluster) waitProcesses(ctx context.Context, names ...string) error {
	var last error
	for {
		states, err := c.Processes(ctx)
		if err == nil {
			var lacking []string
			for _, s := range states {
				if missing(s) && (len(names) == 0 || slices.Contains(names, s.Name)) {
					lacking = append(lacking, s.Name+" ("+s.Error+")")
				}
			}
			if len(lacking) == 0 {
				return nil
			}
			err = fmt.Errorf("not ready: %s", strings.Join(lacking, ", "))
		} else if found, inspectErr := c.inspect(ctx); inspectErr == nil && !found.State.Running {
			said, _ := docker(ctx, "logs", "--tail", "20", containerName(c.name))
			return fmt.Errorf("the node's container ended: %s", said)
		}
		last = err
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for the node's processes: %w: %w", ctx.Err(), last)
		case <-time.After(200 * time.Millisecond):
		}
	}
}
