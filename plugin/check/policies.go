package check

import (
	"context"
	"fmt"
	"slices"
	"strings"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Policies are the admission policies of manifests/plugin/policies.
var Policies = []string{
	"seedling-backups",
	"seedling-deletebackuprequests",
	"seedling-plugin-applications",
	"seedling-plugin-grants",
	"seedling-plugin-hooks",
	"seedling-plugin-postgres",
	"seedling-plugin-writes",
	"seedling-preview-namespaces",
	"seedling-previews-budgets",
	"seedling-previews-certificates",
	"seedling-previews-confined",
	"seedling-previews-deletions",
	"seedling-previews-external-secrets",
	"seedling-previews-finalizers",
	"seedling-previews-ingresses",
	"seedling-previews-kinds",
	"seedling-previews-monitors",
	"seedling-previews-pods",
	"seedling-previews-routes",
	"seedling-previews-services",
	"seedling-previews-sizes",
	"seedling-previews-tracked",
	"seedling-restores",
	"seedling-seed-confined",
	"seedling-seed-jobs",
	"seedling-slots",
	"seedling-slots-assigned",
	"seedling-volume-provenance",
}

// policies looks at whether every policy is there and refuses.
func (c *Cluster) policies(ctx context.Context) {
	const what = "admission policies"
	var policies admissionv1.ValidatingAdmissionPolicyList
	var bindings admissionv1.ValidatingAdmissionPolicyBindingList
	err := c.Kube.List(ctx, &policies)
	if err == nil {
		err = c.Kube.List(ctx, &bindings)
	}
	if !c.may(what, "list ValidatingAdmissionPolicies and their bindings", err) {
		return
	}
	there := map[string]*admissionv1.ValidatingAdmissionPolicy{}
	for i := range policies.Items {
		there[policies.Items[i].Name] = &policies.Items[i]
	}
	names, from := Policies, "manifests/plugin/policies"
	if c.Direct {
		names, from = slices.Concat(Policies, DirectPolicies), "your overlay of manifests/plugin, with the component direct"
	}
	missing := notActing(policies.Items, bindings.Items, names)
	if len(missing) > 0 {
		c.Report.Wrong(what, "%s are not there, or bound without Deny, so what they stop is not stopped: kubectl apply --server-side -k %s", strings.Join(missing, ", "), from)
		return
	}
	// Two take their names from the component names, and not from the ConfigMap.
	writes, confined := expressions(there["seedling-plugin-writes"]), expressions(there["seedling-seed-confined"])
	for _, n := range []struct{ in, word, value string }{
		{writes, "'" + c.ArgoCD + "'", "Argo CD's namespace " + c.ArgoCD},
		{writes, "'" + c.Velero + "'", "Velero's namespace " + c.Velero},
		{confined, "'system:serviceaccount:" + c.ArgoCD + ":'", "Argo CD's namespace " + c.ArgoCD},
	} {
		if !strings.Contains(n.in, n.word) {
			c.Report.Wrong(what, "seedling-plugin-writes and seedling-seed-confined do not know %s, so the plugin's writes or none of Argo CD's are refused: add the component manifests/plugin/names to your overlay", n.value)
			return
		}
	}
	c.Report.Say(what, fmt.Sprintf(": all %d act", len(names)), nil)
}

// notActing are those of some policies that are not there, or bound without Deny.
func notActing(policies []admissionv1.ValidatingAdmissionPolicy, bindings []admissionv1.ValidatingAdmissionPolicyBinding, names []string) (missing []string) {
	there, acting := map[string]bool{}, map[string]bool{}
	for i := range policies {
		there[policies[i].Name] = true
	}
	for _, b := range bindings {
		if slices.Contains(b.Spec.ValidationActions, admissionv1.Deny) {
			acting[b.Spec.PolicyName] = true
		}
	}
	for _, name := range names {
		if !there[name] || !acting[name] {
			missing = append(missing, name)
		}
	}
	return missing
}

// expressions are a policy's variables and conditions, one text.
func expressions(p *admissionv1.ValidatingAdmissionPolicy) string {
	var text strings.Builder
	for _, v := range p.Spec.Variables {
		text.WriteString(v.Expression + "\n")
	}
	for _, m := range p.Spec.MatchConditions {
		text.WriteString(m.Expression + "\n")
	}
	return text.String()
}

// values compares what the policies take as values with the configuration.
func (c *Cluster) values(ctx context.Context) {
	const name = "seedling-policies"
	what := "values of the policies"
	var m corev1.ConfigMap
	err := c.Kube.Get(ctx, client.ObjectKey{Namespace: c.Namespace, Name: name}, &m)
	if apierrors.IsNotFound(err) {
		c.Report.Wrong(what, "ConfigMap %s/%s is not there, so nothing can be written into a preview: kubectl apply --server-side -k manifests/plugin/policies", c.Namespace, name)
		return
	}
	if !c.may(what, "read ConfigMap "+name+" in namespace "+c.Namespace, err) {
		return
	}
	mend := func(key, value string) string {
		return fmt.Sprintf(`kubectl -n %s patch configmap %s --type=merge -p '{"data":{%q:%q}}', and the same in your overlay`, c.Namespace, name, key, value)
	}
	controllers := strings.Fields(m.Data["controllers"])
	switch {
	case m.Data["argocd"] != c.ArgoCD:
		c.Report.Wrong(what, "argocd is %q and the configuration's argocdNamespace %q, so what Argo CD writes without a tracking id would pass: %s", m.Data["argocd"], c.ArgoCD, mend("argocd", c.ArgoCD))
	case m.Data["velero"] != c.Velero:
		c.Report.Wrong(what, "velero is %q and the configuration's veleroNamespace %q, so Velero may restore no volume: %s", m.Data["velero"], c.Velero, mend("velero", c.Velero))
	case slices.Contains(controllers, c.ArgoCD):
		c.Report.Wrong(what, "controllers names %s, Argo CD's namespace, so the policies let everything of it through: take it out", c.ArgoCD)
	case !slices.Contains(controllers, c.Velero) || !slices.Contains(controllers, c.Namespace):
		c.Report.Wrong(what, "controllers lacks %s or %s, so restores and guards are refused: %s", c.Velero, c.Namespace,
			mend("controllers", strings.TrimSpace(m.Data["controllers"]+" "+c.Namespace+" "+c.Velero)))
	default:
		c.Report.Say(what, ": Argo CD in "+c.ArgoCD+", Velero in "+c.Velero, nil)
	}
}
