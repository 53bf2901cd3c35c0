package platform

import (
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/seedling-dev/seedling/e2e/cluster"
	"github.com/seedling-dev/seedling/hooks/snapshot"
)

// TestTreeBuilds runs kustomize on every folder that Argo CD or the installer
// builds.
func TestTreeBuilds(t *testing.T) {
	t.Parallel()
	p := &Platform{Cluster: &cluster.Cluster{}, images: map[string]string{}}
	for _, name := range Images {
		p.images[name] = "ghcr.io/seedling-dev/" + name + ":0123"
	}
	var err error
	if p.root, err = cluster.Root(); err != nil {
		t.Fatal(err)
	}
	all, err := p.tree()
	if err != nil {
		t.Fatal(err)
	}
	data, err := p.seedDataTree(snapshot.Request{Dump: "s3://dumps/a?x=1", PolicyDigest: "aa", KeyID: "bb"}, []byte("version: 1"))
	if err != nil {
		t.Fatal(err)
	}
	maps.Copy(all, data)
	if err := all.addFS(sets); err != nil {
		t.Fatal(err)
	}
	for dir, kinds := range map[string][]string{
		"preview":         {"Job"},
		"plugin":          {"Deployment", "PodTemplate", "ConfigMap", "ValidatingAdmissionPolicy"},
		"argocd":          {"AppProject", "ConfigMap"},
		"applicationsets": {"ApplicationSet", "Application"},
		"sets/own":        {"ApplicationSet", "Application"},
		"sets/platform":   {"ApplicationSet"},
		"seed-postgres":   {"StatefulSet", "Namespace"},
		"seed-data":       {"Job", "ConfigMap"},
	} {
		t.Run(dir, func(t *testing.T) {
			t.Parallel()
			built, err := all.build(dir)
			if err != nil {
				t.Fatal(err)
			}
			var seen []string
			for _, u := range built {
				seen = append(seen, u.GetKind())
			}
			for _, u := range built {
				text, err := u.MarshalJSON()
				if err != nil {
					t.Fatal(err)
				}
				for _, example := range []string{"git.example.com", `:dev"`} {
					if strings.Contains(string(text), example) {
						t.Errorf("%s still says %s", describe(u), example)
					}
				}
			}
			for _, kind := range kinds {
				if !slices.Contains(seen, kind) {
					t.Errorf("there is no %s among %v", kind, seen)
				}
			}
		})
	}
}

// TestKinds: one list says for the project and for the admission policies which kinds
// previews may have; without it both say the usual ones.
func TestKinds(t *testing.T) {
	t.Parallel()
	dir, err := cluster.Root()
	if err != nil {
		t.Fatal(err)
	}
	further, err := filepath.Glob(filepath.Join(dir, "manifests/kinds/*/kustomization.yaml"))
	if err != nil || len(further) == 0 {
		t.Fatal(further, err)
	}
	usual := kindsOf(t, dir, "")
	if !slices.Equal(usual.project, usual.policy) {
		t.Errorf("the project has %v, and the policy %v", usual.project, usual.policy)
	}
	list := ""
	for _, file := range further {
		one := "  - ../manifests/kinds/" + filepath.Base(filepath.Dir(file)) + "\n"
		list += one
		if got := kindsOf(t, dir, one); !slices.Equal(got.project, got.policy) || len(got.project) != len(usual.project)+1 {
			t.Errorf("%s makes of the project %v, and of the policy %v", one, got.project, got.policy)
		}
	}
	if got := kindsOf(t, dir, list); !slices.Equal(got.project, got.policy) || len(got.project) != len(usual.project)+len(further) {
		t.Errorf("all of them make of the project %v, and of the policy %v", got.project, got.policy)
	}
}

// kinds are what the project and the policy permit, as group/resource.
type kinds struct{ project, policy []string }

