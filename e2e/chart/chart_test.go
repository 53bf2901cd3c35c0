package chart_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/seedling-dev/seedling/e2e/chart"
	"github.com/seedling-dev/seedling/e2e/cluster"
	"github.com/seedling-dev/seedling/e2e/platform"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func manifests(t *testing.T) string {
	t.Helper()
	root, err := cluster.Root()
	must(t, err)
	return filepath.Join(root, "manifests")
}

// The templates are those that the bases make today.
func TestUpToDate(t *testing.T) {
	t.Parallel()
	want, err := chart.Templates(manifests(t))
	must(t, err)
	got, err := chart.Existing(manifests(t))
	must(t, err)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("run make chart (-made of the bases +manifests/chart):\n%s", diff)
	}
}

// filled are the bases' own examples as values.
const filled = `
image: {tag: dev}
createNamespace: true
repositories:
  previews: [https://git.example.com/acme/shop.git]
  platform: [https://git.example.com/acme/platform.git]
config:
  forges:
    - name: gitea
      type: gitea
      url: https://git.example.com
      credentialFile: /etc/seedling/forges/gitea-token
      webhookSecretFile: /etc/seedling/forges/gitea-webhook
`

// With the same values the chart and an overlay of the bases make the same.
func TestEqualToTheBases(t *testing.T) {
	t.Parallel()
	untagged := strings.Replace(filled, "image: {tag: dev}\n", "", 1)
	for _, c := range []struct{ name, values, overlay, names string }{
		{name: "as it is", values: filled},
		{name: "rights of direct mode", values: filled + "direct: {enabled: true}\n", overlay: "components: [../manifests/plugin/direct]\n"},
		{
			name:   "direct mode for two seeds",
			values: strings.Replace(filled, "config:\n", "config:\n  mode: direct\n", 1) + "direct: {enabled: true}\nseeds: [seed, seed-eu]\n",
			overlay: `components: [../manifests/plugin/direct]
patches:
  - target: {kind: ConfigMap, name: plugin}
    patch: |-
      - op: replace
        path: /data/config.yaml
        value: "argocdNamespace: argocd\nveleroNamespace: velero\nmode: direct\nforges: [{name: gitea, type: gitea, url: 'https://git.example.com',
          credentialFile: /etc/seedling/forges/gitea-token, webhookSecretFile: /etc/seedling/forges/gitea-webhook}]\n"
  - target: {kind: ClusterRoleBinding, name: seedling-seed-backup-direct}
    patch: |-
      - {op: add, path: /subjects/-, value: {kind: ServiceAccount, name: seed-backup, namespace: seed-eu}}
  - target: {kind: RoleBinding, name: seedling-seed-backup.*}
    patch: |-
      - {op: add, path: /subjects/-, value: {kind: ServiceAccount, name: seed-backup, namespace: seed-eu}}
  - target: {kind: AppProject, name: seed}
    patch: |-
      - {op: add, path: /spec/destinations/-, value: {server: "https://kubernetes.default.svc", namespace: seed-eu}}
`,
		},
		{
			name: "a real application",
			values: filled + `credentials: {enabled: true}
access: {groups: [developers]}
kinds: [external-secret, http-route, service-monitor, certificate]
policies: {gateways: [gateways/previews], issuers: [a, b], secretStores: [previews], secretPrefix: previews/}
`,
			overlay: `
patches:
  - target: {kind: ConfigMap, name: plugin}
    patch: |-
      - op: replace
        path: /data/config.yaml
        value: "argocdNamespace: argocd\nveleroNamespace: velero\nmode: velero\nguards: {access: {groups: [developers]}, credentials: {namespace: seedling-credentials}}\nforges: [{name: gitea, type: gitea,
          url: 'https://git.example.com', credentialFile: /etc/seedling/forges/gitea-token, webhookSecretFile: /etc/seedling/forges/gitea-webhook}]\n"
  - target: {kind: ConfigMap, name: seedling-policies}
    patch: |-
      - {op: replace, path: /data/gateways, value: gateways/previews}
      - {op: replace, path: /data/issuers, value: a b}
      - {op: replace, path: /data/secretStores, value: previews}
      - {op: replace, path: /data/secretPrefix, value: previews/}
  - target: {kind: AppProject, name: previews}
    patch: |-
      - {op: replace, path: /spec/roles/0/groups, value: [developers]}
components:
  - ../manifests/plugin/credentials
  - ../manifests/kinds/external-secret
  - ../manifests/kinds/http-route
  - ../manifests/kinds/service-monitor
  - ../manifests/kinds/certificate
`,
		},
		{
			name: "everything elsewhere",
			values: untagged + `
registry: registry.acme.example/mirror
image: {tag: v1.2.3, digest: sha256:` + strings.Repeat("ab", 32) + `}
imagePullSecrets: [pull]
argocd: {namespace: gitops, applicationSetController: argo-sets}
velero: {namespace: "1984", serviceAccount: velero-server}
seeds: [seed, seed-eu]
policies: {controllers: [cert-manager, istio-system], priorityClasses: [low], ingressClasses: [internal], tolerations: [spot], runtimeClasses: [gvisor]}
resources: {limits: {memory: 1Gi}}
goMemLimit: 800MiB
`,
			overlay: `
images:
  - {name: ghcr.io/seedling-dev/plugin, newName: registry.acme.example/mirror/plugin, newTag: v1.2.3, digest: "sha256:` + strings.Repeat("ab", 32) + `"}
  - {name: ghcr.io/seedling-dev/seed-postgres, newName: registry.acme.example/mirror/seed-postgres, newTag: v1.2.3}
patches:
  - target: {kind: Deployment, name: plugin}
    patch: |-
      - {op: add, path: /spec/template/spec/imagePullSecrets, value: [{name: pull}]}
      - {op: replace, path: /spec/template/spec/containers/0/resources, value: {requests: {cpu: 50m, memory: 128Mi}, limits: {memory: 1Gi}}}
      - {op: replace, path: /spec/template/spec/containers/0/env/2/value, value: 800MiB}
  - target: {kind: ConfigMap, name: plugin}
    patch: |-
      - op: replace
        path: /data/config.yaml
        value: "argocdNamespace: gitops\nveleroNamespace: '1984'\nmode: velero\nforges: [{name: gitea, type: gitea, url: 'https://git.example.com',
          credentialFile: /etc/seedling/forges/gitea-token, webhookSecretFile: /etc/seedling/forges/gitea-webhook}]\n"
  - target: {kind: NetworkPolicy, name: plugin}
    patch: |-
      - {op: replace, path: /spec/ingress/0/from/0/podSelector/matchLabels/app.kubernetes.io~1name, value: argo-sets}
  - target: {kind: RoleBinding, name: seedling-seed-backup}
    patch: |-
      - {op: add, path: /subjects/-, value: {kind: ServiceAccount, name: seed-backup, namespace: seed-eu}}
  - target: {kind: AppProject, name: seed}
    patch: |-
      - {op: add, path: /spec/destinations/-, value: {server: "https://kubernetes.default.svc", namespace: seed-eu}}
  - target: {kind: ValidatingAdmissionPolicy, name: "seedling-(seed-jobs|plugin-postgres)"}
    patch: |-
      - {op: replace, path: /spec/variables/0/expression, value: "'registry.acme.example/mirror/'"}
`,
			names: `
  - target: {kind: ConfigMap, name: seedling-policies}
    patch: |-
      - {op: replace, path: /data/argocd, value: gitops}
      - {op: replace, path: /data/velero, value: "1984"}
      - {op: replace, path: /data/veleroServiceAccount, value: velero-server}
      - {op: replace, path: /data/controllers, value: kube-system seedling 1984 cert-manager istio-system}
      - {op: replace, path: /data/priorityClasses, value: seedling-preview low}
      - {op: replace, path: /data/ingressClasses, value: internal}
      - {op: replace, path: /data/tolerations, value: spot}
      - {op: replace, path: /data/runtimeClasses, value: gvisor}
  - target: {kind: AppProject}
    patch: |-
      - {op: replace, path: /metadata/namespace, value: gitops}
  - target: {kind: ConfigMap, name: seedling-plugin}
    patch: |-
      - {op: replace, path: /metadata/namespace, value: gitops}
`,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			want := overlay(t, c.overlay, c.names)
			got, out, err := template(t, c.values)
			if err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			if len(want) < 40 {
				t.Errorf("the bases make only %d objects", len(want))
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("the chart makes something else (-bases +chart):\n%s", diff)
			}
		})
	}
}

