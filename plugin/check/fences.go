package check

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/seedling-dev/seedling/plugin/argocd"
	"github.com/seedling-dev/seedling/plugin/fences"
)

const (
	fencesWhat = "fences"
	// fencesTimeout bounds all dry runs of an account.
	fencesTimeout = 2 * time.Minute
	// managerAccount is what an Argo CD elsewhere has in the clusters it deploys into.
	managerNamespace, managerAccount = "kube-system", "argocd-manager"
)

// Fences tries what hostile pull requests try, each object as a dry run as each
// account by which Argo CD writes, in two namespaces that are made for it, named
// after id, and removed again.
func (c *Cluster) Fences(ctx context.Context, as func(user string) (client.Client, error), id string) {
	if c.InPod {
		c.Report.Wrong(fencesWhat, "the plugin has no right to act as Argo CD's accounts, and gets none: run `plugin check --fences` from your own machine, with a KUBECONFIG that has it")
		return
	}
	projects, ok := c.previewsProjects(ctx)
	if !ok {
		return
	}
	accounts, ok := c.accounts(ctx, projects)
	if !ok {
		return
	}
	preview, bystander := fences.Namespaces(id)
	if !c.makeFenced(ctx, preview, bystander) {
		return
	}
	defer c.removeFenced(context.WithoutCancel(ctx), preview, bystander)
	remedy := c.remedy(ctx)
	for _, account := range accounts {
		as, err := as("system:serviceaccount:" + account.Namespace + ":" + account.Name)
		if err != nil {
			c.Report.Say(fencesWhat, "", err)
			continue
		}
		bounded, cancel := context.WithTimeout(ctx, fencesTimeout)
		replay := &fences.Replay{Kube: c.Kube, As: as, Preview: preview.Name, Bystander: bystander.Name, Projects: projects}
		all, skipped, err := replay.Run(bounded)
		cancel()
		if err != nil {
			c.Report.Say(fencesWhat, "", fmt.Errorf("as %s: %w", account, err))
			continue
		}
		c.tell(account, all, skipped, remedy)
	}
}

// previewsProjects are those of the previews' ApplicationSets.
func (c *Cluster) previewsProjects(ctx context.Context) (projects []*argocd.AppProject, ok bool) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	var sets argocd.ApplicationSetList
	if err := c.Kube.List(ctx, &sets, client.InNamespace(c.ArgoCD)); err != nil {
		c.Report.Say(fencesWhat, "", Refused(fmt.Errorf("list the ApplicationSets in namespace %s: %w", c.ArgoCD, err)))
		return nil, false
	}
	names := map[string]bool{}
	for i := range sets.Items {
		if len(generators(&sets.Items[i], c.ConfigMap)) > 0 {
			names[sets.Items[i].Spec.Template.Spec.Project] = true
		}
	}
	if len(names) == 0 {
		names["previews"] = true // as manifests/argocd calls it; there are no previews yet
	}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		project := &argocd.AppProject{}
		err := c.Kube.Get(ctx, client.ObjectKey{Namespace: c.ArgoCD, Name: name}, project)
		if apierrors.IsNotFound(err) {
			c.Report.Wrong(fencesWhat, "AppProject %s is not there: kubectl apply --server-side -k manifests/argocd", name)
			return nil, false
		}
		if err != nil {
			c.Report.Say(fencesWhat, "", Refused(fmt.Errorf("read AppProject %s: %w", name, err)))
			return nil, false
		}
		projects = append(projects, project)
	}
	return projects, true
}

// writers are the parts of Argo CD that write what Applications have, by the label
// of their pods.
var writers = []string{"argocd-application-controller", "argocd-server"}

