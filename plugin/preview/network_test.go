package preview

import (
	"context"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
)

func dnsService(clusterIPs ...string) *corev1.Service {
	return &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: "kube-system", Name: "kube-dns"},
		Spec:       corev1.ServiceSpec{ClusterIP: clusterIPs[0], ClusterIPs: clusterIPs},
	}
}

func endpointSlice(namespace, service string, port int32, name string, addresses ...string) *discoveryv1.EndpointSlice {
	return &discoveryv1.EndpointSlice{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: service + "-x", Labels: map[string]string{discoveryv1.LabelServiceName: service}},
		Endpoints:  []discoveryv1.Endpoint{{Addresses: addresses}},
		Ports:      []discoveryv1.EndpointPort{{Name: &name, Port: &port}},
	}
}

func node(address string) *corev1.Node {
	return &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: "node-" + address},
		Status: corev1.NodeStatus{Addresses: []corev1.NodeAddress{
			{Type: corev1.NodeInternalIP, Address: address}, {Type: corev1.NodeHostName, Address: "node"},
		}},
	}
}

// in is Namespaces in a cluster with these objects and this resolv.conf.
func in(t *testing.T, resolvConf string, funcs interceptor.Funcs, objects ...client.Object) *Namespaces {
	t.Helper()
	path := filepath.Join(t.TempDir(), "resolv.conf")
	if err := os.WriteFile(path, []byte(resolvConf), 0o600); err != nil {
		t.Fatal(err)
	}
	return &Namespaces{
		Client: fake.NewClientBuilder().WithScheme(clientgoscheme.Scheme).WithInterceptorFuncs(funcs).WithObjects(objects...).Build(),
		Guards: DefaultGuards(), BrokerNamespace: "seedling", BrokerPort: 8081, ResolvConf: path, APIServer: "10.96.0.1",
	}
}

// blocks are the blocks of addresses that a rule lets through, with those left
// out of them.
func blocks(rule networkingv1.NetworkPolicyEgressRule) (found []string) {
	for _, to := range rule.To {
		if to.IPBlock != nil {
			found = append(found, strings.Join(append([]string{to.IPBlock.CIDR}, to.IPBlock.Except...), " -"))
		}
	}
	return found
}

func ports(rule networkingv1.NetworkPolicyEgressRule) (found []string) {
	for _, p := range rule.Ports {
		found = append(found, p.Port.String()+"/"+string(*p.Protocol))
	}
	return found
}

