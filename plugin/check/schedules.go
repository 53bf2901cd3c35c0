package check

import (
	"context"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	velerov1 "github.com/vmware-tanzu/velero/pkg/apis/velero/v1"
	appsv1 "k8s.io/api/apps/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// schedules warns of Velero's Schedules that take seeds or previews along.
func (c *Cluster) schedules(ctx context.Context, seeds []string) {
	const what = "Velero's schedules"
	var all velerov1.ScheduleList
	err := c.Kube.List(ctx, &all, client.InNamespace(c.Velero))
	if !c.may(what, "list Schedules in namespace "+c.Velero, err) {
		return
	}
	for i := range all.Items {
		s := &all.Items[i]
		if s.Spec.Paused {
			continue
		}
		for _, seed := range seeds {
			if covers(&s.Spec.Template, seed) {
				c.Report.Note("Velero's Schedule %s backs namespace %s up, with the Secrets that open the seed (its key, its certificates), beside the snapshots that seed-backup takes: leave it out (spec.template.excludedNamespaces), unless it is meant to", s.Name, seed)
			}
		}
		if covers(&s.Spec.Template, "preview-x-1-0123456789") {
			c.Report.Note("Velero's Schedule %s covers previews' namespaces. They carry velero.io/exclude-from-backup, by which Velero leaves them out; those that live since an earlier release get it within a round", s.Name)
		}
	}
	c.Report.Say(what, fmt.Sprintf(": looked at %d", len(all.Items)), nil)
}

// covers says whether a Backup would take a namespace along.
func covers(b *velerov1.BackupSpec, namespace string) bool {
	matches := func(patterns []string) bool {
		return slices.ContainsFunc(patterns, func(p string) bool {
			ok, err := path.Match(p, namespace)
			return p == "*" || err == nil && ok || p == namespace
		})
	}
	return (len(b.IncludedNamespaces) == 0 || matches(b.IncludedNamespaces)) && !matches(b.ExcludedNamespaces)
}

const (
	// longRestore is how long somebody's Restore may take before it is said that it
	// holds previews up.
	longRestore = 5 * time.Minute
	// longTimeout is how long Velero may wait for one thing of one Restore.
	longTimeout = 2 * time.Minute
)

// timeouts are the flags of Velero's server for what it waits for while all other
// Restores wait too, and their defaults.
var timeouts = map[string]time.Duration{"--terminating-resource-timeout": 10 * time.Minute, "--resource-timeout": 10 * time.Minute}

// heldUp warns of what makes previews wait in Velero mode: Velero restores one at a
// time, whosever it is.
func (c *Cluster) heldUp(ctx context.Context) {
	const what = "Velero's other work"
	if c.Direct {
		return
	}
	const second = "previews wait meanwhile. Direct mode does not (mode: direct), nor does a second Velero in a namespace of its own (veleroNamespace)"
	var restores velerov1.RestoreList
	if err := c.Kube.List(ctx, &restores, client.InNamespace(c.Velero)); !c.may(what, "list Restores in namespace "+c.Velero, err) {
		return
	}
	for _, r := range restores.Items {
		began := r.Status.StartTimestamp
		if began != nil && r.Status.CompletionTimestamp == nil && c.Now().Sub(began.Time) >= longRestore && running(&r) {
			c.Report.Note("Velero has been at Restore %s for %d minutes, and %s", r.Name, int(c.Now().Sub(began.Time).Minutes()), second)
		}
	}
	var all appsv1.DeploymentList
	if err := c.Kube.List(ctx, &all, client.InNamespace(c.Velero)); !c.may(what, "list Deployments in namespace "+c.Velero, err) {
		return
	}
	for _, d := range all.Items {
		for _, container := range d.Spec.Template.Spec.Containers {
			if d.Name != "velero" && container.Name != "velero" {
				continue
			}
			for _, flag := range []string{"--resource-timeout", "--terminating-resource-timeout"} {
				if is := timeoutOf(container.Args, flag); is > longTimeout {
					c.Report.Note("Velero waits up to %s for one volume or namespace of one Restore, and %s: set %s=%s on its server", is, second, flag, longTimeout)
				}
			}
			c.Report.Say(what, "", nil)
			return
		}
	}
}

// running says whether Velero is at work on a Restore.
func running(r *velerov1.Restore) bool {
	switch r.Status.Phase {
	case velerov1.RestorePhaseInProgress, velerov1.RestorePhaseFinalizing, velerov1.RestorePhaseFinalizingPartiallyFailed,
		velerov1.RestorePhaseWaitingForPluginOperations, velerov1.RestorePhaseWaitingForPluginOperationsPartiallyFailed:
		return true
	default:
		return false
	}
}

// timeoutOf reads a flag of Velero's server.
func timeoutOf(args []string, flag string) time.Duration {
	is := timeouts[flag]
	for i, arg := range args {
		value, ok := strings.CutPrefix(arg, flag+"=")
		if arg == flag && i+1 < len(args) {
			value, ok = args[i+1], true
		}
		if d, err := time.ParseDuration(value); ok && err == nil {
			is = d
		}
	}
	return is
}
