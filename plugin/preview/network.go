package preview

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/validation"
)

// AnnotationGuards is a digest of the guards that a preview was given last, on
// its NetworkPolicy.
const AnnotationGuards = "seedling.dev/guards"

// Egress lets previews of one seed, or of one ApplicationSet, reach something
// outside of them. Where both are set, both must be the preview's.
type Egress struct {
	Seed           string `json:"seed,omitempty"`
	ApplicationSet string `json:"applicationSet,omitempty"`
	// CIDR or Namespace is what may be reached, at Ports: 443, or 53/UDP.
	CIDR      string   `json:"cidr,omitempty"`
	Namespace string   `json:"namespace,omitempty"`
	Ports     []string `json:"ports"`
}

// neverReached are addresses that give credentials to whoever can reach them,
// or belong to the node a pod is on: link-local ones (metadata of most clouds),
// loopback, and the clouds' that are neither.
var neverReached = []netip.Prefix{
	netip.MustParsePrefix("169.254.0.0/16"),
	netip.MustParsePrefix("127.0.0.0/8"),
	netip.MustParsePrefix("100.100.100.200/32"), // Alibaba Cloud
	netip.MustParsePrefix("168.63.129.16/32"),   // Azure
	netip.MustParsePrefix("192.0.0.192/32"),     // Oracle Cloud
	netip.MustParsePrefix("fe80::/10"),
	netip.MustParsePrefix("::1/128"),
	netip.MustParsePrefix("fd00:ec2::/32"),    // AWS
	netip.MustParsePrefix("fd20:ce::254/128"), // Google Cloud
}

// validate says everything that is wrong with an entry. reserved are namespaces
// that no preview may reach.
func (e Egress) validate(reserved []string) error {
	var wrong []error
	bad := func(format string, args ...any) { wrong = append(wrong, fmt.Errorf(format, args...)) }
	if e.Seed == "" && e.ApplicationSet == "" {
		bad("seed, applicationSet: name whose previews it is for")
	}
	switch {
	case (e.CIDR == "") == (e.Namespace == ""):
		bad("cidr, namespace: name one of the two")
	case e.CIDR != "":
		block, err := netip.ParsePrefix(e.CIDR)
		// An IPv4 address in IPv6's clothes is compared with neither.
		if err != nil || block.Addr().Is4In6() {
			bad("cidr: %q is no block of addresses such as 203.0.113.0/24", e.CIDR)
			break
		}
		for _, never := range neverReached {
			if never.Contains(block.Addr()) && never.Bits() <= block.Bits() {
				bad("cidr: %s is within %s, which no preview may reach: it is where nodes and clouds give out credentials", e.CIDR, never)
			}
		}
	case len(validation.IsDNS1123Label(e.Namespace)) > 0:
		bad("namespace: %q is no DNS label", e.Namespace)
	case slices.Contains(reserved, e.Namespace) || strings.HasPrefix(e.Namespace, "kube-") ||
		strings.HasPrefix(e.Namespace, "preview-") || e.Namespace == "seed" || strings.HasPrefix(e.Namespace, "seed-"):
		bad("namespace: %s is one that no preview may reach", e.Namespace)
	}
	if len(e.Ports) == 0 {
		bad("ports: name at least one, such as 443 or 53/UDP")
	}
	for _, p := range e.Ports {
		if _, err := parsePort(p); err != nil {
			bad("ports: %w", err)
		}
	}
	return errors.Join(wrong...)
}

// ValidateEgress says everything that is wrong with the list; reserved are
// namespaces that no preview may reach.
func (g Guards) ValidateEgress(reserved ...string) error {
	var wrong []error
	for i, e := range g.Egress {
		if err := e.validate(reserved); err != nil {
			wrong = append(wrong, fmt.Errorf("guards.egress[%d]: %w", i, err))
		}
	}
	return errors.Join(wrong...)
}

func parsePort(s string) (networkingv1.NetworkPolicyPort, error) {
	number, proto, _ := strings.Cut(s, "/")
	n, err := strconv.ParseUint(number, 10, 16)
	proto = cmp.Or(proto, "TCP")
	if err != nil || n == 0 || proto != "TCP" && proto != "UDP" {
		return networkingv1.NetworkPolicyPort{}, fmt.Errorf("%q is no port such as 443 or 53/UDP", s)
	}
	return policyPort(corev1.Protocol(proto), int32(n)), nil
}

func policyPort(proto corev1.Protocol, number int32) networkingv1.NetworkPolicyPort {
	p := intstr.FromInt32(number)
	return networkingv1.NetworkPolicyPort{Protocol: &proto, Port: &p}
}

// peer is a namespace, or of it the pods with these labels.
func peer(namespace string, pods map[string]string) networkingv1.NetworkPolicyPeer {
	p := networkingv1.NetworkPolicyPeer{NamespaceSelector: &metav1.LabelSelector{
		MatchLabels: map[string]string{corev1.LabelMetadataName: namespace},
	}}
	if pods != nil {
		p.PodSelector = &metav1.LabelSelector{MatchLabels: pods}
	}
	return p
}

