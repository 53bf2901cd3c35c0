package hostile

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/seedling-dev/seedling/e2e/platform"
	"github.com/seedling-dev/seedling/e2e/platform/platformtest"
	"github.com/seedling-dev/seedling/plugin/fences"
)

//go:embed probe.yaml
var probe []byte

// target is something that a preview tries to reach; its name has no blanks.
type target struct{ Name, Address string }

const (
	metadataAddress = "169.254.169.254"
	// outside is a namespace beyond all previews, with a pod that answers on a
	// port and that no policy guards.
	outside     = "hostile-outside"
	outsidePort = 7777
)

// From inside a preview nothing is reached but itself, DNS and the broker. That a
// target answers at all is seen from the node, which policies do not bind.
func TestInside(t *testing.T) {
	t.Parallel()
	ctx := platformtest.Begin(t, 15*time.Minute)
	beyond := startOutside(ctx, t)
	by := newBystander(ctx, t)
	refused := append(forbidden(ctx, t, by.Namespace), beyond)
	probeFrom(ctx, t, "", refused, allowed())
}

// What guards.egress opens is open, and with everything opened the node, the API
// server and the metadata address stay shut.
func TestInsideWithEgress(t *testing.T) {
	onlyWithAll(t)
	ctx := platformtest.Begin(t, 15*time.Minute)
	beyond := startOutside(ctx, t)
	shut := slices.DeleteFunc(forbidden(ctx, t, ""), func(t target) bool { return !strings.HasPrefix(t.Name, "always-") })
	ports := []string{strconv.Itoa(outsidePort)}
	for _, s := range shut {
		if _, port, _ := strings.Cut(s.Address, ":"); !slices.Contains(ports, port) {
			ports = append(ports, port)
		}
	}
	giveNodeItsBlock(ctx, t)
	configurePlugin(ctx, t, fmt.Sprintf("\nguards:\n  egress:\n    - {applicationSet: previews, cidr: 0.0.0.0/0, ports: [\"%s\"]}\n", strings.Join(ports, `", "`)))
	probeFrom(ctx, t, "", shut, append(allowed(), beyond))
}

// allowed is what every preview reaches: names resolve, its own Postgres answers,
// and the broker.
func allowed() []target {
	return []target{{"own-postgres", "postgres:5432"}, {"broker", "plugin.seedling.svc.cluster.local:8081"}}
}

// probeFrom runs the probe in a new preview and fails where it reached what it
// ought not to, or missed what it ought to reach.
func probeFrom(ctx context.Context, t *testing.T, suffix string, refused, allowed []target) {
	t.Helper()
	for _, r := range refused {
		host, port, _ := strings.Cut(r.Address, ":")
		if out, err := world.Cluster.Exec(ctx, "timeout", "5", "bash", "-c", fmt.Sprintf(": </dev/tcp/%s/%s", host, port)); err != nil {
			t.Errorf("%s (%s) does not answer the node, so that nothing shows that it is refused: %v %s", r.Name, r.Address, err, out)
		}
	}
	api := refused[slices.IndexFunc(refused, func(t target) bool { return t.Name == "always-api-server" })]
	v := struct {
		Image, Canary    string
		Refused, Allowed []target
	}{world.Image("seed-postgres"), api.Address, refused, allowed}
	manifest, err := fences.Fill("probe.yaml", probe, v)
	platformtest.Must(t, err)
	usual, err := world.ShopFile(previewFolder + "/" + fences.Kustomization)
	platformtest.Must(t, err)
	pr := world.Labelled(ctx, t, suffix, platform.Change{
		previewFolder + "/probe.yaml":              string(manifest),
		previewFolder + "/" + fences.Kustomization: strings.Replace(usual, "resources:\n", "resources:\n  - probe.yaml\n", 1),
	})
	var said string
	platformtest.Must(t, world.Wait(ctx, "wait for the probe's last words", func(ctx context.Context) error {
		v, ok, err := world.FindPreview(ctx, pr.Number)
		if err != nil || !ok {
			return errors.Join(err, errors.New("there is no namespace"))
		}
		var pods corev1.PodList
		if err := world.Kube.List(ctx, &pods, client.InNamespace(v.Namespace), client.MatchingLabels{"batch.kubernetes.io/job-name": "probe"}); err != nil {
			return err
		}
		for _, pod := range pods.Items {
			for _, c := range pod.Status.ContainerStatuses {
				if c.State.Terminated != nil {
					said = c.State.Terminated.Message
					return nil
				}
			}
		}
		return fmt.Errorf("%d pods of the probe, none has ended", len(pods.Items))
	}))
	lines := strings.Fields(strings.ReplaceAll(strings.TrimSpace(said), " ", "·"))
	if len(lines) == 0 || lines[len(lines)-1] != "done" {
		t.Fatalf("the probe did not come to its end: %q", said)
	}
	for _, line := range lines[:len(lines)-1] {
		t.Errorf("the probe %s", strings.ReplaceAll(line, "·", " "))
	}
}