// kindsOf builds both bases with a list of components, as manifests/kinds/README.md
// says.
func kindsOf(t *testing.T, dir, list string) (k kinds) {
	t.Helper()
	all := tree{}
	if err := all.addDir(filepath.Join(dir, "manifests"), "manifests"); err != nil {
		t.Fatal(err)
	}
	all["kinds/kustomization.yaml"] = []byte("apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\ncomponents:\n" + list)
	for _, base := range []string{"plugin", "argocd"} {
		all[base+"/kustomization.yaml"] = []byte("resources: [../manifests/" + base + "]\ncomponents: [../kinds]\n")
		if list == "" {
			all[base+"/kustomization.yaml"] = []byte("resources: [../manifests/" + base + "]\n")
		}
		built, err := all.build(base)
		if err != nil {
			t.Fatal(err)
		}
		for _, u := range built {
			switch u.GetKind() + " " + u.GetName() {
			case "AppProject previews":
				permitted, _, err := unstructured.NestedSlice(u.Object, "spec", "namespaceResourceWhitelist")
				if err != nil {
					t.Fatal(err)
				}
				for _, p := range permitted {
					one, ok := p.(map[string]any)
					if !ok {
						t.Fatal(p)
					}
					plural := strings.ToLower(fmt.Sprint(one["kind"])) + "s"
					plural = strings.Replace(plural, "ingresss", "ingresses", 1)
					k.project = append(k.project, fmt.Sprint(one["group"], "/", plural))
				}
			case "ConfigMap seedling-policies":
				data, _, err := unstructured.NestedStringMap(u.Object, "data")
				if err != nil {
					t.Fatal(err)
				}
				for name, value := range data {
					if strings.HasPrefix(name, "kinds.") {
						k.policy = append(k.policy, value)
					}
				}
			case "ValidatingAdmissionPolicy seedling-previews-kinds":
				validations, _, err := unstructured.NestedSlice(u.Object, "spec", "validations")
				if err != nil {
					t.Fatal(err)
				}
				said := fmt.Sprint(validations[0])
				_, said, _ = strings.Cut(said, "in [")
				said, _, _ = strings.Cut(said, "]")
				for one := range strings.SplitSeq(said, ",") {
					k.policy = append(k.policy, strings.Trim(one, " '\n"))
				}
			}
		}
	}
	slices.Sort(k.project)
	slices.Sort(k.policy)
	return k
}

// TestNames: with Argo CD and Velero elsewhere, nothing that manifests/plugin
// makes still means the namespaces argocd and velero.
func TestNames(t *testing.T) {
	t.Parallel()
	dir, err := cluster.Root()
	if err != nil {
		t.Fatal(err)
	}
	all := tree{}
	if err := all.addDir(filepath.Join(dir, "manifests"), "manifests"); err != nil {
		t.Fatal(err)
	}
	// As manifests/plugin/README.md says.
	all["plugin/kustomization.yaml"] = []byte("resources: [../manifests/plugin]\ncomponents: [names, ../manifests/plugin/names]\n")
	all["plugin/names/kustomization.yaml"] = []byte(`apiVersion: kustomize.config.k8s.io/v1alpha1
kind: Component
patches:
  - target: {kind: ConfigMap, name: seedling-policies}
    patch: |-
      - {op: replace, path: /data/argocd, value: gitops}
      - {op: replace, path: /data/velero, value: backup}
      - {op: replace, path: /data/veleroServiceAccount, value: velero-server}
      - {op: replace, path: /data/controllers, value: kube-system seedling backup}
`)
	plain, err := all.build("manifests/plugin")
	if err != nil {
		t.Fatal(err)
	}
	built, err := all.build("plugin")
	if err != nil {
		t.Fatal(err)
	}
	if len(plain) != len(built) {
		t.Errorf("%d objects became %d", len(plain), len(built))
	}
	spaces := map[string]int{}
	for _, u := range built {
		spaces[u.GetNamespace()]++
		text, err := u.MarshalJSON()
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasPrefix(u.GetName(), "plugin-") && u.GetKind() == "ConfigMap" {
			continue // the example of config.yaml, which an overlay replaces
		}
		for _, old := range []string{
			":argocd:", ":velero:", `"expression":"'argocd'"`, `"expression":"'velero'"`, `"namespace":"argocd"`, `"namespace":"velero"`,
			`metadata.name":"argocd"`, `"argocd":"argocd"`, `"velero":"velero"`, ` velero"`,
		} {
			if strings.Contains(string(text), old) {
				t.Errorf("%s still says %s", describe(u), old)
			}
		}
	}
	if spaces["argocd"]+spaces["velero"] > 0 || spaces["gitops"] != 2 || spaces["backup"] != 4 {
		t.Errorf("objects by namespace: %v", spaces)
	}
	for kind, says := range map[string][]string{
		"seedling-plugin-writes": {"'gitops'", "'backup'"}, "seedling-seed-confined": {"'system:serviceaccount:gitops:'", "argocd.argoproj.io/tracking-id"},
		"plugin": {`"kubernetes.io/metadata.name":"gitops"`},
	} {
		for _, u := range built {
			if u.GetName() != kind || u.GetKind() != "ValidatingAdmissionPolicy" && u.GetKind() != "NetworkPolicy" {
				continue
			}
			text, err := u.MarshalJSON()
			if err != nil {
				t.Fatal(err)
			}
			for _, s := range says {
				if !strings.Contains(string(text), s) {
					t.Errorf("%s does not say %s", describe(u), s)
				}
			}
		}
	}
}

