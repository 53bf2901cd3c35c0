package postgres

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/seedling-dev/seedling/hooks/command"
	"github.com/seedling-dev/seedling/hooks/snapshot"
)

// misconfigured is the exit code by which seed-postgres says that no other try
// will help.
const misconfigured = 2

// maxSaid is how much a hook repeats of what a container said at its end.
const maxSaid = 500

// refusal is an error that a pull request may repeat.
type refusal struct {
	// text is for everybody, said what a container said at its end, for the
	// hook's log.
	text, said string
	// final: no other try helps, until somebody does something.
	final bool
}

func (e refusal) Error() string {
	if e.said == "" {
		return e.text
	}
	return e.text + ": " + e.said
}

// Public is what a pull request, which may be public, repeats of it.
func (e refusal) Public() string { return e.text }

// Status is the status code that the broker answers with.
func (e refusal) Status() int {
	if e.final {
		return http.StatusUnprocessableEntity
	}
	return http.StatusServiceUnavailable
}

func foreign(namespace, kind string) error {
	return refusal{final: true, text: fmt.Sprintf("%s %s/%s is not the one that the platform makes: `kubectl -n %s delete %s %s` and sync again, or set `postgres: own` in the ApplicationSet and the label preview-reset",
		kind, namespace, snapshot.Postgres, namespace, strings.ToLower(kind), snapshot.Postgres)}
}

// answers is "" when Postgres answers, and otherwise what it waits for; an error
// when it does not start.
func (k *Keeper) answers(ctx context.Context, set *appsv1.StatefulSet) (wait string, err error) {
	switch s := set.Status; {
	case set.DeletionTimestamp != nil:
		return "waiting until a StatefulSet postgres that is being deleted is gone", nil
	case s.ObservedGeneration < set.Generation:
		return "its Postgres is being made", nil
	case s.ReadyReplicas > 0 && s.UpdatedReplicas > 0: // there is one
		return "", nil
	}
	var pods corev1.PodList
	if err := k.Client.List(ctx, &pods, client.InNamespace(set.Namespace), client.MatchingLabels(selector)); err != nil {
		return "", fmt.Errorf("list the Pods of %s: %w", set.Namespace, err)
	}
	for i := range pods.Items {
		pod := &pods.Items[i]
		if pod.DeletionTimestamp == nil && pod.Labels[appsv1.ControllerRevisionHashLabelKey] == set.Status.UpdateRevision {
			return state(pod)
		}
	}
	return fmt.Sprintf("StatefulSet postgres has made no pod yet; if that stays so, see `kubectl -n %s describe statefulset postgres`", set.Namespace), nil
}

// state says what a pod that is not ready waits for.
func state(pod *corev1.Pod) (wait string, err error) {
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.PodScheduled && c.Status == corev1.ConditionFalse {
			return fmt.Sprintf("pod %s is on no node yet (%s); see `kubectl -n %s describe pod %[1]s`", pod.Name, word(c.Reason), pod.Namespace), nil
		}
	}
	all := slices.Concat(pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses)
	for _, c := range all {
		ended := c.State.Terminated
		if ended == nil && c.State.Running == nil {
			ended = c.LastTerminationState.Terminated
		}
		if ended != nil && ended.ExitCode != 0 {
			failed := refusal{
				text: fmt.Sprintf("its Postgres does not start: container %s of pod %s ended with exit code %d; see `kubectl -n %s logs %[2]s -c %[1]s`", c.Name, pod.Name, ended.ExitCode, pod.Namespace),
				said: said(ended.Message), final: ended.ExitCode == misconfigured,
			}
			return "", failed
		}
	}
	for _, c := range all {
		switch w := c.State.Waiting; {
		case w == nil || w.Reason == "":
		case w.Reason == "PodInitializing" || w.Reason == "ContainerCreating":
			return fmt.Sprintf("pod %s is being made; if that stays so, see `kubectl -n %s describe pod %[1]s`", pod.Name, pod.Namespace), nil
		default:
			return fmt.Sprintf("container %s of pod %s waits (%s); see `kubectl -n %s describe pod %[2]s`", c.Name, pod.Name, word(w.Reason), pod.Namespace), nil
		}
	}
	return "Postgres is starting", nil
}

// word is a reason as Kubernetes writes it, and nothing else.
func word(reason string) string {
	for _, r := range reason {
		if (r < 'A' || r > 'Z') && (r < 'a' || r > 'z') {
			return "unknown"
		}
	}
	return reason
}

// said is the end of what a container said, on one line.
func said(message string) string {
	message = command.OneLine(strings.ToValidUTF8(message, "?"))
	if len(message) > maxSaid {
		message = "..." + strings.ToValidUTF8(message[len(message)-maxSaid:], "")
	}
	return message
}
