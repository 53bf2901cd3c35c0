package check

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/version"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

const (
	settingsName   = "argocd-cm"
	parametersName = "argocd-cmd-params-cm"
	hardening      = "section Hardening of manifests/argocd/README.md"
)

// set is the command that changes a key of a ConfigMap of Argo CD's.
func (c *Cluster) set(name, key, value string) string {
	return fmt.Sprintf(`kubectl -n %s patch configmap %s --type=merge -p '{"data":{%q:%q}}'`, c.ArgoCD, name, key, value)
}

// readConfigMap reads one of Argo CD's ConfigMaps. One that is not there has no
// keys; ok is false where it could not be read, which is then reported.
func (c *Cluster) readConfigMap(ctx context.Context, what, name string) (data map[string]string, ok bool) {
	var m corev1.ConfigMap
	err := c.Kube.Get(ctx, client.ObjectKey{Namespace: c.ArgoCD, Name: name}, &m)
	if apierrors.IsNotFound(err) {
		return nil, true
	}
	return m.Data, c.may(what, "read ConfigMap "+name+" in namespace "+c.ArgoCD, err)
}

// settings looks at what argocd-cm says for the whole Argo CD.
func (c *Cluster) settings(ctx context.Context) {
	data, ok := c.readConfigMap(ctx, "Argo CD's tracking, tools and web terminal", settingsName)
	if !ok {
		return
	}
	c.tracking(ctx, data["application.resourceTrackingMethod"])

	// Every tool is on unless a key says something else than true.
	off := func(tool string) bool { v := data[tool+".enable"]; return v != "" && v != "true" }
	if off("jsonnet") {
		c.Report.Say("jsonnet", ": off", nil)
	} else {
		c.Report.Wrong("jsonnet", "it is on: a pull request's jsonnet reads the repo-server's files and environment, and one that never ends stops everybody's manifests: %s, or follow %s",
			c.set(settingsName, "jsonnet.enable", "false"), hardening)
	}
	if schemes, named := data["helm.valuesFileSchemes"]; off("helm") {
		c.Report.Say("Helm", ": off", nil)
	} else if !named || strings.Trim(schemes, ", ") != "" {
		c.Report.Wrong("Helm", "it is on, and a pull request's .argocd-source.yaml may have values fetched from any URL that the repo-server reaches: %s; where no preview is a chart: %s",
			c.set(settingsName, "helm.valuesFileSchemes", ""), c.set(settingsName, "helm.enable", "false"))
	} else {
		c.Report.Say("Helm", ": on, without values from URLs", nil)
	}
	if data["exec.enabled"] == "true" {
		c.Report.Wrong("web terminal", "it is on: Argo CD opens shells in pods, those of a seed among them, for whoever its roles let: %s", c.set(settingsName, "exec.enabled", "false"))
	} else {
		c.Report.Say("web terminal", ": off", nil)
	}
	c.buildOptions(data)
}

// tracking looks for the annotation that the admission policies go by.
func (c *Cluster) tracking(ctx context.Context, method string) {
	const what = "tracking"
	key := "application.resourceTrackingMethod"
	switch method {
	case "annotation", "annotation+label":
		c.Report.Say(what, ": "+method, nil)
	case "":
		// Annotations are the default of 3.0 and newer.
		d, err := c.findRepoServer(ctx)
		if err == nil && d != nil {
			if v, ok := imageVersion(repoServerContainer(d).Image); ok && v.AtLeast(version.MustParseGeneric("3.0")) {
				c.Report.Say(what, ": annotation, the default of Argo CD "+v.String(), nil)
				return
			}
		}
		c.Report.Wrong(what, "no method is set, and before Argo CD 3.0 that is label, with which the policies refuse every sync of a preview: %s", c.set(settingsName, key, "annotation"))
	default:
		c.Report.Wrong(what, "%s writes no tracking id, by which the policies keep previews apart, so they refuse every sync of one: %s", method, c.set(settingsName, key, "annotation"))
	}
}

// buildOptions looks for options that let a kustomization run programs or read
// beyond its repository.
func (c *Cluster) buildOptions(data map[string]string) {
	const what = "kustomize"
	for _, key := range slices.Sorted(maps.Keys(data)) {
		if !strings.HasPrefix(key, "kustomize.buildOptions") {
			continue
		}
		for _, option := range []string{"--enable-alpha-plugins", "--enable-exec", "LoadRestrictionsNone"} {
			if strings.Contains(data[key], option) {
				c.Report.Wrong(what, "%s of ConfigMap %s has %s, with which a pull request's kustomization runs programs of its own or reads the repo-server's files: take it out", key, settingsName, option)
				return
			}
		}
	}
	c.Report.Say(what, ": no option that runs programs or reads beyond the repository", nil)
}

// repoServerName is the label of its pods, in upstream's manifests and its
// chart.
const repoServerName = "argocd-repo-server"

// findRepoServer is nil where there is none.
func (c *Cluster) findRepoServer(ctx context.Context) (*appsv1.Deployment, error) {
	var all appsv1.DeploymentList
	if err := c.Kube.List(ctx, &all, client.InNamespace(c.ArgoCD)); err != nil {
		return nil, err
	}
	for i := range all.Items {
		if all.Items[i].Spec.Template.Labels["app.kubernetes.io/name"] == repoServerName {
			return &all.Items[i], nil
		}
	}
	return nil, nil //nolint:nilnil // there is none, which the caller says in its words
}

// repoServerContainer is the one that makes manifests.
func repoServerContainer(d *appsv1.Deployment) *corev1.Container {
	containers := d.Spec.Template.Spec.Containers
	for i := range containers {
		if strings.HasSuffix(containers[i].Name, "repo-server") {
			return &containers[i]
		}
	}
	if len(containers) == 0 {
		return &corev1.Container{}
	}
	return &containers[0]
}

