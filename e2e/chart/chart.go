// Package chart makes the templates of the Helm chart in manifests/chart of the
// kustomize bases beside it: each file as it is, with values at the places that
// are named here. A base that lacks one of these places is an error, so that the
// chart never says less than the base. Files of manifests/chart that are written
// by hand stay as they are.
package chart

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// An edit puts a value where the base has an example.
type edit struct {
	old, new string
	times    int // that the base has it; 0 is once
}

// file is a base's file and its edits. All the others of a base are taken as
// they are.
type file struct {
	name  string // below manifests/
	edits []edit
}

const (
	argocd = "{{ .Values.argocd.namespace }}"
	velero = "{{ .Values.velero.namespace }}"
	// As a value of YAML: a name may look like a number or a boolean.
	argocdQuoted = "{{ .Values.argocd.namespace | quote }}"
	veleroQuoted = "{{ .Values.velero.namespace | quote }}"
)

var edited = []file{
	{"plugin/namespace.yaml", []edit{
		{old: "apiVersion: v1\n", new: "{{- if .Values.createNamespace }}\napiVersion: v1\n"},
		{old: "pod-security.kubernetes.io/warn: restricted\n", new: "pod-security.kubernetes.io/warn: restricted\n{{- end }}\n"},
	}},
	{"plugin/rbac.yaml", []edit{
		{old: "namespace: argocd\n", new: "namespace: " + argocdQuoted + "\n", times: 2},
		{old: "namespace: velero\n", new: "namespace: " + veleroQuoted + "\n", times: 2},
	}},
	{"plugin/seed-backup.yaml", []edit{
		{old: "namespace: velero\n", new: "namespace: " + veleroQuoted + "\n", times: 2},
		{
			old: "  - kind: ServiceAccount\n    name: seed-backup\n    namespace: seed\n",
			new: "{{- range .Values.seeds }}\n  - kind: ServiceAccount\n    name: seed-backup\n    namespace: {{ . }}\n{{- end }}\n",
		},
	}},
	{"plugin/direct/rbac.yaml", []edit{
		{
			old:   "  - kind: ServiceAccount\n    name: seed-backup\n    namespace: seed\n",
			new:   "{{- range .Values.seeds }}\n  - kind: ServiceAccount\n    name: seed-backup\n    namespace: {{ . }}\n{{- end }}\n",
			times: 2,
		},
	}},
	{"plugin/deployment.yaml", []edit{
		{
			old: "      labels: *labels\n    spec:\n",
			new: "      labels: *labels\n      annotations:\n        checksum/config: {{ include \"seedling.config\" . | sha256sum }}\n    spec:\n" +
				"{{- with .Values.imagePullSecrets }}\n      imagePullSecrets: {{- range . }}\n        - name: {{ . | quote }}\n{{- end }}\n{{- end }}\n",
		},
		{old: "image: ghcr.io/seedling-dev/plugin:dev\n", new: "image: {{ include \"seedling.image\" . }}\n"},
		{
			old: "          resources:\n            requests: {cpu: 50m, memory: 128Mi}\n            limits: {memory: 512Mi}\n",
			new: "          resources: {{- toYaml .Values.resources | nindent 12 }}\n",
		},
		{old: "value: 400MiB\n", new: "value: {{ .Values.goMemLimit }}\n"},
	}},
	{"plugin/networkpolicy.yaml", []edit{
		{old: "kubernetes.io/metadata.name: argocd\n", new: "kubernetes.io/metadata.name: " + argocdQuoted + "\n"},
		{old: "app.kubernetes.io/name: argocd-applicationset-controller\n", new: "app.kubernetes.io/name: {{ .Values.argocd.applicationSetController | quote }}\n"},
	}},
	{"plugin/policies/values.yaml", []edit{
		{old: "controllers: kube-system seedling velero\n", new: "controllers: {{ concat (list \"kube-system\" \"seedling\" .Values.velero.namespace) .Values.policies.controllers | join \" \" }}\n"},
		{old: "  argocd: argocd\n", new: "  argocd: " + argocdQuoted + "\n"},
		{old: "  velero: velero\n", new: "  velero: " + veleroQuoted + "\n"},
		{old: "veleroServiceAccount: velero\n", new: "veleroServiceAccount: {{ .Values.velero.serviceAccount | quote }}\n"},
		{old: "priorityClasses: seedling-preview\n", new: "priorityClasses: {{ prepend .Values.policies.priorityClasses \"seedling-preview\" | join \" \" }}\n"},
		{old: "runtimeClasses: \"\"\n", new: "runtimeClasses: {{ .Values.policies.runtimeClasses | join \" \" | quote }}\n"},
		{old: "nodeLabels: kubernetes.io/os kubernetes.io/arch\n", new: "nodeLabels: {{ .Values.policies.nodeLabels | join \" \" | quote }}\n"},
		{old: "tolerations: \"\"\n", new: "tolerations: {{ .Values.policies.tolerations | join \" \" | quote }}\n"},
		{old: "ingressClasses: nginx traefik\n", new: "ingressClasses: {{ .Values.policies.ingressClasses | join \" \" | quote }}\n"},
		{
			old: "gateways: \"\"\n  issuers: \"\"\n  secretStores: \"\"\n  secretPrefix: \"\"\n",
			new: "gateways: {{ .Values.policies.gateways | join \" \" | quote }}\n  issuers: {{ .Values.policies.issuers | join \" \" | quote }}\n" +
				"  secretStores: {{ .Values.policies.secretStores | join \" \" | quote }}\n  secretPrefix: {{ .Values.policies.secretPrefix | quote }}\n" +
				"{{- $kinds := include \"seedling.kinds\" . | fromYaml }}\n{{- range .Values.kinds }}\n" +
				"  kinds.{{ . }}: {{ (index $kinds .).group }}/{{ (index $kinds .).resource }}\n{{- end }}\n",
		},
		{
			old: `annotations: >-
    prometheus.io/scrape prometheus.io/port prometheus.io/path prometheus.io/scheme
    nginx.ingress.kubernetes.io/ssl-redirect nginx.ingress.kubernetes.io/force-ssl-redirect
    nginx.ingress.kubernetes.io/proxy-body-size nginx.ingress.kubernetes.io/proxy-read-timeout
    nginx.ingress.kubernetes.io/proxy-send-timeout nginx.ingress.kubernetes.io/proxy-connect-timeout
`,
			new: "annotations: {{ .Values.policies.annotations | join \" \" | quote }}\n",
		},
	}},
	{"plugin/policies/plugin-writes.yaml", []edit{
		{old: `"'argocd'"`, new: `"'` + argocd + `'"`},
		{old: `"'velero'"`, new: `"'` + velero + `'"`},
		{old: "name: direct\n      expression: \"false\"\n", new: "name: direct\n      expression: \"{{ .Values.direct.enabled }}\"\n"},
	}},
	{"plugin/policies/seed-confined.yaml", []edit{{old: "system:serviceaccount:argocd:", new: "system:serviceaccount:" + argocd + ":"}}},
	{"plugin/policies/seed-jobs.yaml", []edit{{old: `"'ghcr.io/seedling-dev/'"`, new: `"'{{ .Values.registry }}/'"`}}},
	{"plugin/policies/plugin-postgres.yaml", []edit{{old: `"'ghcr.io/seedling-dev/'"`, new: `"'{{ .Values.registry }}/'"`}}},
	{"plugin/preview-postgres.yaml", []edit{{old: "image: ghcr.io/seedling-dev/seed-postgres:dev\n", new: "image: {{ include \"seedling.postgresImage\" . }}\n"}}},
	{"argocd/plugin.yaml", []edit{{old: "namespace: argocd\n", new: "namespace: " + argocdQuoted + "\n"}}},
	{"argocd/projects.yaml", []edit{
		{old: "namespace: argocd\n", new: "namespace: " + argocdQuoted + "\n", times: 2},
		{
			old: "    - {group: policy, kind: PodDisruptionBudget}\n",
			new: "    - {group: policy, kind: PodDisruptionBudget}\n{{- $kinds := include \"seedling.kinds\" . | fromYaml }}\n{{- range .Values.kinds }}\n" +
				"    - {group: {{ (index $kinds .).group }}, kind: {{ (index $kinds .).kind }}}\n{{- end }}\n",
		},
		{old: "groups: []\n", new: "groups: {{ .Values.access.groups | toJson }}\n"},
		{
			old: "    - https://git.example.com/acme/shop.git\n    - https://git.example.com/acme/platform.git\n",
			new: "{{- range concat .Values.repositories.previews .Values.repositories.platform | uniq }}\n    - {{ . | quote }}\n{{- end }}\n",
		},
		{
			old: "  sourceRepos:\n    - https://git.example.com/acme/platform.git\n  destinations:\n    - server: https://kubernetes.default.svc\n      namespace: seed\n",
			new: "  sourceRepos:\n{{- range .Values.repositories.platform }}\n    - {{ . | quote }}\n{{- end }}\n" +
				"  destinations:\n{{- range .Values.seeds }}\n    - server: https://kubernetes.default.svc\n      namespace: {{ . }}\n{{- end }}\n",
		},
	}},
}