// forbidden is what no preview may reach; what its name calls always not even
// where everything is opened. The Postgres of the bystander is among them, if
// there is one.
func forbidden(ctx context.Context, t *testing.T, bystander string) []target {
	t.Helper()
	serveMetadata(ctx, t)
	var nodes corev1.NodeList
	platformtest.Must(t, world.Kube.List(ctx, &nodes))
	node := ""
	for _, a := range nodes.Items[0].Status.Addresses {
		if a.Type == corev1.NodeInternalIP {
			node = a.Address
		}
	}
	var pods corev1.PodList
	platformtest.Must(t, world.Kube.List(ctx, &pods))
	var found []target
	pod := func(name, namespace, prefix string, port int) {
		t.Helper()
		i := slices.IndexFunc(pods.Items, func(p corev1.Pod) bool {
			return p.Namespace == namespace && strings.HasPrefix(p.Name, prefix) && p.Status.PodIP != "" && p.Status.Phase == corev1.PodRunning && p.DeletionTimestamp == nil
		})
		if i < 0 {
			t.Fatalf("no pod %s* runs in namespace %s", prefix, namespace)
		}
		found = append(found, target{name, fmt.Sprintf("%s:%d", pods.Items[i].Status.PodIP, port)})
	}
	service := func(name, namespace, service string, port int) {
		t.Helper()
		var s corev1.Service
		platformtest.Must(t, world.Kube.Get(ctx, client.ObjectKey{Namespace: namespace, Name: service}, &s))
		found = append(found, target{name, fmt.Sprintf("%s:%d", s.Spec.ClusterIP, port)})
	}
	if bystander != "" {
		pod("another-preview", bystander, platform.PostgresPod, 5432)
	}
	pod("seed", platform.Seed, platform.PostgresPod, 5432)
	for name, port := range map[string]int{"generator": 8080, "webhooks": 8082, "health-and-metrics": 8083} {
		service("plugin-"+name, platform.PluginNamespace, "plugin", port)
		pod("plugins-pod-"+name, platform.PluginNamespace, "plugin-", port)
	}
	service("argocd-repo-server", platform.ArgoCDNamespace, "argocd-repo-server", 8081)
	pod("argocd-repo-server-metrics", platform.ArgoCDNamespace, "argocd-repo-server", 8084)
	service("argocd-redis", platform.ArgoCDNamespace, "argocd-redis", 6379)
	pod("argocd-application-controller-metrics", platform.ArgoCDNamespace, "argocd-application-controller", 8082)
	pod("argocd-applicationset-webhook", platform.ArgoCDNamespace, "argocd-applicationset-controller", 7000)
	pod("velero-metrics", platform.VeleroNamespace, "velero-", 8085)
	service("object-storage", "s3", "s3", 7070)
	service("git-host", "gitea", "gitea", 3000)
	service("always-api-server", metav1.NamespaceDefault, "kubernetes", 443)
	return append(found,
		target{"always-api-server-on-the-node", node + ":6443"},
		target{"always-kubelet", node + ":10250"},
		target{"always-git-host-on-the-node", node + ":3000"},
		target{"always-object-storage-on-the-node", node + ":7070"},
		target{"always-node-at-the-pods-gateway", gateway(ctx, t) + ":10250"},
		target{"always-metadata", metadataAddress + ":80"},
	)
}

// gateway is the node's address on the pods' network, which no Node lists.
func gateway(ctx context.Context, t *testing.T) string {
	t.Helper()
	return podBlock(ctx, t).Addr().Next().String()
}

