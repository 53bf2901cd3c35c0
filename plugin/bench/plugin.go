package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const generatorToken = "a-token-of-argo-cd"

// plugin is the real one, as a process of its own.
type plugin struct {
	dir, binary, config, kubeconfig           string
	generator, broker, webhookAddress, health string
	client                                    *http.Client

	// profiled: it is the binary that writes profiles, and takes memory for them.
	profiled bool
	process  *exec.Cmd
	starts   int
	log      *os.File
	ended    chan error
	peak     float64 // MB, of all processes so far
}

func buildPlugin(ctx context.Context, dir, forge, cluster string, profiled bool, stderr io.Writer) (*plugin, error) {
	p := &plugin{profiled: profiled, dir: dir, binary: filepath.Join(dir, "plugin"), config: filepath.Join(dir, "config.yaml"), kubeconfig: filepath.Join(dir, "kubeconfig")}
	p.client = &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 64}}
	tags := ""
	if profiled {
		tags = "profile"
	}
	build := exec.CommandContext(ctx, "go", "build", "-tags", tags, "-trimpath", "-ldflags", "-s -w", "-o", p.binary, "github.com/seedling-dev/seedling/plugin")
	build.Env, build.Stderr = append(os.Environ(), "CGO_ENABLED=0"), stderr
	if err := build.Run(); err != nil {
		return nil, fmt.Errorf("build the plugin: %w", err)
	}
	for _, to := range []*string{&p.generator, &p.broker, &p.webhookAddress, &p.health} {
		address, err := free(ctx)
		if err != nil {
			return nil, err
		}
		*to = address
	}
	files := map[string]string{
		"forge-token": forgeToken, "webhook-secret": webhookSecret, "generator-token": generatorToken,
		"kubeconfig": fmt.Sprintf(`apiVersion: v1
kind: Config
clusters: [{name: c, cluster: {server: %q}}]
users: [{name: u, user: {}}]
contexts: [{name: c, context: {cluster: c, user: u}}]
current-context: c
`, cluster),
		"config.yaml": fmt.Sprintf(`namespace: seedling
argocdNamespace: argocd
veleroNamespace: velero
mode: velero
tokenFile: %[1]s/generator-token
forges:
  - {name: gitea, type: gitea, url: %[2]q, credentialFile: %[1]s/forge-token, webhookSecretFile: %[1]s/webhook-secret}
listen: {generator: %[3]q, broker: %[4]q, webhook: %[5]q, health: %[6]q}
`, dir, forge, p.generator, p.broker, p.webhookAddress, p.health),
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// free is an address that nobody listens at.
func free(ctx context.Context) (string, error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}

func (p *plugin) start(ctx context.Context) error {
	var err error
	if p.log, err = os.OpenFile(filepath.Join(p.dir, "plugin.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600); err != nil {
		return err
	}
	p.starts++
	p.process = exec.CommandContext(ctx, p.binary, "serve", "--config", p.config)
	// As in the Deployment.
	p.process.Env = append(os.Environ(), "KUBECONFIG="+p.kubeconfig, "POD_NAMESPACE=seedling", "POD_NAME=plugin", "GOMEMLIMIT=400MiB", "GOGC=30",
		"PLUGIN_PROFILE="+filepath.Join(p.dir, fmt.Sprint("profile-", p.starts)))
	p.process.Stdout, p.process.Stderr = p.log, p.log
	if err := p.process.Start(); err != nil {
		return fmt.Errorf("start the plugin: %w", err)
	}
	p.ended = make(chan error, 1)
	go func() { p.ended <- p.process.Wait() }()
	return nil
}

// stop ends it as a node does, and notes what memory it had.
func (p *plugin) stop() error {
	if p.process == nil {
		return nil
	}
	defer func() { p.process = nil }()
	p.look()
	_ = p.process.Process.Signal(syscall.SIGTERM) // one that ended by itself says so below
	select {
	case err := <-p.ended:
		if err != nil {
			return fmt.Errorf("the plugin ended: %w", err)
		}
		return p.log.Close()
	case <-time.After(time.Minute):
		return errors.Join(errors.New("the plugin does not end on SIGTERM"), p.process.Process.Kill())
	}
}

// look reads its memory: now and at most, in MB.
func (p *plugin) look() (now float64) {
	if p.process == nil {
		return 0
	}
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.process.Process.Pid))
	if err != nil {
		return 0
	}
	field := func(name string) float64 {
		_, rest, _ := strings.Cut(string(b), name+":")
		kb, _, _ := strings.Cut(strings.TrimSpace(rest), " ")
		n, _ := strconv.ParseFloat(kb, 64) // missing is nothing
		return n * 1024 / 1e6
	}
	p.peak = max(p.peak, field("VmHWM"))
	return field("VmRSS")
}

// usage says what it takes now.
func (p *plugin) usage() string {
	now := p.look()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.process.Process.Pid))
	if err != nil {
		return "the plugin is gone"
	}
	// After the name in brackets; user and system time are fields 14 and 15.
	_, rest, _ := strings.Cut(string(b), ") ")
	fields := strings.Fields(rest)
	ticks := 0.0
	for _, f := range fields[11:13] {
		n, _ := strconv.ParseFloat(f, 64) // a number
		ticks += n
	}
	return fmt.Sprintf("the plugin has %.0f MB, had %.0f at most, %.0f s of CPU", now, p.peak, ticks/100)
}

// tail is the end of its log.
func (p *plugin) tail() string {
	b, err := os.ReadFile(filepath.Join(p.dir, "plugin.log"))
	if err != nil {
		return err.Error()
	}
	return string(b[max(0, len(b)-4000):])
}

// webhook makes a call of the forge's.
func (p *plugin) webhook(ctx context.Context, header http.Header, body []byte) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+p.webhookAddress+"/webhook/gitea", bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header = header
	res, err := p.client.Do(req)
	if err != nil {
		return fmt.Errorf("webhook: %w", err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusAccepted {
		return fmt.Errorf("the plugin answers a webhook with %s", res.Status)
	}
	return nil
}
