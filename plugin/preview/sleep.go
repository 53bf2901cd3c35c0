package preview

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/seedling-dev/seedling/plugin/queue"
)

const (
	// DefaultWakeLabel is the label that wakes a preview.
	DefaultWakeLabel = "preview-wake"
	// AnnotationWoken is what the plugin writes on the workloads of a preview that
	// it wakes: their controllers wait longer and longer for pods that are refused,
	// and look again at what changes.
	AnnotationWoken = "seedling.dev/woken-at"

	minSleepAfter = time.Minute
	// awakeFor is for how long a preview is awake outside of its hours that somebody
	// pushed to or woke, unless it sleeps sooner anyway.
	awakeFor = 2 * time.Hour
	// startsFor is for how long a preview that was never Healthy is left to become so.
	startsFor = time.Hour
	// hoursSpread is over how long the previews go to sleep, or wake, whose hours
	// end, or begin.
	hoursSpread = 10 * time.Minute
	haltTimeout = 20 * time.Second
	// wakeTries is how often controllers are told within one wakeTimeout to look
	// again, wakeLook for how long one of them is waited for.
	wakeTimeout = 30 * time.Second
	wakeTries   = 5
	wakeLook    = 2 * time.Second
	wakePoll    = 50 * time.Millisecond
)

// Sleep says when what runs in previews is ended for a while. Their data stays,
// and Argo CD keeps their Applications. The zero value is never.
type Sleep struct {
	// After is for how long nobody pushed or woke it; 0 for any time.
	After Span `json:"after"`
	// AwakeHours are when previews are awake.
	AwakeHours Hours `json:"awakeHours"`
}

// Validate says what is wrong with it.
func (s Sleep) Validate() error {
	if after := time.Duration(s.After); after != 0 && (after < minSleepAfter || after > maxTTL) {
		return fmt.Errorf("sleep.after: %s is not between %s and 365d; 0 is never", s.After, spanText(minSleepAfter))
	}
	return nil
}

// sleepFacts are what is known of a preview's sleep.
type sleepFacts struct {
	Sleep
	// Label: somebody set the label that wakes it.
	Label bool
	// Healthy is when Argo CD called it so first; zero while it did not.
	Healthy time.Time
}

// sleeps are the fields of an input that are about sleep.
var sleeps = map[string]bool{"sleepAfter": true, "awakeHours": true, "wakeLabel": true}

// parseSleep reads them into an input. What is not said is as the plugin's
// configuration has it.
func parseSleep(in *Input, fields map[string]json.RawMessage, bad func(field, problem string)) {
	text := func(name string, into *string) bool {
		raw, ok := fields[name]
		if !ok {
			return false
		}
		var given *string
		if json.Unmarshal(raw, &given) != nil || given == nil {
			bad(name, "must be a string")
			return false
		}
		*into = *given
		return true
	}
	if text("sleepAfter", &in.SleepAfter) {
		d, ok := duration(in.SleepAfter)
		if !ok || d != 0 && (d < minSleepAfter || d > maxTTL) {
			bad("sleepAfter", fmt.Sprintf("must be a time between %s and 365d, such as 8h, or 0 for never", spanText(minSleepAfter)))
		}
		after := Span(d)
		in.sleepAfter = &after
	}
	if text("awakeHours", &in.AwakeHours) {
		hours, err := ParseHours(in.AwakeHours)
		if err != nil {
			bad("awakeHours", err.Error())
		}
		in.awakeHours = &hours
	}
	text("wakeLabel", &in.WakeLabel)
	if name := in.wakeLabel(); !labelName(name) || name == in.Label || name == in.ResetLabel || name == in.KeepLabel {
		bad("wakeLabel", "must be a label's name, and another one than label, resetLabel and keepLabel")
	}
}

// wakeLabel is the label that wakes its previews.
func (in Input) wakeLabel() string { return cmp.Or(in.WakeLabel, DefaultWakeLabel) }

// sleep is when its previews sleep, given what the plugin's configuration says.
func (in Input) sleep(s Sleep) Sleep {
	if in.sleepAfter != nil {
		s.After = *in.sleepAfter
	}
	if in.awakeHours != nil {
		s.AwakeHours = *in.awakeHours
	}
	return s
}

