package fences

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/seedling-dev/seedling/hooks/snapshot"
	"github.com/seedling-dev/seedling/plugin/argocd"
)

// Verdict is what came of one object.
type Verdict string

// The verdicts. Of an attack's object the first two are possible, of a harmless
// one the next two, and Unclear of both.
const (
	Refused Verdict = "refused"
	Open    Verdict = "open"
	Passed  Verdict = "passed"
	Blocked Verdict = "blocked"
	Unclear Verdict = "unclear"
)

// Tried is one object, and what came of it.
type Tried struct {
	Attack Attack
	// Object is Kind/name, or Kind/namespace/name.
	Object  string
	Verdict Verdict
	// By is who refused it, in words.
	By string
	// NoRight says that it was refused because the account has no right at all to
	// such a thing.
	NoRight bool
	// Words are those of the refusal that was expected.
	Words string
	// Err is what the API server said of one that is Blocked or Unclear.
	Err error
}

// Replay is where the attacks are tried.
type Replay struct {
	// Kube is whoever runs it; as an account, what is only a dry run is done.
	Kube, As client.Client
	// Preview and Bystander are namespaces that look like those of two previews.
	Preview, Bystander string
	// Projects are those that have previews.
	Projects []*argocd.AppProject
}

// Skipped is how many objects were not tried, by why an API server alone cannot
// judge them.
type Skipped map[string]int

// Run tries every attack, and counts the objects that were not tried by why.
func (r *Replay) Run(ctx context.Context) (all []Tried, skipped Skipped, err error) {
	names, err := Names()
	if err != nil {
		return nil, nil, err
	}
	v := Values{
		Preview: r.Preview, Bystander: r.Bystander, Host: Host(r.Preview),
		Image: "example.com/image:1", Storage: "192.0.2.1", // no pod ever runs, and nobody connects
	}
	skipped = Skipped{}
	for _, name := range names {
		a, err := Read(name, v)
		if err != nil {
			return nil, nil, fmt.Errorf("read attack %s: %w", name, err)
		}
		objects, err := objectsOf(name, v)
		if err != nil {
			return nil, nil, fmt.Errorf("read attack %s: %w", name, err)
		}
		if len(objects) == 0 {
			skipped["what Argo CD's repo-server fetches and builds"]++
		}
		for _, u := range objects {
			_, o, ok := a.OutcomeOf(u)
			if why := o.untried(); !ok || why != "" {
				if why != "" {
					skipped[why]++
				}
				continue
			}
			tried, err := r.try(ctx, u, o)
			if err != nil {
				return nil, nil, fmt.Errorf("attack %s, %s: %w", name, nameOf(u), err)
			}
			tried.Attack, tried.Object = a, nameOf(u)
			all = append(all, tried)
		}
	}
	return all, skipped, nil
}

// untried is why an object with such an outcome is not tried; "" where it is.
func (o Outcome) untried() string {
	switch words := o.expected(); {
	case o.Pods != "":
		return "what controllers make of a preview's objects"
	case o.Some != "", strings.Contains(words, "exceeded quota"):
		return "quotas, which are each preview's own"
	case o.AtEnd:
		return "what is made when a preview ends"
	}
	return ""
}

// expected are the words of the refusal; "" for an object that is made.
func (o Outcome) expected() string { return o.Refused + o.Unchanged }

// try is one object as Argo CD would write it.
func (r *Replay) try(ctx context.Context, u *unstructured.Unstructured, o Outcome) (Tried, error) {
	tried := Tried{Words: o.expected()}
	mapping, err := r.Kube.RESTMapper().RESTMapping(u.GroupVersionKind().GroupKind(), u.GroupVersionKind().Version)
	switch {
	case meta.IsNoMatchError(err) && tried.Words != "":
		tried.Verdict, tried.By = Refused, "the API server, which has no such kind"
		return tried, nil
	case err != nil:
		return tried, err
	}
	u = u.DeepCopy()
	namespaced := mapping.Scope.Name() == meta.RESTScopeNameNamespace
	switch {
	case !namespaced:
		u.SetNamespace("")
	case u.GetNamespace() == "":
		u.SetNamespace(r.Preview)
	}
	annotations := u.GetAnnotations()
	if annotations == nil {
		annotations = map[string]string{}
	}
	// The repo-server writes it, over any that the author wrote.
	annotations[trackingID] = fmt.Sprintf("%s:%s/%s:%s/%s", r.Preview, mapping.GroupVersionKind.Group, u.GetKind(), u.GetNamespace(), u.GetName())
	u.SetAnnotations(annotations)

	answer := r.write(ctx, u)
	if answer == nil && strings.Contains(tried.Words, "may not delete") {
		answer = r.remove(ctx, u)
	}
	return r.judge(tried, u, namespaced, answer)
}

