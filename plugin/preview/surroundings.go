package preview

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"reflect"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/seedling-dev/seedling/hooks/snapshot"
)

// Surroundings are the addresses of the cluster that previews' NetworkPolicies
// depend on.
type Surroundings struct {
	// DNS are where pods ask for names: the nameservers of a pod, and what
	// stands behind one that is a Service's address. DNSPorts are the ports there.
	DNS      []netip.Addr
	DNSPorts []int32
	// Cluster are the nodes' addresses and the API server's. They are looked for
	// where an egress rule needs them; ClusterKnown says that they are complete.
	Cluster      []netip.Addr
	ClusterKnown bool
}

const (
	// DefaultResolvConf is where a pod's nameservers are.
	DefaultResolvConf = "/etc/resolv.conf"
	// lookEvery is the net under the watches, and the pace for resolv.conf.
	lookEvery = 30 * time.Second
	// atOnce bounds how many policies are written side by side.
	atOnce = 8
	// gather waits for the burst of events that one change makes.
	gather = 200 * time.Millisecond
)

// Surroundings are those that were found by the last Look.
func (n *Namespaces) Surroundings() Surroundings {
	if s := n.around.Load(); s != nil {
		return *s
	}
	return Surroundings{}
}

// Look reads the surroundings anew. What cannot be read stays as it was, and is
// in the error; the rest is used.
func (n *Namespaces) Look(ctx context.Context) error {
	was := n.Surroundings()
	is := Surroundings{}
	var wrong []error
	if err := n.lookForDNS(ctx, &is); err != nil {
		is.DNS, is.DNSPorts = merged(is.DNS, was.DNS), merged(is.DNSPorts, was.DNSPorts)
		wrong = append(wrong, err)
	}
	if slices.ContainsFunc(n.Guards.Egress, func(e Egress) bool { return e.CIDR != "" }) {
		if err := n.lookForCluster(ctx, &is); err != nil {
			is.Cluster, is.ClusterKnown = was.Cluster, was.ClusterKnown
			wrong = append(wrong, err)
		}
	}
	slices.SortFunc(is.DNS, netip.Addr.Compare)
	slices.SortFunc(is.Cluster, netip.Addr.Compare)
	slices.Sort(is.DNSPorts)
	is.DNS, is.Cluster, is.DNSPorts = slices.Compact(is.DNS), slices.Compact(is.Cluster), slices.Compact(is.DNSPorts)
	n.around.Store(&is)
	return errors.Join(wrong...)
}

func merged[T comparable](a, b []T) []T {
	for _, v := range b {
		if !slices.Contains(a, v) {
			a = append(a, v)
		}
	}
	return a
}

// lookForDNS begins with what a pod is told: our own resolv.conf is a preview's.
func (n *Namespaces) lookForDNS(ctx context.Context, is *Surroundings) error {
	path := n.ResolvConf
	if path == "" {
		return nil
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("read the nameservers: %w", err)
	}
	is.DNS = nameservers(string(b))
	var services corev1.ServiceList
	if err := n.Client.List(ctx, &services, client.InNamespace(n.Guards.DNSNamespace)); err != nil {
		return fmt.Errorf("list the Services in namespace %s: %w", n.Guards.DNSNamespace, err)
	}
	told := slices.Clone(is.DNS)
	for _, s := range services.Items {
		addresses := parsed(append(slices.Clone(s.Spec.ClusterIPs), s.Spec.ClusterIP))
		if !slices.ContainsFunc(addresses, func(a netip.Addr) bool { return slices.Contains(told, a) }) {
			continue
		}
		is.DNS = append(is.DNS, addresses...)
		endpoints, ports, err := n.endpoints(ctx, s.Namespace, s.Name)
		if err != nil {
			return err
		}
		is.DNS, is.DNSPorts = append(is.DNS, endpoints...), append(is.DNSPorts, ports...)
	}
	return nil
}

// nameservers are those that a resolv.conf names.
func nameservers(conf string) (found []netip.Addr) {
	for line := range strings.Lines(conf) {
		if fields := strings.Fields(line); len(fields) >= 2 && fields[0] == "nameserver" {
			found = append(found, parsed(fields[1:2])...)
		}
	}
	return found
}

// parsed are those of the texts that are addresses; "None" and "" are not.
func parsed(texts []string) (found []netip.Addr) {
	for _, s := range texts {
		if a, err := netip.ParseAddr(s); err == nil {
			found = append(found, a.WithZone("").Unmap())
		}
	}
	return found
}

// endpoints are the addresses and the DNS ports behind a Service, ready or not.
func (n *Namespaces) endpoints(ctx context.Context, namespace, service string) (found []netip.Addr, ports []int32, err error) {
	var slicesOf discoveryv1.EndpointSliceList
	if err := n.Client.List(ctx, &slicesOf, client.InNamespace(namespace), client.MatchingLabels{discoveryv1.LabelServiceName: service}); err != nil {
		return nil, nil, fmt.Errorf("list the EndpointSlices of Service %s/%s: %w", namespace, service, err)
	}
	for _, s := range slicesOf.Items {
		for _, e := range s.Endpoints {
			found = append(found, parsed(e.Addresses)...)
		}
		for _, p := range s.Ports {
			// Beside DNS there may be metrics.
			if p.Port != nil && p.Name != nil && strings.HasPrefix(*p.Name, "dns") {
				ports = append(ports, *p.Port)
			}
		}
	}
	return found, ports, nil
}