// overlay builds an overlay of the two bases the chart has.
func overlay(t *testing.T, text, names string) map[string]map[string]any {
	t.Helper()
	dir := t.TempDir()
	must(t, os.CopyFS(filepath.Join(dir, "manifests"), os.DirFS(manifests(t))))
	kustomization := "resources: [../manifests/plugin, ../manifests/argocd]\n"
	if names != "" {
		kustomization += "components: [names, ../manifests/plugin/names]\n"
		must(t, os.MkdirAll(filepath.Join(dir, "overlay/names"), 0o755))
		must(t, os.WriteFile(filepath.Join(dir, "overlay/names/kustomization.yaml"),
			[]byte("apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\npatches:"+names), 0o600))
	}
	must(t, os.MkdirAll(filepath.Join(dir, "overlay"), 0o755))
	must(t, os.WriteFile(filepath.Join(dir, "overlay/kustomization.yaml"), []byte(kustomization+text), 0o600))
	objects, err := platform.BuildFolder(filepath.Join(dir, "overlay"))
	must(t, err)
	return named(t, objects)
}

// template runs helm template with values.
func template(t *testing.T, values string) (map[string]map[string]any, string, error) {
	t.Helper()
	helm, err := cluster.Program(t.Context(), "helm")
	must(t, err)
	dir := t.TempDir()
	file := filepath.Join(dir, "values.yaml")
	must(t, os.WriteFile(file, []byte(values), 0o600))
	cmd := exec.CommandContext(t.Context(), helm, "template", "seedling", filepath.Join(manifests(t), "chart"), "--namespace", "seedling", "--values", file)
	cmd.Env = append(os.Environ(), "HOME="+dir)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, stderr.String(), err
	}
	rendered := filepath.Join(dir, "rendered.yaml")
	must(t, os.WriteFile(rendered, out, 0o600))
	objects, err := platform.ReadManifests(rendered)
	must(t, err)
	return named(t, objects), "", nil
}