const trackingID = "argocd.argoproj.io/tracking-id"

func (r *Replay) write(ctx context.Context, u *unstructured.Unstructured) error {
	if strings.Contains(u.GetAnnotations()["argocd.argoproj.io/sync-options"], "ServerSideApply=true") {
		return r.As.Patch(ctx, u, client.Apply, client.FieldOwner("argocd-controller"), client.ForceOwnership, client.DryRunAll)
	}
	return r.As.Create(ctx, u, client.DryRunAll)
}

// remove tries to delete what has the object's name, where there is such a thing.
func (r *Replay) remove(ctx context.Context, u *unstructured.Unstructured) error {
	err := r.As.Delete(ctx, u, client.DryRunAll)
	return client.IgnoreNotFound(err)
}

// judge says what the API server's answer means.
func (r *Replay) judge(tried Tried, u *unstructured.Unstructured, namespaced bool, answer error) (Tried, error) {
	if errors.Is(answer, context.Canceled) || errors.Is(answer, context.DeadlineExceeded) {
		return tried, answer
	}
	said := ""
	if answer != nil {
		said = answer.Error()
	}
	policy := policyOf(said)
	passes := answer == nil || apierrors.IsAlreadyExists(answer) // storage says so, which comes after admission
	switch {
	case tried.Words == "" && passes:
		tried.Verdict = Passed
	case tried.Words == "":
		tried.Verdict, tried.Err, tried.NoRight = Blocked, answer, noRight(answer)
	case passes && ofProject(tried.Words) && !r.permitted(u.GroupVersionKind().GroupKind(), namespaced):
		tried.Verdict, tried.By = Refused, "Argo CD's project"
	case passes:
		tried.Verdict = Open
	case policy != "" && (Match(said, tried.Words) || ofProject(tried.Words)):
		tried.Verdict, tried.By = Refused, policy
	case noRight(answer):
		tried.Verdict, tried.By, tried.NoRight = Refused, "the account's rights", true
	case Match(said, tried.Words):
		tried.Verdict, tried.By = Refused, "the API server"
	default:
		tried.Verdict, tried.Err = Unclear, answer
	}
	return tried, nil
}

// permitted says whether any project with previews lets a kind through.
func (r *Replay) permitted(kind schema.GroupKind, namespaced bool) bool {
	return slices.ContainsFunc(r.Projects, func(p *argocd.AppProject) bool { return p.IsGroupKindPermitted(kind, namespaced) })
}

var ofPolicy = regexp.MustCompile(`ValidatingAdmissionPolicy '(seedling-[a-z-]+)'`)

// policyOf is the policy of ours that refused; "" where none did.
func policyOf(said string) string {
	m := ofPolicy.FindStringSubmatch(said)
	if m == nil {
		return ""
	}
	return m[1]
}

// noRight says that an account may not do such a thing at all, whatever the object
// is.
func noRight(err error) bool {
	return apierrors.IsForbidden(err) && strings.Contains(err.Error(), " cannot ")
}

// ofProject says whether Argo CD itself refuses by these words, before it asks an
// API server. Where it would not, a policy of ours does, with other words.
func ofProject(words string) bool {
	return slices.ContainsFunc([]string{"not permitted", "Shared resource found"}, func(w string) bool { return strings.Contains(words, w) })
}

// Label is on the namespaces that a replay makes.
const Label = "seedling.dev/fences"

// Host is the host of a preview's Ingresses.
func Host(preview string) string { return preview + ".previews.example.com" }

// Namespaces are the two that a replay needs, named after id, which is ten
// hexadecimal digits. They are nobody's preview: no plugin has the owner's name.
func Namespaces(id string) (preview, bystander *corev1.Namespace) {
	look := func(number string) *corev1.Namespace {
		name := "preview-fences-" + number + "-" + id
		return &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{
			Name:        name,
			Labels:      map[string]string{snapshot.LabelPreview: number, snapshot.LabelOwner: "plugin-check", Label: "true", "app.kubernetes.io/part-of": "seedling"},
			Annotations: map[string]string{snapshot.AnnotationHost: Host(name)},
		}}
	}
	return look("1"), look("2")
}
