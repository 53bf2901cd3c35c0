package postgres

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"sync"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/seedling-dev/seedling/hooks/snapshot"
	"github.com/seedling-dev/seedling/plugin/preview"
)

const (
	// TemplateName is the PodTemplate, in the plugin's namespace, that previews'
	// Postgres is made from. One named TemplateName-<seed> is that of the seed's
	// previews instead: another major version, extensions, more memory.
	TemplateName = "preview-postgres"
	// annotationTemplate is a digest of the template that a StatefulSet was made
	// from.
	annotationTemplate = "seedling.dev/template"
	// templateFor is how long a template that was read counts.
	templateFor = 5 * time.Second

	port = 5432
)

// template is one PodTemplate.
type template struct {
	name, digest string
	spec         corev1.PodTemplateSpec
}

// templates are read when they are needed.
type templates struct {
	client    client.Client
	namespace string

	mu   sync.Mutex
	read map[string]readTemplate // by seed
}

type readTemplate struct {
	template template
	at       time.Time
}

// of is the template of a seed's previews.
func (t *templates) of(ctx context.Context, seed string) (template, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if r, ok := t.read[seed]; ok && time.Since(r.at) < templateFor {
		return r.template, nil
	}
	is, err := TemplateOf(ctx, t.client, t.namespace, seed)
	if err != nil {
		return template{}, err
	}
	text, err := json.Marshal(is.Template)
	if err != nil {
		return template{}, fmt.Errorf("read PodTemplate %s/%s: %w", t.namespace, is.Name, err)
	}
	sum := sha256.Sum256(text)
	made := template{name: is.Name, digest: hex.EncodeToString(sum[:])[:32], spec: is.Template}
	t.read[seed] = readTemplate{made, time.Now()}
	return made, nil
}

// TemplateOf reads the template of a seed's previews in the plugin's namespace.
// That there is none is a sentence.
func TemplateOf(ctx context.Context, c client.Client, namespace, seed string) (*corev1.PodTemplate, error) {
	var is corev1.PodTemplate
	err := c.Get(ctx, types.NamespacedName{Namespace: namespace, Name: TemplateName + "-" + seed}, &is)
	if apierrors.IsNotFound(err) {
		err = c.Get(ctx, types.NamespacedName{Namespace: namespace, Name: TemplateName}, &is)
	}
	switch {
	case apierrors.IsNotFound(err):
		return nil, refusal{text: fmt.Sprintf("the platform has no template for a preview's Postgres (PodTemplate %s in namespace %s): apply manifests/plugin, or set `postgres: own` in the ApplicationSet", TemplateName, namespace)}
	case err != nil:
		return nil, fmt.Errorf("read PodTemplate %s/%s: %w", namespace, TemplateName, err)
	}
	return &is, nil
}

// selector are the labels of the pod, which no pod of a pull request has by
// chance.
var selector = map[string]string{"app.kubernetes.io/name": snapshot.Postgres, "app.kubernetes.io/part-of": "seedling"}

func meta(p preview.Preview, owner string) metav1.ObjectMeta {
	labels := maps.Clone(selector)
	labels[snapshot.LabelOwner], labels[snapshot.LabelPostgres] = owner, snapshot.PostgresPlatform
	return metav1.ObjectMeta{Namespace: p.Namespace, Name: snapshot.Postgres, Labels: labels}
}

// statefulSet is a preview's. Its claim is among the template's volumes.
func statefulSet(p preview.Preview, owner string, from template) *appsv1.StatefulSet {
	one := int32(1)
	set := &appsv1.StatefulSet{
		TypeMeta: metav1.TypeMeta{APIVersion: "apps/v1", Kind: "StatefulSet"}, ObjectMeta: meta(p, owner),
		Spec: appsv1.StatefulSetSpec{
			ServiceName: snapshot.Postgres,
			Replicas:    &one,
			// Ordered updates would wait for a broken pod to be ready, and never bring
			// its repair.
			PodManagementPolicy: appsv1.ParallelPodManagement,
			Selector:            &metav1.LabelSelector{MatchLabels: maps.Clone(selector)},
			Template:            *from.spec.DeepCopy(),
		},
	}
	set.Annotations = map[string]string{annotationTemplate: from.digest}
	if set.Spec.Template.Labels == nil {
		set.Spec.Template.Labels = map[string]string{}
	}
	maps.Copy(set.Spec.Template.Labels, selector)
	return set
}

// service is a preview's: a name for the pod, which Postgres is reached by.
func service(p preview.Preview, owner string) *corev1.Service {
	return &corev1.Service{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Service"}, ObjectMeta: meta(p, owner),
		Spec: corev1.ServiceSpec{
			ClusterIP: corev1.ClusterIPNone,
			Selector:  maps.Clone(selector),
			Ports:     []corev1.ServicePort{{Name: "postgres", Protocol: corev1.ProtocolTCP, Port: port, TargetPort: intstr.FromInt32(port)}},
		},
	}
}