// lookForCluster finds what no preview may reach whatever block it is in.
func (n *Namespaces) lookForCluster(ctx context.Context, is *Surroundings) error {
	var nodes corev1.NodeList
	if err := n.Client.List(ctx, &nodes); err != nil {
		return fmt.Errorf("list the Nodes: %w", err)
	}
	for i := range nodes.Items {
		is.Cluster = append(is.Cluster, addressesOf(&nodes.Items[i])...)
	}
	api, _, err := n.endpoints(ctx, metav1.NamespaceDefault, "kubernetes")
	if err != nil {
		return err
	}
	is.Cluster = append(is.Cluster, api...)
	is.Cluster = append(is.Cluster, parsed([]string{n.APIServer})...)
	is.ClusterKnown = len(nodes.Items) > 0
	return nil
}

// addressesOf are those at which a node answers: those that it is known by; those
// that network plugins note on it (of tunnels, and of what it has on the pods'
// network); and the first two of its pods' block, which the others give to the
// pods' gateway and to a tunnel.
func addressesOf(node *corev1.Node) (found []netip.Addr) {
	for _, a := range node.Status.Addresses {
		found = append(found, parsed([]string{a.Address})...)
	}
	for _, value := range node.Annotations {
		for text := range strings.SplitSeq(value, ",") {
			address, _, _ := strings.Cut(strings.TrimSpace(text), "/")
			found = append(found, parsed([]string{address})...)
		}
	}
	for _, text := range append(slices.Clone(node.Spec.PodCIDRs), node.Spec.PodCIDR) {
		if block, err := netip.ParsePrefix(text); err == nil && !block.IsSingleIP() {
			found = append(found, block.Masked().Addr(), block.Masked().Addr().Next())
		}
	}
	return found
}

// Follow keeps the guards of running previews at what is set and at what the
// cluster is like, until ctx ends: a preview that cannot resolve names, or
// reaches a new node, must not wait for the next look over its guards.
func (n *Namespaces) Follow(ctx context.Context, log *slog.Logger, c client.WithWatch, all func() []Preview) {
	changed := make(chan struct{}, 1)
	var group errgroup.Group
	defer func() { _ = group.Wait() }() // its functions return no error
	watch := func(kind schema.GroupVersionKind, opts ...client.ListOption) {
		list := &metav1.PartialObjectMetadataList{}
		list.SetGroupVersionKind(kind.GroupVersion().WithKind(kind.Kind + "List"))
		group.Go(func() error {
			Watch(ctx, log.With("watch", kind.Kind), c, list, func(client.Object, bool) {
				select {
				case changed <- struct{}{}:
				default: // it is known
				}
			}, opts...)
			return nil
		})
	}
	slicesKind := discoveryv1.SchemeGroupVersion.WithKind("EndpointSlice")
	watch(corev1.SchemeGroupVersion.WithKind("Service"), client.InNamespace(n.Guards.DNSNamespace))
	watch(slicesKind, client.InNamespace(n.Guards.DNSNamespace))
	if slices.ContainsFunc(n.Guards.Egress, func(e Egress) bool { return e.CIDR != "" }) {
		watch(corev1.SchemeGroupVersion.WithKind("Node"))
		watch(slicesKind, client.InNamespace(metav1.NamespaceDefault))
	}

	var settled *Surroundings
	for ctx.Err() == nil {
		if err := n.Look(ctx); err != nil && ctx.Err() == nil {
			log.WarnContext(ctx, "the cluster's addresses could not be read; previews keep the rules they have", "error", err)
		}
		if around := n.Surroundings(); settled == nil || !reflect.DeepEqual(*settled, around) {
			if err := n.refit(ctx, log, all()); err == nil {
				settled = &around
			} else if ctx.Err() == nil {
				log.ErrorContext(ctx, "the guards of previews could not be brought up to date; this is tried again", "error", err)
			}
		}
		wait := time.NewTimer(lookEvery)
		if settled == nil {
			wait.Reset(2 * time.Second)
		}
		select {
		case <-ctx.Done():
		case <-wait.C:
		case <-changed:
			time.Sleep(gather)
		}
		wait.Stop()
	}
}

// refit gives live previews the guards that are set now, where they have others.
func (n *Namespaces) refit(ctx context.Context, log *slog.Logger, all []Preview) error {
	var policies networkingv1.NetworkPolicyList
	if err := n.Client.List(ctx, &policies, client.MatchingLabels{labelPartOf: partOf}); err != nil {
		return fmt.Errorf("list the NetworkPolicies of previews: %w", err)
	}
	has := map[string]string{}
	for _, p := range policies.Items {
		// One that nobody is said to own is from before that was said.
		if p.Name == GuardName && p.Labels[snapshot.LabelOwner] == n.Owner {
			has[p.Namespace] = p.Annotations[AnnotationGuards]
		}
	}
	var group errgroup.Group
	group.SetLimit(atOnce)
	count := 0
	for _, p := range all {
		was, ok := has[p.Namespace]
		if p.Phase != Live || ok && was == n.guardsDigest(n.network(p)) {
			continue
		}
		count++
		group.Go(caught(func() error {
			if err := n.Mend(ctx, p); err != nil {
				return fmt.Errorf("preview %s: %w", p.Namespace, err)
			}
			return nil
		}))
	}
	err := group.Wait()
	if count > 0 {
		log.InfoContext(ctx, "guards or the cluster's addresses changed: previews were brought up to date", "previews", count, "complete", err == nil)
	}
	return err
}
