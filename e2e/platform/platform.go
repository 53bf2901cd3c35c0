package platform

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"code.gitea.io/sdk/gitea"
	"golang.org/x/sync/errgroup"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/seedling-dev/seedling/e2e/cluster"
	"github.com/seedling-dev/seedling/e2e/shop"
)

// Names of the installation.
const (
	// Seed is the seed's namespace, SeedDatabase the database in it.
	Seed         = "seed"
	SeedDatabase = "app"

	ArgoCDNamespace = "argocd"
	VeleroNamespace = "velero"
	PluginNamespace = "seedling"
	// CredentialsNamespace is where the test credentials of previews are.
	CredentialsNamespace = "seedling-credentials"
	// PageSecret has the token of the status page.
	PageSecret = "plugin-page"

	webhookURL = "http://plugin.seedling.svc.cluster.local:8082/webhook/gitea"

	seedData     = "seed-data"
	seedPostgres = "seed-postgres"
)

// Images are those of ours that run in the cluster.
var Images = []string{"seed-postgres", "seed-import", "seed-backup", "preview-restore", "plugin"}

// Options say how to install.
type Options struct {
	// Log receives a line at each step's end; nil means silence.
	Log *slog.Logger
}

// Platform is an installed Seedling.
type Platform struct {
	Cluster *cluster.Cluster
	// Kube acts as the cluster's administrator.
	Kube client.WithWatch

	log    *slog.Logger
	forge  *forge
	root   string
	images map[string]string // name -> reference
	key    []byte            // the masking key
	refill bool              // the seed's volume was renewed
}

// Install puts Seedling on the cluster, or adopts and renews an installation.
// It returns when the plugin and the seed's empty Postgres answer.
func Install(ctx context.Context, c *cluster.Cluster, o Options) (*Platform, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	p := &Platform{Cluster: c, log: o.Log, images: map[string]string{}}
	var err error
	if p.Kube, err = newClient(c.REST()); err != nil {
		return nil, err
	}
	if p.forge, err = newForge(ctx, c.Gitea()); err != nil {
		return nil, err
	}
	if p.root, err = cluster.Root(); err != nil {
		return nil, err
	}
	for _, step := range []struct {
		what string
		do   func(context.Context) error
	}{
		{"built and loaded the images", p.buildImages},
		{"filled the Git host: acme/platform, acme/shop, users, webhook", p.fillForge},
		{"made the Secrets", p.makeSecrets},
		{"applied the plugin, its policies, projects and ApplicationSets", p.applyAll},
		{"hardened Argo CD", p.harden},
		{"plugin is ready", p.waitPlugin},
		{"Argo CD's repo-server is ready", p.waitRepoServer},
		{"seed's Postgres answers", p.waitSeedPostgres},
		{"seed is as it was", p.refillSeed},
	} {
		began := time.Now()
		if err := step.do(ctx); err != nil {
			return nil, fmt.Errorf("install Seedling: %w", err)
		}
		p.log.Info(step.what, "took", since(began))
	}
	return p, nil
}

func since(t time.Time) time.Duration { return time.Since(t).Round(100 * time.Millisecond) }

