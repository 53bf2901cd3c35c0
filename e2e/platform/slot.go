package platform

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/seedling-dev/seedling/hooks/snapshot"
)

// warmLine begins what Warm adds.
const warmLine = "\nseeds: [{name: " + Seed + ", warm: "

// Warm is a configuration of the plugin with that many previews of the seed made
// in advance, and no longer with another number of them.
func Warm(config string, n int) string {
	config, _, _ = strings.Cut(config, warmLine)
	if n == 0 {
		return config
	}
	return config + warmLine + strconv.Itoa(n) + "}]\n"
}

// WaitSlot waits for a preview that was made in advance and is nobody's, another
// one than that, and that the plugin calls ready.
func (p *Platform) WaitSlot(ctx context.Context, but string) (name string, err error) {
	err = p.Wait(ctx, "wait for a preview made in advance", func(ctx context.Context) error {
		var all corev1.NamespaceList
		if err := p.Kube.List(ctx, &all, client.MatchingLabels{snapshot.LabelSlot: snapshot.SlotFree, snapshot.LabelOwner: PluginNamespace}); err != nil {
			return err
		}
		for _, ns := range all.Items {
			if ns.Name == but || ns.Annotations[snapshot.AnnotationPVC] == "" {
				continue
			}
			var set appsv1.StatefulSet
			err := p.Kube.Get(ctx, client.ObjectKey{Namespace: ns.Name, Name: snapshot.Postgres}, &set)
			if client.IgnoreNotFound(err) != nil {
				return err
			}
			if err == nil && set.Status.ReadyReplicas == 1 {
				name = ns.Name
				return p.PluginSaid(ctx, "a slot is ready", name)
			}
		}
		return fmt.Errorf("of %d slots none is ready", len(all.Items))
	})
	return name, err
}

// asking asks the Postgres of a namespace until it answers, by the name of its
// Service, and says each time that it does not.
const asking = `
n=0
until timeout 0.5 psql -XAtqw -c 'SELECT count(*) FROM public.users' >/dev/null 2>&1; do n=$((n+1)); echo "no answer $n"; sleep 0.05; done
date -u +'answered %Y-%m-%dT%H:%M:%S.%NZ'
exec sleep infinity`

const asker = "asker"

// Ask starts a pod in a namespace that asks its Postgres.
func (p *Platform) Ask(ctx context.Context, namespace string) error {
	no, zero, once := false, int64(0), "1"
	of := func(key string) *corev1.EnvVarSource {
		return &corev1.EnvVarSource{SecretKeyRef: &corev1.SecretKeySelector{LocalObjectReference: corev1.LocalObjectReference{Name: snapshot.Postgres}, Key: key}}
	}
	return p.Kube.Create(ctx, &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: asker, Labels: map[string]string{"app": asker}},
		Spec: corev1.PodSpec{
			AutomountServiceAccountToken: &no, TerminationGracePeriodSeconds: &zero,
			// While nothing is let out no name is resolved, and nobody waits long for it.
			DNSConfig: &corev1.PodDNSConfig{Options: []corev1.PodDNSConfigOption{{Name: "timeout", Value: &once}, {Name: "attempts", Value: &once}}},
			Containers: []corev1.Container{{
				Name: asker, Image: p.Image(seedPostgres), ImagePullPolicy: corev1.PullIfNotPresent,
				Command: []string{"sh", "-c", asking},
				Env: []corev1.EnvVar{
					{Name: "PGHOST", Value: snapshot.Postgres + "." + namespace + ".svc.cluster.local."},
					{Name: "PGUSER", ValueFrom: of("username")},
					{Name: "PGPASSWORD", ValueFrom: of("password")},
					{Name: "PGDATABASE", ValueFrom: of("database")},
				},
			}},
		},
	})
}

// Answered is when the pod that asks was answered; an error while it was not.
// tries is how often it tried in vain.
func (p *Platform) Answered(ctx context.Context, namespace string) (at time.Time, tries int, err error) {
	logs, err := p.PodLog(ctx, namespace, "app="+asker)
	if err != nil {
		return at, 0, err
	}
	for line := range strings.Lines(logs) {
		if rest, ok := strings.CutPrefix(strings.TrimSpace(line), "answered "); ok {
			at, err = time.Parse(time.RFC3339Nano, rest)
			return at, tries, err
		}
		tries++
	}
	return at, tries, ErrUnanswered
}

// ErrUnanswered is returned while a pod that asks was not answered.
var ErrUnanswered = errors.New("it has no answer yet")
