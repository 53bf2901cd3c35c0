package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/seedling-dev/seedling/e2e/cluster"
	"github.com/seedling-dev/seedling/e2e/platform"
	"github.com/seedling-dev/seedling/e2e/shop"
)

// refresh runs the first flow and shows the progress that the import's own log
// tells.
func (d *demo) refresh(ctx context.Context, url, sha256 string) error {
	began := time.Now()
	following, stop := context.WithCancel(ctx)
	ended := make(chan struct{})
	var ran atomic.Bool
	go func() {
		defer close(ended)
		d.platform.FollowLogs(following, platform.Seed, []string{"seed-import", "seed-backup"}, func(from, line string) {
			ran.Store(true)
			if text := told(line); text != "" {
				d.note("%-11s  %s", from, text)
			}
		})
	}()
	backup, err := d.platform.Refresh(ctx, platform.Refresh{Dump: url, SHA256: sha256})
	stop()
	<-ended
	if err != nil {
		return err
	}
	if !ran.Load() {
		d.note("the seed holds this dump already, masked under this policy and key: nothing to do")
	}
	d.done(time.Since(began), "masked seed answers; snapshot %s", backup.Name)
	return nil
}

// told is what a hook's log line says to people: its message and attributes,
// without the time. Steps are told at their end.
func told(line string) string {
	_, rest, ok := strings.Cut(line, " msg=")
	if !ok {
		return clip(line, 100) // of a table
	}
	message, attrs := rest, ""
	if strings.HasPrefix(rest, `"`) {
		if end := strings.Index(rest[1:], `"`); end >= 0 {
			message, attrs = rest[1:end+1], rest[end+2:]
		}
	} else if message, attrs, ok = strings.Cut(rest, " "); ok {
		attrs = " " + attrs
	}
	if attrs == "" {
		return ""
	}
	return clip(message+" "+attrs, 100)
}

func clip(s string, most int) string {
	if r := []rune(s); len(r) > most {
		return string(r[:most-1]) + "…"
	}
	return s
}

// branch of the demo's pull requests begins with this.
const branchPrefix = "demo-"

// labelled opens a pull request, labels it and follows what happens.
func (d *demo) labelled(ctx context.Context) (*platform.Timeline, error) {
	began := time.Now()
	ended, err := d.platform.CloseAll(ctx, branchPrefix)
	if err != nil {
		return nil, err
	}
	if len(ended) > 0 {
		for _, namespace := range ended {
			if err := d.platform.WaitGone(ctx, namespace); err != nil {
				return nil, err
			}
		}
		d.done(time.Since(began), "closed the pull request of the run before; nothing of it is left")
	}
	began = time.Now()
	branch := branchPrefix + strconv.FormatInt(time.Now().Unix(), 36)
	if d.pr, err = d.platform.OpenPullRequest(ctx, branch, "Show the total in the cart", nil); err != nil {
		return nil, err
	}
	d.done(time.Since(began), "pull request #%d: %s", d.pr.Number, d.pr.URL)
	t, err := d.platform.Watch(ctx, d.pr)
	if err != nil {
		return nil, err
	}
	defer t.Stop()
	bound, cancel := context.WithTimeoutCause(ctx, 5*time.Minute, fmt.Errorf("the preview of pull request %d was not Healthy after 5 minutes", d.pr.Number))
	defer cancel()
	t.Mark(platform.Labelled)
	if err := d.pr.Label(bound, platform.LabelPreview); err != nil {
		return nil, err
	}
	start := t.At(platform.Labelled)
	err = t.Each(bound, platform.ApplicationHealthy, func(m platform.Moment, at time.Time) {
		d.printf("   %s  %s\n", d.paint(dim, fmt.Sprintf("%6.2f s", at.Sub(start).Seconds())), m)
	})
	if err != nil {
		if v, ok, findErr := d.platform.FindPreview(context.WithoutCancel(ctx), d.pr.Number); findErr == nil && ok {
			if app, appErr := d.platform.Application(context.WithoutCancel(ctx), v.Namespace); appErr == nil && app.Status.OperationState != nil {
				err = fmt.Errorf("%w; Argo CD says: %s", err, app.Status.OperationState.Message)
			}
		}
		return nil, err
	}
	if err := t.Wait(bound, platform.PostgresAnswers); err != nil {
		return nil, err
	}
	d.preview, err = d.platform.WaitPreview(bound, d.pr, "")
	if err != nil {
		return nil, err
	}
	d.done(t.At(platform.ApplicationHealthy).Sub(start), "preview %s is Healthy", d.preview.Namespace)
	if status, err := d.pr.Status(bound, d.pr.StatusContext()); err == nil && status != nil {
		d.note("the pull request says: %s", status.Description)
	}
	return t, nil
}