// accounts are those by which Argo CD writes into this cluster. ok is false where
// there is none, or one that we may not act as, which is said.
func (c *Cluster) accounts(ctx context.Context, projects []*argocd.AppProject) (found []types.NamespacedName, ok bool) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	all := map[types.NamespacedName]bool{}
	add := func(pod *corev1.PodTemplateSpec) {
		if slices.Contains(writers, pod.Labels["app.kubernetes.io/name"]) {
			name := pod.Spec.ServiceAccountName
			if name == "" {
				name = "default"
			}
			all[types.NamespacedName{Namespace: c.ArgoCD, Name: name}] = true
		}
	}
	var deployments appsv1.DeploymentList
	var sets appsv1.StatefulSetList
	if err := errors.Join(c.Kube.List(ctx, &deployments, client.InNamespace(c.ArgoCD)), c.Kube.List(ctx, &sets, client.InNamespace(c.ArgoCD))); err != nil {
		c.Report.Say(fencesWhat, "", fmt.Errorf("look for Argo CD's accounts in namespace %s: %w", c.ArgoCD, err))
		return nil, false
	}
	for i := range deployments.Items {
		add(&deployments.Items[i].Spec.Template)
	}
	for i := range sets.Items {
		add(&sets.Items[i].Spec.Template)
	}
	manager := types.NamespacedName{Namespace: managerNamespace, Name: managerAccount}
	switch err := c.Kube.Get(ctx, manager, &corev1.ServiceAccount{}); {
	case err == nil:
		all[manager] = true
	case !apierrors.IsNotFound(err):
		c.Report.Say(fencesWhat, "", fmt.Errorf("look for ServiceAccount %s: %w", manager, err))
		return nil, false
	}
	for _, account := range c.impersonated(ctx, projects) {
		all[account] = true
	}
	if len(all) == 0 {
		c.Report.Wrong(fencesWhat, "no account of Argo CD's was found: namespace %s has no pods labelled app.kubernetes.io/name: %s, and there is no ServiceAccount %s: correct argocdNamespace",
			c.ArgoCD, strings.Join(writers, " or "), manager)
		return nil, false
	}
	for account := range all {
		found = append(found, account)
	}
	slices.SortFunc(found, func(a, b types.NamespacedName) int { return strings.Compare(a.String(), b.String()) })
	for _, account := range found {
		review := &authorizationv1.SelfSubjectAccessReview{Spec: authorizationv1.SelfSubjectAccessReviewSpec{ResourceAttributes: &authorizationv1.ResourceAttributes{
			Verb: "impersonate", Resource: "serviceaccounts", Namespace: account.Namespace, Name: account.Name,
		}}}
		if err := c.Kube.Create(ctx, review); err != nil {
			c.Report.Say(fencesWhat, "", fmt.Errorf("ask whether we may act as ServiceAccount %s: %w", account, err))
			return nil, false
		}
		if !review.Status.Allowed {
			c.Report.Wrong(fencesWhat, "this KUBECONFIG may not act as ServiceAccount %s (verb impersonate), so nothing was tried: run it as an administrator. Do not give the plugin that right", account)
			return nil, false
		}
	}
	return found, true
}

// impersonated are the accounts that Argo CD acts as in previews, where it is told
// to act as others.
func (c *Cluster) impersonated(ctx context.Context, projects []*argocd.AppProject) (all []types.NamespacedName) {
	data, ok := c.readConfigMap(ctx, fencesWhat, settingsName)
	if !ok || data["application.sync.impersonation.enabled"] != "true" {
		return nil
	}
	for _, project := range projects {
		for _, d := range project.Spec.DestinationServiceAccounts {
			namespace, name, whole := strings.Cut(d.DefaultServiceAccount, ":")
			if !whole {
				// One of each preview: no other namespace has its rights.
				c.Report.Unseen(fencesWhat, "Argo CD acts as ServiceAccount "+d.DefaultServiceAccount+" of each preview's own namespace", "name one account with its namespace in AppProject "+project.Name)
				continue
			}
			all = append(all, types.NamespacedName{Namespace: namespace, Name: name})
		}
	}
	return all
}

// makeFenced makes the namespaces, and waits until they have what every namespace
// has, which the attacks try to take over.
func (c *Cluster) makeFenced(ctx context.Context, namespaces ...*corev1.Namespace) bool {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	c.leftFenced(ctx)
	for i, n := range namespaces {
		err := c.Kube.Create(ctx, n.DeepCopy())
		if err == nil {
			err = c.waitFenced(ctx, n.Name)
		}
		if err != nil {
			c.Report.Say(fencesWhat, "", Refused(fmt.Errorf("make namespace %s, in which attacks are tried as dry runs: %w", n.Name, err)))
			c.removeFenced(context.WithoutCancel(ctx), namespaces[:i+1]...)
			return false
		}
	}
	return true
}