// why says why a preview sleeps now that was Healthy first at a time; empty for one
// that is awake.
func (s Sleep) why(p *Preview, healthy, now time.Time) string {
	used := latest(latest(latest(p.EmittedAt, p.HeadSeenAt), latest(p.WokenAt, p.Start.Restored)), healthy)
	idle, after := now.Sub(used), time.Duration(s.After)
	if after > 0 && idle >= after {
		return "nobody pushed or woke it for " + s.After.String()
	}
	// Not all of them at once: they sleep within hoursSpread of the end of their
	// hours, and are awake before those begin.
	apart := jitter(p.Namespace, hoursSpread)
	if open := s.AwakeHours.Open(now.Add(-apart)) || s.AwakeHours.Open(now.Add(hoursSpread-apart)); open || idle < awakeFor {
		return ""
	}
	return "outside of its hours, " + s.AwakeHours.String()
}

// sleep is the step of a live preview into sleep, and out of it. One sleeps that has
// its data; what is not known changes nothing.
func (p *Preview) sleep(f Facts, now time.Time) {
	if f.Sleep == nil {
		return
	}
	if f.Sleep.Label && !p.WakeSpent {
		p.WokenAt = now
	}
	p.WakeSpent = f.Sleep.Label
	pushed := commit.MatchString(f.HeadSHA) && f.HeadSHA != p.HeadSHA
	why := ""
	// One whose first sync has not ended would be asleep before it was ever there.
	began := p.asleep() || !f.Sleep.Healthy.IsZero() || now.Sub(p.EmittedAt) >= startsFor
	if p.PVCUID != "" && !p.Foreign && !pushed && began {
		why = f.Sleep.why(p, f.Sleep.Healthy, now)
	}
	switch {
	case why == "":
		p.AsleepSince = time.Time{}
	case p.AsleepSince.IsZero():
		p.AsleepSince, p.Halted = now, true
	}
	p.AsleepFor = why
}

// forgetSleep makes an ended preview one that does not sleep: what becomes of what
// runs in it is another's matter.
func (p *Preview) forgetSleep() {
	p.AsleepSince, p.AsleepFor, p.Halted, p.WokenAt, p.WakeSpent = time.Time{}, "", false, time.Time{}, false
}

// asleep says whether nothing is to run in a preview.
func (p *Preview) asleep() bool { return p.Phase == Live && !p.AsleepSince.IsZero() }

// sleepSentence says that a live preview sleeps, or wakes up; empty where it does
// neither.
func sleepSentence(p *Preview, in Input) string {
	switch {
	case p.asleep():
		wake := "Push, or set label " + in.wakeLabel() + ", to wake it"
		if in.asking.unlabelled {
			wake = "Push to wake it"
		}
		return fmt.Sprintf("Asleep since %s, %s; its data stays. %s", day(p.AsleepSince), p.AsleepFor, wake)
	case p.Halted:
		return "Preview " + p.Namespace + " is waking up"
	}
	return ""
}

// WakePreview wakes a live preview, or keeps it awake.
func (r *Reconciler) WakePreview(ctx context.Context, namespace string) error {
	p, ok := r.Store.Live(namespace)
	if !ok {
		return fmt.Errorf("wake %s: %w", namespace, ErrNoPreview)
	}
	now := r.Now()
	if err := r.Store.amendLive(ctx, p, func(q *Preview) { q.WokenAt = now }); err != nil {
		return fmt.Errorf("wake %s: %w", namespace, err)
	}
	return nil
}

