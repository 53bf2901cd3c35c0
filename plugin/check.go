package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/seedling-dev/seedling/hooks/command"
	"github.com/seedling-dev/seedling/plugin/check"
	"github.com/seedling-dev/seedling/plugin/forge"
	"github.com/seedling-dev/seedling/plugin/preview"
	"github.com/seedling-dev/seedling/plugin/probe"
	"github.com/seedling-dev/seedling/plugin/server"
)

// checkTimeout bounds each thing that is looked at.
const checkTimeout = 15 * time.Second

// check validates the configuration and looks at everything that previews rely
// on. Without --probe and --fences it changes nothing. What serve would not begin with is
// misconfigured here too, and so is a credential that the other side refuses;
// what is only out of reach is not.
func (p *program) check(ctx context.Context) error {
	cfg, err := readConfig(p.config, p.getenv)
	if err != nil {
		return command.Misconfigured(err)
	}
	forges, err := cfg.openForges()
	if err != nil {
		return command.Misconfigured(err)
	}
	found := &check.Report{Out: p.stdout}
	found.Say("configuration "+p.config, "", nil)
	if p.hasSecret(cfg, found, "generator token", cfg.TokenFile) {
		err := server.Tokens{Current: cfg.TokenFile, Previous: cfg.PreviousTokenFile}.Check()
		found.Say("generator token", "", command.Misconfigured(err))
	}
	p.checkForges(ctx, cfg, forges, found)
	p.checkCluster(ctx, cfg, forges, found)
	return found.Result()
}

// inPod says whether this is a pod of the cluster.
func (p *program) inPod() bool { return p.getenv("KUBERNETES_SERVICE_HOST") != "" }

// hasSecret says whether the file of a secret can be looked at. On another
// machine than the plugin's pod there is none where manifests/plugin mounts it.
func (p *program) hasSecret(cfg *Config, found *check.Report, what, path string) bool {
	if !p.elsewhere(path) {
		return true
	}
	found.Unseen(what, path+" is in the plugin's pod", "run `"+cfg.exec("exec", "check")+"`")
	return false
}

// elsewhere says whether a secret's file is in the plugin's pod, and this is not it.
func (p *program) elsewhere(path string) bool {
	if _, ours := mounted[filepath.Dir(path)]; p.inPod() || !ours {
		return false
	}
	_, err := os.Stat(path)
	return errors.Is(err, fs.ErrNotExist)
}

// exec is how a verb is run in the plugin's pod.
func (c *Config) exec(how, verb string) string {
	return "kubectl -n " + c.Namespace + " " + how + " deployment/plugin -- /usr/local/bin/plugin " + verb + " --config=/etc/seedling/config.yaml"
}

// checkForges asks each forge as whom we call it. Those whose credential is not
// here are taken out of the map.
func (p *program) checkForges(ctx context.Context, cfg *Config, forges map[string]forge.Forge, found *check.Report) {
	for _, f := range cfg.Forges {
		if p.hasSecret(cfg, found, "forge "+f.Name, f.CredentialFile) {
			login, err := "", checkSecret("credentialFile", f.CredentialFile)
			if err == nil {
				login, err = whoami(ctx, forges[f.Name])
			}
			found.Say("forge "+f.Name, ": we are "+login, err)
			if err != nil {
				forges[f.Name] = nil // what would be asked of it fails the same way
			}
		} else {
			forges[f.Name] = nil
		}
		if f.WebhookSecretFile == "" {
			found.Note("forge %s has no webhookSecretFile: its webhooks are refused, changes are found by polling", f.Name)
			continue
		}
		what := "webhook secret of forge " + f.Name
		if p.hasSecret(cfg, found, what, f.WebhookSecretFile) {
			found.Say(what, "", checkSecret("webhookSecretFile", f.WebhookSecretFile))
		}
	}
}

// whoami asks a forge as whom we call it.
func whoami(ctx context.Context, f forge.Forge) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	login, err := f.Login(ctx)
	if errors.Is(err, forge.ErrCredential) {
		err = command.Misconfigured(err)
	}
	return login, err
}

func (p *program) checkCluster(ctx context.Context, cfg *Config, forges map[string]forge.Forge, found *check.Report) {
	config, err := p.cluster()
	if err != nil {
		found.Say("cluster", "", command.Misconfigured(err))
		return
	}
	// Each right is a question, and all of them have one bound in time.
	config.QPS, config.Burst = 100, 200
	kube, err := client.New(config, client.Options{Scheme: scheme()})
	if err != nil {
		found.Say("cluster", "", err)
		return
	}
	p.checkDNS(ctx, cfg, kube, found)
	looking := &check.Cluster{
		Kube: kube, Namespace: cfg.Namespace, ArgoCD: cfg.ArgoCDNamespace, Velero: cfg.VeleroNamespace,
		ConfigMap: cfg.GeneratorConfigMap, Direct: cfg.Mode == modeDirect, Forges: forges, Hooked: hooked(cfg.Forges), MaxDataAge: cfg.maxDataAge, InPod: p.inPod(), Report: found, Now: p.now,
	}
	looking.Look(ctx)
	if p.fences {
		looking.Fences(ctx, func(user string) (client.Client, error) { return actAs(config, kube.RESTMapper(), user) }, random()+"00")
	}
	p.checkEnforcement(ctx, cfg, kube, found)
}

