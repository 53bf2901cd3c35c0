package check

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/seedling-dev/seedling/hooks/snapshot"
)

const (
	// mostHops is how often a preview may send its visitor on within itself.
	mostHops = 5
	// openTimeout bounds one visit.
	openTimeout = 10 * time.Second
	// mostRead is as much of an answer as is looked at: whether there is one.
	mostRead = 1 << 10
)

// opened visits a live preview as somebody would who has only its address: without a
// cookie, a header or a name. What answers then with more than a login is open to
// whoever reaches it.
func (c *Cluster) opened(ctx context.Context) {
	const what = "a preview's address"
	var all networkingv1.IngressList
	if !c.may(what, "list Ingresses", c.Kube.List(ctx, &all)) {
		return
	}
	var namespaces corev1.NamespaceList
	if !c.may(what, "list previews' namespaces", c.Kube.List(ctx, &namespaces, client.MatchingLabels{snapshot.LabelOwner: c.Namespace}, client.HasLabels{snapshot.LabelPreview})) {
		return
	}
	// The newest, whose address others may not have met.
	slices.SortFunc(namespaces.Items, func(a, b corev1.Namespace) int {
		return cmp.Or(b.CreationTimestamp.Compare(a.CreationTimestamp.Time), cmp.Compare(a.Name, b.Name))
	})
	for _, ns := range namespaces.Items {
		host := ns.Annotations[snapshot.AnnotationHost]
		if host == "" || ns.DeletionTimestamp != nil || !slices.ContainsFunc(all.Items, func(i networkingv1.Ingress) bool { return i.Namespace == ns.Name && serves(&i, host) }) {
			continue
		}
		said, open, err := visit(ctx, c.Visitor, "https://"+host+"/")
		switch {
		case err != nil:
			c.Report.Unseen(what, fmt.Sprintf("https://%s could not be opened from here: %v", host, err), "open it in a private window, from outside of your network: it must ask who you are, or not be there")
		case open:
			c.Report.Wrong(what, "https://%s answers %s without a login, to whoever reaches it from here: keep its Ingress class internal, or put a proxy that knows your people before it (plugin/README.md, Who can open a preview)", host, said)
		default:
			c.Report.Say(what, fmt.Sprintf(": https://%s answers %s without a login", host, said), nil)
		}
		return
	}
	c.Report.Note("no live preview has an Ingress: run this again when one has, to see whether it asks who you are")
}

// serves says whether an Ingress answers for a host.
func serves(i *networkingv1.Ingress, host string) bool {
	return slices.ContainsFunc(i.Spec.Rules, func(r networkingv1.IngressRule) bool { return r.Host == host })
}

// visit asks an address as a stranger. It follows where it is sent within the same
// host: an application may begin elsewhere than at /. open says that there is an
// answer with content; one that sends its visitor elsewhere, or refuses, has none.
func visit(ctx context.Context, visitor http.RoundTripper, address string) (said string, open bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, openTimeout)
	defer cancel()
	stranger := &http.Client{Transport: visitor, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	for range mostHops {
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
		if err != nil {
			return "", false, err
		}
		answer, err := stranger.Do(r)
		if err != nil {
			return "", false, err
		}
		n, err := io.Copy(io.Discard, io.LimitReader(answer.Body, mostRead))
		answer.Body.Close()
		if err != nil {
			return "", false, err
		}
		to, err := answer.Location()
		if err != nil || answer.StatusCode < 300 || answer.StatusCode > 399 {
			return fmt.Sprint(answer.StatusCode), answer.StatusCode < 300 && n > 0, nil
		}
		if to.Host != r.URL.Host {
			return "by sending its visitor to " + (&url.URL{Scheme: to.Scheme, Host: to.Host}).String(), false, nil
		}
		address = to.String()
	}
	return fmt.Sprintf("by sending its visitor on %d times", mostHops), false, nil
}
