package flow

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	argov1alpha1 "github.com/argoproj/argo-cd/v2/pkg/apis/application/v1alpha1"
	appsv1 "k8s.io/api/apps/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/seedling-dev/seedling/e2e/platform"
	"github.com/seedling-dev/seedling/hooks/snapshot"
)

// A preview that was made in advance is given to the next pull request, with the
// seed's rows in a Postgres that runs already. Before that nobody gets into it: by
// the network, by the broker, or by an Application.
func TestWarmPreview(t *testing.T) {
	ctx := begin(t, 12*time.Minute)
	world.Configure(ctx, t, func(config string) string {
		return platform.Warm(config, 1)
	})
	slot, err := world.WaitSlot(ctx, "")
	must(t, err)
	unassigned(ctx, t, slot)

	counts := "select (select count(*) from public.users), (select count(*) from public.orders), (select count(*) from public.events)"
	want := query(ctx, t, platform.Seed, counts)
	pr := world.Open(ctx, t, fmt.Sprintf("-warm-%d", time.Now().Unix()), nil)
	must(t, pr.Label(ctx, platform.LabelPlatform))
	labelled := time.Now()
	var at time.Time
	must(t, world.Wait(ctx, "wait until the slot is the pull request's, and its Postgres answers there", func(ctx context.Context) error {
		v, ok, err := world.FindPreview(ctx, pr.Number)
		switch {
		case err != nil:
			return err
		case !ok:
			return errors.New("the plugin has no namespace for it")
		case v.Namespace != slot:
			return platform.Final(fmt.Errorf("it has namespace %s and not slot %s", v.Namespace, slot))
		}
		at, _, err = world.Answered(ctx, slot)
		return err
	}))
	t.Logf("label to the first query %s", at.Sub(labelled).Round(time.Millisecond))
	v, err := world.WaitPreview(ctx, pr, "")
	must(t, err)
	t.Logf("label to Healthy %s", time.Since(labelled).Round(time.Millisecond))
	if v.Namespace != slot {
		t.Errorf("its Application is %s, not %s", v.Namespace, slot)
	}
	if got := query(ctx, t, slot, counts); fmt.Sprint(got) != fmt.Sprint(want) || got[0][0] == "0" {
		t.Errorf("the preview has %v users, orders and events, the seed %v", got, want)
	}
	if got := query(ctx, t, slot, migrated); got[0][0] != "migrated_1" {
		t.Errorf("the migrations are %v", got)
	}

	// It is the preview's until that ends, and then nobody's.
	query(ctx, t, slot, writeRow)
	next, err := world.WaitSlot(ctx, slot)
	must(t, err)
	must(t, pr.Label(ctx, platform.LabelReset))
	must(t, world.WaitGone(ctx, slot))
	again, err := world.WaitPreview(ctx, pr, "")
	must(t, err)
	if again.Namespace == slot {
		t.Errorf("after a reset it is in %s again", slot)
	}
	if snapshot.IsSlot(again.Namespace) && again.Namespace != next {
		t.Errorf("after a reset it is in %s, and slot %s was waiting", again.Namespace, next)
	}
	if got := query(ctx, t, again.Namespace, readRow); got[0][0] != "0" {
		t.Error("a reset kept the row of a developer")
	}
	must(t, pr.Unlabel(ctx, platform.LabelPlatform))
	must(t, world.WaitGone(ctx, again.Namespace))

	own := ownInSlot(ctx, t, want)
	must(t, own.Unlabel(ctx, platform.LabelPreview))
	must(t, world.Wait(ctx, "wait until the preview with a Postgres of its own is gone", func(ctx context.Context) error {
		v, there, err := world.FindPreview(ctx, own.Number)
		if err == nil && there {
			err = fmt.Errorf("%s is there", v.Namespace)
		}
		return err
	}))
	noLeftFolders(ctx, t)
}