// TestRemoteBases: with the repo-server's Git configuration, Git fetches nothing
// where kustomize clones a remote base, and all elsewhere.
func TestRemoteBases(t *testing.T) {
	t.Parallel()
	dir, err := cluster.Root()
	if err != nil {
		t.Fatal(err)
	}
	all := tree{}
	if err := all.addDir(filepath.Join(dir, "manifests/argocd"), "argocd"); err != nil {
		t.Fatal(err)
	}
	built, err := all.build("argocd/hardening")
	if err != nil {
		t.Fatal(err)
	}
	mounted := t.TempDir()
	for _, u := range built {
		files, _, err := unstructured.NestedStringMap(u.Object, "data")
		if err != nil || u.GetName() != "seedling-repo-server-git" {
			continue
		}
		for name, content := range files {
			must(t, os.WriteFile(filepath.Join(mounted, name), []byte(content), 0o600))
		}
	}
	git := func(dir string, args ...string) error {
		cmd := exec.CommandContext(t.Context(), "git", args...)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL="+filepath.Join(mounted, "gitconfig"), "GIT_CONFIG_NOSYSTEM=1")
		out, err := cmd.CombinedOutput()
		if err != nil {
			return fmt.Errorf("git %v: %w: %s", args, err, out)
		}
		return nil
	}
	theirs := t.TempDir()
	must(t, git(theirs, "init", "--quiet", "--initial-branch=main"))
	must(t, git(theirs, "-c", "user.name=a", "-c", "user.email=a@example.com", "commit", "--quiet", "--allow-empty", "--message=a"))
	for _, c := range []struct {
		pattern string
		refused bool
	}{{"kustomize-*", true}, {"argocd-*", false}} {
		// kustomize asks for os.MkdirTemp("", "kustomize-"); the repo-server's /tmp
		// is a volume of its own.
		clone, err := os.MkdirTemp("/tmp", c.pattern) //nolint:usetesting // its name counts
		must(t, err)
		t.Cleanup(func() { os.RemoveAll(clone) })
		must(t, git(clone, "init", "--quiet"))
		for _, from := range []string{"file://" + theirs, theirs} {
			err := git(clone, "fetch", "--depth=1", from, "main")
			if refused := err != nil && strings.Contains(err.Error(), "not allowed"); refused != c.refused || !refused && err != nil {
				t.Errorf("%s from %s: %v", c.pattern, from, err)
			}
		}
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
