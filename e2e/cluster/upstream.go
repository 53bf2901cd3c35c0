package cluster

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"
)

// upstream is somebody else's program that is built from its Go module. Its
// version stands in upstream/<name>/go.mod.
type upstream struct {
	name     string
	binaries []binary
	cgo      bool
	tags     string
	ldflags  string
	// toolchain is the Go that builds it, where it needs a newer one than the
	// project does; go gets it from the module proxy.
	toolchain string
	// files are what else of a module is needed at run time, such as manifests,
	// kept next to the binaries.
	files []moduleFiles
}

// binary is a main package and what its program is called; where an upstream
// has several, that is the package's last element.
type binary struct{ name, pkg string }

// moduleFiles names folders and files inside a module, and under which name
// they are kept.
type moduleFiles struct {
	module string
	as     map[string]string
}

const kubernetesVersion = "v1.34.4"

// upstreams are in the order in which a start needs them.
var upstreams = []upstream{
	{name: "etcd", binaries: []binary{{"etcd", "go.etcd.io/etcd/server/v3"}}},
	{name: "kubernetes", binaries: []binary{
		{"kube-apiserver", "k8s.io/kubernetes/cmd/kube-apiserver"},
		{"kube-controller-manager", "k8s.io/kubernetes/cmd/kube-controller-manager"},
		{"kube-scheduler", "k8s.io/kubernetes/cmd/kube-scheduler"},
		{"kubelet", "k8s.io/kubernetes/cmd/kubelet"},
		{"kube-proxy", "k8s.io/kubernetes/cmd/kube-proxy"},
		{"kubectl", "k8s.io/kubernetes/cmd/kubectl"},
	}, ldflags: "-X k8s.io/component-base/version.gitVersion=" + kubernetesVersion +
		" -X k8s.io/component-base/version.gitMajor=1 -X k8s.io/component-base/version.gitMinor=34"},
	{name: "coredns", binaries: []binary{{"coredns", "github.com/coredns/coredns"}}},
	{name: "kube-router", binaries: []binary{{"kube-router", "github.com/cloudnativelabs/kube-router/v2/cmd/kube-router"}}},
	{name: "external-snapshotter", binaries: []binary{
		{"snapshot-controller", "github.com/kubernetes-csi/external-snapshotter/v8/cmd/snapshot-controller"},
		{"csi-snapshotter", "github.com/kubernetes-csi/external-snapshotter/v8/cmd/csi-snapshotter"},
	}, files: []moduleFiles{{
		"github.com/kubernetes-csi/external-snapshotter/client/v8",
		map[string]string{"config/crd": "crd"},
	}}},
	{name: "external-provisioner", binaries: []binary{
		{"csi-provisioner", "github.com/kubernetes-csi/external-provisioner/v6/cmd/csi-provisioner"},
	}},
	{name: "versitygw", binaries: []binary{{"versitygw", "github.com/versity/versitygw/cmd/versitygw"}}},
	{
		name: "gitea", binaries: []binary{{"gitea", "code.gitea.io/gitea"}},
		cgo: true, tags: "sqlite sqlite_unlock_notify", ldflags: "-X main.Version=1.26.0",
		files: []moduleFiles{{
			"code.gitea.io/gitea",
			map[string]string{"templates": "templates", "options": "options", "public": "public"},
		}},
	},
	{name: "kustomize", binaries: []binary{{"kustomize", "sigs.k8s.io/kustomize/kustomize/v5"}}},
	{name: "helm", binaries: []binary{{"helm", "helm.sh/helm/v4/cmd/helm"}}},
	argoCD("argocd", "github.com/argoproj/argo-cd/v3", "go1.27.3"),
	argoCD("argocd-2.14", "github.com/argoproj/argo-cd/v2", ""),
	{name: "velero", binaries: []binary{{"velero", "github.com/vmware-tanzu/velero/cmd/velero"}}},
	{name: "velero-plugin-for-aws", binaries: []binary{
		{"velero-plugin-for-aws", "github.com/vmware-tanzu/velero-plugin-for-aws/velero-plugin-for-aws"},
	}},
}

// argoCDs are the upstreams of the versions of Argo CD that the cluster can
// run, by what ARGOCD says.
var argoCDs = map[string]string{"3.6": "argocd", "2.14": "argocd-2.14"}

const defaultArgoCD = "3.6"

// argoCD describes an upstream of Argo CD. Its image wants a script besides the
// program.
func argoCD(name, module, toolchain string) upstream {
	return upstream{
		name: name, binaries: []binary{{"argocd", module + "/cmd"}}, toolchain: toolchain,
		files: []moduleFiles{{module, map[string]string{
			"manifests": "manifests", "hack/git-verify-wrapper.sh": gitVerifyWrapper,
		}}},
	}
}

// gitVerifyWrapper is what repo-server 3.6 runs for every commit, with and
// without GnuPG.
const gitVerifyWrapper = "git-verify-wrapper.sh"

func upstreamNamed(name string) (upstream, error) {
	for _, u := range upstreams {
		if u.name == name {
			return u, nil
		}
	}
	return upstream{}, fmt.Errorf("no upstream is called %q", name)
}