var breaks = regexp.MustCompile(`(\\n)+`)

// named are objects by kind, namespace and name, without what is rightly
// different: kustomize's hash in the name of the plugin's ConfigMap and the
// chart's checksum of it restart the plugin, and the configuration is compared as
// what it says.
func named(t *testing.T, objects []*unstructured.Unstructured) map[string]map[string]any {
	t.Helper()
	all := map[string]map[string]any{}
	restarts := false
	for _, o := range objects {
		name := o.GetName()
		switch {
		case o.GetKind() == "ConfigMap" && o.GetNamespace() == "seedling" && (name == "plugin" || strings.HasPrefix(name, "plugin-")):
			restarts = restarts || name != "plugin"
			o.SetName("plugin")
			text, _, err := unstructured.NestedString(o.Object, "data", "config.yaml")
			must(t, err)
			var config map[string]any
			must(t, yaml.UnmarshalStrict([]byte(text), &config))
			must(t, unstructured.SetNestedMap(o.Object, config, "data", "config.yaml"))
		case o.GetKind() == "Deployment":
			annotations, _, err := unstructured.NestedStringMap(o.Object, "spec", "template", "metadata", "annotations")
			must(t, err)
			restarts = restarts || annotations["checksum/config"] != ""
			unstructured.RemoveNestedField(o.Object, "spec", "template", "metadata", "annotations")
			volumes, _, err := unstructured.NestedSlice(o.Object, "spec", "template", "spec", "volumes")
			must(t, err)
			volumes[0].(map[string]any)["configMap"] = map[string]any{"name": "plugin"}
			must(t, unstructured.SetNestedSlice(o.Object, volumes, "spec", "template", "spec", "volumes"))
		}
		id := strings.Join([]string{o.GetKind(), o.GetNamespace(), o.GetName()}, " ")
		if all[id] != nil {
			t.Errorf("%s is there twice", id)
		}
		// Numbers are the same whichever way they were read, and so are expressions:
		// kustomize doubles the line breaks in folded text.
		raw, err := json.Marshal(o.Object)
		must(t, err)
		raw = breaks.ReplaceAll(raw, []byte(`\n`))
		var plain map[string]any
		must(t, json.Unmarshal(raw, &plain))
		all[id] = plain
	}
	if !restarts {
		t.Error("nothing restarts the plugin when its configuration changes")
	}
	return all
}

