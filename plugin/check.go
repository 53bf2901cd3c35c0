package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"time"

	argov1alpha1 "github.com/argoproj/argo-cd/v2/pkg/apis/application/v1alpha1"
	velerov1 "github.com/vmware-tanzu/velero/pkg/apis/velero/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/seedling-dev/seedling/hooks/command"
	"github.com/seedling-dev/seedling/plugin/forge"
	"github.com/seedling-dev/seedling/plugin/preview"
	"github.com/seedling-dev/seedling/plugin/server"
)

// checkTimeout bounds each thing that is looked at.
const checkTimeout = 15 * time.Second

// checked is what a check found.
type checked struct {
	out   io.Writer
	wrong int
	// final is true where a retry will not cure one of them.
	final bool
}

func (c *checked) say(what, detail string, err error) {
	if err == nil {
		fmt.Fprintf(c.out, "ok    %s%s\n", what, detail)
		return
	}
	fmt.Fprintf(c.out, "WRONG %s: %v\n", what, err)
	c.wrong++
	c.final = c.final || command.ExitCode(err) == command.ExitMisconfigured
}

func (c *checked) result() error {
	if c.wrong == 0 {
		return nil
	}
	err := fmt.Errorf("check: %d of the things above are wrong", c.wrong)
	if c.final {
		return command.Misconfigured(err)
	}
	return err
}

// check validates the configuration and reaches everything in it. It changes
// nothing. What serve would not begin with is misconfigured here too, and so is
// a credential that the other side refuses; what is only out of reach is not.
func (p *program) check(ctx context.Context) error {
	cfg, err := readConfig(p.config, p.getenv)
	if err != nil {
		return command.Misconfigured(err)
	}
	fmt.Fprintf(p.stdout, "ok    configuration %s\n", p.config)
	forges, err := cfg.forges()
	if err != nil {
		return command.Misconfigured(err)
	}
	found := &checked{out: p.stdout}
	err = server.Tokens{Current: cfg.TokenFile, Previous: cfg.PreviousTokenFile}.Check()
	if err != nil {
		err = command.Misconfigured(err)
	}
	found.say("generator token", "", err)
	for _, f := range cfg.Forges {
		login, err := "", checkSecret("credentialFile", f.CredentialFile)
		if err == nil {
			login, err = whoami(ctx, forges[f.Name])
		}
		found.say("forge "+f.Name, ": we are "+login, err)
		if f.WebhookSecretFile == "" {
			fmt.Fprintf(p.stdout, "note  forge %s has no webhookSecretFile: its webhooks are refused, changes are found by polling\n", f.Name)
			continue
		}
		found.say("webhook secret of forge "+f.Name, "", checkSecret("webhookSecretFile", f.WebhookSecretFile))
	}
	p.checkCluster(ctx, cfg, found)
	return found.result()
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

func (p *program) checkCluster(ctx context.Context, cfg *Config, found *checked) {
	rest, err := p.cluster()
	if err != nil {
		found.say("cluster", "", command.Misconfigured(err))
		return
	}
	kube, err := client.New(rest, client.Options{Scheme: scheme()})
	if err != nil {
		found.say("cluster", "", err)
		return
	}
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	p.checkDNS(ctx, cfg, kube, found)
	location, err := available(ctx, kube, cfg.VeleroNamespace)
	found.say("Velero's storage", ": "+location+" is Available", refused(err))
	var sets argov1alpha1.ApplicationSetList
	err = kube.List(ctx, &sets, client.InNamespace(cfg.ArgoCDNamespace))
	ours := 0
	for i := range sets.Items {
		if len(server.Inputs(&sets.Items[i], cfg.GeneratorConfigMap)) > 0 {
			ours++
		}
	}
	found.say("ApplicationSets", fmt.Sprintf(": %d of %d name ConfigMap %s", ours, len(sets.Items), cfg.GeneratorConfigMap), refused(err))
}

// checkDNS says where previews will ask for names. Only in a pod of the cluster
// can it be told: another machine's nameservers are others.
func (p *program) checkDNS(ctx context.Context, cfg *Config, kube client.Client, found *checked) {
	if p.getenv("KUBERNETES_SERVICE_HOST") == "" {
		fmt.Fprintln(p.stdout, "note  where previews find DNS can be told in the plugin's pod only")
		return
	}
	namespaces := &preview.Namespaces{Client: kube, Guards: cfg.Guards, ResolvConf: preview.DefaultResolvConf, APIServer: p.getenv("KUBERNETES_SERVICE_HOST")}
	err := namespaces.Look(ctx)
	around := namespaces.Surroundings()
	found.say("DNS for previews", fmt.Sprintf(": namespace %s, addresses %v and %v", cfg.Guards.DNSNamespace, around.DNS, cfg.Guards.DNSAddresses), refused(err))
}

// refused marks an error by which the cluster says that we may not.
func refused(err error) error {
	if apierrors.IsUnauthorized(err) || apierrors.IsForbidden(err) {
		return command.Misconfigured(err)
	}
	return err
}

func available(ctx context.Context, kube client.Client, namespace string) (string, error) {
	var locations velerov1.BackupStorageLocationList
	if err := kube.List(ctx, &locations, client.InNamespace(namespace)); err != nil {
		return "", fmt.Errorf("list BackupStorageLocations in namespace %s: %w", namespace, err)
	}
	for _, l := range locations.Items {
		if l.Status.Phase == velerov1.BackupStorageLocationPhaseAvailable {
			return l.Name, nil
		}
	}
	return "", errors.New("no BackupStorageLocation is Available: see `kubectl -n " + namespace + " get backupstoragelocation`")
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

func now() time.Time { return time.Now() }

func random() string {
	b := make([]byte, 4)
	_, _ = rand.Read(b) // does not fail
	return hex.EncodeToString(b)
}
