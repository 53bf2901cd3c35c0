package flow

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/seedling-dev/seedling/e2e/platform"
	"github.com/seedling-dev/seedling/plugin/forge"
)

// What plugin check asks of the real Git host: every right of the plugin's token
// is seen, and so is its webhook. With another name's address none is.
func TestCheckAsksTheGitHost(t *testing.T) {
	ctx := beside(t, 5*time.Minute)
	var secret corev1.Secret
	must(t, world.Kube.Get(ctx, client.ObjectKey{Namespace: platform.PluginNamespace, Name: "plugin-forges"}, &secret))
	dir := t.TempDir()
	for _, name := range []string{"gitea-token", "gitea-webhook"} {
		must(t, os.WriteFile(filepath.Join(dir, name), secret.Data[name], 0o600))
	}
	config := forge.Config{
		Name: "gitea", Type: "gitea", URL: world.Cluster.Gitea().URL,
		CredentialFile: filepath.Join(dir, "gitea-token"), WebhookSecretFile: filepath.Join(dir, "gitea-webhook"),
	}
	const repository = platform.Organisation + "/" + platform.ShopRepository
	f, err := forge.New(config)
	must(t, err)
	rights, err := f.(forge.Righter).Rights(ctx, repository)
	must(t, err)
	if len(rights) != 4 {
		t.Errorf("rights: %v", rights)
	}
	for _, r := range rights {
		if r.Missing != nil || r.Unknown != "" {
			t.Errorf("%s is missing: %v, unknown: %q", r.Name, r.Missing, r.Unknown)
		}
	}
	hooks, err := f.(forge.Hooking).Webhooks(ctx, repository)
	must(t, err)
	if len(hooks.Found) != 1 || hooks.Found[0].Wrong != nil || !strings.Contains(hooks.Unseen, "read:organization") {
		t.Errorf("webhooks: %+v", hooks)
	}
	config.Name = "another"
	another, err := forge.New(config)
	must(t, err)
	hooks, err = another.(forge.Hooking).Webhooks(ctx, repository)
	must(t, err)
	if len(hooks.Found) != 0 {
		t.Errorf("webhooks of another name: %+v", hooks)
	}

	// A token that may only read has neither right, and changed nothing by trying.
	reader, err := world.ReaderToken(ctx)
	must(t, err)
	must(t, os.WriteFile(config.CredentialFile, []byte(reader), 0o600))
	rights, err = f.(forge.Righter).Rights(ctx, repository)
	must(t, err)
	var missing []string
	for _, r := range rights {
		if r.Missing != nil {
			missing = append(missing, r.Name)
		}
	}
	if got := strings.Join(missing, ", "); got != "administration of the repository, write:repository, write:issue" {
		t.Errorf("a reader's token lacks %s", got)
	}
	hooks, err = f.(forge.Hooking).Webhooks(ctx, repository)
	must(t, err)
	if len(hooks.Found) != 0 || hooks.Unseen == "" {
		t.Errorf("webhooks, for a reader: %+v", hooks)
	}
}

// The pod has the secrets and no files but its own: check finds its forge, and render
// reads the ApplicationSet that it is given.
func TestCheckAndRenderInThePod(t *testing.T) {
	ctx := beside(t, 5*time.Minute)
	const config = "--config=/etc/seedling/config.yaml"
	// Whether all is well on a test cluster is not asked here.
	report, said, _ := world.RunInPlugin(ctx, nil, "check", config)
	for _, line := range []string{"ok     generator token", "ok     forge gitea: we are ", "ok     webhook secret of forge gitea", "ok     repository " + platform.Organisation + "/" + platform.ShopRepository + " of forge gitea"} {
		if !strings.Contains(report, line) {
			t.Errorf("%q is missing in:\n%s%s", line, report, said)
		}
	}
	set := `
kind: ApplicationSet
metadata: {name: rendered}
spec:
  generators:
    - plugin:
        configMapRef: {name: seedling-plugin}
        input: {parameters: {forge: gitea, repo: ` + platform.Organisation + "/" + platform.ShopRepository + `}}
`
	rendered, said, err := world.RunInPlugin(ctx, strings.NewReader(set), "render", config, "--applicationset=-")
	must(t, err)
	var body struct {
		Output struct {
			Parameters *[]map[string]string `json:"parameters"`
		} `json:"output"`
	}
	if err := json.Unmarshal([]byte(rendered), &body); err != nil || body.Output.Parameters == nil {
		t.Errorf("rendered %q, %v: %s", rendered, err, said)
	}
}
