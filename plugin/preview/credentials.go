package preview

import (
	"context"
	"fmt"
	"path"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/seedling-dev/seedling/hooks/snapshot"
)

// Credentials says which Secrets of the platform's choice previews get.
type Credentials struct {
	// Namespace is where they are, those with label snapshot.LabelTestCredentials:
	// "true"; empty for none. Nothing else belongs there.
	Namespace string `json:"namespace"`
}

// copyable are the types of Secrets that are copied. Tokens of ServiceAccounts, of
// Helm and of bootstrapping are nobody's test credentials.
var copyable = map[corev1.SecretType]bool{
	corev1.SecretTypeOpaque: true, corev1.SecretTypeDockerConfigJson: true, corev1.SecretTypeDockercfg: true,
	corev1.SecretTypeBasicAuth: true, corev1.SecretTypeSSHAuth: true, corev1.SecretTypeTLS: true,
}

// credentials copies the platform's test credentials into a preview, where that was
// not done, or what is to be copied is another now. What a preview has is never
// read: its namespace says which copies, of which versions, there are.
func (n *Namespaces) credentials(ctx context.Context, ns *corev1.Namespace, p Preview) error {
	had := strings.Fields(ns.Annotations[snapshot.AnnotationCredentials])
	if n.Guards.Credentials.Namespace == "" && len(had) == 0 {
		return nil
	}
	wanted, err := n.wanted(ctx, p)
	if err != nil {
		return err
	}
	is := []string{}
	for i := range wanted {
		is = append(is, wanted[i].Name+"="+versionOf(&wanted[i]))
	}
	if slices.Equal(had, is) {
		return nil
	}
	for _, was := range had {
		name, _, _ := strings.Cut(was, "=")
		if !slices.Contains(is, was) {
			if err := n.uncopy(ctx, p.Namespace, name); err != nil {
				return err
			}
		}
	}
	for i := range wanted {
		if !slices.Contains(had, is[i]) {
			if err := n.copySecret(ctx, p.Namespace, &wanted[i]); err != nil {
				return err
			}
		}
	}
	before := ns.DeepCopy()
	if len(is) == 0 {
		delete(ns.Annotations, snapshot.AnnotationCredentials)
	} else {
		metav1.SetMetaDataAnnotation(&ns.ObjectMeta, snapshot.AnnotationCredentials, strings.Join(is, " "))
	}
	if err := n.Client.Patch(ctx, ns, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{})); err != nil {
		return fmt.Errorf("record which test credentials %s has: %w", p.Namespace, err)
	}
	return nil
}

// versionOf tells the versions of a Secret apart, without a word of what is in it.
func versionOf(s *corev1.Secret) string {
	return digest(string(s.UID), s.ResourceVersion)[:10]
}

// wanted are the Secrets that a preview is to have, by name.
func (n *Namespaces) wanted(ctx context.Context, p Preview) ([]corev1.Secret, error) {
	if n.Guards.Credentials.Namespace == "" {
		return nil, nil
	}
	var all corev1.SecretList
	err := n.Client.List(ctx, &all, client.InNamespace(n.Guards.Credentials.Namespace), client.MatchingLabels{snapshot.LabelTestCredentials: "true"})
	if err != nil {
		return nil, fmt.Errorf("list the test credentials of namespace %s: %w", n.Guards.Credentials.Namespace, err)
	}
	secrets := slices.DeleteFunc(all.Items, func(s corev1.Secret) bool {
		return !copyable[s.Type] && s.Type != "" || s.Name == SecretName || s.DeletionTimestamp != nil || !forRepository(&s, p.Repository)
	})
	slices.SortFunc(secrets, func(a, b corev1.Secret) int { return strings.Compare(a.Name, b.Name) })
	return secrets, nil
}

// forRepository says whether previews of a repository may have a Secret: those that
// its annotation names, as acme/shop or acme/*, or all where it names none.
func forRepository(s *corev1.Secret, repository string) bool {
	said, ok := s.Annotations[snapshot.AnnotationRepositories]
	return !ok || slices.ContainsFunc(strings.Fields(strings.ReplaceAll(said, ",", " ")), func(pattern string) bool {
		is, err := path.Match(strings.ToLower(pattern), strings.ToLower(repository))
		return err == nil && is
	})
}

// copySecret makes a copy in a preview. One of that name that was made here before is
// made anew; one that was not stays, and the admission policies refuse to touch it.
func (n *Namespaces) copySecret(ctx context.Context, namespace string, of *corev1.Secret) error {
	labels := n.labels()
	labels[snapshot.LabelTestCredentials] = "true"
	s := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: of.Name, Labels: labels}, Type: of.Type, Data: of.Data}
	err := n.Client.Create(ctx, s)
	if apierrors.IsAlreadyExists(err) {
		if err := n.uncopy(ctx, namespace, of.Name); err != nil {
			return fmt.Errorf("%w; if the pull request brings a Secret of that name, leave it out of its manifests", err)
		}
		s.ResourceVersion, s.UID = "", ""
		err = n.Client.Create(ctx, s)
	}
	if err != nil {
		return fmt.Errorf("copy the test credentials %s into %s: %w", of.Name, namespace, err)
	}
	return nil
}

// uncopy removes a copy.
func (n *Namespaces) uncopy(ctx context.Context, namespace, name string) error {
	err := n.Client.Delete(ctx, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}})
	if client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("remove the copy of the test credentials %s from %s: %w", name, namespace, err)
	}
	return nil
}