// environment returns the environment of the upstream's Go commands.
func (u upstream) environment() []string {
	cgo := "0"
	if u.cgo {
		cgo = "1"
	}
	env := append(os.Environ(), "GOWORK=off", "GOFLAGS=-buildvcs=false", "CGO_ENABLED="+cgo, "GO111MODULE=on")
	if u.toolchain != "" {
		env = append(env, "GOTOOLCHAIN="+u.toolchain)
	}
	return env
}

// scripts are those of the upstream's files that are programs.
func (u upstream) scripts() []string {
	var all []string
	for _, f := range u.files {
		for as := range maps.Values(f.as) {
			if strings.HasSuffix(as, ".sh") {
				all = append(all, as)
			}
		}
	}
	return all
}

func (u upstream) linkerFlags() string {
	return strings.TrimSpace("-s -w " + u.ldflags)
}

// key is a hash of everything the upstream's files are made from.
func (u upstream) key(ctx context.Context, repo string) (string, error) {
	dir := u.source(repo)
	version, err := goCommand(ctx, dir, u.environment(), "env", "GOVERSION", "GOARCH")
	if err != nil {
		return "", err
	}
	h := sha256.New()
	fmt.Fprintf(h, "%s\n%v %v\n%s\n%s\n%v\n", version, u.binaries, u.cgo, u.tags, u.linkerFlags(), u.files)
	for _, name := range []string{"go.mod", "go.sum"} {
		content, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			return "", fmt.Errorf("upstream %s: %w", u.name, err)
		}
		fmt.Fprintf(h, "%s %d\n", name, len(content))
		h.Write(content)
	}
	return hex.EncodeToString(h.Sum(nil))[:16], nil
}

// source is the folder of the upstream's go.mod.
func (u upstream) source(repo string) string {
	return filepath.Join(repo, "e2e", "cluster", "upstream", u.name)
}

// dir is the cache folder of the upstream's binaries and files, whether or not
// it is there.
func (u upstream) dir(ctx context.Context, repo string) (string, error) {
	key, err := u.key(ctx, repo)
	if err != nil {
		return "", err
	}
	bin, err := cacheDir("bin")
	return filepath.Join(bin, u.name+"-"+key), err
}

// build returns the upstream's cache folder, and fills it if it is not there.
func (u upstream) build(ctx context.Context, repo string, log *slog.Logger) (string, error) {
	dir, err := u.dir(ctx, repo)
	if err != nil || exists(dir) {
		return dir, err
	}
	unlock, err := lock(dir)
	if err != nil {
		return "", err
	}
	defer unlock()
	if exists(dir) {
		return dir, nil
	}
	log.Info("building from source", "upstream", u.name)
	began := time.Now()
	partial := dir + ".partial"
	if err := errors.Join(os.RemoveAll(partial), os.RemoveAll(dir), os.MkdirAll(partial, 0o755)); err != nil {
		return "", err
	}
	// One command for all, so that their linkers run side by side.
	args := []string{"build", "-mod=readonly", "-trimpath", "-tags", u.tags, "-ldflags", u.linkerFlags(), "-o", partial + "/"}
	if len(u.binaries) == 1 {
		args[len(args)-1] += u.binaries[0].name
	}
	for _, b := range u.binaries {
		args = append(args, b.pkg)
	}
	if _, err := goCommand(ctx, u.source(repo), u.environment(), args...); err != nil {
		return "", fmt.Errorf("build %s: %w", u.name, err)
	}
	for _, f := range u.files {
		module, err := goCommand(ctx, u.source(repo), u.environment(), "list", "-mod=readonly", "-m", "-f", "{{.Dir}}", f.module)
		if err != nil {
			return "", fmt.Errorf("find the files of %s: %w", f.module, err)
		}
		for from, to := range f.as {
			if err := copyTree(filepath.Join(strings.TrimSpace(module), from), filepath.Join(partial, to)); err != nil {
				return "", fmt.Errorf("keep %s of %s: %w", from, f.module, err)
			}
		}
	}
	if err := os.Rename(partial, dir); err != nil {
		return "", err
	}
	log.Info("built", "upstream", u.name, "took", time.Since(began).Round(time.Second))
	return dir, nil
}

// exists reports whether a cache folder is whole; it is renamed into place
// only then.
func exists(dir string) bool {
	_, err := os.Stat(dir)
	return err == nil
}

// parallelBuilds is how many upstreams are built at the same time: go build
// itself keeps the cores busy but for its last step, the linker.
func parallelBuilds() int { return min(4, max(2, runtime.NumCPU()/2)) }

func goCommand(ctx context.Context, dir string, env []string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir, cmd.Env = dir, env
	return output(cmd)
}

// copyTree copies a folder out of the module cache, where everything is
// read-only.
func copyTree(from, to string) error {
	return filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		target := filepath.Join(to, rel)
		if d.IsDir() {
			return os.MkdirAll(target, 0o755)
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(target, content, 0o644)
	})
}