// warm is how long the beginning of a preview that was made in advance took.
type warm struct{ query, healthy time.Duration }

// inAdvance lets the plugin make a preview before anybody asks for one, and gives
// it to the next pull request.
func (d *demo) inAdvance(ctx context.Context) (w warm, err error) {
	bound, cancel := context.WithTimeoutCause(ctx, 5*time.Minute, errors.New("the preview that was made in advance was not given away within 5 minutes"))
	defer cancel()
	began := time.Now()
	was, err := d.platform.Configure(bound, func(config string) string { return platform.Warm(config, 1) })
	if err != nil {
		return w, err
	}
	defer func() {
		_, back := d.platform.Configure(context.WithoutCancel(ctx), func(string) string { return was })
		err = errors.Join(err, back)
	}()
	slot, err := d.platform.WaitSlot(bound, "")
	if err != nil {
		return w, err
	}
	if err := d.platform.Ask(bound, slot); err != nil {
		return w, err
	}
	d.done(time.Since(began), "%s is nobody's: its volume is restored, its Postgres runs", slot)
	pr, err := d.platform.OpenPullRequest(bound, branchPrefix+"warm-"+strconv.FormatInt(time.Now().Unix(), 36), "Show the total in the mail", nil)
	if err != nil {
		return w, err
	}
	t, err := d.platform.Watch(bound, pr)
	if err != nil {
		return w, err
	}
	defer t.Stop()
	t.Mark(platform.Labelled)
	if err := pr.Label(bound, platform.LabelPlatform); err != nil {
		return w, err
	}
	labelled := time.Now()
	var at time.Time
	err = d.platform.Wait(bound, "wait for the first query of "+slot, func(ctx context.Context) error {
		at, _, err = d.platform.Answered(ctx, slot)
		return err
	})
	if err != nil {
		return w, err
	}
	w.query = at.Sub(labelled)
	d.done(w.query, "pull request #%d: a pod of its preview has its first rows", pr.Number)
	if err := t.Wait(bound, platform.ApplicationHealthy); err != nil {
		return w, err
	}
	w.healthy = t.At(platform.ApplicationHealthy).Sub(labelled)
	d.done(w.healthy, "preview %s is Healthy", slot)
	return w, nil
}

func (d *demo) restoreOnDemand(ctx context.Context, dump shop.Dump) (time.Duration, error) {
	url, err := dump.Presign(ctx, d.cluster.S3(), time.Hour)
	if err != nil {
		return 0, err
	}
	bound, cancel := context.WithTimeoutCause(ctx, 30*time.Minute, fmt.Errorf("pg_restore took longer than 30 minutes"))
	defer cancel()
	took, err := d.platform.OnDemand(bound, rawNamespace, url)
	if err != nil {
		return 0, err
	}
	d.done(took, "download, pg_restore --jobs=2, first query answered")
	return took, nil
}

// comparison is one value seen on both sides.
type comparison struct{ name, sql string }

var comparisons = []comparison{
	{"users.email", "SELECT email FROM public.users WHERE id = 7"},
	{"users.full_name", "SELECT full_name FROM public.users WHERE id = 8"},
	{"users.phone", "SELECT phone FROM public.users WHERE id = 9"},
	{"users.birthday", "SELECT birthday FROM public.users WHERE id = 9"},
	{"users.street", "SELECT street FROM public.users WHERE id = 9"},
	{"users.city (kept)", "SELECT city FROM public.users WHERE id = 9"},
	{"users.password_hash", "SELECT password_hash FROM public.users WHERE id = 9"},
	{"users.prefs (JSON)", "SELECT prefs #>> '{contact,email}' FROM public.users WHERE id = 9"},
	{"orders.ship_name", "SELECT ship_name FROM public.orders WHERE id = 12"},
	{"orders.notes", "SELECT notes FROM public.orders WHERE id = 11"},
	{"events.data (JSON)", "SELECT data ->> 'contact' FROM public.events WHERE id = 13"},
	{"events with their user's email", "SELECT count(*) FROM public.users u JOIN public.events e ON e.user_id = u.id AND e.data #>> '{contact,email}' = u.email"},
	{"audit_log rows", "SELECT count(*) FROM public.audit_log"},
	{"rows in all other tables", "SELECT (SELECT count(*) FROM public.users) + (SELECT count(*) FROM public.products) + (SELECT count(*) FROM public.orders) + (SELECT count(*) FROM public.items) + (SELECT count(*) FROM public.events)"},
	{"rows with planted values", plantedRows()},
}

