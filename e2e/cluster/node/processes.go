package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/user"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/seedling-dev/seedling/e2e/cluster/node/supervise"
)

const (
	driverName   = "btrfs.csi.seedling.dev"
	driverFolder = "/var/lib/kubelet/plugins/" + driverName
	driverSocket = driverFolder + "/csi.sock"
	// driverFlags has flags for the storage driver, one a line. Without it the
	// driver does everything at once.
	driverFlags = "/etc/seedling/csi-btrfs.flags"
	containerd  = "/run/containerd/containerd.sock"
)

// supervisor runs everything that is here, in the order of dependencies.
func (m *machine) supervisor(log *slog.Logger) (*supervise.Supervisor, error) {
	git, err := account("git")
	if err != nil {
		return nil, err
	}
	return supervise.New(log, logFolder, slices.Concat(foundation(git), m.controlPlane(), m.workers(), snapshots()))
}

// foundation is what stands without Kubernetes.
func foundation(git *syscall.Credential) []supervise.Process {
	region := []string{
		"ROOT_ACCESS_KEY=" + os.Getenv("SEEDLING_USER"),
		"ROOT_SECRET_KEY=" + os.Getenv("SEEDLING_PASSWORD"),
	}
	return []supervise.Process{
		{
			Name: "etcd",
			Argv: []string{
				"/opt/etcd/etcd", "--data-dir=/var/lib/etcd", "--unsafe-no-fsync", "--log-level=warn",
				"--listen-client-urls=http://127.0.0.1:2379", "--advertise-client-urls=http://127.0.0.1:2379",
				"--listen-peer-urls=http://127.0.0.1:2380", "--quota-backend-bytes=4294967296",
			},
			Ready: get("http://127.0.0.1:2379/health"),
		},
		{
			Name:  "containerd",
			Argv:  []string{"/usr/bin/containerd", "--config", configFolder + "/containerd.toml"},
			Ready: dial("unix", containerd),
		},
		{
			Name:    "s3",
			Prepare: folders("/var/lib/s3"),
			Argv:    []string{"/opt/versitygw/versitygw", "--port", ":7070", "--region", "us-east-1", "posix", "/var/lib/s3"},
			Env:     region,
			Ready:   dial("tcp", "127.0.0.1:7070"),
		},
		{
			Name:    "gitea",
			Prepare: prepareGitea(git),
			Argv:    []string{"/opt/gitea/gitea", "web", "--config", configFolder + "/gitea.ini"},
			Env:     []string{"HOME=/home/git", "USER=git"},
			User:    git,
			Ready:   get("http://127.0.0.1:3000/api/healthz"),
		},
	}
}

// controlPlane is Kubernetes but for what a node of it runs.
func (m *machine) controlPlane() []supervise.Process {
	return []supervise.Process{
		{
			Name:  "kube-apiserver",
			After: []string{"etcd"},
			Argv: []string{
				"/opt/kubernetes/kube-apiserver",
				"--etcd-servers=http://127.0.0.1:2379", "--advertise-address=" + m.NodeIP, "--secure-port=6443",
				"--service-cluster-ip-range=" + serviceNetwork, "--authorization-mode=Node,RBAC",
				"--enable-admission-plugins=NodeRestriction", "--allow-privileged=true",
				"--client-ca-file=" + pki("ca.crt"),
				"--tls-cert-file=" + pki("apiserver.crt"), "--tls-private-key-file=" + pki("apiserver.key"),
				"--kubelet-client-certificate=" + pki("kubelet-client.crt"), "--kubelet-client-key=" + pki("kubelet-client.key"),
				"--kubelet-preferred-address-types=InternalIP",
				"--service-account-issuer=https://kubernetes.default.svc.cluster.local",
				"--service-account-signing-key-file=" + pki("service-accounts.key"),
				"--service-account-key-file=" + pki("service-accounts.pub"),
				"--requestheader-client-ca-file=" + pki("ca.crt"), "--requestheader-allowed-names=front-proxy-client",
				"--requestheader-username-headers=X-Remote-User", "--requestheader-group-headers=X-Remote-Group",
				"--requestheader-extra-headers-prefix=X-Remote-Extra-",
				"--proxy-client-cert-file=" + pki("front-proxy.crt"), "--proxy-client-key-file=" + pki("front-proxy.key"),
				"--enable-aggregator-routing=true", "--profiling=false",
				"--max-requests-inflight=1000", "--max-mutating-requests-inflight=500",
			},
			Ready: get("https://127.0.0.1:6443/readyz"),
		},
		{
			Name:  "kube-controller-manager",
			After: []string{"kube-apiserver"},
			Argv: []string{
				"/opt/kubernetes/kube-controller-manager",
				"--kubeconfig=" + kubeconfig("kube-controller-manager"),
				"--authentication-kubeconfig=" + kubeconfig("kube-controller-manager"),
				"--authorization-kubeconfig=" + kubeconfig("kube-controller-manager"),
				"--bind-address=127.0.0.1", "--leader-elect=false", "--use-service-account-credentials=true",
				"--root-ca-file=" + pki("ca.crt"), "--client-ca-file=" + pki("ca.crt"),
				"--service-account-private-key-file=" + pki("service-accounts.key"),
				"--cluster-signing-cert-file=" + pki("ca.crt"), "--cluster-signing-key-file=" + pki("ca.key"),
				"--kube-api-qps=200", "--kube-api-burst=400", "--profiling=false",
			},
			Ready: get("https://127.0.0.1:10257/healthz"),
		},
		{
			Name:  "kube-scheduler",
			After: []string{"kube-apiserver"},
			Argv: []string{
				"/opt/kubernetes/kube-scheduler",
				"--kubeconfig=" + kubeconfig("kube-scheduler"),
				"--authentication-kubeconfig=" + kubeconfig("kube-scheduler"),
				"--authorization-kubeconfig=" + kubeconfig("kube-scheduler"),
				"--bind-address=127.0.0.1", "--leader-elect=false",
				"--kube-api-qps=200", "--kube-api-burst=400", "--profiling=false",
			},
			Ready: get("https://127.0.0.1:10259/healthz"),
		},
	}
}

