package cluster

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"maps"
	"net/http"
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
	// releases are the files in which its programs are published, one of each
	// program; empty where there are only images.
	releases []release
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
	{
		name: "etcd", binaries: []binary{{"etcd", "go.etcd.io/etcd/server/v3"}},
		releases: []release{{
			githubRelease("etcd-io/etcd", "etcd-{version}-linux-{arch}.tar.gz"),
			map[string]string{"etcd": "etcd-{version}-linux-{arch}/etcd"},
		}},
	},
	{
		name: "kubernetes", binaries: []binary{
			{"kube-apiserver", "k8s.io/kubernetes/cmd/kube-apiserver"},
			{"kube-controller-manager", "k8s.io/kubernetes/cmd/kube-controller-manager"},
			{"kube-scheduler", "k8s.io/kubernetes/cmd/kube-scheduler"},
			{"kubelet", "k8s.io/kubernetes/cmd/kubelet"},
			{"kube-proxy", "k8s.io/kubernetes/cmd/kube-proxy"},
			{"kubectl", "k8s.io/kubernetes/cmd/kubectl"},
		}, ldflags: "-X k8s.io/component-base/version.gitVersion=" + kubernetesVersion +
			" -X k8s.io/component-base/version.gitMajor=1 -X k8s.io/component-base/version.gitMinor=34",
		releases: kubernetesReleases("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy", "kubectl"),
	},
	{
		name: "coredns", binaries: []binary{{"coredns", "github.com/coredns/coredns"}},
		releases: []release{{githubRelease("coredns/coredns", "coredns_{number}_linux_{arch}.tgz"), map[string]string{"coredns": "coredns"}}},
	},
	{
		name: "kube-router", binaries: []binary{{"kube-router", "github.com/cloudnativelabs/kube-router/v2/cmd/kube-router"}},
		releases: []release{{githubRelease("cloudnativelabs/kube-router", "kube-router_{number}_linux_{arch}.tar.gz"), map[string]string{"kube-router": "kube-router"}}},
	},
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
	{
		name: "versitygw", binaries: []binary{{"versitygw", "github.com/versity/versitygw/cmd/versitygw"}},
		releases: []release{{
			githubRelease("versity/versitygw", "versitygw_{version}_Linux_{machine}.tar.gz"),
			map[string]string{"versitygw": "versitygw_{version}_Linux_{machine}/versitygw"},
		}},
	},
	{
		name: "gitea", binaries: []binary{{"gitea", "code.gitea.io/gitea"}},
		cgo: true, tags: "sqlite sqlite_unlock_notify", ldflags: "-X main.Version=1.26.0",
		files: []moduleFiles{{
			"code.gitea.io/gitea",
			map[string]string{"templates": "templates", "options": "options", "public": "public"},
		}},
		releases: []release{{"https://dl.gitea.com/gitea/{number}/gitea-{number}-linux-{arch}", map[string]string{"gitea": ""}}},
	},
	{
		name: "kustomize", binaries: []binary{{"kustomize", "sigs.k8s.io/kustomize/kustomize/v5"}},
		releases: []release{{
			"https://github.com/kubernetes-sigs/kustomize/releases/download/kustomize%2F{version}/kustomize_{version}_linux_{arch}.tar.gz",
			map[string]string{"kustomize": "kustomize"},
		}},
	},
	{
		name: "helm", binaries: []binary{{"helm", "helm.sh/helm/v4/cmd/helm"}},
		releases: []release{{"https://get.helm.sh/helm-{version}-linux-{arch}.tar.gz", map[string]string{"helm": "linux-{arch}/helm"}}},
	},
	argoCD("argocd", "github.com/argoproj/argo-cd/v3", "go1.27.3"),
	argoCD("argocd-2.14", "github.com/argoproj/argo-cd/v2", ""),
	{
		name: "velero", binaries: []binary{{"velero", "github.com/vmware-tanzu/velero/cmd/velero"}},
		releases: []release{{
			githubRelease("vmware-tanzu/velero", "velero-{version}-linux-{arch}.tar.gz"),
			map[string]string{"velero": "velero-{version}-linux-{arch}/velero"},
		}},
	},
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
		releases: []release{{githubRelease("argoproj/argo-cd", "argocd-linux-{arch}"), map[string]string{"argocd": ""}}},
	}
}