// repoServer looks at what a pull request's manifests are made by.
func (c *Cluster) repoServer(ctx context.Context) {
	const what = "repo-server"
	d, err := c.findRepoServer(ctx)
	if !c.may(what, "list Deployments in namespace "+c.ArgoCD, err) {
		return
	}
	if d == nil {
		c.Report.Wrong(what, "namespace %s has no Deployment whose pods are labelled app.kubernetes.io/name: %s, so it is not where Argo CD is: correct argocdNamespace", c.ArgoCD, repoServerName)
		return
	}
	container := repoServerContainer(d)
	c.submodules(ctx, d, container)
	c.remoteBases(container)
	c.sidecars(d, container)
	if container.Resources.Limits.Memory().IsZero() {
		c.Report.Wrong("memory of the repo-server", "container %s of Deployment %s has no limit, so one pull request's manifests may use up its node: follow %s", container.Name, d.Name, hardening)
	} else {
		c.Report.Say("memory of the repo-server", ": at most "+container.Resources.Limits.Memory().String(), nil)
	}
	c.egress(ctx, d)
}

// submodules looks at whether a checkout fetches them. The default is yes.
func (c *Cluster) submodules(ctx context.Context, d *appsv1.Deployment, container *corev1.Container) {
	const what = "submodules"
	value := ""
	for _, e := range container.Env {
		if e.Name != "ARGOCD_GIT_MODULES_ENABLED" {
			continue
		}
		value = e.Value
		if ref := e.ValueFrom; ref != nil && ref.ConfigMapKeyRef != nil {
			data, ok := c.readConfigMap(ctx, what, ref.ConfigMapKeyRef.Name)
			if !ok {
				return
			}
			value = data[ref.ConfigMapKeyRef.Key]
		}
	}
	if value == "false" || value == "0" {
		c.Report.Say(what, ": off", nil)
		return
	}
	c.Report.Wrong(what, "they are fetched from wherever a pull request's .gitmodules says, and who answers there is handed the repository's credential: %s && kubectl -n %s rollout restart deployment %s",
		c.set(parametersName, "reposerver.enable.git.submodule", "false"), c.ArgoCD, d.Name)
}

// remoteBases looks for the Git configuration that refuses them.
func (c *Cluster) remoteBases(container *corev1.Container) {
	const what = "remote bases"
	if slices.ContainsFunc(container.Env, func(e corev1.EnvVar) bool { return e.Name == "GIT_CONFIG_GLOBAL" && e.Value != "" }) {
		c.Report.Say(what, ": the repo-server has a Git configuration of its own for them", nil)
		return
	}
	c.Report.Wrong(what, "a pull request's kustomization may name a base at any host, and that host is handed the repository's credential: follow %s", hardening)
}

// sidecars looks for config management plugins, which no setting turns off.
func (c *Cluster) sidecars(d *appsv1.Deployment, repoServer *corev1.Container) {
	const what = "config management plugins"
	var names []string
	for _, container := range d.Spec.Template.Spec.Containers {
		runs := strings.Join(append(slices.Clone(container.Command), container.Args...), " ")
		if container.Name != repoServer.Name && (strings.Contains(runs, "argocd-cmp-server") ||
			slices.ContainsFunc(container.VolumeMounts, func(m corev1.VolumeMount) bool {
				return strings.HasPrefix(m.MountPath, "/home/argocd/cmp-server")
			})) {
			names = append(names, container.Name)
		}
	}
	if len(names) == 0 {
		c.Report.Say(what, ": none", nil)
		return
	}
	c.Report.Wrong(what, "any pull request may have its manifests made by %s (Deployment %s): no setting of Argo CD keeps a plugin to some repositories, so give previews an Argo CD without plugins, or see that these do no harm with hostile input",
		strings.Join(names, ", "), d.Name)
}

// egress looks for a NetworkPolicy that says where the repo-server connects to.
func (c *Cluster) egress(ctx context.Context, d *appsv1.Deployment) {
	const what = "egress of the repo-server"
	var all networkingv1.NetworkPolicyList
	err := c.Kube.List(ctx, &all, client.InNamespace(c.ArgoCD))
	if !c.may(what, "list NetworkPolicies in namespace "+c.ArgoCD, err) {
		return
	}
	for _, p := range all.Items {
		selector, err := metav1.LabelSelectorAsSelector(&p.Spec.PodSelector)
		if err != nil || !selector.Matches(labels.Set(d.Spec.Template.Labels)) || !slices.Contains(p.Spec.PolicyTypes, networkingv1.PolicyTypeEgress) {
			continue
		}
		if slices.ContainsFunc(p.Spec.Egress, everywhere) {
			c.Report.Wrong(what, "NetworkPolicy %s lets it connect everywhere: name the Git host, Redis and DNS, see %s", p.Name, hardening)
			return
		}
		c.Report.Say(what, ": by NetworkPolicy "+p.Name+" (see --probe for whether the cluster enforces it)", nil)
		return
	}
	c.Report.Wrong(what, "no NetworkPolicy says where it may connect to: a pull request's bases and charts reach the metadata address and hosts of its author: follow %s", hardening)
}

// everywhere says that a rule names no destination, or all of them.
func everywhere(r networkingv1.NetworkPolicyEgressRule) bool {
	return len(r.To) == 0 && len(r.Ports) == 0 || slices.ContainsFunc(r.To, func(p networkingv1.NetworkPolicyPeer) bool {
		return p.IPBlock != nil && len(p.IPBlock.Except) == 0 && strings.HasSuffix(p.IPBlock.CIDR, "/0")
	})
}
