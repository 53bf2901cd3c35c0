package guide

import (
	"context"
	"encoding/base64"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/seedling-dev/seedling/e2e/cluster"
	"github.com/seedling-dev/seedling/e2e/cluster/clustertest"
	"github.com/seedling-dev/seedling/e2e/platform"
	"github.com/seedling-dev/seedling/e2e/platform/platformtest"
)

var bare = flag.String("bare", "", "a cluster without Seedling, which is installed there, upgraded and removed again; it is started if need be")

const (
	registry   = "registry.acme.example"
	platformIn = "../platform"
)

// TestAdoption does what README.md and docs/operations.md say, by the commands
// that stand there: Seedling is installed on a cluster that has only what "You
// have" lists, filled, used, refreshed, upgraded and removed. Nothing is left.
func TestAdoption(t *testing.T) {
	t.Parallel()
	if *bare == "" {
		t.Skip("it takes a cluster that has no Seedling: make test-adoption")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Minute)
	defer cancel()
	r := newReader(ctx, t)
	before := r.inventory()

	r.tryStorage()
	began := time.Now()
	r.adopt()
	first := r.preview("first")
	fmt.Fprintf(os.Stdout, "FIGURE adoption_minutes %.1f min\n", time.Since(began).Minutes())

	r.refresh(first)
	r.upgrade(first)
	r.remove()
	r.nothingBut(before)
	r.chart()
	r.nothingBut(before)
}

// reader follows the documents on a machine of its own.
type reader struct {
	ctx      context.Context //nolint:containedctx // of the one test
	t        *testing.T
	cluster  *cluster.Cluster
	platform *platform.Platform
	root     string
	dir      string   // the reader's folders: platform, bin
	env      []string // of every command
	secrets  string   // the folder that step 3 makes
}

func newReader(ctx context.Context, t *testing.T) *reader {
	t.Helper()
	r := &reader{ctx: ctx, t: t, root: root(t), dir: t.TempDir()}
	var err error
	r.cluster, err = cluster.Up(ctx, cluster.Options{Name: *bare, Log: clustertest.Log(t)})
	platformtest.Must(t, err)
	t.Cleanup(func() {
		clustertest.Evidence(t, r.cluster, platform.Seed, platform.PluginNamespace, platform.ArgoCDNamespace, platform.VeleroNamespace)
	})
	r.platform, err = platform.Bare(ctx, r.cluster)
	platformtest.Must(t, err)
	token, err := r.platform.PluginToken(ctx)
	platformtest.Must(t, err)

	bin := filepath.Join(r.dir, "bin")
	platformtest.Must(t, os.Mkdir(bin, 0o755))
	for _, name := range []string{"kubectl", "velero", "helm"} {
		program, err := cluster.Program(ctx, name)
		platformtest.Must(t, err)
		platformtest.Must(t, os.Symlink(program, filepath.Join(bin, name)))
	}
	docker, err := exec.LookPath("docker")
	platformtest.Must(t, err)
	// There is no registry: what is pushed is put where the node finds it.
	shim := "#!/bin/sh\n[ \"$1\" = push ] || exec " + docker + " \"$@\"\ncd " + r.root + " && exec go run ./e2e/cmd/cluster -name " + *bare + " load \"$2\"\n"
	platformtest.Must(t, os.WriteFile(filepath.Join(bin, "docker"), []byte(shim), 0o755))
	git, s3 := r.cluster.Gitea(), r.cluster.S3()
	proxy := names(t, map[string]string{git.InCluster: git.URL, s3.InCluster: s3.URL})
	login := base64.StdEncoding.EncodeToString([]byte(git.User + ":" + git.Password))
	r.env = append(os.Environ(),
		"PATH="+filepath.Join(r.root, "bin")+":"+bin+":"+os.Getenv("PATH"), "KUBECONFIG="+r.cluster.Kubeconfig(), "TMPDIR="+t.TempDir(),
		"http_proxy="+proxy, "HTTP_PROXY="+proxy, "no_proxy=127.0.0.1,localhost", "NO_PROXY=127.0.0.1,localhost",
		"GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null", "GIT_TERMINAL_PROMPT=0",
		"GIT_CONFIG_COUNT=1", "GIT_CONFIG_KEY_0=http.extraHeader", "GIT_CONFIG_VALUE_0=Authorization: Basic "+login,
		"GIT_AUTHOR_NAME=p", "GIT_AUTHOR_EMAIL=p@acme.example", "GIT_COMMITTER_NAME=p", "GIT_COMMITTER_EMAIL=p@acme.example",
		// What is made by people is never in a script.
		"EDITOR=true", "GITEA_TOKEN="+token, "S3_USER="+s3.User, "S3_PASSWORD="+s3.Password,
	)
	// Builds do not count.
	r.run("build", r.root, "make build && make -s images")
	return r
}