// kubernetesReleases are Kubernetes' programs, each published as it is.
func kubernetesReleases(names ...string) []release {
	var all []release
	for _, name := range names {
		all = append(all, release{"https://dl.k8s.io/release/{version}/bin/linux/{arch}/" + name, map[string]string{name: ""}})
	}
	return all
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
	pins, err := u.pinned(ctx, repo)
	if err != nil {
		return "", err
	}
	for _, p := range pins {
		fmt.Fprintf(h, "%s %s\n", p.URL, p.SHA256)
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
	bin, err := CacheDir("bin")
	return filepath.Join(bin, u.name+"-"+key), err
}

// madeFrom lists the packages that the upstream's programs are made from, in a
// form in which the same package of another upstream is equal if it is compiled
// alike. It gets the sources, if they are not there.
func (u upstream) madeFrom(ctx context.Context, repo string) ([]string, error) {
	args := []string{"list", "-mod=readonly", "-deps", "-tags", u.tags, "-f", "{{.ImportPath}} {{with .Module}}{{.Version}}{{end}}"}
	for _, b := range u.binaries {
		args = append(args, b.pkg)
	}
	listed, err := goCommand(ctx, u.source(repo), u.environment(), args...)
	if err != nil {
		return nil, fmt.Errorf("get the sources of %s: %w", u.name, err)
	}
	var packages []string
	for line := range strings.Lines(listed) {
		packages = append(packages, fmt.Sprint(strings.TrimSpace(line), " ", u.toolchain, " ", u.cgo))
	}
	return packages, nil
}

// build returns the upstream's cache folder, and fills it if it is not there;
// counted, if not nil, is told of what is compiled.
func (u upstream) build(ctx context.Context, repo string, counted *progress, log *slog.Logger) (string, error) {
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
	began := time.Now()
	partial := dir + ".partial"
	if err := errors.Join(os.RemoveAll(partial), os.RemoveAll(dir), os.MkdirAll(partial, 0o755)); err != nil {
		return "", err
	}
	if err := u.programs(ctx, repo, partial, counted, log); err != nil {
		return "", err
	}
	if err := u.keepFiles(ctx, repo, partial); err != nil {
		return "", err
	}
	if err := os.Rename(partial, dir); err != nil {
		return "", err
	}
	if counted != nil {
		counted.built(u.name)
	}
	log.Info("built", "upstream", u.name, "took", time.Since(began).Round(time.Second))
	return dir, nil
}

// programs puts the upstream's programs into a folder: as they were released
// where they are pinned and can be had, else built from source.
func (u upstream) programs(ctx context.Context, repo, into string, counted *progress, log *slog.Logger) error {
	pins, err := u.pinned(ctx, repo)
	if err != nil {
		return err
	}
	if len(pins) > 0 {
		log.Info("downloading", "upstream", u.name, "version", pins[0].Version)
		err := u.download(ctx, http.DefaultClient, into, pins[0].Version, pins)
		if err == nil || errors.Is(err, errChecksum) || ctx.Err() != nil {
			return err
		}
		log.Warn("cannot be downloaded, so it is built from source", "upstream", u.name, "error", err)
		if err := errors.Join(os.RemoveAll(into), os.MkdirAll(into, 0o755)); err != nil {
			return err
		}
	}
	log.Info("building from source", "upstream", u.name)
	// One command for all, so that their linkers run side by side.
	args := []string{"build", "-v", "-mod=readonly", "-trimpath", "-tags", u.tags, "-ldflags", u.linkerFlags(), "-o", into + "/"}
	if len(u.binaries) == 1 {
		args[len(args)-1] += u.binaries[0].name
	}
	for _, b := range u.binaries {
		args = append(args, b.pkg)
	}
	return u.compile(ctx, repo, counted, args)
}

// keepFiles copies what else of a module is needed.
func (u upstream) keepFiles(ctx context.Context, repo, into string) error {
	for _, f := range u.files {
		said, err := goCommand(ctx, u.source(repo), u.environment(), "mod", "download", "-json", f.module)
		if err != nil {
			return fmt.Errorf("find the files of %s: %w", f.module, err)
		}
		var module struct {
			Dir string `json:"Dir"`
		}
		if err := json.Unmarshal([]byte(said), &module); err != nil || module.Dir == "" {
			return fmt.Errorf("find the files of %s: go mod download says %q", f.module, said)
		}
		for from, to := range f.as {
			if err := copyTree(filepath.Join(module.Dir, from), filepath.Join(into, to)); err != nil {
				return fmt.Errorf("keep %s of %s: %w", from, f.module, err)
			}
		}
	}
	return nil
}

// compile runs go build -v.
func (u upstream) compile(ctx context.Context, repo string, counted *progress, args []string) error {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir, cmd.Env = u.source(repo), u.environment()
	var said bytes.Buffer
	cmd.Stderr = &said
	if counted != nil {
		cmd.Stderr = io.MultiWriter(&said, counted.compiling(u.name))
	}
	err := cmd.Run()
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return fmt.Errorf("the build of %s was ended: %w; what is compiled is kept, so the next run goes on from there", u.name, context.Cause(ctx))
	}
	return fmt.Errorf("build %s: %w", u.name, &RunError{Command: []string{"go build, in " + u.source(repo)}, Output: withoutChatter(said.String()), Inner: err})
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