// network is who a preview may speak with: itself, DNS, the broker, and what its
// seed or ApplicationSet was given; and by whom it is reached: itself and the
// ingress controller.
func (n *Namespaces) network(p Preview) networkingv1.NetworkPolicySpec {
	around := n.Surroundings()
	itself := peer(p.Namespace, nil)
	from := []networkingv1.NetworkPolicyPeer{itself}
	if n.Guards.IngressNamespace != "" {
		from = append(from, peer(n.Guards.IngressNamespace, nil))
	}
	spec := networkingv1.NetworkPolicySpec{
		PolicyTypes: []networkingv1.PolicyType{networkingv1.PolicyTypeIngress, networkingv1.PolicyTypeEgress},
		Ingress:     []networkingv1.NetworkPolicyIngressRule{{From: from}},
		Egress: []networkingv1.NetworkPolicyEgressRule{
			{To: []networkingv1.NetworkPolicyPeer{itself}},
			n.dns(around),
			{
				To:    []networkingv1.NetworkPolicyPeer{peer(n.BrokerNamespace, n.BrokerLabels)},
				Ports: []networkingv1.NetworkPolicyPort{policyPort(corev1.ProtocolTCP, n.BrokerPort)},
			},
		},
	}
	for _, e := range n.Guards.Egress {
		if e.Seed != "" && e.Seed != p.Seed || e.ApplicationSet != "" && e.ApplicationSet != p.ApplicationSet {
			continue
		}
		if rule, ok := e.rule(around); ok {
			spec.Egress = append(spec.Egress, rule)
		}
	}
	return spec
}

// dns is the rule for name resolution: pods in the namespace of DNS, and every
// address that a pod's resolver or what stands behind it has.
func (n *Namespaces) dns(around Surroundings) networkingv1.NetworkPolicyEgressRule {
	rule := networkingv1.NetworkPolicyEgressRule{
		To:    []networkingv1.NetworkPolicyPeer{peer(n.Guards.DNSNamespace, nil)},
		Ports: []networkingv1.NetworkPolicyPort{policyPort(corev1.ProtocolUDP, 53), policyPort(corev1.ProtocolTCP, 53)},
	}
	blocks := slices.Clone(n.Guards.DNSAddresses)
	for _, a := range around.DNS {
		if block := single(a).String(); !slices.Contains(blocks, block) {
			blocks = append(blocks, block)
		}
	}
	for _, block := range blocks {
		rule.To = append(rule.To, networkingv1.NetworkPolicyPeer{IPBlock: &networkingv1.IPBlock{CIDR: block}})
	}
	for _, number := range around.DNSPorts {
		if number != 53 {
			rule.Ports = append(rule.Ports, policyPort(corev1.ProtocolUDP, number), policyPort(corev1.ProtocolTCP, number))
		}
	}
	return rule
}

// rule is an entry without what no preview may reach. It is none while the
// cluster's own addresses are not known, and where nothing of it is left.
func (e Egress) rule(around Surroundings) (rule networkingv1.NetworkPolicyEgressRule, ok bool) {
	for _, s := range e.Ports {
		port, err := parsePort(s)
		if err != nil {
			return rule, false
		}
		rule.Ports = append(rule.Ports, port)
	}
	if e.Namespace != "" {
		rule.To = []networkingv1.NetworkPolicyPeer{peer(e.Namespace, nil)}
		return rule, true
	}
	block, err := netip.ParsePrefix(e.CIDR)
	if err != nil || !around.ClusterKnown {
		return rule, false
	}
	block = block.Masked()
	never := slices.Clone(neverReached)
	for _, a := range around.Cluster {
		never = append(never, single(a))
	}
	var except []string
	for _, p := range never {
		switch {
		case p.Bits() <= block.Bits() && p.Contains(block.Addr()):
			return rule, false // all of it
		case block.Contains(p.Addr()):
			except = append(except, p.String())
		}
	}
	slices.Sort(except)
	rule.To = []networkingv1.NetworkPolicyPeer{{IPBlock: &networkingv1.IPBlock{CIDR: block.String(), Except: slices.Compact(except)}}}
	return rule, true
}

func single(a netip.Addr) netip.Prefix { return netip.PrefixFrom(a, a.BitLen()) }

// guardsDigest tells whether a preview was given the guards that are set now.
func (n *Namespaces) guardsDigest(spec networkingv1.NetworkPolicySpec) string {
	guards, err := json.Marshal(n.Guards)
	if err == nil {
		var network []byte
		network, err = json.Marshal(spec)
		guards = append(guards, network...)
	}
	if err != nil { // plain values, all of them
		return "unknown"
	}
	return digest(string(guards))[:32]
}