// names is a proxy by which this machine knows the cluster's names, as that of
// an engineer knows those of the Git host and of the store.
func names(t *testing.T, hosts map[string]string) string {
	t.Helper()
	at := map[string]string{}
	for from, to := range hosts {
		f, err := url.Parse(from)
		platformtest.Must(t, err)
		h, err := url.Parse(to)
		platformtest.Must(t, err)
		at[f.Host] = h.Host
	}
	s := httptest.NewServer(&httputil.ReverseProxy{
		Transport: &http.Transport{},
		Rewrite: func(r *httputil.ProxyRequest) {
			if host := at[r.In.URL.Host]; host != "" {
				r.Out.URL.Host = host
			}
		},
	})
	t.Cleanup(s.Close)
	return s.URL
}

// run runs a script and returns what it wrote.
func (r *reader) run(what, dir, script string) string {
	r.t.Helper()
	file := filepath.Join(r.dir, strings.ReplaceAll(what, " ", "-")+".sh")
	platformtest.Must(r.t, os.WriteFile(file, []byte(script), 0o600))
	cmd := exec.CommandContext(r.ctx, "bash", "-euo", "pipefail", file)
	cmd.Dir, cmd.Env = dir, r.env
	began := time.Now()
	out, err := cmd.CombinedOutput()
	r.t.Logf("%s, %s:\n%s", what, time.Since(began).Round(100*time.Millisecond), out)
	if err != nil {
		r.t.Fatalf("%s: %v in\n%s", what, err, script)
	}
	return string(out)
}

// inPlatform runs a section's commands in the platform's repository.
func (r *reader) inPlatform(document, section string, edits ...edit) string {
	r.t.Helper()
	return r.run(section, filepath.Join(r.dir, "platform"), edited(r.t, joined(commands(r.t, document, section)), edits...))
}

func joined(all []fence) string {
	var script strings.Builder
	for i, f := range all {
		fmt.Fprintf(&script, "echo \"== block %d, $SECONDS s\"\n%s\n", i+1, f.text)
	}
	return script.String()
}

// tryStorage is what docs/storage.md has a reader do before the first seed, with
// an image that is there.
func (r *reader) tryStorage() {
	r.t.Helper()
	script := joined(commands(r.t, "docs/storage.md", "Finding out before the first seed"))
	image := strings.TrimSpace(r.run("an image", r.dir, "kubectl -n argocd get deployment argocd-redis -o jsonpath='{.spec.template.spec.containers[0].image}'"))
	r.run("storage trial", r.dir, strings.ReplaceAll(edited(r.t, script, edit{"registry.k8s.io/pause:3.10", image}), "seedling-gce-pd", "csi-btrfs"))
}

