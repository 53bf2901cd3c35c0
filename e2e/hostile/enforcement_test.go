package hostile

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/seedling-dev/seedling/e2e/cluster"
	"github.com/seedling-dev/seedling/e2e/platform"
	"github.com/seedling-dev/seedling/e2e/platform/platformtest"
	"github.com/seedling-dev/seedling/plugin/fences"
)

// plugin check --probe tells a network that enforces policies from one that does
// not, and leaves nothing behind.
func TestProbe(t *testing.T) {
	onlyWithAll(t)
	ctx := platformtest.Begin(t, 10*time.Minute)
	plugin, err := cluster.Program(ctx, "plugin")
	platformtest.Must(t, err)
	config := pluginConfigFile(ctx, t)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		platformtest.Must(t, world.Cluster.EnforceNetworkPolicies(ctx, true))
	})
	for _, c := range []struct {
		enforced bool
		says     []string
	}{
		{true, []string{"NetworkPolicies: enforced"}},
		{false, []string{"not enforced (egress and ingress pass)", "Cilium", "Calico", "VPC CNI"}},
	} {
		platformtest.Must(t, world.Cluster.EnforceNetworkPolicies(ctx, c.enforced))
		cmd := exec.CommandContext(ctx, plugin, "check", "--probe", "--config="+config)
		cmd.Env = append(os.Environ(), "KUBECONFIG="+world.Cluster.Kubeconfig())
		out, err := cmd.CombinedOutput()
		for _, says := range c.says {
			if !strings.Contains(string(out), says) {
				t.Errorf("enforced is %t, and plugin check does not say %q (%v):\n%s", c.enforced, says, err, out)
			}
		}
		if !c.enforced && err == nil {
			t.Error("plugin check ends well although nothing is enforced")
		}
	}
	var all corev1.NamespaceList
	platformtest.Must(t, world.Kube.List(ctx, &all))
	for _, n := range all.Items {
		if strings.HasPrefix(n.Name, "seedling-probe-") {
			t.Errorf("namespace %s is left", n.Name)
		}
	}
}

// plugin check --fences refuses all that it tries on a cluster that has every
// policy, says what is open on one that lacks a policy, and leaves nothing behind.
// No other test runs meanwhile.
func TestCheckFences(t *testing.T) {
	ctx := platformtest.Begin(t, 10*time.Minute)
	plugin, err := cluster.Program(ctx, "plugin")
	platformtest.Must(t, err)
	config := pluginConfigFile(ctx, t)
	check := func(ctx context.Context) (refused, open []string, said string) {
		cmd := exec.CommandContext(ctx, plugin, "check", "--fences", "--config="+config)
		cmd.Env = append(os.Environ(), "KUBECONFIG="+world.Cluster.Kubeconfig())
		out, err := cmd.CombinedOutput()
		for line := range strings.Lines(string(out)) {
			switch {
			case strings.HasPrefix(line, "refused "):
				refused = append(refused, line)
			case strings.HasPrefix(line, "OPEN "):
				open = append(open, line)
			case strings.HasPrefix(line, "WRONG  fences"):
				t.Error(line)
			}
		}
		if len(open) > 0 && err == nil {
			t.Error("plugin check ends well although fences are open")
		}
		return refused, open, string(out)
	}
	refused, open, said := check(ctx)
	if len(refused) < 100 || len(open) > 0 {
		t.Fatalf("%d are refused, and these are open: %s\n%s", len(refused), open, said)
	}
	for _, what := range []string{"services: Service/external-ips, by seedling-previews-services", "kinds-beyond-a-preview: Pod/hostile, by Argo CD's project"} {
		if !strings.Contains(said, "refused "+what) {
			t.Errorf("it does not say that this is refused: %s\n%s", what, said)
		}
	}

	const policy = "seedling-previews-services"
	binding := &admissionv1.ValidatingAdmissionPolicyBinding{}
	platformtest.Must(t, world.Kube.Get(ctx, client.ObjectKey{Name: policy}, binding))
	binding = &admissionv1.ValidatingAdmissionPolicyBinding{ObjectMeta: metav1.ObjectMeta{Name: binding.Name, Labels: binding.Labels, Annotations: binding.Annotations}, Spec: binding.Spec}
	platformtest.Must(t, world.Kube.Delete(ctx, binding.DeepCopy()))
	bind := func(ctx context.Context) {
		err := world.Kube.Create(ctx, binding.DeepCopy())
		platformtest.Must(t, client.IgnoreAlreadyExists(err))
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		bind(ctx)
	})
	// The API server takes a moment to see that it is gone, and that it is back.
	platformtest.Must(t, world.Wait(ctx, "find the services open", func(ctx context.Context) error {
		_, open, said := check(ctx)
		if len(open) < 5 {
			return fmt.Errorf("open are %q", open)
		}
		for _, line := range open {
			if !strings.Contains(line, "ervice") || !strings.Contains(line, policy+" do not act") || !strings.Contains(line, "kubectl apply") {
				return platform.Final(fmt.Errorf("it says %s\n%s", line, said))
			}
		}
		return nil
	}))
	bind(ctx)
	platformtest.Must(t, world.Wait(ctx, "find all closed again", func(ctx context.Context) error {
		if _, open, _ := check(ctx); len(open) > 0 {
			return fmt.Errorf("open are %q", open)
		}
		return nil
	}))
	platformtest.Must(t, world.Wait(ctx, "see the namespaces gone", func(ctx context.Context) error {
		var all corev1.NamespaceList
		if err := world.Kube.List(ctx, &all, client.HasLabels{fences.Label}); err != nil || len(all.Items) > 0 {
			return errors.Join(err, fmt.Errorf("%d namespaces are left", len(all.Items)))
		}
		return nil
	}))
}

// pluginConfigFile is the configuration of the plugin that runs.
func pluginConfigFile(ctx context.Context, t *testing.T) string {
	t.Helper()
	name, err := world.PluginConfig(ctx)
	platformtest.Must(t, err)
	var config corev1.ConfigMap
	platformtest.Must(t, world.Kube.Get(ctx, client.ObjectKey{Namespace: platform.PluginNamespace, Name: name}, &config))
	path := filepath.Join(t.TempDir(), "config.yaml")
	platformtest.Must(t, os.WriteFile(path, []byte(config.Data["config.yaml"]), 0o600))
	return path
}