// ownInSlot is a pull request whose own Postgres has nothing in common with the
// one that ran in its slot: that one makes room, and the data stays.
func ownInSlot(ctx context.Context, t *testing.T, want [][]string) *platform.PullRequest {
	t.Helper()
	manifest, err := world.ShopFile(shopPostgres)
	must(t, err)
	manifest = strings.NewReplacer(
		"{app.kubernetes.io/name: postgres}", "{app: database}",
		"serviceName: postgres", "serviceName: database",
		"podManagementPolicy: Parallel", "podManagementPolicy: OrderedReady",
	).Replace(manifest)
	pr := world.Open(ctx, t, fmt.Sprintf("-warm-own-%d", time.Now().Unix()), platform.Change{shopPostgres: manifest})
	slot, err := world.WaitSlot(ctx, "")
	must(t, err)
	var claim corev1.PersistentVolumeClaim
	must(t, world.Kube.Get(ctx, client.ObjectKey{Namespace: slot, Name: snapshot.SeedPVC}, &claim))
	must(t, pr.Label(ctx, platform.LabelPreview))
	labelled := time.Now()
	v, err := world.WaitPreview(ctx, pr, "")
	must(t, err)
	t.Logf("label to Healthy with a Postgres of its own %s", time.Since(labelled).Round(time.Millisecond))
	if v.Namespace != slot {
		t.Errorf("it has namespace %s, and slot %s was waiting", v.Namespace, slot)
	}
	set := postgresOf(ctx, t, v.Namespace)
	if set.Spec.ServiceName != "database" || set.Spec.PodManagementPolicy != appsv1.OrderedReadyPodManagement ||
		set.Spec.Selector.MatchLabels["app"] != "database" || len(set.Spec.Selector.MatchLabels) != 1 || set.Labels[snapshot.LabelPostgres] != "" {
		t.Errorf("the StatefulSet is not the pull request's: %+v", set)
	}
	uid := claim.UID
	must(t, world.Kube.Get(ctx, client.ObjectKeyFromObject(&claim), &claim))
	if claim.UID != uid {
		t.Error("the slot's claim was made anew")
	}
	got := query(ctx, t, v.Namespace, "select (select count(*) from public.users), (select count(*) from public.orders), (select count(*) from public.events)")
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("the preview has %v users, orders and events, the seed %v", got, want)
	}
	return pr
}

// shopPostgres is the Postgres that the shop's pull requests bring.
const shopPostgres = "deploy/preview/postgres.yaml"

// unassigned fails where anybody gets into a slot that is nobody's.
func unassigned(ctx context.Context, t *testing.T, slot string) {
	t.Helper()
	must(t, world.Ask(ctx, slot))
	must(t, world.Wait(ctx, "wait for five tries of a pod in "+slot, func(ctx context.Context) error {
		_, tries, err := world.Answered(ctx, slot)
		switch {
		case err == nil:
			return platform.Final(errors.New("a pod in a slot that is nobody's was answered by its Postgres"))
		case !errors.Is(err, platform.ErrUnanswered):
			return err
		case tries < 5:
			return fmt.Errorf("it tried %d times", tries)
		}
		return nil
	}))
	clients, err := kubernetes.NewForConfig(world.Cluster.REST())
	must(t, err)
	request := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{Audiences: []string{snapshot.TokenAudience}}}
	if _, err := clients.CoreV1().ServiceAccounts(slot).CreateToken(ctx, snapshot.HookServiceAccount, request, metav1.CreateOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("the hook has a token in a slot that is nobody's: %v", err)
	}
	token, err := clients.CoreV1().ServiceAccounts(slot).CreateToken(ctx, "default", request, metav1.CreateOptions{})
	must(t, err)
	base := forwardPlugin(ctx, t, 8081)
	if code, text := post(ctx, t, base+snapshot.RestorePath, "Bearer "+token.Status.Token, ""); code != 403 {
		t.Errorf("the broker says %d %s to a slot that is nobody's", code, text)
	}
	app := &argov1alpha1.Application{
		ObjectMeta: metav1.ObjectMeta{Namespace: platform.ArgoCDNamespace, Name: slot},
		Spec: argov1alpha1.ApplicationSpec{
			Project: "previews", Destination: argov1alpha1.ApplicationDestination{Server: "https://kubernetes.default.svc", Namespace: slot},
			Source: &argov1alpha1.ApplicationSource{RepoURL: "https://git.example.com/none.git", Path: "none"},
		},
	}
	if err := world.Kube.Create(ctx, app, client.DryRunAll); err == nil || !strings.Contains(err.Error(), "was made in advance") {
		t.Errorf("an Application may lead into a slot that is nobody's: %v", err)
	}
}