// adopt is the README's six steps.
func (r *reader) adopt() {
	r.t.Helper()
	mine := filepath.Join(r.dir, "platform")
	script := joined(commands(r.t, "README.md", "Adopting it"))
	if !strings.Contains(script, platformIn) {
		r.t.Fatalf("the README has the platform's repository elsewhere than %s", platformIn)
	}
	dump := r.dump(8)
	script = edited(r.t, strings.ReplaceAll(script, platformIn, mine),
		edit{"YOUR_CLASS", "csi-btrfs"},
		edit{"host=https://github.com", "host=" + r.cluster.Gitea().InCluster},
		edit{"forge=github", "forge=gitea"},
		edit{"grep -n '<-' */*.yaml ", "sed -i 's#path: deploy/preview .*#path: deploy/platform#' applicationsets/previews.yaml\ngrep -n '<-' */*.yaml "},
		edit{"# Yours to write:", `printf %s "$S3_USER" > "$secrets/dump-credentials/AWS_ACCESS_KEY_ID"
printf %s "$S3_PASSWORD" > "$secrets/dump-credentials/AWS_SECRET_ACCESS_KEY"
printf %s "$GITEA_TOKEN" > "$secrets/plugin-forges/gitea-token"
# Yours to write:`},
		edit{"'s3://dumps/shop.dump?region=eu-central-1'", "'" + dump + "'"},
		// What it finds is looked at below.
		edit{"plugin check --config plugin/config.yaml --probe ", "plugin check --config plugin/config.yaml --probe || echo \"check: exit code $?\" "},
	) + "\nprintf 'secrets %s\\n' \"$secrets\"\n"
	r.t.Cleanup(func() { _ = exec.CommandContext(context.Background(), "docker", "rm", "--force", "draft").Run() })
	said := r.run("Adopting it", r.root, script)

	m := regexp.MustCompile(`(?m)^secrets (.*)$`).FindStringSubmatch(said)
	if m == nil {
		r.t.Fatal("step 3 has no folder of secrets")
	}
	r.secrets = m[1]
	r.checked(said)
	if !regexp.MustCompile(`snapshot`).MatchString(said) {
		r.t.Error("seed-backup's log does not speak of a snapshot")
	}
	// Step 6 is done at the Git host, by hand.
	secret, err := os.ReadFile(filepath.Join(r.secrets, "plugin-forges/gitea-webhook"))
	platformtest.Must(r.t, err)
	platformtest.Must(r.t, r.platform.CallPlugin(strings.TrimSpace(string(secret))))
}

// hardening is what the README leaves to its reader: it is for the whole Argo CD.
var hardening = []string{"jsonnet", "Helm", "submodules", "remote bases", "memory of the repo-server", "egress of the repo-server"}

// checked looks at what plugin check says: nothing else is wrong.
func (r *reader) checked(said string) {
	r.t.Helper()
	seen := 0
	for line := range strings.Lines(said) {
		switch {
		case strings.HasPrefix(line, "ok "):
			seen++
		case strings.HasPrefix(line, "WRONG "):
			what, _, _ := strings.Cut(strings.TrimSpace(strings.TrimPrefix(line, "WRONG ")), ":")
			if !slices.Contains(hardening, what) {
				r.t.Errorf("plugin check: %s", line)
			}
		}
	}
	if seen < 10 {
		r.t.Errorf("plugin check says ok %d times", seen)
	}
}

// dump is the URL of a dump of the shop.
func (r *reader) dump(megabytes int) string {
	r.t.Helper()
	w := platformtest.World{Platform: r.platform}
	refresh, err := w.Upload(r.ctx, megabytes)
	platformtest.Must(r.t, err)
	return refresh.Dump
}

// preview labels a pull request and waits for its preview.
func (r *reader) preview(name string) platform.Preview {
	r.t.Helper()
	pr, err := r.platform.OpenPullRequest(r.ctx, "adoption-"+name+"-"+time.Now().UTC().Format("150405"), "The "+name+" preview", nil)
	platformtest.Must(r.t, err)
	platformtest.Must(r.t, pr.Label(r.ctx, platform.LabelPreview))
	v, err := r.platform.WaitPreview(r.ctx, pr, "")
	platformtest.Must(r.t, err)
	rows, err := r.platform.Query(r.ctx, v.Namespace, "select count(*) > 0 from public.users")
	platformtest.Must(r.t, err)
	if len(rows) != 1 || rows[0][0] != "true" && rows[0][0] != "t" {
		r.t.Errorf("users of %s: %v", v.Namespace, rows)
	}
	return v
}

