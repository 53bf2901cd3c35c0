package page

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	velerov1 "github.com/vmware-tanzu/velero/pkg/apis/velero/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/seedling-dev/seedling/hooks/snapshot"
	"github.com/seedling-dev/seedling/plugin/argocd"
	"github.com/seedling-dev/seedling/plugin/broker"
	"github.com/seedling-dev/seedling/plugin/preview"
	"github.com/seedling-dev/seedling/plugin/probe"
)

const (
	// lookedAtFor is for how long the cluster is looked at after somebody looked at
	// the page. Seeds are looked at every seedsEvery; what a preview uses every
	// usageEvery, so many previews each second.
	lookedAtFor    = 2 * time.Minute
	seedsEvery     = 30 * time.Second
	usageEvery     = time.Minute
	usagePerSecond = 4
	lookTimeout    = 10 * time.Second // of one seed, or of what previews use
	// mostSnapshots is how many of a seed are told of, the newest ones.
	mostSnapshots = 20
)

// unknown is said where a question has no answer; the log says why.
const unknown = "this could not be read just now; the plugin's log says why"

// Seed is what is told of a seed.
type Seed struct {
	Name string
	// Problem says why no new preview gets data; empty where the newest usable
	// snapshot is one of Snapshots.
	Problem string
	// Kept are the columns and contents that the newest usable snapshot has as they
	// were in production, as far as told, KeptMore how many there are beside them.
	Kept      []string
	KeptMore  int
	KeptKnown bool
	Snapshots []Snapshot
	More      int // older snapshots
	// Import is how the last sync of its data Application ended, or goes on.
	Import   Import
	Schedule []Schedule
	// Slots are its previews made in advance, by state; nil where it has and wants
	// none.
	Slots map[string]int
	// Unread says that something of it could not be read.
	Unread string
}

// Import is how the last sync of a seed's data Application ended.
type Import struct {
	Application, Phase string
	At                 time.Time
}

// Schedule is a CronJob that refreshes a seed.
type Schedule struct {
	Name, Cron, Zone string
	Suspended        bool
	Last, LastGood   time.Time
}

// Snapshot is one of a seed, with what its Backup records of the import.
type Snapshot struct {
	Name  string
	Phase string
	Taken time.Time
	// Data is when the import behind it finished.
	Data time.Time
	// Newest: new previews get it. Unfit says why it is no snapshot for a preview.
	Newest bool
	Unfit  string

	Verified, ImportID, Dump, DumpDigest, Policy, Key, Maskers, Record string
}

// Usage is what a preview requests, by its quota.
type Usage struct {
	CPU, Memory, Storage string
	At                   time.Time
}

// Looker reads from the cluster what the page shows beside the plugin's own
// state, while somebody looks at the page, within a budget of its own. Its fields
// are set before Run.
type Looker struct {
	Client client.Client
	// Namespace is the plugin's own, ArgoCD that of Applications, Velero that of
	// Backups.
	Namespace, ArgoCD, Velero string
	// Seeds are those that are asked for now, Previews all there are.
	Seeds    func() []string
	Previews func() []preview.Preview
	// Newest is broker.Snapshots.Newest.
	Newest func(ctx context.Context, seed string) (*velerov1.Backup, error)
	// Slots are the previews made in advance, by seed and state; it may be nil.
	Slots func() map[string]map[string]int
	Log   *slog.Logger
	Now   func() time.Time

	asked atomic.Int64

	mu      sync.Mutex
	at      time.Time
	seeds   []Seed
	network probe.Recorded
	usage   map[string]Usage // by namespace
}

// seen is what was read last; at is zero before the first time.
func (l *Looker) seen() (seeds []Seed, network probe.Recorded, usage map[string]Usage, at time.Time) {
	l.asked.Store(l.Now().UnixNano())
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.seeds), l.network, maps.Clone(l.usage), l.at
}