// actAs is a client that acts as another user, whose groups the API server knows
// for a ServiceAccount.
func actAs(config *rest.Config, mapper meta.RESTMapper, user string) (client.Client, error) {
	config = rest.CopyConfig(config)
	config.Impersonate = rest.ImpersonationConfig{UserName: user}
	config.QPS, config.Burst = 50, 100
	config.WarningHandler = rest.NoWarnings{}
	return client.New(config, client.Options{Scheme: scheme(), Mapper: mapper})
}

// hooked are the forges whose webhooks are taken.
func hooked(forges []forge.Config) map[string]bool {
	taken := map[string]bool{}
	for _, f := range forges {
		taken[f.Name] = f.WebhookSecretFile != ""
	}
	return taken
}

// checkDNS says where previews will ask for names. Only in a pod of the cluster
// can it be told: another machine's nameservers are others.
func (p *program) checkDNS(ctx context.Context, cfg *Config, kube client.Client, found *check.Report) {
	const what = "DNS for previews"
	if !p.inPod() {
		found.Unseen(what, "this machine's nameservers are not those of pods", "run it in the plugin's pod")
		return
	}
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	namespaces := &preview.Namespaces{Client: kube, Guards: cfg.Guards, ResolvConf: preview.DefaultResolvConf, APIServer: p.getenv("KUBERNETES_SERVICE_HOST")}
	err := namespaces.Look(ctx)
	around := namespaces.Surroundings()
	found.Say(what, fmt.Sprintf(": namespace %s, addresses %v and %v", cfg.Guards.DNSNamespace, around.DNS, cfg.Guards.DNSAddresses), check.Refused(err))
}

// checkEnforcement finds out whether NetworkPolicies act, where it is asked to:
// it is the one thing for which something is made.
func (p *program) checkEnforcement(ctx context.Context, cfg *Config, kube client.Client, found *check.Report) {
	const what = "NetworkPolicies"
	switch {
	case !p.probe:
		found.Unseen(what, "no object says whether the cluster enforces them", "run `plugin check --probe` as an administrator: it starts two pods for a moment")
		return
	case p.inPod():
		found.Unseen(what, "the plugin has no right to start pods, and needs none", "run `plugin check --probe` as an administrator, with KUBECONFIG")
		return
	}
	image, err := p.imageOfProbe(ctx, cfg, kube)
	if err != nil {
		found.Say(what, "", command.Misconfigured(err))
		return
	}
	say := func(line string) { fmt.Fprintf(p.stdout, "probe  %s\n", line) }
	probing := &probe.Probe{Kube: kube, Name: "seedling-probe-" + random(), Image: image, Say: say}
	if left, err := probing.Left(ctx); err == nil {
		for _, name := range left {
			found.Note("namespace %s is another probe's: unless that runs, `kubectl delete namespace %s`", name, name)
		}
	}
	seen, err := probing.Run(ctx)
	if err == nil { // for the status page, which finds nothing out by itself
		if err := probe.Record(ctx, kube, cfg.Namespace, seen, p.now()); err != nil {
			found.Note("the status page is not told: %v", err)
		}
	}
	switch {
	case err != nil:
		found.Say(what, "", fmt.Errorf("whether they are enforced could not be told: %w", err))
	case seen.Egress && seen.Ingress:
		found.Say(what, ": enforced", nil)
	default:
		passes := "egress and ingress pass"
		if seen.Egress {
			passes = "ingress passes"
		} else if seen.Ingress {
			passes = "egress passes"
		}
		found.Wrong(what, "not enforced (%s), so previews are kept apart by their passwords alone, and reach what the network reaches: switch them on as below", passes)
		for _, engine := range probe.Engines {
			found.Note("%s", engine)
		}
	}
}

// imageOfProbe is the plugin's own, unless another one is named.
func (p *program) imageOfProbe(ctx context.Context, cfg *Config, kube client.Client) (string, error) {
	if p.probeImage != "" {
		return p.probeImage, nil
	}
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	var all appsv1.DeploymentList
	if err := kube.List(ctx, &all, client.InNamespace(cfg.Namespace), client.MatchingLabels(cfg.BrokerLabels)); err != nil {
		return "", fmt.Errorf("find the plugin's image: %w; or name one by --probe-image", err)
	}
	for _, d := range all.Items {
		for _, c := range d.Spec.Template.Spec.Containers {
			if c.Name == "plugin" {
				return c.Image, nil
			}
		}
	}
	return "", fmt.Errorf("find the plugin's image: namespace %s has no Deployment of it: name one by --probe-image", cfg.Namespace)
}

// port is the number in an address that was validated.
func port(address string) int32 {
	_, p, _ := net.SplitHostPort(address)
	n, err := strconv.ParseInt(p, 10, 32)
	if err != nil {
		return 0
	}
	return int32(n)
}

func random() string {
	b := make([]byte, 4)
	_, _ = rand.Read(b) // does not fail
	return hex.EncodeToString(b)
}