// refresh is day two: another dump, other certificates, a policy that the import
// refuses, and another key.
func (r *reader) refresh(first platform.Preview) {
	r.t.Helper()
	before := r.snapshots()
	r.inPlatform("docs/operations.md", "A new dump",
		edit{"'s3://dumps/shop-2026-12-01.dump?region=eu-central-1'", "'" + r.dump(9) + "'"})
	platformtest.Must(r.t, r.synced())
	if after := r.snapshots(); after != before+1 {
		r.t.Errorf("%d snapshots became %d by a refresh", before, after)
	}
	r.inPlatform("docs/operations.md", "Other certificates for the seed")

	r.refused()
	r.inPlatform("docs/operations.md", "Another key")
	platformtest.Must(r.t, r.synced())
	if after := r.snapshots(); after != before+2 {
		r.t.Errorf("%d snapshots became %d by a refresh and another key", before, after)
	}
	said := r.run("A preview that fails", r.dir, strings.ReplaceAll(
		joined(commands(r.t, "docs/operations.md", "A preview that does not come, or fails")), "PREVIEW", first.Namespace))
	if !strings.Contains(said, "preview-restore") {
		r.t.Errorf("nothing is told of the hook of %s", first.Namespace)
	}
}

// refused has an import refused, reads why, and goes back.
func (r *reader) refused() {
	r.t.Helper()
	r.inPlatform("docs/operations.md", "Another policy",
		edit{"$EDITOR seed-data/policy.yaml", "sed -i '/^      city:/d' seed-data/policy.yaml"})
	err := r.synced()
	if _, ok := errors.AsType[*platform.SyncError](err); !ok {
		r.t.Fatalf("a policy that does not cover a column is synced: %v", err)
	}
	said := r.inPlatform("docs/operations.md", "A refused import")
	for _, want := range []string{"seed-import", "the policy does not cover", "city"} {
		if !strings.Contains(said, want) {
			r.t.Errorf("the import is refused, and nothing says %q", want)
		}
	}
	r.run("back", filepath.Join(r.dir, "platform"), "git revert --no-edit HEAD && git push --quiet")
	platformtest.Must(r.t, r.synced())
}

// synced waits until Argo CD has synced what the platform's repository has for the seed.
func (r *reader) synced() error {
	r.t.Helper()
	head := strings.TrimSpace(r.run("head", filepath.Join(r.dir, "platform"), "git rev-parse HEAD"))
	platformtest.Must(r.t, r.platform.Look(r.ctx, "seed-data"))
	return r.platform.WaitSynced(r.ctx, "seed-data", head)
}

func (r *reader) snapshots() int {
	r.t.Helper()
	return strings.Count(r.run("snapshots", r.dir, "kubectl -n velero get backups -l seedling.dev/seed -o name"), "\n")
}

// upgrade brings other images, and looks at a preview that lives through it.
func (r *reader) upgrade(v platform.Preview) {
	r.t.Helper()
	was := r.postgres(v)
	// As step 2 does it, with what a new release would be.
	r.run("new images", filepath.Join(r.dir, "platform"), `
for image in $(sed -n 's#.*newName: \(.*\), newTag: "\(.*\)".*#\1:\2#p' images/kustomization.yaml); do
  docker tag "$image" "$image-next" && docker push "$image-next"
done
sed -i 's#newTag: "\(.*\)"#newTag: "\1-next"#' images/kustomization.yaml
`)
	r.inPlatform("docs/operations.md", "Upgrading",
		edit{"plugin check --config plugin/config.yaml ", "plugin check --config plugin/config.yaml || echo \"check: exit code $?\" "})
	platformtest.Must(r.t, r.platform.Look(r.ctx, "seed-postgres"))
	for i := range 3 {
		next := r.preview(fmt.Sprint("next-", i))
		if image := r.postgres(next).Spec.Containers[0].Image; !strings.HasSuffix(image, "-next") {
			r.t.Errorf("a new preview has image %s", image)
		}
	}
	is := r.postgres(v)
	if was.UID != is.UID || is.Status.ContainerStatuses[0].RestartCount != was.Status.ContainerStatuses[0].RestartCount {
		r.t.Errorf("the upgrade replaced or restarted the Postgres of %s", v.Namespace)
	}
	if _, err := r.platform.Query(r.ctx, v.Namespace, "select 1"); err != nil {
		r.t.Error(err)
	}
}

func (r *reader) postgres(v platform.Preview) *corev1.Pod {
	r.t.Helper()
	var pod corev1.Pod
	platformtest.Must(r.t, r.platform.Kube.Get(r.ctx, client.ObjectKey{Namespace: v.Namespace, Name: platform.PostgresPod}, &pod))
	return &pod
}

