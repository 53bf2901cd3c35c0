package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"slices"
	"strconv"
	"time"

	argov1alpha1 "github.com/argoproj/argo-cd/v2/pkg/apis/application/v1alpha1"
	velerov1 "github.com/vmware-tanzu/velero/pkg/apis/velero/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/seedling-dev/seedling/plugin/server"
)

// checkTimeout bounds each thing that is looked at.
const checkTimeout = 15 * time.Second

// check validates the configuration and reaches everything in it. It changes
// nothing.
func (c *command) check(ctx context.Context) error {
	cfg, err := readConfig(c.config, c.getenv)
	if err != nil {
		return misconfigured(err)
	}
	fmt.Fprintf(c.stdout, "ok    configuration %s\n", c.config)
	forges, err := cfg.forges()
	if err != nil {
		return misconfigured(err)
	}
	var wrong []error
	say := func(what, detail string, err error) {
		if err != nil {
			fmt.Fprintf(c.stdout, "WRONG %s: %v\n", what, err)
			wrong = append(wrong, err)
			return
		}
		fmt.Fprintf(c.stdout, "ok    %s%s\n", what, detail)
	}
	say("generator token", "", server.Tokens{Current: cfg.TokenFile, Previous: cfg.PreviousTokenFile}.Check())

	for _, name := range slices.Sorted(maps.Keys(forges)) {
		ctx, cancel := context.WithTimeout(ctx, checkTimeout)
		login, err := forges[name].Login(ctx)
		cancel()
		say("forge "+name, ": we are "+login, err)
	}
	for _, f := range cfg.Forges {
		if f.WebhookSecretFile == "" {
			fmt.Fprintf(c.stdout, "note  forge %s has no webhookSecretFile: its webhooks are refused, changes are found by polling\n", f.Name)
			continue
		}
		_, err := os.Stat(f.WebhookSecretFile)
		say("webhook secret of forge "+f.Name, "", err)
	}

	rest, err := c.cluster()
	if err != nil {
		say("cluster", "", err)
		return fmt.Errorf("check: %d of the things above are wrong", len(wrong))
	}
	kube, err := client.New(rest, client.Options{Scheme: scheme()})
	if err != nil {
		say("cluster", "", err)
		return fmt.Errorf("check: %d of the things above are wrong", len(wrong))
	}
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	location, err := available(ctx, kube, cfg.VeleroNamespace)
	say("Velero's storage", ": "+location+" is Available", err)
	var sets argov1alpha1.ApplicationSetList
	err = kube.List(ctx, &sets, client.InNamespace(cfg.ArgoCDNamespace))
	ours := 0
	for i := range sets.Items {
		if len(server.Inputs(&sets.Items[i], cfg.GeneratorConfigMap)) > 0 {
			ours++
		}
	}
	say("ApplicationSets", fmt.Sprintf(": %d of %d name ConfigMap %s", ours, len(sets.Items), cfg.GeneratorConfigMap), err)
	if len(wrong) > 0 {
		return fmt.Errorf("check: %d of the things above are wrong", len(wrong))
	}
	return nil
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