// sleeping brings what runs in a live preview to what was decided. That it may have
// been ended is written before it is, so that whoever wakes it knows. The caller
// holds mu.
func (r *Reconciler) sleeping(repo *repository, it *item, p *Preview, e *errands) {
	if repo.forge != nil && p.WakeSpent && it.cur != nil && !it.cur.WakeSpent {
		spent := r.unlabelTask(repo, p, it.in.wakeLabel())
		spent.key = "unlabel-wake/" + p.Namespace
		e.want(spent)
	}
	k := repo.knowledge(p.Namespace)
	switch {
	case !p.Halted:
	case !p.asleep():
		k.haltedAt = time.Time{}
		e.want(r.wakeTask(p.Namespace))
	default:
		if due := k.haltedAt.Add(mendEvery); !k.haltedAt.IsZero() && due.After(e.now) && !k.haltedAt.After(e.now) {
			e.by(due)
			return
		}
		e.want(r.haltTask(repo, p.Namespace))
	}
}

// haltTask ends what runs in a preview that sleeps.
func (r *Reconciler) haltTask(repo *repository, namespace string) task {
	key := "halt/" + namespace
	return task{key: key, cluster: true, class: queue.Telling, timeout: haltTimeout, do: func(ctx context.Context) (bool, error) {
		p, ok := r.Store.Live(namespace)
		if !ok || !p.asleep() {
			return false, nil
		}
		left, err := r.Namespaces.Halt(ctx, p)
		if err != nil {
			return false, err
		}
		repo.mu.Lock()
		defer repo.mu.Unlock()
		if left {
			repo.later(key, r.Now(), retryFirst, pollEvery)
			return false, nil
		}
		delete(repo.pace, key)
		repo.knowledge(namespace).haltedAt = r.Now()
		return false, nil
	}}
}

// wakeTask lets what was ended run again.
func (r *Reconciler) wakeTask(namespace string) task {
	return task{key: "wake/" + namespace, cluster: true, class: queue.Urgent, timeout: wakeTimeout, do: func(ctx context.Context) (bool, error) {
		p, ok := r.Store.Live(namespace)
		if !ok || p.asleep() || !p.Halted {
			return false, nil
		}
		if err := r.Namespaces.Wake(ctx, p, r.Now()); err != nil {
			return false, err
		}
		// What Argo CD says of it is still of its sleep.
		r.Health(namespace, "Progressing", r.Now())
		err := r.Store.amendLive(ctx, p, func(q *Preview) { q.Halted = q.asleep() })
		if errors.Is(err, ErrNoPreview) {
			return false, nil // it ended
		}
		return false, err
	}}
}

// Halt lets no pod into the namespace of a preview that sleeps, and ends those that
// are there, each in its own time to end. Those of Jobs run to their end: a half of
// a migration would be worse than a late one. left says that some are still there.
func (n *Namespaces) Halt(ctx context.Context, p Preview) (left bool, err error) {
	bounded, err := n.bound(ctx, p)
	if err != nil || !bounded {
		return true, err
	}
	var pods corev1.PodList
	if err := n.Client.List(ctx, &pods, client.InNamespace(p.Namespace)); err != nil {
		return true, fmt.Errorf("list the Pods of %s: %w", p.Namespace, err)
	}
	for i := range pods.Items {
		pod := &pods.Items[i]
		owner := metav1.GetControllerOf(pod)
		if owner != nil && owner.Kind == "Job" || pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed {
			continue
		}
		left = true
		if pod.DeletionTimestamp != nil {
			continue
		}
		if err := n.Client.Delete(ctx, pod, client.Preconditions{UID: &pod.UID}); client.IgnoreNotFound(err) != nil {
			return true, fmt.Errorf("end Pod %s/%s: %w", p.Namespace, pod.Name, err)
		}
	}
	return left, nil
}