// podBlock is the block that pods have their addresses from.
func podBlock(ctx context.Context, t *testing.T) netip.Prefix {
	t.Helper()
	conf, err := world.Cluster.Exec(ctx, "sh", "-c", `cat /etc/cni/net.d/*.conflist`)
	platformtest.Must(t, err)
	_, after, ok := strings.Cut(conf, `"subnet": "`)
	text, _, closed := strings.Cut(after, `"`)
	block, err := netip.ParsePrefix(text)
	if !ok || !closed || err != nil {
		t.Fatalf("the node's CNI has no subnet: %s", conf)
	}
	return block.Masked()
}

// giveNodeItsBlock notes on the Node which block its pods' addresses are of, as
// clusters do that give each node its own.
func giveNodeItsBlock(ctx context.Context, t *testing.T) {
	t.Helper()
	var nodes corev1.NodeList
	platformtest.Must(t, world.Kube.List(ctx, &nodes))
	node := &nodes.Items[0]
	if node.Spec.PodCIDR != "" {
		return
	}
	block := podBlock(ctx, t).String()
	platformtest.Must(t, world.Kube.Patch(ctx, node, client.RawPatch("application/strategic-merge-patch+json",
		fmt.Appendf(nil, `{"spec":{"podCIDR":%q,"podCIDRs":[%q]}}`, block, block))))
}

// serveMetadata lets the node answer at a cloud's metadata address.
func serveMetadata(ctx context.Context, t *testing.T) {
	t.Helper()
	_, err := world.Cluster.Exec(ctx, "sh", "-c", fmt.Sprintf(
		`ip address replace %[1]s/32 dev lo; ss -ltn 2>/dev/null | grep -q '%[1]s:80' || setsid socat TCP-LISTEN:80,bind=%[1]s,fork,reuseaddr OPEN:/dev/null >/dev/null 2>&1 &`, metadataAddress))
	platformtest.Must(t, err)
}

// startOutside starts the namespace that is outside of everything, unless it is
// there, and returns where its pod answers.
func startOutside(ctx context.Context, t *testing.T) target {
	t.Helper()
	grace := int64(0)
	for _, o := range []client.Object{
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: outside}},
		&corev1.Service{
			ObjectMeta: metav1.ObjectMeta{Namespace: outside, Name: "listener"},
			Spec:       corev1.ServiceSpec{Selector: map[string]string{"app": "listener"}, Ports: []corev1.ServicePort{{Port: outsidePort, TargetPort: intstr.FromInt32(outsidePort)}}},
		},
		&corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Namespace: outside, Name: "listener", Labels: map[string]string{"app": "listener"}},
			Spec: corev1.PodSpec{
				TerminationGracePeriodSeconds: &grace,
				Containers: []corev1.Container{{
					Name: "listener", Image: world.Image("seed-postgres"), ImagePullPolicy: corev1.PullIfNotPresent,
					Command: []string{
						"perl", "-MIO::Socket::INET", "-e",
						fmt.Sprintf(`my $l = IO::Socket::INET->new(LocalPort => %d, Listen => 64, ReuseAddr => 1) or die $!; while (my $c = $l->accept) { close $c }`, outsidePort),
					},
					ReadinessProbe: &corev1.Probe{ProbeHandler: corev1.ProbeHandler{TCPSocket: &corev1.TCPSocketAction{Port: intstr.FromInt32(outsidePort)}}, PeriodSeconds: 1},
				}},
			},
		},
	} {
		if err := world.Kube.Create(ctx, o); err != nil && !apierrors.IsAlreadyExists(err) {
			t.Fatalf("start the pod outside: %v", err)
		}
	}
	var pod corev1.Pod
	platformtest.Must(t, world.Wait(ctx, "wait for the pod outside", func(ctx context.Context) error {
		if err := world.Kube.Get(ctx, client.ObjectKey{Namespace: outside, Name: "listener"}, &pod); err != nil {
			return err
		}
		for _, c := range pod.Status.Conditions {
			if c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue {
				return nil
			}
		}
		return fmt.Errorf("it is %s", pod.Status.Phase)
	}))
	return target{"outside", fmt.Sprintf("%s:%d", pod.Status.PodIP, outsidePort)}
}

// configurePlugin adds to the plugin's configuration until the test ends. Adding
// is all that the installation's short one needs.
func configurePlugin(ctx context.Context, t *testing.T, more string) {
	t.Helper()
	world.Configure(ctx, t, func(was string) string {
		if strings.Contains(was, "\nguards:") {
			t.Fatalf("the plugin's configuration has guards already: %s", was)
		}
		return was + more
	})
}