// remove takes everything away, with four previews that live.
func (r *reader) remove() {
	r.t.Helper()
	r.inPlatform("docs/operations.md", "Removing it")
}

// chart is what manifests/chart/README.md says: installed, upgraded, removed.
func (r *reader) chart() {
	r.t.Helper()
	const readme = "manifests/chart/README.md"
	var values string
	for _, f := range fences(r.t, readme) {
		if strings.HasPrefix(f.first(), "# values.yaml") {
			values = f.text
		}
	}
	images := r.run("images of the chart", filepath.Join(r.dir, "platform"), `sed -n 's#.*newName: .*/\([a-z-]*\), newTag: "\(.*\)-next".*#\1 \2#p' images/kustomization.yaml`)
	tag := func(image string) string {
		m := regexp.MustCompile(`(?m)^` + image + ` (.*)$`).FindStringSubmatch(images)
		if m == nil {
			r.t.Fatalf("no tag of %s in %s", image, images)
		}
		return m[1]
	}
	file := filepath.Join(r.dir, "values.yaml")
	write := func(suffix string) {
		text := edited(r.t, values,
			edit{"image: {tag: v1.0.0}", fmt.Sprintf("registry: %s\nimage: {tag: %q}\npostgresImage: {tag: %q}", registry, tag("plugin")+suffix, tag("seed-postgres")+suffix)},
			edit{"url: https://git.acme.example\n", "url: " + r.cluster.Gitea().InCluster + "\n"})
		platformtest.Must(r.t, os.WriteFile(file, []byte(text), 0o600))
	}
	blocks := append(commands(r.t, readme, "manifests/chart"), commands(r.t, readme, "Upgrading and removing it")...)
	if len(blocks) != 3 {
		r.t.Fatalf("%s has %d blocks of commands", readme, len(blocks))
	}
	secrets := "for name in plugin-token plugin-forges; do kubectl -n seedling create secret generic $name --from-file=\"" + r.secrets + "/$name\"; done\n# the Secrets:"
	write("")
	r.run("chart installed", r.root, edited(r.t, blocks[0].text, edit{"--values values.yaml", "--values " + file}, edit{"# the Secrets:", secrets})+
		"kubectl -n seedling rollout status deployment/plugin --timeout=3m\n")
	write("-next")
	said := r.run("chart upgraded", r.root, edited(r.t, blocks[1].text, edit{"--values values.yaml", "--values " + file})+
		"kubectl -n seedling get deployment plugin -o jsonpath='{.spec.template.spec.containers[0].image}'\n")
	if !strings.HasSuffix(strings.TrimSpace(said), "-next") {
		r.t.Errorf("after helm upgrade the plugin is %s", said)
	}
	r.run("chart removed", r.root, blocks[2].text)
}

// nothingBut compares what is there with what was.
func (r *reader) nothingBut(before []string) {
	r.t.Helper()
	for _, left := range r.inventory() {
		if !slices.Contains(before, left) {
			r.t.Errorf("after the removal there still is %s", left)
		}
	}
}

// inventory is what is in the cluster, but for what comes and goes by itself.
func (r *reader) inventory() []string {
	r.t.Helper()
	all := r.run("inventory", r.dir, `
kinds=$(kubectl api-resources --verbs=list,get -o name | grep -vE '^(events|events.events.k8s.io|leases.coordination.k8s.io|pods|replicasets.apps|controllerrevisions.apps|endpoints|componentstatuses|endpointslices.discovery.k8s.io|ipaddresses.*|bindings)$' | paste -sd,)
kubectl get "$kinds" -A -o go-template='{{range .items}}{{.kind}} {{with .metadata.namespace}}{{.}}/{{end}}{{.metadata.name}}{{"\n"}}{{end}}' 2>/dev/null`)
	lines := strings.Split(strings.TrimSpace(all), "\n")
	slices.Sort(lines)
	if len(lines) < 100 {
		r.t.Fatalf("only %d objects in the cluster", len(lines))
	}
	return slices.Compact(lines)
}