// workers is what a node of Kubernetes runs.
func (m *machine) workers() []supervise.Process {
	return []supervise.Process{
		{
			Name:  "kube-proxy",
			After: []string{"kube-apiserver"},
			Argv:  []string{"/opt/kubernetes/kube-proxy", "--config=" + configFolder + "/kube-proxy.yaml"},
			Ready: get("http://127.0.0.1:10249/healthz"),
		},
		{
			Name:  "coredns",
			After: []string{"kube-apiserver"},
			Argv:  []string{"/opt/coredns/coredns", "-conf", configFolder + "/Corefile"},
			Ready: get("http://127.0.0.1:8181/ready"),
		},
		{
			Name:    "csi-btrfs",
			Prepare: folders(driverFolder, "/var/lib/kubelet/plugins_registry"),
			Argv: []string{
				"/opt/node/csi-btrfs", "--endpoint", "unix://" + driverSocket, "--root", storageFolder,
				"--node-id", m.NodeName, "--registration-dir", "/var/lib/kubelet/plugins_registry",
			},
			More:  lines(driverFlags),
			Ready: dial("unix", driverSocket),
		},
		{
			Name:  "kubelet",
			After: []string{"kube-apiserver", "containerd"},
			Argv: []string{
				"/opt/kubernetes/kubelet", "--config=" + configFolder + "/kubelet.yaml",
				"--kubeconfig=" + kubeconfig("kubelet"), "--hostname-override=" + m.NodeName, "--node-ip=" + m.NodeIP,
			},
			Ready: get("http://127.0.0.1:10248/healthz"),
		},
		{
			// Network policies only; Services and routes are kube-proxy's and the bridge's.
			Name:  "kube-router",
			After: []string{"kubelet", "kube-proxy"},
			Argv: []string{
				"/opt/kube-router/kube-router", "--kubeconfig=" + kubeconfig("kube-router"), "--hostname-override=" + m.NodeName,
				"--run-firewall=true", "--run-router=false", "--run-service-proxy=false", "--enable-cni=false",
				"--enable-ipv6=false", "--service-cluster-ip-range=" + serviceNetwork, "--health-port=0",
			},
			Ready:   policiesEnforced,
			Stopped: dropPolicies,
		},
	}
}

// snapshots is what makes volumes and snapshots of them.
func snapshots() []supervise.Process {
	// Each preview is a volume, a snapshot and their contents; the defaults (5
	// requests a second, 10 workers) would queue twenty of them.
	sidecar := []string{
		"--kubeconfig=" + kubeconfig("csi"), "--kube-api-qps=200", "--kube-api-burst=400",
		"--worker-threads=50", "--retry-interval-start=200ms", "--retry-interval-max=10s",
	}
	driver := append([]string{"--csi-address=unix://" + driverSocket}, sidecar...)
	return []supervise.Process{
		{
			Name:    "snapshot-controller",
			After:   []string{"kube-apiserver"},
			Prepare: installSnapshotKinds,
			Argv:    append([]string{"/opt/external-snapshotter/snapshot-controller"}, sidecar...),
		},
		// The sidecars watch the snapshot kinds, and wait long when they are not there yet.
		{
			Name:  "csi-snapshotter",
			After: []string{"snapshot-controller", "csi-btrfs"},
			Argv:  append([]string{"/opt/external-snapshotter/csi-snapshotter"}, driver...),
		},
		{
			Name:  "csi-provisioner",
			After: []string{"snapshot-controller", "csi-btrfs"},
			Argv:  append([]string{"/opt/external-provisioner/csi-provisioner", "--extra-create-metadata"}, driver...),
		},
	}
}

// policyChains are where kube-router looks at packets.
var policyChains = []string{"KUBE-ROUTER-INPUT", "KUBE-ROUTER-FORWARD", "KUBE-ROUTER-OUTPUT"}

// policiesEnforced is ready when kube-router has written its rules.
func policiesEnforced(ctx context.Context) error {
	rules, err := filterRules(ctx)
	if err != nil {
		return err
	}
	if !strings.Contains(rules, "\n-A KUBE-ROUTER-FORWARD ") {
		return errors.New("it has not written its rules yet")
	}
	return nil
}

