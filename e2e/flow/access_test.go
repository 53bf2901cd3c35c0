package flow

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"code.gitea.io/sdk/gitea"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/seedling-dev/seedling/e2e/platform"
	"github.com/seedling-dev/seedling/hooks/snapshot"
)

// The generator answers nobody without its token.
func TestGeneratorRefusesWrongTokens(t *testing.T) {
	ctx := beside(t, 5*time.Minute)
	base := forwardPlugin(ctx, t, 8080)
	var secret corev1.Secret
	must(t, world.Kube.Get(ctx, client.ObjectKey{Namespace: platform.ArgoCDNamespace, Name: "seedling-plugin-token"}, &secret))
	right := strings.TrimSpace(string(secret.Data["token"]))
	body := `{"applicationSetName":"nobody","input":{"parameters":{}}}`
	for _, c := range []struct {
		name, header string
		want         int
	}{
		{"none", "", http.StatusUnauthorized},
		{"empty", "Bearer ", http.StatusUnauthorized},
		{"wrong", "Bearer " + strings.Repeat("x", len(right)), http.StatusUnauthorized},
		{"unresolved reference", "Bearer $seedling-plugin-token:token", http.StatusUnauthorized},
		{"part", "Bearer " + right[:len(right)-1], http.StatusUnauthorized},
		// The right one is let in, and its empty input refused as input.
		{"right", "Bearer " + right, http.StatusBadRequest},
	} {
		if got, text := post(ctx, t, base+"/api/v1/getparams.execute", c.header, body); got != c.want {
			t.Errorf("%s: %d %s, want %d", c.name, got, text, c.want)
		}
	}
}

// The broker serves the restore hook of the preview itself, and nobody else.
func TestBrokerRefusesOtherTokens(t *testing.T) {
	ctx := beside(t, 15*time.Minute)
	_, v := preview(ctx, t, "")
	base := forwardPlugin(ctx, t, 8081)
	clients, err := kubernetes.NewForConfig(world.Cluster.REST())
	must(t, err)
	token := func(namespace, account, audience string) string {
		t.Helper()
		request := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{Audiences: []string{audience}}}
		if audience == "" {
			request.Spec.Audiences = nil
		}
		r, err := clients.CoreV1().ServiceAccounts(namespace).CreateToken(ctx, account, request, metav1.CreateOptions{})
		must(t, err)
		return "Bearer " + r.Status.Token
	}
	for _, c := range []struct {
		name, header string
		allowed      bool
	}{
		{"none", "", false},
		{"garbage", "Bearer x.y.z", false},
		{"another account of the preview", token(v.Namespace, "default", snapshot.TokenAudience), false},
		{"another audience", token(v.Namespace, snapshot.HookServiceAccount, "somebody-else"), false},
		{"the API server's audience", token(v.Namespace, snapshot.HookServiceAccount, ""), false},
		{"an account of another namespace", token(platform.Seed, "seed-backup", snapshot.TokenAudience), false},
		{"the plugin's own", token(platform.PluginNamespace, "plugin", snapshot.TokenAudience), false},
		{"the hook's", token(v.Namespace, snapshot.HookServiceAccount, snapshot.TokenAudience), true},
	} {
		got, text := post(ctx, t, base+snapshot.RestorePath, c.header, "")
		switch {
		case c.allowed && got != http.StatusOK:
			t.Errorf("%s: %d %s, want 200", c.name, got, text)
		case !c.allowed && got != http.StatusUnauthorized && got != http.StatusForbidden:
			t.Errorf("%s: %d %s, want 401 or 403", c.name, got, text)
		}
	}
}

// A label counts by who set it, and by what they may do when it is looked at:
// one of somebody who may not write any more brings no preview.
func TestLabelNeedsWriteAccess(t *testing.T) {
	ctx := beside(t, 10*time.Minute)
	const former = "fern"
	must(t, world.SetAccess(ctx, former, true))
	pr, err := world.OpenPullRequest(ctx, "labelneedswriteaccess", t.Name(), nil)
	must(t, err)
	t.Cleanup(func() { _ = pr.Close(context.WithoutCancel(ctx)) })
	// While it is closed the plugin does not ask about the label.
	must(t, pr.Close(ctx))
	must(t, pr.LabelAs(ctx, former, platform.LabelPreview))
	must(t, world.SetAccess(ctx, former, false))
	must(t, pr.Reopen(ctx))
	// Nothing is written on the commit for somebody who may not; the log says it.
	must(t, world.Wait(ctx, "wait until the plugin says why it holds back "+pr.URL, func(ctx context.Context) error {
		return world.PluginSaid(ctx, fmt.Sprintf("number=%d ", pr.Number), "somebody without write access")
	}))
	if s, err := pr.Status(ctx, pr.StatusContext()); err != nil || s != nil {
		t.Errorf("the commit status is %+v, error %v", s, err)
	}

	// Set again by somebody who may, it counts.
	must(t, pr.Unlabel(ctx, platform.LabelPreview))
	must(t, pr.Label(ctx, platform.LabelPreview))
	_, err = world.WaitPreview(ctx, pr, "")
	must(t, err)
}

// A pull request of somebody who may only read gets no data, whoever labels it,
// though Gitea has it come from the repository itself.
func TestPushForReviewGetsNoData(t *testing.T) {
	ctx := beside(t, 10*time.Minute)
	pr, err := world.PushForReview(ctx, platform.Reader, t.Name())
	must(t, err)
	t.Cleanup(func() { _ = pr.Close(context.WithoutCancel(ctx)) })
	must(t, pr.Label(ctx, platform.LabelPreview))
	heldBack(ctx, t, pr, "forks get no data")
}

// heldBack waits for the commit status that says why a labelled pull request
// gets no preview, and checks that it has none.
func heldBack(ctx context.Context, t *testing.T, pr *platform.PullRequest, why string) {
	t.Helper()
	must(t, world.Wait(ctx, "wait until the plugin says why it holds back "+pr.URL, func(ctx context.Context) error {
		s, err := pr.Status(ctx, pr.StatusContext())
		if err != nil {
			return err
		}
		if s == nil || s.State != gitea.StatusFailure || !strings.Contains(s.Description, why) {
			return fmt.Errorf("the commit status is %+v", s)
		}
		return nil
	}))
	if v, ok, err := world.FindPreview(ctx, pr.Number); err != nil || ok {
		t.Errorf("there is a preview %s, error %v", v.Namespace, err)
	}
}

func forwardPlugin(ctx context.Context, t *testing.T, port int) string {
	t.Helper()
	local, stop, err := world.ForwardPlugin(ctx, port)
	must(t, err)
	t.Cleanup(stop)
	return fmt.Sprintf("http://127.0.0.1:%d", local)
}

func post(ctx context.Context, t *testing.T, url, authorization, body string) (status int, text string) {
	t.Helper()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader(body))
	must(t, err)
	req.Header.Set("Content-Type", "application/json")
	if authorization != "" {
		req.Header.Set("Authorization", authorization)
	}
	resp, err := http.DefaultClient.Do(req)
	must(t, err)
	defer resp.Body.Close()
	all, err := io.ReadAll(io.LimitReader(resp.Body, 4096))
	must(t, err)
	return resp.StatusCode, string(all)
}