// bases are what the chart holds, and skipped what of them is no template: the
// configuration is a value.
var (
	bases   = []string{"plugin", "plugin/credentials", "plugin/direct", "plugin/policies", "argocd"}
	skipped = map[string]bool{"plugin/config.yaml": true}
	// components are there when their value says so.
	components = map[string]string{"plugin/credentials": ".Values.credentials.enabled", "plugin/direct": ".Values.direct.enabled"}
)

const generated = "{{- /* Made of manifests/%s by make chart: change that. */ -}}\n"

// Templates makes the templates of the bases in manifests, by their names below
// manifests/chart/templates.
func Templates(manifests string) (map[string]string, error) {
	edits := map[string][]edit{}
	for _, f := range edited {
		edits[f.name] = f.edits
	}
	made := map[string]string{}
	var bad []error
	for _, base := range bases {
		entries, err := os.ReadDir(filepath.Join(manifests, base))
		if err != nil {
			return nil, err
		}
		for _, e := range entries {
			name := base + "/" + e.Name()
			if e.IsDir() || filepath.Ext(name) != ".yaml" || e.Name() == "kustomization.yaml" || skipped[name] {
				continue
			}
			raw, err := os.ReadFile(filepath.Join(manifests, name))
			if err != nil {
				return nil, err
			}
			text, err := apply(string(raw), edits[name])
			if err != nil {
				bad = append(bad, fmt.Errorf("manifests/%s: %w", name, err))
			}
			if on, ok := components[base]; ok {
				text = "{{- if " + on + " }}\n" + text + "{{- end }}\n"
			}
			delete(edits, name)
			made[name] = fmt.Sprintf(generated, name) + text
		}
	}
	for name := range edits {
		bad = append(bad, fmt.Errorf("manifests/%s is not there any more, and package chart has edits of it", name))
	}
	return made, errors.Join(bad...)
}

