package flow

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/seedling-dev/seedling/e2e/platform"
	"github.com/seedling-dev/seedling/hooks/snapshot"
)

const (
	platformFolder = "deploy/platform/"
	// migrated are the migrations that a preview's database has seen.
	migrated = "select string_agg(attname, ' ' order by attname) from pg_attribute where attrelid = 'public.products'::regclass and attname like 'migrated%'"
)

// The platform's Postgres answers before the pull request's migration runs, which
// has one try: at the first sync, at a push, as a chart's hook, and after a reset.
// The pull request brings no database, and none of another name of ours.
func TestPlatformsPostgres(t *testing.T) {
	ctx := beside(t, 20*time.Minute)
	pr, v := migratedPreview(ctx, t)

	set := postgresOf(ctx, t, v.Namespace)
	if id := set.Annotations[snapshot.ArgoTrackingAnnotation]; id != "" || set.Labels[snapshot.LabelOwner] != platform.PluginNamespace {
		t.Errorf("the StatefulSet is tracked by %q and owned by %q", id, set.Labels[snapshot.LabelOwner])
	}
	loginByAddress(ctx, t, v.Namespace)

	// Somebody deletes it, with its Service.
	must(t, world.Kube.Delete(ctx, set))
	service := &corev1.Service{}
	service.Namespace, service.Name = v.Namespace, snapshot.Postgres
	must(t, world.Kube.Delete(ctx, service))
	must(t, world.Wait(ctx, "wait for the platform's Postgres to come back", func(ctx context.Context) error {
		again := &appsv1.StatefulSet{}
		if err := world.Kube.Get(ctx, client.ObjectKeyFromObject(set), again); err != nil {
			return err
		}
		if again.UID == set.UID || again.Status.ReadyReplicas == 0 {
			return errors.New("it is not there yet, or not ready")
		}
		return world.Kube.Get(ctx, client.ObjectKeyFromObject(service), service)
	}))
	if got := query(ctx, t, v.Namespace, readRow); got[0][0] != "1" {
		t.Error("the row of a developer went with the StatefulSet")
	}

	// A database of the pull request's own is refused, in words, and harms nothing.
	own, err := world.ShopFile("deploy/preview/postgres.yaml")
	must(t, err)
	kustomization, err := world.ShopFile(platformFolder + "kustomization.yaml")
	must(t, err)
	_, err = pr.Push(ctx, "Bring a Postgres", platform.Change{
		platformFolder + "postgres.yaml":      own,
		platformFolder + "kustomization.yaml": strings.Replace(kustomization, "resources:\n", "resources:\n  - postgres.yaml\n", 1),
	})
	must(t, err)
	must(t, world.Wait(ctx, "wait for the refusal of a second Postgres", func(ctx context.Context) error {
		app, err := world.Application(ctx, v.Namespace)
		if err != nil {
			return err
		}
		if s := app.Status.OperationState; s == nil || s.SyncResult == nil || !strings.Contains(fmt.Sprint(s.Message, s.SyncResult.Resources), "the platform makes it") {
			return errors.New("the sync does not say that the platform makes it")
		}
		return nil
	}))
	if now := postgresOf(ctx, t, v.Namespace); now.Annotations[snapshot.ArgoTrackingAnnotation] != "" || now.Status.ReadyReplicas != 1 {
		t.Errorf("the platform's Postgres was changed: %+v", now.ObjectMeta)
	}

	// The same as a chart, whose hook is Helm's.
	chart, err := helmChart()
	must(t, err)
	sha, err := pr.Push(ctx, "A chart", chart)
	must(t, err)
	if _, err := world.WaitPreview(ctx, pr, sha); err != nil {
		t.Fatal(err)
	}
	if got := query(ctx, t, v.Namespace, migrated); got[0][0] != "migrated_1 migrated_2 migrated_3" {
		t.Errorf("after a chart's pre-install the migrations are %v", got)
	}

	must(t, pr.Unlabel(ctx, platform.LabelPlatform))
	must(t, world.WaitGone(ctx, v.Namespace))
	noLeftFolders(ctx, t)
}

// migratedPreview is a preview with the platform's Postgres that has been through
// its first sync, a reset and a push, with a migration at each, and in which a
// developer has written.
func migratedPreview(ctx context.Context, t *testing.T) (*platform.PullRequest, platform.Preview) {
	t.Helper()
	// A branch of its own: on a cluster that was used before, the last one has migrated.
	pr := world.Open(ctx, t, fmt.Sprintf("-postgres-%d", time.Now().Unix()), nil)
	must(t, pr.Label(ctx, platform.LabelPlatform))
	v, err := world.WaitPreview(ctx, pr, "")
	must(t, err)
	hasMigrations := func(want, when string) {
		t.Helper()
		if got := query(ctx, t, v.Namespace, migrated); got[0][0] != want {
			t.Errorf("%s the migrations are %v, not %s", when, got, want)
		}
		if got := query(ctx, t, v.Namespace, "select count(*) > 0 from public.users"); got[0][0] != "t" {
			t.Errorf("%s there are no users", when)
		}
	}
	hasMigrations("migrated_1", "after the first sync")

	query(ctx, t, v.Namespace, writeRow)
	before := namespaceUID(ctx, t, v.Namespace)
	must(t, pr.Label(ctx, platform.LabelReset))
	must(t, world.WaitAnew(ctx, v.Namespace, before))
	if _, err := world.WaitPreview(ctx, pr, ""); err != nil {
		t.Fatal(err)
	}
	hasMigrations("migrated_1", "after the reset")
	if got := query(ctx, t, v.Namespace, readRow); got[0][0] != "0" {
		t.Error("a reset kept the row of a developer")
	}

	query(ctx, t, v.Namespace, writeRow)
	next, err := nextMigration(2)
	must(t, err)
	sha, err := pr.Push(ctx, "Another migration", next)
	must(t, err)
	if _, err := world.WaitPreview(ctx, pr, sha); err != nil {
		t.Fatal(err)
	}
	hasMigrations("migrated_1 migrated_2", "after a push")
	if got := query(ctx, t, v.Namespace, readRow); got[0][0] != "1" {
		t.Error("a push lost the row that a developer wrote")
	}
	migrationsHadOneTry(ctx, t, v.Namespace)
	return pr, v
}

