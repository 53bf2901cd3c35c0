package flow

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"code.gitea.io/sdk/gitea"
	argov1alpha1 "github.com/argoproj/argo-cd/v2/pkg/apis/application/v1alpha1"
	"github.com/jackc/pgx/v5/pgconn"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/seedling-dev/seedling/e2e/platform"
	"github.com/seedling-dev/seedling/e2e/shop"
	"github.com/seedling-dev/seedling/hooks/snapshot"
	"github.com/seedling-dev/seedling/plugin/events"
)

const (
	writeRow = "insert into public.products (id, sku, name, price_cents, tags) values (990001, 'DEV-ROW', 'a row of a developer', 1, '{}')"
	readRow  = "select count(*) from public.products where sku = 'DEV-ROW'"
)

// A pull request that was labelled before there was a snapshot is held back
// with a commit status that says so, and gets its preview when there is one.
func TestHeldBackUntilThereIsASnapshot(t *testing.T) {
	ctx := begin(t, 10*time.Minute)
	if world.early == nil {
		t.Skip("the installation was there already, with a snapshot; a fresh cluster shows it")
	}
	if !strings.HasPrefix(world.earlyStatus, "pending: ") || !strings.Contains(world.earlyStatus, "snapshot") {
		t.Errorf("the commit status was %q", world.earlyStatus)
	}
	v, err := world.WaitPreview(ctx, world.early, "")
	must(t, err)
	must(t, world.early.Unlabel(ctx, platform.LabelPreview))
	must(t, world.WaitGone(ctx, v.Namespace))
	must(t, world.early.Close(ctx))
}

// A preview holds the seed's rows, masked, and takes its own password only. A
// push keeps what a developer wrote. Taking the label off removes everything.
func TestPreviewFromLabelToUnlabel(t *testing.T) {
	ctx := beside(t, 15*time.Minute)
	pr, v := preview(ctx, t, "")

	counts := "select (select count(*) from public.users), (select count(*) from public.orders), (select count(*) from public.events)"
	if got, want := query(ctx, t, v.Namespace, counts), query(ctx, t, platform.Seed, counts); fmt.Sprint(got) != fmt.Sprint(want) || got[0][0] == "0" {
		t.Errorf("the preview has %v users, orders and events, the seed %v", got, want)
	}
	user := query(ctx, t, v.Namespace, fmt.Sprintf("select email, first_name, last_name, phone, street, password_hash, prefs from public.users where id = %d", shop.CanaryUser))
	for _, c := range shop.Canaries() {
		if strings.Contains(fmt.Sprint(user), c.Value) {
			t.Errorf("the preview shows the raw value of %s", c.Where)
		}
	}
	if bad := query(ctx, t, v.Namespace, `select count(*) from public.users where email !~ '@example\.(com|net|org)$'`); bad[0][0] != "0" {
		t.Errorf("%s addresses are not in a reserved domain", bad[0][0])
	}
	seed, err := world.SeedLogin(ctx)
	must(t, err)
	for _, name := range []string{"app", "postgres", "seed_backup"} {
		seed.User = name
		if s, err := world.ConnectAs(ctx, v.Namespace, seed); err == nil {
			s.Close()
			t.Errorf("the seed's certificate opens the preview as %s", name)
		}
		seed := platform.Login{User: name, Database: platform.SeedDatabase}
		if s, err := world.ConnectAs(ctx, v.Namespace, seed); err == nil {
			s.Close()
			t.Errorf("%s needs no password in the preview", name)
		}
	}

	query(ctx, t, v.Namespace, writeRow)
	sha, err := pr.Push(ctx, "A push", platform.Change{"PUSHED.md": "pushed\n"})
	must(t, err)
	if _, err := world.WaitPreview(ctx, pr, sha); err != nil {
		t.Fatal(err)
	}
	if got := query(ctx, t, v.Namespace, readRow); got[0][0] != "1" {
		t.Error("a push lost the row that a developer wrote")
	}
	ready := saysReady(ctx, t, pr, v)
	tells(ctx, t, v.Namespace, events.Created, events.Ready)

	must(t, pr.Unlabel(ctx, platform.LabelPreview))
	must(t, world.WaitGone(ctx, v.Namespace))
	tells(ctx, t, v.Namespace, events.Created, events.Ready, events.Ended)
	noLeftFolders(ctx, t)
	ended := said(ctx, t, pr, "no more to get into", func(body string) bool { return !strings.Contains(body, "psql") })
	if ended.ID != ready.ID || !ended.Updated.After(ended.Created) {
		t.Errorf("comment %d of %s says it is ready, and %d of %s, changed at %s, that it is not", ready.ID, ready.Created, ended.ID, ended.Created, ended.Updated)
	}
}

