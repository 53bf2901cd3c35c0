package main

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/seedling-dev/seedling/hooks/command"
	"github.com/seedling-dev/seedling/hooks/snapshot"
	"github.com/seedling-dev/seedling/plugin/forge"
	"github.com/seedling-dev/seedling/plugin/page"
	"github.com/seedling-dev/seedling/plugin/preview"
)

// Config is the plugin's configuration file, config.yaml of ConfigMap plugin.
// Every secret is a file, named here and read anew at each use.
type Config struct {
	// Namespace is the plugin's own: its state and its Lease are there.
	// POD_NAMESPACE is the default.
	Namespace string `json:"namespace"`
	// ArgoCDNamespace is where ApplicationSets and Applications are.
	ArgoCDNamespace string `json:"argocdNamespace"`
	// GeneratorConfigMap is the ConfigMap there that ApplicationSets name in
	// their plugin generator (configMapRef).
	GeneratorConfigMap string `json:"generatorConfigMap"`
	// VeleroNamespace is where Backups and Restores are.
	VeleroNamespace string `json:"veleroNamespace"`
	// Mode is how the broker restores: velero, through Restores, or direct, without
	// them where seed-backup recorded what the storage driver calls a snapshot.
	Mode string `json:"mode"`
	// TokenFile holds the token that Argo CD presents; PreviousTokenFile one
	// that is still accepted while it is rotated, and may be missing.
	TokenFile         string `json:"tokenFile"`
	PreviousTokenFile string `json:"previousTokenFile"`

	Forges []forge.Config `json:"forges"`
	// Seeds are needed only for names that differ from the default, app.
	Seeds  []preview.Seed `json:"seeds,omitempty"`
	Guards preview.Guards `json:"guards"`
	// BrokerLabels are the labels of the plugin's own pods, for the previews'
	// NetworkPolicy; app.kubernetes.io/name: plugin where it is empty.
	BrokerLabels map[string]string `json:"brokerLabels"`

	// Linger is for how long an ended preview keeps its data: it comes back with
	// it when its pull request is reopened or labelled again by then.
	Linger metav1.Duration `json:"linger"`
	// WarmCap is how many slots there may be in all that are nobody's: previews made
	// in advance, so many of each seed as its warm says.
	WarmCap int `json:"warmCap"`
	// Cap is how many previews there may be in all; 0 for any number. An
	// ApplicationSet may ask for a cap of its own.
	Cap int `json:"cap"`
	// Comments false keeps the plugin from commenting on pull requests.
	Comments bool `json:"comments"`
	// Deployments false keeps the plugin from showing previews as deployments or
	// environments of the forge.
	Deployments bool `json:"deployments"`
	// ArgoCDURL is Argo CD's address for people, for a link in the comment.
	ArgoCDURL string `json:"argocdURL"`
	// MaxDataAge is how old data may become: an older snapshot is used for no
	// preview, and a preview whose data is older ends. A seed may have its own.
	MaxDataAge preview.Span `json:"maxDataAge"`
	// Sleep is when what runs in previews is ended for a while. An ApplicationSet may
	// say it for its own.
	Sleep     preview.Sleep `json:"sleep"`
	Retention Retention     `json:"retention"`

	// Page is the status page, which is off unless it says who may look.
	Page page.Config `json:"page"`

	Listen Listen `json:"listen"`
}

// Retention is which snapshots stay.
type Retention struct {
	// Keep is how many of each seed's newest ones do; 0 for all, of any age.
	Keep int `json:"keep"`
}

// How the broker restores.
const (
	modeVelero = "velero"
	modeDirect = "direct"
)

// Listen are the addresses of the listeners; Page's is opened where there is one.
type Listen struct {
	Generator string `json:"generator"`
	Broker    string `json:"broker"`
	Webhook   string `json:"webhook"`
	Health    string `json:"health"`
	Page      string `json:"page"`
}

func defaults() Config {
	return Config{
		Namespace:          "seedling",
		ArgoCDNamespace:    "argocd",
		GeneratorConfigMap: "seedling-plugin",
		VeleroNamespace:    "velero",
		Mode:               modeVelero,
		TokenFile:          "/etc/seedling/token/token",
		PreviousTokenFile:  "/etc/seedling/token/token-previous",
		Guards:             preview.DefaultGuards(),
		Linger:             metav1.Duration{Duration: 15 * time.Minute},
		WarmCap:            10,
		Comments:           true,
		Deployments:        true,
		MaxDataAge:         preview.Span(preview.DefaultMaxDataAge),
		Retention:          Retention{Keep: 14},
		Listen:             Listen{Generator: ":8080", Broker: ":8081", Webhook: ":8082", Health: ":8083", Page: ":8084"},
	}
}