// plantedRows counts the rows that carry a planted value, whatever the column.
func plantedRows() string {
	var counts []string
	for _, table := range shop.Tables() {
		counts = append(counts, "(SELECT count(*) FROM public."+table+" t WHERE t::text ILIKE '%canary%')")
	}
	return "SELECT " + strings.Join(counts, " + ")
}

// compare shows values as they are in production and in the preview.
func (d *demo) compare(ctx context.Context) error {
	sides := []string{rawNamespace, d.preview.Namespace}
	rows := [][]string{{"", "production (raw)", "preview (masked)"}}
	for _, c := range comparisons {
		rows = append(rows, []string{c.name})
	}
	for _, namespace := range sides {
		values, err := d.values(ctx, namespace)
		if err != nil {
			return err
		}
		for i, value := range values {
			rows[i+1] = append(rows[i+1], value)
		}
	}
	planted := rows[len(rows)-1]
	d.table(rows, 30, 46, 46)
	if planted[1] == "0" {
		return fmt.Errorf("the planted values are not in the raw data: the comparison proves nothing")
	}
	if planted[2] != "0" {
		return fmt.Errorf("%s rows of the preview carry planted personal values", planted[2])
	}
	// The raw rows have been seen; nobody waits for their end.
	return client.IgnoreNotFound(d.platform.Kube.Delete(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: rawNamespace}}))
}

// values reads the comparisons' values from one side.
func (d *demo) values(ctx context.Context, namespace string) ([]string, error) {
	session, err := d.platform.Connect(ctx, namespace)
	if err != nil {
		return nil, err
	}
	defer session.Close()
	var values []string
	for _, c := range comparisons {
		got, err := session.Rows(ctx, c.sql)
		if err != nil {
			return nil, fmt.Errorf("read %s of %s: %w", c.name, namespace, err)
		}
		value := "(no row)"
		if len(got) > 0 {
			value = got[0][0]
		}
		values = append(values, value)
	}
	return values, nil
}

// figures prints the lines that other programs read.
func (d *demo) figures(t *platform.Timeline, w warm, onDemand time.Duration) error {
	d.printf("\n")
	figure := func(name string, value float64, unit string) {
		d.printf("FIGURE %s %.1f %s\n", name, value, unit)
	}
	var hookToQuery time.Duration
	for _, f := range []struct {
		name     string
		from, to platform.Moment
	}{
		{"label_to_healthy", platform.Labelled, platform.ApplicationHealthy},
		{"preview_restore_hook", platform.HookMade, platform.HookDone},
		{"hook_to_first_query", platform.HookMade, platform.PostgresAnswers},
	} {
		took, ok := t.Between(f.from, f.to)
		if !ok {
			return fmt.Errorf("the timeline lacks %q or %q", f.from, f.to)
		}
		hookToQuery = took
		figure(f.name, took.Seconds(), "s")
	}
	figure("warm_label_to_first_query", w.query.Seconds(), "s")
	figure("warm_label_to_healthy", w.healthy.Seconds(), "s")
	if onDemand > 0 {
		figure("on_demand_to_first_query", onDemand.Seconds(), "s")
		figure("saved", 100*(1-hookToQuery.Seconds()/onDemand.Seconds()), "percent")
	}
	return nil
}

func (d *demo) lookAround() {
	if !d.keep {
		return
	}
	git := d.cluster.Gitea()
	stop := "make cluster-down"
	if d.name != cluster.DefaultName {
		stop = "go run ./e2e/cmd/cluster -name " + d.name + " down"
	}
	d.printf("\n")
	d.table([][]string{
		{"Look around", ""},
		{"Kubernetes", "export KUBECONFIG=" + d.cluster.Kubeconfig()},
		{"the preview", "kubectl -n " + d.preview.Namespace + " get all,pvc"},
		{"its database", "kubectl -n " + d.preview.Namespace + " exec -it postgres-0 -- psql app"},
		{"the applications", "kubectl -n argocd get applicationsets,applications"},
		{"snapshots", "kubectl -n velero get backups,restores"},
		{"the Git host", fmt.Sprintf("%s/%s (user %s, password %s)", git.URL, platform.Organisation, git.User, git.Password)},
		{"the pull request", fmt.Sprintf("%s/%s/%s/pulls/%d: close it, and all of this preview goes", git.URL, platform.Organisation, platform.ShopRepository, d.pr.Number)},
		{"again", "make demo: the cluster and the seed are there, so it takes a minute or two"},
		{"stop", stop},
	})
	d.printf("\nThe whole demo took %s.\n", seconds(time.Since(d.began)))
}