// saysReady wants the commit status and the plugin's comment to say that a preview
// is ready, where it is, and how to get in.
func saysReady(ctx context.Context, t *testing.T, pr *platform.PullRequest, v platform.Preview) *gitea.Comment {
	t.Helper()
	address := v.Namespace + ".previews.example.com"
	must(t, world.Wait(ctx, "wait for the commit status of a preview that is ready", func(ctx context.Context) error {
		s, err := pr.Status(ctx, pr.StatusContext())
		switch {
		case err != nil:
			return err
		case s == nil:
			return errors.New("there is none")
		case s.State != gitea.StatusSuccess || !strings.Contains(s.TargetURL, address):
			return fmt.Errorf("it is %s, %q, of %q", s.State, s.Description, s.TargetURL)
		}
		return nil
	}))
	c := said(ctx, t, pr, "ready", func(body string) bool { return strings.Contains(body, "Ready") })
	for _, says := range []string{address, v.Snapshot, "kubectl -n " + v.Namespace + " port-forward", "psql -h localhost -U ", "logs"} {
		if !strings.Contains(c.Body, says) {
			t.Errorf("the comment does not say %q:\n%s", says, c.Body)
		}
	}
	return c
}

// said waits until the plugin's one comment says something, and returns it.
func said(ctx context.Context, t *testing.T, pr *platform.PullRequest, what string, is func(body string) bool) *gitea.Comment {
	t.Helper()
	var c *gitea.Comment
	must(t, world.Wait(ctx, "wait for the comment to say: "+what, func(ctx context.Context) error {
		all, err := pr.Said(ctx)
		switch {
		case err != nil:
			return err
		case len(all) > 1:
			return platform.Final(fmt.Errorf("there are %d comments of the plugin", len(all)))
		case len(all) == 0:
			return errors.New("there is none")
		case !is(all[0].Body):
			return fmt.Errorf("it is\n%s", all[0].Body)
		}
		c = all[0]
		return nil
	}))
	return c
}

// tells wants a preview's Application to have events with these reasons, in their
// order and found by its UID, as Argo CD's page and `kubectl describe` look for them.
func tells(ctx context.Context, t *testing.T, name string, reasons ...string) {
	t.Helper()
	must(t, world.Wait(ctx, "wait for events of Application "+name, func(ctx context.Context) error {
		var all corev1.EventList
		if err := world.Kube.List(ctx, &all, client.InNamespace(platform.ArgoCDNamespace), client.MatchingFields{
			"involvedObject.kind": "Application", "involvedObject.name": name, "source": events.Component,
		}); err != nil {
			return err
		}
		slices.SortStableFunc(all.Items, func(a, b corev1.Event) int { return a.FirstTimestamp.Compare(b.FirstTimestamp.Time) })
		var told []string
		for _, e := range all.Items {
			told = append(told, e.Reason)
			if e.InvolvedObject.UID == "" && e.Reason != events.Ended {
				return platform.Final(fmt.Errorf("event %s names no UID", e.Reason))
			}
		}
		for _, reason := range reasons {
			i := slices.Index(told, reason)
			if i < 0 {
				return fmt.Errorf("they are %q, and %s is not there in its turn", told, reason)
			}
			told = told[i+1:]
		}
		return nil
	}))
}