var dnsLabel = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$`)

// readConfig reads and validates the configuration. The error names all that
// is wrong.
func readConfig(path string, getenv func(string) string) (*Config, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read the configuration: %w", err)
	}
	c := defaults()
	c.Namespace = cmp.Or(getenv("POD_NAMESPACE"), c.Namespace)
	// What is not set in a map keeps its default: a quota's limits are single
	// settings.
	if err := yaml.UnmarshalStrict(b, &c); err != nil {
		return nil, fmt.Errorf("read the configuration %s: %w", path, err)
	}
	// A selector's labels are one setting: the default beside others would
	// select nothing.
	if len(c.BrokerLabels) == 0 {
		c.BrokerLabels = map[string]string{"app.kubernetes.io/name": "plugin"}
	}
	if err := c.validate(); err != nil {
		return nil, fmt.Errorf("configuration %s:\n%w", path, err)
	}
	return &c, nil
}

func (c *Config) validate() error {
	var wrong []error
	bad := func(format string, args ...any) { wrong = append(wrong, fmt.Errorf(format, args...)) }

	for field, name := range map[string]string{
		"namespace": c.Namespace, "argocdNamespace": c.ArgoCDNamespace, "veleroNamespace": c.VeleroNamespace,
		"generatorConfigMap": c.GeneratorConfigMap, "guards.dnsNamespace": c.Guards.DNSNamespace,
	} {
		if !dnsLabel.MatchString(name) {
			bad("%s: %q is no DNS label", field, name)
		}
	}
	if c.Mode != modeVelero && c.Mode != modeDirect {
		bad("mode: %q is none of %s, %s", c.Mode, modeVelero, modeDirect)
	}
	if c.Linger.Duration < 0 || c.Linger.Duration > 7*24*time.Hour {
		bad("linger: %s is not between 0 and seven days", c.Linger.Duration)
	}
	if u, err := url.Parse(c.ArgoCDURL); c.ArgoCDURL != "" && (err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" ||
		u.User != nil || u.RawQuery != "" || u.Fragment != "" || strings.ContainsAny(c.ArgoCDURL, "<> \n")) {
		bad("argocdURL: it must be http(s)://host[/path]")
	}
	if c.Cap < 0 {
		bad("cap: %d is no number of previews; 0 is for any number", c.Cap)
	}
	if c.Retention.Keep < 0 {
		bad("retention.keep: %d is no number of snapshots; 0 keeps all", c.Retention.Keep)
	}
	if !c.MaxDataAge.Age() {
		bad("maxDataAge: %s is not between an hour and ten years", c.MaxDataAge)
	}
	if err := c.Sleep.Validate(); err != nil {
		bad("%w", err)
	}
	if c.TokenFile == "" {
		bad("tokenFile: name the file with the token that Argo CD presents")
	}
	c.validateForges(bad)
	c.validateSeeds(bad)
	c.validateGuards(bad)
	if err := c.Page.Validate(); err != nil {
		bad("%w", err)
	}
	for field, address := range map[string]string{
		"generator": c.Listen.Generator, "broker": c.Listen.Broker, "webhook": c.Listen.Webhook, "health": c.Listen.Health, "page": c.Listen.Page,
	} {
		if _, _, err := net.SplitHostPort(address); err != nil {
			bad("listen.%s: %q is no address such as :8080", field, address)
		}
	}
	// Maps were walked: the order should not depend on that.
	slices.SortFunc(wrong, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
	return errors.Join(wrong...)
}

// validateForges wants at least one, each valid, and no two of one name or URL.
func (c *Config) validateForges(bad func(format string, args ...any)) {
	if len(c.Forges) == 0 {
		bad("forges: name at least one forge")
	}
	names, urls := map[string]bool{}, map[string]string{}
	for i, f := range c.Forges {
		if err := f.Validate(); err != nil {
			bad("forges[%d] (%s): %w", i, f.Name, err)
		}
		if names[f.Name] {
			bad("forges[%d]: name %s is used twice", i, f.Name)
		}
		names[f.Name] = true
		key := preview.Key{ForgeURL: f.URL, Repository: "x/x"}.Hash()
		if other, ok := urls[key]; ok {
			bad("forges[%d] (%s): it has the URL of %s", i, f.Name, other)
		}
		urls[key] = f.Name
	}
}

// validateSeeds wants each valid, and no two of one name.
func (c *Config) validateSeeds(bad func(format string, args ...any)) {
	seeds, warm := map[string]bool{}, 0
	for i, s := range c.Seeds {
		if warm += max(s.Warm, 0); s.Warm < 0 {
			bad("seeds[%d]: warm %d is no number of slots; 0 is for none", i, s.Warm)
		}
		if err := snapshot.CheckSeedName(s.Name); err != nil {
			bad("seeds[%d]: name %w", i, err)
		}
		if seeds[s.Name] {
			bad("seeds[%d]: name %s is used twice", i, s.Name)
		}
		seeds[s.Name] = true
		if s.MaxDataAge != 0 && !s.MaxDataAge.Age() {
			bad("seeds[%d]: maxDataAge %s is not between an hour and ten years", i, s.MaxDataAge)
		}
	}
	if c.WarmCap < 0 || warm > c.WarmCap {
		bad("warmCap: the seeds want %d slots (warm), and there may be %d", warm, c.WarmCap)
	}
}

// validateGuards wants guards that an API server takes and that leave nothing open.
func (c *Config) validateGuards(bad func(format string, args ...any)) {
	for field, level := range map[string]string{"podSecurity": c.Guards.PodSecurity, "podSecurityWarn": c.Guards.PodSecurityWarn} {
		switch level {
		case "privileged", "baseline", "restricted":
		default:
			bad("guards.%s: %q is none of privileged, baseline, restricted", field, level)
		}
	}
	if c.Guards.IngressNamespace != "" && !dnsLabel.MatchString(c.Guards.IngressNamespace) {
		bad("guards.ingressNamespace: %q is no DNS label", c.Guards.IngressNamespace)
	}
	for _, block := range c.Guards.DNSAddresses {
		if _, _, err := net.ParseCIDR(block); err != nil {
			bad("guards.dnsAddresses: %q is no block of addresses such as 169.254.20.10/32", block)
		}
	}
	if err := c.Guards.Access.Validate(); err != nil {
		bad("%w", err)
	}
	if name := c.Guards.Credentials.Namespace; name != "" && (!dnsLabel.MatchString(name) || strings.HasPrefix(name, "preview-") ||
		slices.Contains([]string{c.Namespace, c.ArgoCDNamespace, c.VeleroNamespace, "kube-system", "default"}, name) || snapshot.CheckSeedName(name) == nil) {
		bad("guards.credentials.namespace: %q must be a namespace of its own, for test credentials and nothing else", name)
	}
	if err := c.Guards.ValidateEgress(c.Namespace, c.ArgoCDNamespace, c.VeleroNamespace); err != nil {
		bad("%w", err)
	}
}

// handles is where the handles of snapshots are recorded, in direct mode; "" in
// the other, which needs none.
func (c *Config) handles() string {
	if c.Mode == modeDirect {
		return c.Namespace
	}
	return ""
}

// warm are how many slots there should be of each seed.
func (c *Config) warm() map[string]int {
	want := map[string]int{}
	for _, s := range c.Seeds {
		want[s.Name] = s.Warm
	}
	return want
}

// maxDataAge is how old the data of a seed may become.
func (c *Config) maxDataAge(seed string) time.Duration {
	for _, s := range c.Seeds {
		if s.Name == seed && s.MaxDataAge != 0 {
			return time.Duration(s.MaxDataAge)
		}
	}
	return time.Duration(c.MaxDataAge)
}

// mounted are the folders where manifests/plugin mounts Secrets.
var mounted = map[string]string{"/etc/seedling/token": "plugin-token", "/etc/seedling/forges": "plugin-forges", "/etc/seedling/page": "plugin-page"}

// checkSecret says what is wrong with a file of a secret, and where that is put
// right. The error is misconfigured: no retry fills a Secret.
func checkSecret(field, path string) error {
	err := forge.CheckSecret(path)
	if err == nil {
		return nil
	}
	dir, key := filepath.Split(path)
	dir = filepath.Clean(dir)
	secret := "the Secret that is mounted at " + dir
	if name, ok := mounted[dir]; ok {
		secret = "Secret " + name
	}
	return command.Misconfiguredf("%s: %w: give key %s of %s", field, err, key, secret)
}

// checkSecrets says what is wrong with the files of the forges' secrets. Who
// began to serve without them would refuse every webhook, or list nothing, and
// tell only its log.
func (c *Config) checkSecrets() error {
	var wrong []error
	for i, f := range c.Forges {
		field := fmt.Sprintf("forges[%d] (%s): ", i, f.Name)
		wrong = append(wrong, checkSecret(field+"credentialFile", f.CredentialFile))
		if f.WebhookSecretFile != "" {
			wrong = append(wrong, checkSecret(field+"webhookSecretFile", f.WebhookSecretFile))
		}
	}
	if c.Page.TokenFile != "" {
		wrong = append(wrong, cmp.Or(checkSecret("page.tokenFile", c.Page.TokenFile), command.Misconfigured(c.Page.Check())))
	}
	return errors.Join(wrong...)
}

// openForges makes the configured forges.
func (c *Config) openForges() (map[string]forge.Forge, error) {
	forges := map[string]forge.Forge{}
	for _, fc := range c.Forges {
		f, err := forge.New(fc)
		if err != nil {
			return nil, err
		}
		forges[fc.Name] = f
	}
	return forges, nil
}