func TestDNS(t *testing.T) {
	t.Parallel()
	standard := []string{"53/UDP", "53/TCP"}
	tests := []struct {
		name, conf string
		objects    []client.Object
		settings   []string
		blocks     []string
		ports      []string
	}{
		{
			name: "CoreDNS in pods", conf: "search x\nnameserver 10.96.0.10\noptions ndots:5\n",
			objects: []client.Object{dnsService("10.96.0.10"), endpointSlice("kube-system", "kube-dns", 53, "dns-tcp", "10.244.0.7")},
			blocks:  []string{"10.96.0.10/32", "10.244.0.7/32"}, ports: standard,
		},
		{
			name: "on the node's own address", conf: "nameserver 10.96.0.10\n",
			objects: []client.Object{dnsService("10.96.0.10"), endpointSlice("kube-system", "kube-dns", 53, "dns", "172.18.0.2")},
			blocks:  []string{"10.96.0.10/32", "172.18.0.2/32"}, ports: standard,
		},
		{
			name: "a node-local cache", conf: "nameserver 169.254.20.10\n",
			objects: []client.Object{dnsService("10.96.0.10"), endpointSlice("kube-system", "kube-dns", 53, "dns", "10.244.0.7")},
			blocks:  []string{"169.254.20.10/32"}, ports: standard,
		},
		{
			name: "another port behind the Service", conf: "nameserver 10.96.0.10\n",
			objects: []client.Object{dnsService("10.96.0.10"), endpointSlice("kube-system", "kube-dns", 5353, "dns", "10.244.0.7")},
			blocks:  []string{"10.96.0.10/32", "10.244.0.7/32"}, ports: append([]string{}, "53/UDP", "53/TCP", "5353/UDP", "5353/TCP"),
		},
		{
			name: "its metrics are not opened", conf: "nameserver 10.96.0.10\n",
			objects: []client.Object{dnsService("10.96.0.10"), endpointSlice("kube-system", "kube-dns", 9153, "metrics", "10.244.0.7")},
			blocks:  []string{"10.96.0.10/32", "10.244.0.7/32"}, ports: standard,
		},
		{
			name: "two families", conf: "nameserver fd00::a\nnameserver 10.96.0.10\n",
			objects: []client.Object{dnsService("10.96.0.10", "fd00::a")},
			blocks:  []string{"10.96.0.10/32", "fd00::a/128"}, ports: standard,
		},
		{
			name: "and what is set", conf: "nameserver 10.96.0.10\n", settings: []string{"192.0.2.0/24", "10.96.0.10/32"},
			blocks: []string{"192.0.2.0/24", "10.96.0.10/32"}, ports: standard,
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			n := in(t, test.conf, interceptor.Funcs{}, test.objects...)
			n.Guards.DNSAddresses = test.settings
			if err := n.Look(t.Context()); err != nil {
				t.Fatal(err)
			}
			rule := n.network(Preview{Namespace: "preview-a"}).Egress[1]
			sorted := cmp.Transformer("set", func(list []string) map[string]bool {
				set := map[string]bool{}
				for _, s := range list {
					set[s] = true
				}
				return set
			})
			if diff := cmp.Diff(test.blocks, blocks(rule), sorted); diff != "" {
				t.Error(diff)
			}
			if diff := cmp.Diff(test.ports, ports(rule)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// What cannot be read now is what it was: a list that failed takes nobody's DNS
// away.
func TestLookFails(t *testing.T) {
	t.Parallel()
	away := false
	n := in(t, "nameserver 10.96.0.10\n", interceptor.Funcs{
		List: func(ctx context.Context, c client.WithWatch, list client.ObjectList, opts ...client.ListOption) error {
			if away {
				return context.DeadlineExceeded
			}
			return c.List(ctx, list, opts...)
		},
	}, dnsService("10.96.0.10"), endpointSlice("kube-system", "kube-dns", 53, "dns", "172.18.0.2"), node("172.18.0.2"))
	n.Guards.Egress = []Egress{{Seed: "seed", CIDR: "172.16.0.0/12", Ports: []string{"443"}}}
	if err := n.Look(t.Context()); err != nil {
		t.Fatal(err)
	}
	before := n.network(Preview{Namespace: "preview-a", Seed: "seed"})
	away = true
	if err := n.Look(t.Context()); err == nil {
		t.Error("it says nothing")
	}
	if diff := cmp.Diff(before, n.network(Preview{Namespace: "preview-a", Seed: "seed"})); diff != "" {
		t.Error(diff)
	}
}

func TestEgress(t *testing.T) {
	t.Parallel()
	cluster := Surroundings{ClusterKnown: true, Cluster: []netip.Addr{netip.MustParseAddr("172.18.0.2"), netip.MustParseAddr("10.96.0.1")}}
	tests := []struct {
		name   string
		entry  Egress
		around Surroundings
		blocks []string
	}{
		{name: "a block", entry: Egress{CIDR: "203.0.113.0/24"}, around: cluster, blocks: []string{"203.0.113.0/24"}},
		{name: "another seed's", entry: Egress{Seed: "seed-b", CIDR: "203.0.113.0/24"}, around: cluster},
		{name: "another ApplicationSet's", entry: Egress{Seed: "seed", ApplicationSet: "other", CIDR: "203.0.113.0/24"}, around: cluster},
		{name: "one with nodes in it", entry: Egress{CIDR: "172.16.0.0/12"}, around: cluster, blocks: []string{"172.16.0.0/12 -172.18.0.2/32"}},
		{
			name: "everything", entry: Egress{CIDR: "0.0.0.0/0"}, around: cluster,
			blocks: []string{"0.0.0.0/0 -10.96.0.1/32 -100.100.100.200/32 -127.0.0.0/8 -168.63.129.16/32 -169.254.0.0/16 -172.18.0.2/32 -192.0.0.192/32"},
		},
		{name: "a node", entry: Egress{CIDR: "172.18.0.2/32"}, around: cluster},
		{name: "metadata", entry: Egress{CIDR: "169.254.169.254/32"}, around: cluster},
		{name: "nodes are not known", entry: Egress{CIDR: "203.0.113.0/24"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			n := in(t, "", interceptor.Funcs{})
			if test.entry.Seed == "" {
				test.entry.Seed = "seed"
			}
			test.entry.Ports = []string{"443", "123/UDP"}
			n.Guards.Egress = []Egress{test.entry}
			n.around.Store(&test.around)
			var got []string
			for _, rule := range n.network(Preview{Key: Key{ApplicationSet: "previews"}, Namespace: "preview-a", Seed: "seed"}).Egress[3:] {
				got = append(got, blocks(rule)...)
				if diff := cmp.Diff([]string{"443/TCP", "123/UDP"}, ports(rule)); diff != "" {
					t.Error(diff)
				}
			}
			if diff := cmp.Diff(test.blocks, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// Of everything, what gives out credentials and what is the cluster's own stays
// out, in both families: nodes by each address they have, and the API server by
// each that it has.
func TestEgressToEverything(t *testing.T) {
	t.Parallel()
	worker := node("172.18.0.3")
	worker.Annotations = map[string]string{
		"projectcalico.org/IPv4Address":            "192.0.2.7/24",
		"projectcalico.org/IPv4IPIPTunnelAddr":     "10.244.1.64",
		"alpha.kubernetes.io/provided-node-ip":     "172.18.0.3,2001:db8::3",
		"volumes.kubernetes.io/controller-managed": "true",
	}
	worker.Spec.PodCIDR = "10.244.1.0/24"
	worker.Spec.PodCIDRs = []string{"10.244.1.0/24", "fd00:1::/64"}
	api := endpointSlice(metav1.NamespaceDefault, "kubernetes", 6443, "https", "172.18.0.9", "172.18.0.10")
	n := in(t, "", interceptor.Funcs{}, node("172.18.0.2"), worker, api)
	for _, block := range []string{"0.0.0.0/0", "::/0"} {
		n.Guards.Egress = append(n.Guards.Egress, Egress{Seed: "seed", CIDR: block, Ports: []string{"443"}})
	}
	if err := n.Look(t.Context()); err != nil {
		t.Fatal(err)
	}
	var except []string
	for _, rule := range n.network(Preview{Namespace: "preview-a", Seed: "seed"}).Egress[3:] {
		except = append(except, rule.To[0].IPBlock.Except...)
	}
	for _, address := range []string{
		"169.254.169.254", "169.254.170.2", "100.100.100.200", "168.63.129.16", "192.0.0.192", "127.0.0.1", // metadata, loopback
		"172.18.0.2", "172.18.0.3", "192.0.2.7", "10.244.1.64", "10.244.1.0", "10.244.1.1", // nodes
		"172.18.0.9", "172.18.0.10", "10.96.0.1", // the API server
		"fe80::a9fe:a9fe", "fd00:ec2::254", "fd20:ce::254", "::1", "2001:db8::3", "fd00:1::1",
	} {
		if !slices.ContainsFunc(except, func(block string) bool {
			return netip.MustParsePrefix(block).Contains(netip.MustParseAddr(address))
		}) {
			t.Errorf("%s is not left out of everything: %q", address, except)
		}
	}
	for _, address := range []string{"203.0.113.7", "10.244.1.2", "2001:db8::4"} {
		if slices.ContainsFunc(except, func(block string) bool {
			return netip.MustParsePrefix(block).Contains(netip.MustParseAddr(address))
		}) {
			t.Errorf("%s is left out of everything: %q", address, except)
		}
	}
}

func TestValidateEgress(t *testing.T) {
	t.Parallel()
	port := []string{"443"}
	tests := []struct {
		entry Egress
		says  string
	}{
		{Egress{Seed: "seed", CIDR: "203.0.113.0/24", Ports: port}, ""},
		{Egress{ApplicationSet: "previews", Namespace: "payments", Ports: []string{"8080", "53/UDP"}}, ""},
		{Egress{Seed: "seed", CIDR: "0.0.0.0/0", Ports: port}, ""},
		{Egress{CIDR: "203.0.113.0/24", Ports: port}, "whose previews"},
		{Egress{Seed: "seed", Ports: port}, "name one of the two"},
		{Egress{Seed: "seed", CIDR: "203.0.113.0/24", Namespace: "x", Ports: port}, "name one of the two"},
		{Egress{Seed: "seed", CIDR: "203.0.113.7", Ports: port}, "no block"},
		{Egress{Seed: "seed", CIDR: "169.254.169.254/32", Ports: port}, "give out credentials"},
		{Egress{Seed: "seed", CIDR: "169.254.0.0/16", Ports: port}, "give out credentials"},
		{Egress{Seed: "seed", CIDR: "fe80::/64", Ports: port}, "give out credentials"},
		{Egress{Seed: "seed", CIDR: "fd00:ec2::254/128", Ports: port}, "give out credentials"},
		{Egress{Seed: "seed", CIDR: "fd20:ce::254/128", Ports: port}, "give out credentials"},
		{Egress{Seed: "seed", CIDR: "100.100.100.200/32", Ports: port}, "give out credentials"},
		{Egress{Seed: "seed", CIDR: "127.0.0.1/32", Ports: port}, "give out credentials"},
		{Egress{Seed: "seed", CIDR: "::ffff:169.254.169.254/128", Ports: port}, "no block"},
		{Egress{Seed: "seed", CIDR: "fe80::1%eth0/128", Ports: port}, "no block"},
		{Egress{Seed: "seed", Namespace: "Payments", Ports: port}, "no DNS label"},
		{Egress{Seed: "seed", Namespace: "argocd", Ports: port}, "no preview may reach"},
		{Egress{Seed: "seed", Namespace: "kube-system", Ports: port}, "no preview may reach"},
		{Egress{Seed: "seed", Namespace: "seed-b", Ports: port}, "no preview may reach"},
		{Egress{Seed: "seed", Namespace: "preview-a", Ports: port}, "no preview may reach"},
		{Egress{Seed: "seed", Namespace: "payments"}, "at least one"},
		{Egress{Seed: "seed", Namespace: "payments", Ports: []string{"https"}}, "no port"},
		{Egress{Seed: "seed", Namespace: "payments", Ports: []string{"70000"}}, "no port"},
		{Egress{Seed: "seed", Namespace: "payments", Ports: []string{"53/ICMP"}}, "no port"},
	}
	for _, test := range tests {
		err := Guards{Egress: []Egress{test.entry}}.ValidateEgress("argocd")
		if test.says == "" && err != nil || test.says != "" && (err == nil || !strings.Contains(err.Error(), test.says)) {
			t.Errorf("%+v: %v, want %q", test.entry, err, test.says)
		}
	}
}

// A change of what guards previews reaches those that run, at once and once.
func TestRefit(t *testing.T) {
	t.Parallel()
	updates := map[string]int{}
	n := in(t, "nameserver 10.96.0.10\n", interceptor.Funcs{
		Update: func(ctx context.Context, c client.WithWatch, obj client.Object, opts ...client.UpdateOption) error {
			updates[obj.GetNamespace()]++
			return c.Update(ctx, obj, opts...)
		},
	}, dnsService("10.96.0.10"), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "preview-a", UID: "a"}})
	log := slog.New(slog.DiscardHandler)
	live := []Preview{{Namespace: "preview-a", Phase: Live, Seed: "seed", NamespaceUID: "a"}}
	if _, err := n.guard(t.Context(), live[0]); err != nil {
		t.Fatal(err)
	}
	step := func(what string, want int) {
		t.Helper()
		clear(updates)
		if err := n.Look(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := n.refit(t.Context(), log, live); err != nil {
			t.Fatal(err)
		}
		if updates["preview-a"] != want {
			t.Errorf("%s: %d updates, want %d", what, updates["preview-a"], want)
		}
		var policy networkingv1.NetworkPolicy
		if err := n.Client.Get(t.Context(), types.NamespacedName{Namespace: "preview-a", Name: GuardName}, &policy); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(n.network(live[0]), policy.Spec); diff != "" {
			t.Errorf("%s: %s", what, diff)
		}
	}
	step("it resolves at another address than before", 1)
	step("nothing changed", 0)
	if err := n.Client.Create(t.Context(), endpointSlice("kube-system", "kube-dns", 53, "dns", "172.18.0.2")); err != nil {
		t.Fatal(err)
	}
	step("DNS moved", 1)
	n.Guards.MaxMemory = n.Guards.ExtraStorage
	step("another limit", 2) // the limits, and the digest
}