func (c *Cluster) waitFenced(ctx context.Context, namespace string) error {
	for {
		err := errors.Join(
			c.Kube.Get(ctx, client.ObjectKey{Namespace: namespace, Name: "kube-root-ca.crt"}, &corev1.ConfigMap{}),
			c.Kube.Get(ctx, client.ObjectKey{Namespace: namespace, Name: "default"}, &corev1.ServiceAccount{}),
		)
		if err == nil {
			return nil
		}
		timer := time.NewTimer(100 * time.Millisecond)
		select {
		case <-ctx.Done():
			timer.Stop()
			return fmt.Errorf("it has not got what every namespace has: %w", err)
		case <-timer.C:
		}
	}
}

// leftFenced names the namespaces of a run that was killed.
func (c *Cluster) leftFenced(ctx context.Context) {
	var all metav1.PartialObjectMetadataList
	all.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("NamespaceList"))
	if err := c.Kube.List(ctx, &all, client.HasLabels{fences.Label}); err != nil {
		c.Report.Note("%s: namespaces of earlier runs could not be looked for: %v", fencesWhat, err)
		return
	}
	for _, n := range all.Items {
		if n.DeletionTimestamp == nil {
			c.Report.Note("namespace %s is another run's: unless that goes on, `kubectl delete namespace %s`", n.Name, n.Name)
		}
	}
}

func (c *Cluster) removeFenced(ctx context.Context, namespaces ...*corev1.Namespace) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	for _, n := range namespaces {
		if err := client.IgnoreNotFound(c.Kube.Delete(ctx, n.DeepCopy())); err != nil {
			c.Report.Say(fencesWhat, "", fmt.Errorf("remove namespace %s, which has nothing in it: %w: `kubectl delete namespace %s`", n.Name, err, n.Name))
		}
	}
}

// remedy is what closes a fence that is open.
func (c *Cluster) remedy(ctx context.Context) string {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	const apply = "kubectl apply --server-side -k your overlay of manifests/plugin, of this plugin's version"
	missing, err := c.notActing(ctx, Policies)
	switch {
	case err != nil:
		return apply
	case len(missing) > 0:
		return strings.Join(missing, ", ") + " do not act: " + apply
	}
	return "all policies act, so one of them is an older one, or lets it through by its values in ConfigMap " + c.Namespace + "/seedling-policies: " + apply + ", and look through your values"
}

// notActing are the policies that are not there, or bound without Deny.
func (c *Cluster) notActing(ctx context.Context, names []string) ([]string, error) {
	var policies admissionv1.ValidatingAdmissionPolicyList
	var bindings admissionv1.ValidatingAdmissionPolicyBindingList
	if err := errors.Join(c.Kube.List(ctx, &policies), c.Kube.List(ctx, &bindings)); err != nil {
		return nil, err
	}
	return notActing(policies.Items, bindings.Items, names), nil
}

// tell writes a line for each object, and what they come to.
func (c *Cluster) tell(account types.NamespacedName, all []fences.Tried, skipped fences.Skipped, remedy string) {
	who := "ServiceAccount " + account.String()
	harmless := func(t fences.Tried) bool { return t.Verdict == fences.Passed || t.Verdict == fences.Blocked }
	if !slices.ContainsFunc(all, func(t fences.Tried) bool { return harmless(t) && !t.NoRight }) {
		c.Report.Note("%s: %s may make nothing in a preview, so no attack reaches a fence by it", fencesWhat, who)
		return
	}
	c.Report.Note("%s, as %s:", fencesWhat, who)
	counts := map[fences.Verdict]int{}
	for _, t := range all {
		counts[t.Verdict]++
		what := t.Attack.Name + ": " + t.Object
		switch t.Verdict {
		case fences.Refused:
			c.Report.Refused(what, t.By)
		case fences.Open:
			c.Report.Open(what, "nothing refuses it, which is against %s: %s", t.Attack.Against, remedy)
		case fences.Blocked:
			c.Report.Wrong(fencesWhat, "%s is harmless and refused, so refusals of attacks prove nothing: %v", what, t.Err)
		case fences.Unclear:
			c.Report.Wrong(fencesWhat, "%s was refused by something else than what says %q, so nobody knows whether that is there: %v", what, t.Words, t.Err)
		case fences.Passed: // as it should
		}
	}
	c.Report.Note("%s: %d objects of attacks were refused, %d OPEN, and %d harmless ones passed, all as dry runs", fencesWhat, counts[fences.Refused], counts[fences.Open], counts[fences.Passed])
	for _, why := range slices.Sorted(maps.Keys(skipped)) {
		c.Report.Note("%s: not tried, for no dry run tells: %s (%d)", fencesWhat, why, skipped[why])
	}
}
