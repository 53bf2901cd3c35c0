package platform

import (
	"bufio"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// FollowLogs calls see for each line that pods with the given names (label
// app.kubernetes.io/name) log from now on, until the context ends. What it
// cannot read it leaves out: it is for people who watch.
func (p *Platform) FollowLogs(ctx context.Context, namespace string, names []string, see func(name, line string)) {
	clients, err := kubernetes.NewForConfig(p.Cluster.REST())
	if err != nil {
		return
	}
	var followers sync.WaitGroup
	defer followers.Wait()
	began := time.Now()
	known := map[types.UID]bool{}
	for ctx.Err() == nil {
		var pods corev1.PodList
		if err := p.Kube.List(ctx, &pods, client.InNamespace(namespace)); err == nil {
			for _, pod := range pods.Items {
				name := pod.Labels["app.kubernetes.io/name"]
				if known[pod.UID] || pod.Status.Phase == corev1.PodPending || pod.CreationTimestamp.Time.Before(began.Add(-2*time.Second)) {
					continue
				}
				for _, wanted := range names {
					if name != wanted {
						continue
					}
					known[pod.UID] = true
					followers.Go(func() {
						stream, err := clients.CoreV1().Pods(namespace).GetLogs(pod.Name, &corev1.PodLogOptions{Follow: true}).Stream(ctx)
						if err != nil {
							return
						}
						defer stream.Close()
						for lines := bufio.NewScanner(stream); lines.Scan(); {
							see(name, lines.Text())
						}
					})
				}
			}
		}
		select {
		case <-ctx.Done():
		case <-time.After(300 * time.Millisecond):
		}
	}
}

// PluginSaid is an error until the running plugin has logged a line with all of
// these texts.
func (p *Platform) PluginSaid(ctx context.Context, texts ...string) error {
	clients, err := kubernetes.NewForConfig(p.Cluster.REST())
	if err != nil {
		return err
	}
	const namespace = "seedling"
	var pods corev1.PodList
	if err := p.Kube.List(ctx, &pods, client.InNamespace(namespace), client.MatchingLabels{"app.kubernetes.io/name": "plugin"}); err != nil {
		return fmt.Errorf("list the plugin's pods: %w", err)
	}
	for _, pod := range pods.Items {
		log, err := clients.CoreV1().Pods(namespace).GetLogs(pod.Name, &corev1.PodLogOptions{}).DoRaw(ctx)
		if err != nil {
			return fmt.Errorf("read the log of pod %s: %w", pod.Name, err)
		}
		for line := range strings.Lines(string(log)) {
			if !slices.ContainsFunc(texts, func(text string) bool { return !strings.Contains(line, text) }) {
				return nil
			}
		}
	}
	return fmt.Errorf("the plugin has not said %q", texts)
}

// PodLog is what the one pod with the given label (app=web) has logged.
func (p *Platform) PodLog(ctx context.Context, namespace, label string) (string, error) {
	clients, err := kubernetes.NewForConfig(p.Cluster.REST())
	if err != nil {
		return "", err
	}
	pods, err := clients.CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{LabelSelector: label})
	if err != nil {
		return "", fmt.Errorf("list the pods %s of %s: %w", label, namespace, err)
	}
	if len(pods.Items) != 1 {
		return "", fmt.Errorf("%d pods of %s are %s, not one", len(pods.Items), namespace, label)
	}
	log, err := clients.CoreV1().Pods(namespace).GetLogs(pods.Items[0].Name, &corev1.PodLogOptions{}).DoRaw(ctx)
	return string(log), err
}