// dropPolicies empties those chains: kube-router leaves its rules behind.
func dropPolicies(ctx context.Context) error {
	rules, err := filterRules(ctx)
	if err != nil {
		return err
	}
	for _, chain := range policyChains {
		if strings.Contains(rules, "\n-N "+chain+"\n") {
			if err := command(ctx, "iptables", "--wait", "--flush", chain); err != nil {
				return err
			}
		}
	}
	return nil
}

// filterRules lists the rules that packets are filtered by.
func filterRules(ctx context.Context) (string, error) {
	out, err := exec.CommandContext(ctx, "iptables", "--wait", "--list-rules").Output()
	if err != nil {
		return "", fmt.Errorf("list the rules for packets: %w", err)
	}
	return string(out), nil
}

// installSnapshotKinds installs VolumeSnapshot and its relatives.
func installSnapshotKinds(ctx context.Context) error {
	const kinds = "/opt/external-snapshotter/crd"
	kubectl := []string{"/opt/kubernetes/kubectl", "--kubeconfig", kubeconfig("admin")}
	if err := command(ctx, append(kubectl, "apply", "--server-side", "--kustomize", kinds)...); err != nil {
		return err
	}
	return command(ctx, append(kubectl, "wait", "--for=condition=Established", "--timeout=30s",
		"crd/volumesnapshots.snapshot.storage.k8s.io", "crd/volumesnapshotcontents.snapshot.storage.k8s.io",
		"crd/volumesnapshotclasses.snapshot.storage.k8s.io")...)
}

// prepareGitea makes Gitea's database and its administrator.
func prepareGitea(git *syscall.Credential) func(context.Context) error {
	return func(ctx context.Context) error {
		if err := os.MkdirAll("/var/lib/gitea", 0o755); err != nil {
			return err
		}
		// Gitea writes its own secrets into its configuration.
		for _, path := range []string{"/var/lib/gitea", configFolder + "/gitea.ini", configFolder} {
			if err := os.Chown(path, int(git.Uid), int(git.Gid)); err != nil {
				return err
			}
		}
		if _, err := os.Stat("/var/lib/gitea/administrator"); err == nil {
			return nil
		}
		gitea := func(args ...string) error {
			cmd := exec.CommandContext(ctx, "/opt/gitea/gitea", append([]string{"--config", configFolder + "/gitea.ini"}, args...)...)
			cmd.Env = append(os.Environ(), "HOME=/home/git", "USER=git")
			cmd.SysProcAttr = &syscall.SysProcAttr{Credential: git}
			out, err := cmd.CombinedOutput()
			if err != nil && !strings.Contains(string(out), "user already exists") {
				return fmt.Errorf("gitea %s: %w: %s", args[0], err, out)
			}
			return nil
		}
		if err := gitea("migrate"); err != nil {
			return err
		}
		if err := gitea("admin", "user", "create", "--admin", "--must-change-password=false",
			"--username", os.Getenv("SEEDLING_USER"), "--password", os.Getenv("SEEDLING_PASSWORD"),
			"--email", "admin@seedling.test"); err != nil {
			return err
		}
		return os.WriteFile("/var/lib/gitea/administrator", nil, 0o644)
	}
}

// account returns the credential of a user of the image.
func account(name string) (*syscall.Credential, error) {
	u, err := user.Lookup(name)
	if err != nil {
		return nil, err
	}
	uid, errUID := strconv.ParseUint(u.Uid, 10, 32)
	gid, errGID := strconv.ParseUint(u.Gid, 10, 32)
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, errors.Join(errUID, errGID)
}

// lines returns the lines of a file, none where there is no file.
func lines(path string) func() ([]string, error) {
	return func() ([]string, error) {
		content, err := os.ReadFile(path)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		return strings.Fields(string(content)), nil
	}
}

// folders makes folders before a process starts.
func folders(paths ...string) func(context.Context) error {
	return func(context.Context) error {
		for _, path := range paths {
			if err := os.MkdirAll(path, 0o755); err != nil {
				return err
			}
		}
		return nil
	}
}

// get is ready when the address answers 200. Certificates are not checked: the
// addresses are this container's own.
func get(url string) func(context.Context) error {
	client := &http.Client{Transport: &http.Transport{
		TLSClientConfig:   &tls.Config{InsecureSkipVerify: true}, //nolint:gosec // this container's own loopback
		DisableKeepAlives: true,
	}}
	return func(ctx context.Context) error {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return err
		}
		response, err := client.Do(request)
		if err != nil {
			return err
		}
		defer response.Body.Close()
		if response.StatusCode != http.StatusOK {
			body, _ := io.ReadAll(io.LimitReader(response.Body, 500))
			return fmt.Errorf("%s answers %s: %s", url, response.Status, body)
		}
		return nil
	}
}

// dial is ready when something accepts connections.
func dial(network, address string) func(context.Context) error {
	return func(ctx context.Context) error {
		connection, err := new(net.Dialer).DialContext(ctx, network, address)
		if err != nil {
			return err
		}
		return connection.Close()
	}
}