func apply(text string, edits []edit) (string, error) {
	if strings.Contains(text, "{{") {
		return "", errors.New("it holds {{, which Helm would take for its own")
	}
	for _, e := range edits {
		times := max(e.times, 1)
		if n := strings.Count(text, e.old); n != times {
			return "", fmt.Errorf("it holds %q %d times, not %d: bring package e2e/chart up to date", e.old, n, times)
		}
		text = strings.ReplaceAll(text, e.old, e.new)
	}
	return text, nil
}

// Write brings manifests/chart/templates up to date, and removes what was made of
// files that are not there any more.
func Write(manifests string) error {
	made, err := Templates(manifests)
	if err != nil {
		return err
	}
	templates := filepath.Join(manifests, "chart/templates")
	old, err := Existing(manifests)
	if err != nil {
		return err
	}
	for name := range old {
		if _, ok := made[name]; !ok {
			if err := os.Remove(filepath.Join(templates, name)); err != nil {
				return err
			}
		}
	}
	for name, text := range made {
		path := filepath.Join(templates, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// Existing are the templates on disk that were made by this package.
func Existing(manifests string) (map[string]string, error) {
	templates := filepath.Join(manifests, "chart/templates")
	found := map[string]string{}
	err := filepath.WalkDir(templates, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		rel, err := filepath.Rel(templates, path)
		if err != nil {
			return err
		}
		raw, err := os.ReadFile(path)
		if name := filepath.ToSlash(rel); strings.HasPrefix(string(raw), fmt.Sprintf(generated, name)) {
			found[name] = string(raw)
		}
		return err
	})
	return found, err
}