// migrationsHadOneTry fails if the last migration was begun before its database
// answered, or tried again.
func migrationsHadOneTry(ctx context.Context, t *testing.T, namespace string) {
	t.Helper()
	var job batchv1.Job
	must(t, world.Kube.Get(ctx, client.ObjectKey{Namespace: namespace, Name: "migrate"}, &job))
	if job.Status.Failed > 0 || job.Status.Succeeded != 1 || *job.Spec.BackoffLimit != 0 {
		t.Errorf("the migration failed %d times and succeeded %d times", job.Status.Failed, job.Status.Succeeded)
	}
	var pod corev1.Pod
	must(t, world.Kube.Get(ctx, client.ObjectKey{Namespace: namespace, Name: platform.PostgresPod}, &pod))
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.PodReady && (c.Status != corev1.ConditionTrue || job.CreationTimestamp.Before(&c.LastTransitionTime)) {
			t.Errorf("the migration was made at %s, and Postgres is ready since %s", job.CreationTimestamp, c.LastTransitionTime)
		}
	}
}

// nextMigration is a change of the shop that has one more migration.
func nextMigration(n int) (platform.Change, error) {
	job, err := world.ShopFile(platformFolder + "migrate.yaml")
	if err != nil {
		return nil, err
	}
	shop, err := world.ShopFile(platformFolder + "shop.yaml")
	if err != nil {
		return nil, err
	}
	return platform.Change{
		platformFolder + "migrate.yaml": strings.ReplaceAll(job, "migrated_1", fmt.Sprintf("migrated_%d", n)),
		platformFolder + "shop.yaml":    strings.Replace(shop, `version: "1"`, fmt.Sprintf(`version: "%d"`, n), 1),
	}, nil
}

// helmChart makes a chart of the folder, whose migration is Helm's hook.
func helmChart() (platform.Change, error) {
	c, err := nextMigration(3)
	if err != nil {
		return nil, err
	}
	job := strings.NewReplacer(
		"argocd.argoproj.io/hook: PreSync", "helm.sh/hook: pre-install,pre-upgrade",
		"argocd.argoproj.io/hook-delete-policy: BeforeHookCreation", "helm.sh/hook-delete-policy: before-hook-creation",
		"ghcr.io/seedling-dev/seed-postgres:dev", world.Image("seed-postgres"),
	).Replace(c[platformFolder+"migrate.yaml"])
	return platform.Change{
		platformFolder + "Chart.yaml":             "apiVersion: v2\nname: shop\nversion: 0.1.0\n",
		platformFolder + "templates/migrate.yaml": job,
		platformFolder + "templates/shop.yaml":    c[platformFolder+"shop.yaml"],
		platformFolder + "kustomization.yaml":     platform.Removed,
		platformFolder + "migrate.yaml":           platform.Removed,
		platformFolder + "shop.yaml":              platform.Removed,
		platformFolder + "postgres.yaml":          platform.Removed,
	}, nil
}

func postgresOf(ctx context.Context, t *testing.T, namespace string) *appsv1.StatefulSet {
	t.Helper()
	set := &appsv1.StatefulSet{}
	must(t, world.Kube.Get(ctx, client.ObjectKey{Namespace: namespace, Name: snapshot.Postgres}, set))
	return set
}

// loginByAddress logs in with what the Secret's uri says, and nothing else.
func loginByAddress(ctx context.Context, t *testing.T, namespace string) {
	t.Helper()
	var secret corev1.Secret
	must(t, world.Kube.Get(ctx, client.ObjectKey{Namespace: namespace, Name: snapshot.Postgres}, &secret))
	config, err := pgx.ParseConfig(string(secret.Data["uri"]))
	if err != nil {
		t.Fatal("the uri of Secret postgres cannot be read")
	}
	if config.Host != string(secret.Data["host"]) || fmt.Sprint(config.Port) != string(secret.Data["port"]) || config.Host != snapshot.Postgres {
		t.Errorf("the uri leads to %s, port %d", config.Host, config.Port)
	}
	s, err := world.ConnectAs(ctx, namespace, platform.Login{User: config.User, Password: config.Password, Database: config.Database})
	must(t, err)
	s.Close()
}