// What cannot be right is refused by name, before anything is made.
func TestRefusedValues(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, values, says string }{
		{"nothing filled in", "", "repositories"},
		{"no forge", "repositories: {previews: [a], platform: [b]}", "forges"},
		{"a star", strings.ReplaceAll(filled, "https://git.example.com/acme/shop.git", `"https://git.example.com/*"`), "repositories/previews/0"},
		{"a negation", strings.ReplaceAll(filled, "https://git.example.com/acme/shop.git", `"!https://git.example.com/acme/shop.git"`), "repositories/previews/0"},
		{"an unknown value", filled + "imagePullSecret: x", "imagePullSecret"},
		{"a namespace twice", filled + "  argocdNamespace: gitops", "config"},
		{"a seed of another name", filled + "seeds: [production]", "seeds/0"},
		{"a registry with a slash", filled + "registry: registry.acme.example/", "registry"},
		{"half a digest", strings.Replace(filled, "tag: dev", "digest: sha256:abcd", 1), "digest"},
		{"no image", strings.Replace(filled, "tag: dev", "tag: \"\"", 1), "image.tag"},
		{"direct mode without its rights", strings.Replace(filled, "config:\n", "config:\n  mode: direct\n", 1), "direct/enabled"},
		{"an Ingress without a host", filled + "ingress: {enabled: true}", "host"},
		{"an Ingress of the page without a host", filled + "pageIngress: {enabled: true}", "host"},
		{"an Ingress of a page that is off", filled + "pageIngress: {enabled: true, host: previews.acme.example}", "config.page"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			_, out, err := template(t, c.values)
			if err == nil || !strings.Contains(out, c.says) {
				t.Errorf("%v: %s", err, out)
			}
		})
	}
}

// The webhook's Ingress leads to that listener and to no other, and so does the
// status page's.
func TestIngress(t *testing.T) {
	t.Parallel()
	const ingress = "ngress: {enabled: true, className: internal, host: seedling.acme.example, tlsSecret: tls, annotations: {a: b}}"
	for name, c := range map[string]struct{ values, path, port string }{
		"plugin":      {filled + "i" + ingress, "/webhook/", "webhook"},
		"plugin-page": {filled + "  page: {tokenFile: /etc/seedling/page/token}\npageI" + ingress, "/", "page"},
	} {
		leadsTo(t, c.values, name, c.path, c.port)
	}
}

func leadsTo(t *testing.T, values, name, path, port string) {
	t.Helper()
	objects, out, err := template(t, values)
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	want := map[string]any{
		"ingressClassName": "internal",
		"tls":              []any{map[string]any{"hosts": []any{"seedling.acme.example"}, "secretName": "tls"}},
		"rules": []any{map[string]any{"host": "seedling.acme.example", "http": map[string]any{"paths": []any{map[string]any{
			"path": path, "pathType": "Prefix",
			"backend": map[string]any{"service": map[string]any{"name": "plugin", "port": map[string]any{"name": port}}},
		}}}}},
	}
	if diff := cmp.Diff(want, objects["Ingress seedling "+name]["spec"]); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
