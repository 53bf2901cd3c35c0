package preview

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/seedling-dev/seedling/plugin/forge"
	"github.com/seedling-dev/seedling/plugin/queue"
)

const (
	// labelJob is on the pods of every Job.
	labelJob = "batch.kubernetes.io/job-name"
	// maxWords and maxWord bound the lines that are quoted, in lines and in
	// characters of each.
	maxWords = 10
	maxWord  = 200
)

// lastWords is what a failed hook said at its end; empty for nothing, or where
// not only members would read it.
type lastWords struct{ of, text string }

// findLastWords asks what the hook said on which a preview's sync failed. The
// caller holds mu.
func (r *Reconciler) findLastWords(repo *repository, p *Preview, e *errands) {
	said := repo.sentence[p.Namespace]
	f, ok := repo.forge.(forge.Commenter)
	if !ok || r.Namespaces == nil || said.sync == "" || said.commit != p.HeadSHA || repo.lastWords[p.Namespace].of == of(said) {
		return
	}
	namespace, repository := p.Namespace, p.Repository
	e.want(task{key: "words/" + namespace, class: queue.Telling, timeout: tellTimeout, do: func(ctx context.Context) (bool, error) {
		private, err := f.Private(ctx, repository)
		words := ""
		if err == nil && private {
			words, err = r.Namespaces.lastWords(ctx, namespace)
		}
		if err != nil {
			return false, err
		}
		repo.mu.Lock()
		defer repo.mu.Unlock()
		repo.lastWords[namespace] = lastWords{of(said), words}
		return false, nil
	}})
}

// of is what last words are about.
func of(s sentence) string { return s.commit + " " + s.sync }

// lastWords reads the termination message of the hook that failed last in a
// namespace: the end of its log, where its Job says FallbackToLogsOnError.
func (n *Namespaces) lastWords(ctx context.Context, namespace string) (string, error) {
	var pods corev1.PodList
	if err := n.Client.List(ctx, &pods, client.InNamespace(namespace), client.HasLabels{labelJob}); err != nil {
		return "", fmt.Errorf("list the pods of hooks in %s: %w", namespace, err)
	}
	var at time.Time
	text := ""
	for _, pod := range pods.Items {
		for _, c := range slices.Concat(pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses) {
			if t := c.State.Terminated; t != nil && t.ExitCode != 0 && t.Message != "" && t.FinishedAt.After(at) {
				at, text = t.FinishedAt.Time, t.Message
			}
		}
	}
	return text, nil
}

// quote is a text as a block of code, in which nothing means more.
func quote(text string) string {
	lines := strings.Split(strings.TrimSpace(strings.ToValidUTF8(text, "")), "\n")
	lines = lines[max(len(lines)-maxWords, 0):]
	for i, line := range lines {
		line = strings.Map(func(r rune) rune {
			switch {
			case r == '`':
				return '\''
			case r == '\t':
				return ' '
			case unicode.IsControl(r), unicode.Is(unicode.Cf, r), r == unicode.ReplacementChar:
				return -1
			}
			return r
		}, line)
		if runes := []rune(line); len(runes) > maxWord {
			line = string(runes[:maxWord-1]) + "…"
		}
		lines[i] = line
	}
	return "```text\n" + strings.Join(lines, "\n") + "\n```"
}