// Wake lets pods in again, and has the controllers of workloads make theirs.
func (n *Namespaces) Wake(ctx context.Context, p Preview, now time.Time) error {
	for {
		bounded, err := n.bound(ctx, p)
		if err != nil {
			return err
		}
		if bounded {
			break
		}
		if err := pause(ctx, wakePoll); err != nil {
			return fmt.Errorf("wait until the quota of %s lets pods in: %w", p.Namespace, err)
		}
	}
	// A controller may have been refused just before the API server knew.
	for try := range wakeTries {
		still, err := n.still(ctx, p.Namespace)
		if err != nil || len(still) == 0 {
			return err
		}
		for _, o := range still {
			before, ok := o.DeepCopyObject().(client.Object)
			if !ok {
				return fmt.Errorf("copy %s: the copy is of another kind", o.GetName())
			}
			annotations := map[string]string{AnnotationWoken: now.Add(time.Duration(try)).UTC().Format(time.RFC3339Nano)}
			for k, v := range o.GetAnnotations() {
				if k != AnnotationWoken {
					annotations[k] = v
				}
			}
			o.SetAnnotations(annotations)
			if err := n.Client.Patch(ctx, o, client.MergeFrom(before)); client.IgnoreNotFound(err) != nil {
				return fmt.Errorf("wake %T %s/%s: %w", o, p.Namespace, o.GetName(), err)
			}
		}
		if err := n.rise(ctx, p.Namespace); err != nil {
			return err
		}
	}
	// Whatever keeps the rest from having pods is none of sleep's.
	return nil
}

// rise waits until every workload has a pod, for wakeLook.
func (n *Namespaces) rise(ctx context.Context, namespace string) error {
	for until := time.Now().Add(wakeLook); time.Now().Before(until); {
		still, err := n.still(ctx, namespace)
		if err != nil || len(still) == 0 {
			return err
		}
		if err := pause(ctx, wakePoll); err != nil {
			return fmt.Errorf("wait for the pods of %s: %w", namespace, err)
		}
	}
	return nil
}

// still are the workloads that want pods and have none.
func (n *Namespaces) still(ctx context.Context, namespace string) (all []client.Object, err error) {
	var deployments appsv1.DeploymentList
	if err := n.Client.List(ctx, &deployments, client.InNamespace(namespace)); err != nil {
		return nil, fmt.Errorf("list the Deployments of %s: %w", namespace, err)
	}
	for i := range deployments.Items {
		if d := &deployments.Items[i]; wants(d.Spec.Replicas) && d.Status.Replicas == 0 && d.DeletionTimestamp == nil {
			all = append(all, d)
		}
	}
	var sets appsv1.StatefulSetList
	if err := n.Client.List(ctx, &sets, client.InNamespace(namespace)); err != nil {
		return nil, fmt.Errorf("list the StatefulSets of %s: %w", namespace, err)
	}
	for i := range sets.Items {
		if s := &sets.Items[i]; wants(s.Spec.Replicas) && s.Status.Replicas == 0 && s.DeletionTimestamp == nil {
			all = append(all, s)
		}
	}
	return all, nil
}

// wants says whether a workload asks for pods; one by default.
func wants(replicas *int32) bool { return replicas == nil || *replicas > 0 }

// halted are the limits that let nothing begin in a preview that sleeps. A Job of a
// CronJob would only wait, and all of them would begin with the preview.
var halted = []corev1.ResourceName{"pods", "count/jobs.batch"}

// bound writes a preview's quota. bounded says that it acts: what is counted by is
// what its controller has taken over.
func (n *Namespaces) bound(ctx context.Context, p Preview) (bounded bool, err error) {
	hard, err := n.quota(ctx, p)
	if err != nil {
		return false, err
	}
	quota := &corev1.ResourceQuota{
		ObjectMeta: metav1.ObjectMeta{Namespace: p.Namespace, Name: GuardName, Labels: n.labels()},
		Spec:       corev1.ResourceQuotaSpec{Hard: hard},
	}
	is := quota.DeepCopy()
	if err := keep(ctx, n.Client, quota, func(is, want *corev1.ResourceQuota) bool { return replace(&is.Spec, want.Spec) }); err != nil {
		return false, err
	}
	if err := n.Client.Get(ctx, client.ObjectKeyFromObject(is), is); err != nil {
		return false, fmt.Errorf("read the quota of %s: %w", p.Namespace, err)
	}
	for _, name := range halted {
		want, wanted := hard[name]
		if acts, ok := is.Status.Hard[name]; ok != wanted || acts.Cmp(want) != 0 {
			return false, nil
		}
	}
	return true, nil
}

// halt makes a quota one of a preview that sleeps.
func halt(hard corev1.ResourceList) {
	for _, name := range halted {
		hard[name] = resource.MustParse("0")
	}
}

// pause waits, unless ctx ends before.
func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}