// noLeftFolders fails if the node holds a volume that no PersistentVolume has.
func noLeftFolders(ctx context.Context, t *testing.T) {
	t.Helper()
	err := world.Wait(ctx, "wait for the volumes of ended previews to go", func(ctx context.Context) error {
		var volumes corev1.PersistentVolumeList
		if err := world.Kube.List(ctx, &volumes); err != nil {
			return err
		}
		known := map[string]bool{}
		for _, v := range volumes.Items {
			if v.Spec.CSI != nil {
				known[v.Spec.CSI.VolumeHandle] = true
			}
		}
		out, err := world.Cluster.Exec(ctx, "ls", "/var/lib/csi-btrfs/volumes")
		if err != nil {
			return err
		}
		for name := range strings.FieldsSeq(out) {
			if !strings.HasSuffix(name, ".json") && !known[name] {
				return fmt.Errorf("volume %s is on the node and in no PersistentVolume", name)
			}
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// Two previews are copies: neither sees what the other's developers write, and
// neither opens with the other's password.
func TestTwoPreviewsAreApart(t *testing.T) {
	ctx := beside(t, 15*time.Minute)
	one, two := labelled(ctx, t, "-one", nil), labelled(ctx, t, "-two", nil)
	v1, err := world.WaitPreview(ctx, one, "")
	must(t, err)
	v2, err := world.WaitPreview(ctx, two, "")
	must(t, err)
	query(ctx, t, v1.Namespace, writeRow)
	if got := query(ctx, t, v2.Namespace, readRow); got[0][0] != "0" {
		t.Error("one preview's row is in the other")
	}
	password, err := world.Password(ctx, v1.Namespace)
	must(t, err)
	if s, err := world.ConnectAs(ctx, v2.Namespace, platform.Login{User: "app", Password: password, Database: platform.SeedDatabase}); err == nil {
		s.Close()
		t.Error("one preview's password opens the other")
	}
}

// Closing and reopening at once gives fresh data in a new namespace.
func TestReopenAtOnceIsFresh(t *testing.T) {
	ctx := beside(t, 15*time.Minute)
	pr, v := preview(ctx, t, "")
	query(ctx, t, v.Namespace, writeRow)
	before := namespaceUID(ctx, t, v.Namespace)
	must(t, pr.Close(ctx))
	must(t, pr.Reopen(ctx))
	must(t, world.WaitAnew(ctx, v.Namespace, before))
	if _, err := world.WaitPreview(ctx, pr, ""); err != nil {
		t.Fatal(err)
	}
	if got := query(ctx, t, v.Namespace, readRow); got[0][0] != "0" {
		t.Error("the old preview's row came back")
	}
	must(t, pr.Close(ctx))
	must(t, world.WaitGone(ctx, v.Namespace))
}

func namespaceUID(ctx context.Context, t *testing.T, name string) types.UID {
	t.Helper()
	var ns corev1.Namespace
	must(t, world.Kube.Get(ctx, client.ObjectKey{Name: name}, &ns))
	return ns.UID
}

// A volume that somebody deletes by hand is restored anew; at no time does the
// preview answer as Healthy without its data.
func TestDeletedVolumeIsNeverAnEmptyPreview(t *testing.T) {
	ctx := beside(t, 15*time.Minute)
	pr, v := preview(ctx, t, "")
	if _, err := world.Query(ctx, v.Namespace, "select from public.nothing"); !withoutSeed(err) {
		t.Fatalf("a table that is not there gives %v", err)
	}
	before := namespaceUID(ctx, t, v.Namespace)
	claim := &corev1.PersistentVolumeClaim{}
	claim.Namespace, claim.Name = v.Namespace, snapshot.SeedPVC
	pod := &corev1.Pod{}
	pod.Namespace, pod.Name = v.Namespace, platform.PostgresPod
	must(t, world.Kube.Delete(ctx, claim))
	must(t, world.Kube.Delete(ctx, pod))

	err := world.Wait(ctx, "wait for the preview to come back with its data", func(ctx context.Context) error {
		app, err := world.Application(ctx, v.Namespace)
		if err != nil {
			return err
		}
		rows, err := world.Query(ctx, v.Namespace, "select count(*) from public.users")
		switch {
		case withoutSeed(err):
			return platform.Final(fmt.Errorf("a Postgres without the seed's tables answers; the Application is %s: %w", app.Status.Health.Status, err))
		case err != nil:
			return err
		case rows[0][0] == "0":
			return platform.Final(errors.New("an empty Postgres answers"))
		}
		var ns corev1.Namespace
		if err := world.Kube.Get(ctx, client.ObjectKey{Name: v.Namespace}, &ns); err != nil {
			return err
		}
		if ns.UID == before {
			return errors.New("the plugin has not reset it")
		}
		return nil
	})
	must(t, err)
	if _, err := world.WaitPreview(ctx, pr, ""); err != nil {
		t.Fatal(err)
	}
}

// withoutSeed says that a server answered which has no such table, schema, database
// or role. That there is no pod is an answer of the cluster's.
func withoutSeed(err error) bool {
	answer, ok := errors.AsType[*pgconn.PgError](err)
	return ok && slices.Contains([]string{"42P01", "3F000", "3D000", "28000"}, answer.Code)
}

// The next preview uses a newer snapshot; one that runs keeps its data.
func TestNewerSnapshotIsForTheNextPreview(t *testing.T) {
	ctx := alone(t, 15*time.Minute)
	_, old := preview(ctx, t, "-old")
	query(ctx, t, old.Namespace, writeRow)
	users := query(ctx, t, old.Namespace, "select count(*) from public.users")

	bigger, err := upload(ctx, 12)
	must(t, err)
	newer, err := world.Refresh(ctx, bigger)
	must(t, err)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
		defer cancel()
		if _, err := world.Refresh(ctx, world.Dump); err != nil {
			t.Errorf("give the seed its first dump again: %v", err)
		}
	})
	_, next := preview(ctx, t, "-next")
	if next.Snapshot != newer.Name {
		t.Errorf("the next preview is a copy of %s, not of %s", next.Snapshot, newer.Name)
	}
	if now := query(ctx, t, next.Namespace, "select count(*) from public.users"); fmt.Sprint(now) == fmt.Sprint(users) {
		t.Errorf("the next preview has the old one's %v users", now)
	}
	again, ok, err := world.FindPreview(ctx, old.Number)
	must(t, err)
	if !ok || again.Snapshot != old.Snapshot {
		t.Errorf("the running preview was a copy of %s, now of %s", old.Snapshot, again.Snapshot)
	}
	if got := query(ctx, t, old.Namespace, readRow); got[0][0] != "1" {
		t.Error("the running preview lost the row that a developer wrote")
	}
}

// A Git host that is away costs no preview: not when the plugin asks it in vain,
// and not when Argo CD asks the plugin after that.
func TestGitHostAwayDeletesNothing(t *testing.T) {
	ctx := alone(t, 15*time.Minute)
	pr, v := preview(ctx, t, "")
	before, err := world.Application(ctx, v.Namespace)
	must(t, err)
	there := func(ctx context.Context) error {
		app, err := world.Application(ctx, v.Namespace)
		switch {
		case apierrors.IsNotFound(err):
			return platform.Final(errors.New("the Application was deleted"))
		case err != nil:
			return err
		case app.UID != before.UID || app.DeletionTimestamp != nil:
			return platform.Final(errors.New("the Application was deleted, and came back"))
		}
		return nil
	}
	metrics := forwardPlugin(ctx, t, 8083) + "/metrics"
	problem := `seedling_repository_problem{forge="gitea",repository="` + platform.Organisation + "/" + platform.ShopRepository + `"} `
	must(t, world.Wait(ctx, "wait for a list of the Git host that is good", func(ctx context.Context) error {
		return holds(ctx, metrics, problem+"0\n")
	}))

	must(t, world.Cluster.StopProcess(ctx, "gitea"))
	started := false
	start := func() {
		if !started {
			started = true
			must(t, world.Cluster.StartProcess(context.WithoutCancel(ctx), "gitea"))
		}
	}
	t.Cleanup(start)
	must(t, world.Wait(ctx, "wait for a list of the Git host that fails", func(ctx context.Context) error {
		return errors.Join(there(ctx), holds(ctx, metrics, problem+"1\n"))
	}))
	for range 2 {
		generated(ctx, t, before.OwnerReferences[0].Name, there)
	}
	start()

	sha, err := pr.Push(ctx, "After the outage", platform.Change{"AFTER.md": "still here\n"})
	must(t, err)
	if _, err := world.WaitPreview(ctx, pr, sha); err != nil {
		t.Fatal(err)
	}
	must(t, there(ctx))
}

// holds is an error where what an address answers does not have a text in it.
func holds(ctx context.Context, url, text string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err == nil && !strings.Contains(string(body), text) {
		err = fmt.Errorf("%s does not have %q", url, text)
	}
	return err
}

// generated has Argo CD ask an ApplicationSet's generator, and waits until it has
// done what the answer says. Meanwhile is what must hold.
func generated(ctx context.Context, t *testing.T, name string, meanwhile func(context.Context) error) {
	t.Helper()
	const refresh = "argocd.argoproj.io/application-set-refresh"
	set := &argov1alpha1.ApplicationSet{}
	set.Namespace, set.Name = platform.ArgoCDNamespace, name
	must(t, world.Kube.Patch(ctx, set, client.RawPatch(types.MergePatchType, []byte(`{"metadata":{"annotations":{"`+refresh+`":"true"}}}`))))
	must(t, world.Wait(ctx, "wait until Argo CD has asked the generator of "+name, func(ctx context.Context) error {
		if err := world.Kube.Get(ctx, client.ObjectKeyFromObject(set), set); err != nil {
			return err
		}
		if _, asked := set.Annotations[refresh]; asked {
			return errors.Join(meanwhile(ctx), errors.New("it has not"))
		}
		return meanwhile(ctx)
	}))
}