// Run looks until ctx ends.
func (l *Looker) Run(ctx context.Context) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		if since := l.Now().Sub(time.Unix(0, l.asked.Load())); since < lookedAtFor {
			l.look(ctx)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

func (l *Looker) look(ctx context.Context) {
	l.mu.Lock()
	due := l.Now().Sub(l.at) >= seedsEvery
	l.mu.Unlock()
	if due {
		within, done := context.WithTimeout(ctx, lookTimeout)
		network, err := probe.ReadRecord(within, l.Client, l.Namespace)
		if err != nil {
			network = probe.Recorded{Unread: unknown}
			l.warn(ctx, "ConfigMap "+probe.ConfigMap, err)
		}
		schedules := l.schedules(within)
		done()
		var seeds []Seed
		for _, name := range l.Seeds() {
			seeds = append(seeds, l.seed(ctx, name, schedules))
		}
		l.mu.Lock()
		l.seeds, l.network, l.at = seeds, network, l.Now()
		l.mu.Unlock()
	}
	l.use(ctx)
}

func (l *Looker) warn(ctx context.Context, what string, err error) {
	if ctx.Err() == nil {
		l.Log.WarnContext(ctx, "the status page lacks something that could not be read", "what", what, "error", err)
	}
}

// use reads what some live previews use: those that were looked at the longest ago.
func (l *Looker) use(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	now := l.Now()
	var live []string
	for _, p := range l.Previews() {
		if p.Phase == preview.Live {
			live = append(live, p.Namespace)
		}
	}
	l.mu.Lock()
	was := maps.Clone(l.usage)
	l.mu.Unlock()
	is := map[string]Usage{}
	for _, namespace := range live {
		if u, ok := was[namespace]; ok {
			is[namespace] = u
		}
	}
	slices.SortFunc(live, func(a, b string) int { return cmp.Or(is[a].At.Compare(is[b].At), cmp.Compare(a, b)) })
	for _, namespace := range live[:min(len(live), usagePerSecond)] {
		if now.Sub(is[namespace].At) < usageEvery {
			break
		}
		u := Usage{At: now}
		var quota corev1.ResourceQuota
		err := l.Client.Get(ctx, types.NamespacedName{Namespace: namespace, Name: preview.GuardName}, &quota)
		switch {
		case apierrors.IsNotFound(err):
		case err != nil:
			l.warn(ctx, "ResourceQuota of "+namespace, err)
			u = is[namespace]
			u.At = now
		default:
			used := quota.Status.Used
			u.CPU, u.Memory, u.Storage = cpu(used["requests.cpu"]), gib(used["requests.memory"]), gib(used["requests.storage"])
		}
		is[namespace] = u
	}
	l.mu.Lock()
	l.usage = is
	l.mu.Unlock()
}

// seed reads what is told of one.
func (l *Looker) seed(ctx context.Context, name string, schedules map[string][]Schedule) Seed {
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	s := Seed{Name: name, Schedule: schedules[name+"-data"], Import: Import{Application: name + "-data"}}
	if l.Slots != nil {
		s.Slots = l.Slots()[name]
	}
	newest, err := l.Newest(ctx, name)
	switch {
	case errors.Is(err, snapshot.ErrNone) || errors.Is(err, broker.ErrStorage):
		s.Problem = err.Error()
	case err != nil:
		s.Unread = unknown
		l.warn(ctx, "newest snapshot of "+name, err)
	default:
		s.Kept, s.KeptMore, s.KeptKnown = snapshot.KeptFrom(newest.Annotations)
	}
	var app argocd.Application
	switch err := l.Client.Get(ctx, types.NamespacedName{Namespace: l.ArgoCD, Name: s.Import.Application}, &app); {
	case err == nil:
		if op := app.Status.OperationState; op != nil {
			s.Import.Phase, s.Import.At = string(op.Phase), op.StartedAt.Time
			if op.FinishedAt != nil {
				s.Import.At = op.FinishedAt.Time
			}
		}
	case !apierrors.IsNotFound(err):
		s.Unread = unknown
		l.warn(ctx, "Application "+s.Import.Application, err)
	}
	var backups velerov1.BackupList
	if err := l.Client.List(ctx, &backups, client.InNamespace(l.Velero), client.MatchingLabels{snapshot.LabelSeed: name}); err != nil {
		s.Unread = unknown
		l.warn(ctx, "Backups of "+name, err)
		return s
	}
	want, wantErr := l.request(ctx, name)
	for i := range backups.Items {
		b := &backups.Items[i]
		if snapshot.Of(b, name) {
			one := snapshotOf(b)
			one.Newest = newest != nil && b.Name == newest.Name
			if err := snapshot.Usable(b, want, l.Now()); err != nil && wantErr == nil && !one.Newest {
				one.Unfit = err.Error()
			}
			s.Snapshots = append(s.Snapshots, one)
		}
	}
	slices.SortFunc(s.Snapshots, func(a, b Snapshot) int { return cmp.Or(b.Taken.Compare(a.Taken), cmp.Compare(b.Name, a.Name)) })
	s.More = max(len(s.Snapshots)-mostSnapshots, 0)
	s.Snapshots = s.Snapshots[:len(s.Snapshots)-s.More]
	return s
}

func (l *Looker) request(ctx context.Context, seed string) (snapshot.Request, error) {
	var cm corev1.ConfigMap
	if err := l.Client.Get(ctx, types.NamespacedName{Namespace: seed, Name: snapshot.RequestConfigMap}, &cm); err != nil {
		return snapshot.Request{}, err
	}
	return snapshot.RequestFrom(&cm)
}

func snapshotOf(b *velerov1.Backup) Snapshot {
	a := b.Annotations
	s := Snapshot{
		Name: b.Name, Phase: cmp.Or(string(b.Status.Phase), "New"), Taken: b.CreationTimestamp.Time,
		Verified: a[snapshot.AnnotationVerified], ImportID: a[snapshot.AnnotationImportID], Dump: a[snapshot.AnnotationDumpID],
		DumpDigest: a[snapshot.AnnotationDumpDigest], Policy: a[snapshot.AnnotationPolicyDigest], Key: a[snapshot.AnnotationKeyID],
		Maskers: a[snapshot.AnnotationMaskerVersion], Record: a[snapshot.AnnotationRecordDigest],
	}
	if b.Status.StartTimestamp != nil {
		s.Taken = b.Status.StartTimestamp.Time
	}
	if at, err := time.Parse(time.RFC3339, a[snapshot.AnnotationDataTime]); err == nil {
		s.Data = at
	}
	return s
}

// schedules are the CronJobs of manifests/seed-data/schedule, by the Application
// that each one syncs.
func (l *Looker) schedules(ctx context.Context) map[string][]Schedule {
	var jobs batchv1.CronJobList
	if err := l.Client.List(ctx, &jobs, client.InNamespace(l.ArgoCD), client.MatchingLabels{"app.kubernetes.io/part-of": "seedling"}); err != nil {
		l.warn(ctx, "CronJobs of "+l.ArgoCD, err)
		return nil
	}
	out := map[string][]Schedule{}
	for _, j := range jobs.Items {
		s := Schedule{Name: j.Name, Cron: j.Spec.Schedule, Suspended: j.Spec.Suspend != nil && *j.Spec.Suspend}
		if j.Spec.TimeZone != nil {
			s.Zone = *j.Spec.TimeZone
		}
		if at := j.Status.LastScheduleTime; at != nil {
			s.Last = at.Time
		}
		if at := j.Status.LastSuccessfulTime; at != nil {
			s.LastGood = at.Time
		}
		named := map[string]bool{}
		for _, c := range j.Spec.JobTemplate.Spec.Template.Spec.Containers {
			for _, word := range slices.Concat(c.Command, c.Args) {
				_, value, _ := strings.Cut(word, "=") // a flag's
				named[word], named[value] = true, true
			}
		}
		for word := range named {
			out[word] = append(out[word], s)
		}
	}
	return out
}
