package hostile

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/seedling-dev/seedling/e2e/cluster"
	"github.com/seedling-dev/seedling/e2e/platform"
	"github.com/seedling-dev/seedling/e2e/platform/platformtest"
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