func (p *Platform) buildImages(ctx context.Context) error {
	var mu sync.Mutex
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(2)
	for _, name := range Images {
		g.Go(func() error {
			ref, err := cluster.BuildImage(gctx, name)
			mu.Lock()
			defer mu.Unlock()
			p.images[name] = ref
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	refs := make([]string, 0, len(Images))
	for _, name := range Images {
		refs = append(refs, p.images[name])
	}
	return p.Cluster.Load(ctx, refs...)
}

// Image is the reference of one of [Images], as it was built and loaded.
func (p *Platform) Image(name string) string { return p.images[name] }

// Tree is what acme/platform holds, but for the seed's data, which a refresh
// brings.
func (p *Platform) Tree() (map[string][]byte, error) { return p.tree() }

func (p *Platform) tree() (tree, error) {
	t := tree{}
	if err := t.addDir(filepath.Join(p.root, "manifests"), "manifests"); err != nil {
		return nil, err
	}
	for _, name := range []string{"previews.yaml", "seed.yaml"} {
		content, err := os.ReadFile(filepath.Join(p.root, "applicationsets", name))
		if err != nil {
			return nil, err
		}
		t["applicationsets/"+name] = content
	}
	if err := t.addDir(filepath.Join(p.root, "applicationsets", "retry-refresh"), "applicationsets/retry-refresh"); err != nil {
		return nil, err
	}
	overlays, err := fs.Sub(gitops, "gitops")
	if err != nil {
		return nil, err
	}
	if err := t.addFS(overlays); err != nil {
		return nil, err
	}
	t.adapt(p.Cluster.Gitea().InCluster, p.images)
	if p.Cluster.ArgoCD() == "2.14" {
		t.without("applicationsets/kustomization.yaml", "components: [retry-refresh]")
	}
	maps.DeleteFunc(t, func(name string, _ []byte) bool { return strings.HasPrefix(name, seedData+"/") })
	return t, nil
}

// fillPeople makes the Git host's users, both repositories and the labels.
func (p *Platform) fillPeople() error {
	for _, user := range []string{Developer, Reader, pluginUser, argoUsers[ShopRepository], argoUsers[PlatformRepository]} {
		if err := p.forge.user(user); err != nil {
			return err
		}
	}
	if err := p.forge.repository(PlatformRepository, "What Argo CD reads"); err != nil {
		return err
	}
	if err := p.forge.repository(ShopRepository, "The sample shop"); err != nil {
		return err
	}
	for _, a := range []struct {
		repository, user string
		mode             gitea.AccessMode
	}{
		{ShopRepository, Developer, gitea.AccessModeWrite},
		{ShopRepository, Reader, gitea.AccessModeRead},
		// Gitea tells who may write only to those who administer.
		{ShopRepository, pluginUser, gitea.AccessModeAdmin},
		{ShopRepository, argoUsers[ShopRepository], gitea.AccessModeRead},
		{PlatformRepository, argoUsers[PlatformRepository], gitea.AccessModeRead},
	} {
		if err := p.forge.allow(a.repository, a.user, a.mode); err != nil {
			return err
		}
	}
	return errors.Join(
		p.forge.label(ShopRepository, LabelPreview, "#2da44e", "Give this pull request a preview"),
		p.forge.label(ShopRepository, LabelPlatform, "#0969da", "Give it a preview with the platform's Postgres"),
		p.forge.label(ShopRepository, LabelReset, "#bf8700", "Give its preview fresh data"),
	)
}

func (p *Platform) fillForge(ctx context.Context) error {
	if err := p.fillPeople(); err != nil {
		return err
	}
	t, err := p.tree()
	if err != nil {
		return err
	}
	if _, err := p.forge.commit(ctx, p.forge.endpoint.User, PlatformRepository, "main", "Seedling", t, seedData+"/"); err != nil {
		return err
	}
	files, err := shop.Repository(p.images[seedPostgres])
	if err != nil {
		return err
	}
	_, err = p.forge.commit(ctx, p.forge.endpoint.User, ShopRepository, "main", "The shop", files)
	return err
}

// makeSecrets makes what is never in Git. What is there already stays, unless
// it no longer works: a seed's volume remembers its key.
func (p *Platform) makeSecrets(ctx context.Context) error {
	for _, name := range []string{PluginNamespace, Seed} {
		ns := &unstructured.Unstructured{}
		ns.SetAPIVersion("v1")
		ns.SetKind("Namespace")
		ns.SetName(name)
		if err := p.apply(ctx, []*unstructured.Unstructured{ns}); err != nil {
			return err
		}
	}
	s3 := p.Cluster.S3()
	random := func() string { return rand.Text() }
	token, err := p.secret(ctx, PluginNamespace, "plugin-token", nil, map[string]func(string) (string, error){
		"token": keep(random),
	})
	if err != nil {
		return err
	}
	forges, err := p.secret(ctx, PluginNamespace, "plugin-forges", nil, map[string]func(string) (string, error){
		"gitea-token": func(inHand string) (string, error) {
			return p.forge.token(ctx, pluginUser, inHand, scopeWriteRepository, scopeWriteIssue, scopeReadUser)
		},
		"gitea-webhook": keep(random),
	})
	if err != nil {
		return err
	}
	if _, err := p.secret(ctx, PluginNamespace, PageSecret, nil, map[string]func(string) (string, error){"token": keep(random)}); err != nil {
		return err
	}
	if err := p.forge.webhook(ShopRepository, webhookURL, forges["gitea-webhook"]); err != nil {
		return err
	}
	key, err := p.secret(ctx, Seed, "seed-key", nil, map[string]func(string) (string, error){
		"key": keep(func() string {
			b := make([]byte, 32)
			_, _ = rand.Read(b) // never fails
			return base64.StdEncoding.EncodeToString(b)
		}),
	})
	if err != nil {
		return err
	}
	p.key = []byte(key["key"])
	if err := p.seedCertificates(ctx); err != nil {
		return err
	}
	for _, s := range []struct {
		namespace, name string
		labels          map[string]string
		data            map[string]func(string) (string, error)
	}{
		{Seed, "dump-credentials", nil, map[string]func(string) (string, error){
			"AWS_ACCESS_KEY_ID": always(s3.User), "AWS_SECRET_ACCESS_KEY": always(s3.Password),
		}},
		{
			ArgoCDNamespace, "seedling-plugin-token",
			map[string]string{"app.kubernetes.io/part-of": "argocd"},
			map[string]func(string) (string, error){"token": always(token["token"])},
		},
	} {
		if _, err := p.secret(ctx, s.namespace, s.name, s.labels, s.data); err != nil {
			return err
		}
	}
	return p.repositorySecrets(ctx)
}

// repositorySecrets gives Argo CD a credential per repository, and no template.
func (p *Platform) repositorySecrets(ctx context.Context) error {
	for repository, user := range argoUsers {
		_, err := p.secret(ctx, ArgoCDNamespace, Organisation+"-"+repository,
			map[string]string{"argocd.argoproj.io/secret-type": "repository"},
			map[string]func(string) (string, error){
				"type":     always("git"),
				"url":      always(p.Cluster.Gitea().InCluster + "/" + Organisation + "/" + repository + ".git"),
				"username": always(user),
				"password": func(inHand string) (string, error) {
					return p.forge.token(ctx, user, inHand, scopeReadRepository, scopeReadUser)
				},
			})
		if err != nil {
			return err
		}
	}
	return nil
}

// keep takes a value that is there and makes one that is not.
func keep(fresh func() string) func(string) (string, error) {
	return func(inHand string) (string, error) {
		if inHand != "" {
			return inHand, nil
		}
		return fresh(), nil
	}
}

func always(value string) func(string) (string, error) {
	return func(string) (string, error) { return value, nil }
}

// secret creates or renews a Secret: each key's function gets the value in
// hand ("" for none) and returns the one to write.
func (p *Platform) secret(ctx context.Context, namespace, name string, labels map[string]string, keys map[string]func(string) (string, error)) (map[string]string, error) {
	s := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}}
	err := p.Kube.Get(ctx, client.ObjectKeyFromObject(s), s)
	there := err == nil
	if err != nil && !apierrors.IsNotFound(err) {
		return nil, fmt.Errorf("get Secret %s/%s: %w", namespace, name, err)
	}
	if s.Data == nil {
		s.Data = map[string][]byte{}
	}
	values := map[string]string{}
	for key, value := range keys {
		v, err := value(string(s.Data[key]))
		if err != nil {
			return nil, fmt.Errorf("make key %s of Secret %s/%s: %w", key, namespace, name, err)
		}
		values[key] = v
		s.Data[key] = []byte(v)
	}
	if s.Labels == nil {
		s.Labels = map[string]string{}
	}
	maps.Copy(s.Labels, labels)
	write := p.Kube.Create
	if there {
		write = func(ctx context.Context, o client.Object, _ ...client.CreateOption) error {
			return p.Kube.Update(ctx, o)
		}
	}
	if err := write(ctx, s); err != nil {
		return nil, fmt.Errorf("write Secret %s/%s: %w", namespace, name, err)
	}
	return values, nil
}

// applyAll applies what whoever installs the platform applies. The Application
// seed-data waits for its first dump.
func (p *Platform) applyAll(ctx context.Context) error {
	t, err := p.tree()
	if err != nil {
		return err
	}
	if err := t.addFS(sets); err != nil {
		return err
	}
	for _, dir := range []string{"plugin", "argocd", "sets/own", "sets/platform"} {
		all, err := t.build(dir)
		if err != nil {
			return err
		}
		var now []*unstructured.Unstructured
		for _, u := range all {
			if u.GetKind() != "Application" || u.GetName() != seedData {
				now = append(now, u)
			}
		}
		if err := p.apply(ctx, now); err != nil {
			return err
		}
	}
	return nil
}

// harden closes Argo CD's own doors: what manifests/argocd/hardening has of ours,
// and its patches of what Argo CD's installation has, whose other fields stay.
// Helm stays on, for previews that are charts.
func (p *Platform) harden(ctx context.Context) error {
	t := tree{}
	if err := t.addDir(filepath.Join(p.root, "manifests", "argocd", "hardening"), "hardening"); err != nil {
		return err
	}
	all, err := t.build("hardening")
	if err != nil {
		return err
	}
	for _, u := range all {
		if u.GetKind() == "NetworkPolicy" {
			if err := p.openNode(ctx, u); err != nil {
				return err
			}
		}
	}
	for _, name := range []string{"argocd-cm", "argocd-cmd-params-cm", "repo-server"} {
		patches, err := cluster.Objects(t["hardening/argo-cd/"+name+".yaml"])
		if err != nil {
			return err
		}
		for _, u := range patches {
			u.SetNamespace(ArgoCDNamespace)
			if u.GetName() == "argocd-cm" {
				if err := unstructured.SetNestedField(u.Object, "true", "data", "helm.enable"); err != nil {
					return err
				}
			}
		}
		all = append(all, patches...)
	}
	return p.apply(ctx, all)
}

// openNode lets the repo-server reach the Git host and DNS where the test cluster
// has them: both are processes of its node.
func (p *Platform) openNode(ctx context.Context, policy *unstructured.Unstructured) error {
	var nodes corev1.NodeList
	if err := p.Kube.List(ctx, &nodes); err != nil {
		return fmt.Errorf("list the nodes: %w", err)
	}
	rules, _, err := unstructured.NestedSlice(policy.Object, "spec", "egress")
	if err != nil {
		return fmt.Errorf("read NetworkPolicy %s: %w", policy.GetName(), err)
	}
	for _, n := range nodes.Items {
		for _, a := range n.Status.Addresses {
			if a.Type == corev1.NodeInternalIP {
				rules = append(rules, map[string]any{
					"to": []any{map[string]any{"ipBlock": map[string]any{"cidr": a.Address + "/32"}}},
					"ports": []any{
						map[string]any{"protocol": "TCP", "port": int64(3000)},
						map[string]any{"protocol": "UDP", "port": int64(53)},
						map[string]any{"protocol": "TCP", "port": int64(53)},
					},
				})
			}
		}
	}
	return unstructured.SetNestedSlice(policy.Object, rules, "spec", "egress")
}

func (p *Platform) waitPlugin(ctx context.Context) error {
	return p.waitDeployment(ctx, PluginNamespace, "plugin")
}

// waitRepoServer waits for the one that is hardened.
func (p *Platform) waitRepoServer(ctx context.Context) error {
	return p.waitDeployment(ctx, ArgoCDNamespace, "argocd-repo-server")
}

// waitDeployment waits until a Deployment's one pod is the newest and ready.
func (p *Platform) waitDeployment(ctx context.Context, namespace, name string) error {
	return p.Wait(ctx, "wait for "+namespace+"/"+name, func(ctx context.Context) error {
		var d appsv1.Deployment
		if err := p.Kube.Get(ctx, client.ObjectKey{Namespace: namespace, Name: name}, &d); err != nil {
			return err
		}
		if d.Status.ObservedGeneration != d.Generation || d.Status.UpdatedReplicas != 1 || d.Status.ReadyReplicas != 1 || d.Status.Replicas != 1 {
			return fmt.Errorf("Deployment %s has %d ready pods", name, d.Status.ReadyReplicas)
		}
		return nil
	})
}

func (p *Platform) waitSeedPostgres(ctx context.Context) error {
	if err := p.Look(ctx, seedPostgres); err != nil {
		return err
	}
	return p.Wait(ctx, "wait for the seed's Postgres", func(ctx context.Context) error {
		var s appsv1.StatefulSet
		if err := p.Kube.Get(ctx, client.ObjectKey{Namespace: Seed, Name: "postgres"}, &s); err != nil {
			return err
		}
		if s.Spec.Template.Spec.Containers[0].Image != p.images[seedPostgres] {
			return errors.New("Argo CD has not synced its new image")
		}
		if s.Status.ObservedGeneration != s.Generation || s.Status.UpdatedReplicas != 1 || s.Status.ReadyReplicas != 1 {
			return fmt.Errorf("StatefulSet postgres has %d ready pods", s.Status.ReadyReplicas)
		}
		return nil
	})
}
