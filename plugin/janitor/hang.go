package janitor

import (
	"context"
	"fmt"
	"regexp"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

const (
	// podsHang is how long pods may take to end by themselves; after it they are
	// removed without waiting for their kubelet. Both are asked for a second's
	// grace, whatever the pull request gave them.
	podsHang = 30 * time.Second
	// claimsHang is how long claims may be on their way out once no pod is left.
	claimsHang = time.Minute
	// namespaceHangs is how long a namespace may be on its way out before it is
	// said what it waits for.
	namespaceHangs = time.Minute
)

// endPod asks for a pod's end within a second, and at once when it hangs. One
// that is already ending is asked again where it was given longer: by the pull
// request, or by the deletion of its namespace.
func (j *Janitor) endPod(ctx context.Context, h *hand, pod *corev1.Pod, began time.Time, why string) (gone bool, err error) {
	grace := int64(1)
	if j.Now().Sub(began) >= podsHang {
		grace = 0
	}
	var has int64
	if pod.DeletionGracePeriodSeconds != nil {
		has = *pod.DeletionGracePeriodSeconds
	}
	if pod.DeletionTimestamp != nil && has <= grace && !h.dry {
		return false, nil
	}
	return h.force(ctx, "Pod", pod, why, client.GracePeriodSeconds(grace))
}

// freeClaims lifts the finalizers from claims that are being deleted and that no
// pod uses, but for the cluster's own, which its controllers lift. Claims are
// the only kind in a preview that the plugin may do this to.
func (j *Janitor) freeClaims(ctx context.Context, h *hand, claims []corev1.PersistentVolumeClaim) error {
	for i := range claims {
		c := &claims[i]
		if c.DeletionTimestamp == nil || j.Now().Sub(c.DeletionTimestamp.Time) < claimsHang {
			continue
		}
		keep := []string{}
		for _, f := range c.Finalizers {
			if clusters(f) {
				keep = append(keep, f)
			}
		}
		if len(keep) == len(c.Finalizers) {
			continue
		}
		if err := h.keepFinalizers(ctx, "PersistentVolumeClaim", c, keep, "nothing uses it, and its finalizers hang"); err != nil {
			return err
		}
	}
	return nil
}

// clusters says whether a finalizer is one of Kubernetes' own.
func clusters(finalizer string) bool {
	domain, _, _ := strings.Cut(finalizer, "/")
	return domain == "kubernetes.io" || strings.HasSuffix(domain, ".kubernetes.io") || strings.HasSuffix(domain, ".k8s.io")
}

// remaining and held are how the namespace controller names what is left:
// "configmaps. has 1 resource instances", "example.com/x in 1 resource instances".
var (
	remaining = regexp.MustCompile(`([a-z0-9.-]+) has \d+ resource instances`)
	held      = regexp.MustCompile(`([A-Za-z0-9./_-]+) in \d+ resource instances`)
)

// Hang is what a namespace on its way out waits for.
type Hang struct {
	// What is half a sentence, Command what shows it, and Free what ends it.
	What, Command, Free string
}

// String is the sentence for a pull request.
func (h Hang) String() string { return h.What + ": " + h.Command }

// waitsFor reads a namespace's conditions, as the namespace controller keeps
// them.
func waitsFor(ns *corev1.Namespace) (Hang, bool) {
	message := map[corev1.NamespaceConditionType]string{}
	for _, c := range ns.Status.Conditions {
		if c.Status == corev1.ConditionTrue {
			message[c.Type] = c.Message
		}
	}
	var kinds, finalizers []string
	for _, m := range remaining.FindAllStringSubmatch(message[corev1.NamespaceContentRemaining], -1) {
		kinds = append(kinds, strings.TrimSuffix(m[1], "."))
	}
	for _, m := range held.FindAllStringSubmatch(message[corev1.NamespaceFinalizersRemaining], -1) {
		finalizers = append(finalizers, m[1])
	}
	switch {
	case len(kinds) > 0:
		h := Hang{What: strings.Join(kinds, ", "), Command: fmt.Sprintf("kubectl -n %s get %s", ns.Name, strings.Join(kinds, ","))}
		if len(finalizers) > 0 {
			h.What += " with finalizer " + strings.Join(finalizers, ", ")
			h.Free = fmt.Sprintf(`%s -o name | xargs -I{} kubectl -n %s patch {} --type=merge -p '{"metadata":{"finalizers":null}}'`, h.Command, ns.Name)
		}
		return h, true
	case message[corev1.NamespaceDeletionDiscoveryFailure] != "":
		return Hang{What: "an API of the cluster that does not answer", Command: "kubectl get apiservices"}, true
	case message[corev1.NamespaceDeletionContentFailure] != "":
		return Hang{What: "what could not be deleted", Command: "kubectl get namespace " + ns.Name + " -o yaml"}, true
	}
	return Hang{}, false
}

// sayHang says once what a namespace waits for, and again when that changes.
func (j *Janitor) sayHang(ctx context.Context, h *hand, ns *corev1.Namespace) {
	if h.dry || ns.DeletionTimestamp == nil || j.Now().Sub(ns.DeletionTimestamp.Time) < namespaceHangs {
		return
	}
	hang, ok := waitsFor(ns)
	if !ok || j.hangs[ns.Name] == hang {
		return
	}
	j.hangs[ns.Name] = hang
	j.Log.WarnContext(ctx, "a preview's namespace does not end", "preview", ns.Name, "waits_for", hang.What, "see", hang.Command, "free_it_with", hang.Free)
	j.Hangs(ns.Name, hang.String())
}
