package flow

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	argov1alpha1 "github.com/argoproj/argo-cd/v2/pkg/apis/application/v1alpha1"
	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/seedling-dev/seedling/e2e/platform"
	"github.com/seedling-dev/seedling/e2e/platform/platformtest"
)

const (
	// crowded is how many labelled pull requests there are: two pages, whoever
	// asks.
	crowded = 60
	// askEvery is how often each generator is asked again.
	askEvery = 30 * time.Second
	// besideLabel tells the Applications of the two apart.
	besideLabel = "beside"
)

var failFor = flag.Duration("fail-for", 2*time.Minute, "how long the Git host fails in each way")

// faults are the ways in which the Git host fails, by name: each is what becomes
// of an answer about the repository. list says that it is one of the list.
var faults = []struct {
	name  string
	apply func(res *http.Response, list bool) error
}{
	{"the_list_is_empty", func(res *http.Response, list bool) error {
		if !list {
			return nil
		}
		res.Header.Set("X-Total-Count", "0")
		return answer(res, 200, "[]")
	}},
	{"pages_lack_their_second_half", func(res *http.Response, list bool) error {
		if !list {
			return nil
		}
		return halved(res)
	}},
	{"pages_end_in_the_middle", func(res *http.Response, list bool) error {
		if !list {
			return nil
		}
		b, err := io.ReadAll(res.Body)
		if err != nil {
			return err
		}
		return answer(res, 200, string(b[:len(b)/2]))
	}},
	{"every_answer_is_500", func(res *http.Response, _ bool) error { return answer(res, 500, `{"message":"","url":""}`) }},
	{"the_repository_is_404", func(res *http.Response, _ bool) error {
		return answer(res, 404, `{"message":"The target couldn't be found.","url":""}`)
	}},
}

// answer replaces an answer.
func answer(res *http.Response, status int, body string) error {
	res.Body.Close()
	res.StatusCode, res.Status = status, strconv.Itoa(status)
	res.Header.Set("Content-Type", "application/json;charset=utf-8")
	res.Header.Set("Content-Length", strconv.Itoa(len(body)))
	res.ContentLength, res.Body = int64(len(body)), io.NopCloser(strings.NewReader(body))
	return nil
}

// halved takes the second half off a page, and counts what is left as all.
func halved(res *http.Response) error {
	var page []json.RawMessage
	if err := json.NewDecoder(res.Body).Decode(&page); err != nil {
		return err
	}
	b, err := json.Marshal(page[:len(page)/2])
	if err != nil {
		return err
	}
	if total, err := strconv.Atoi(res.Header.Get("X-Total-Count")); err == nil {
		res.Header.Set("X-Total-Count", strconv.Itoa(total/2))
	}
	return answer(res, 200, string(bytes.TrimSpace(b)))
}

// faulty is a proxy in front of the real Git host that fails when it is told to.
type faulty struct {
	// fault is an index into faults, -1 for none.
	fault atomic.Int64
	// stockPages and ourPages are the last pages of the list that were asked for,
	// by who asked; stockAsked is how often the stock generator did.
	stockPages, ourPages, stockAsked atomic.Int64
}

// serve makes it answer to pods, and returns its address.
func (f *faulty) serve(ctx context.Context, tb testing.TB, repository string) string {
	tb.Helper()
	host, shut, err := world.Cluster.OpenHost(ctx)
	platformtest.Must(tb, err)
	tb.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		platformtest.Must(tb, shut(ctx))
	})
	l, err := net.Listen("tcp", net.JoinHostPort(host.String(), "0"))
	platformtest.Must(tb, err)
	gitea, err := url.Parse(world.Cluster.Gitea().URL)
	platformtest.Must(tb, err)
	f.fault.Store(-1)
	list := "/api/v1/repos/" + repository + "/pulls"
	proxy := httputil.NewSingleHostReverseProxy(gitea)
	proxy.ModifyResponse = func(res *http.Response) error {
		isList := res.Request.URL.Path == list
		if isList {
			// Ours sends its own token, Argo CD's none: the repository is public.
			pages := &f.stockPages
			if res.Request.Header.Get("Authorization") != "" {
				pages = &f.ourPages
			} else {
				f.stockAsked.Add(1)
			}
			n, _ := strconv.ParseInt(res.Request.URL.Query().Get("page"), 10, 64) // without it the first
			pages.Store(max(pages.Load(), n))
		}
		if i := f.fault.Load(); i >= 0 {
			return faults[i].apply(res, isList)
		}
		return nil
	}
	server := &http.Server{Handler: proxy, ReadHeaderTimeout: time.Minute}
	go func() { _ = server.Serve(l) }()
	tb.Cleanup(func() { _ = server.Close() })
	return "http://" + l.Addr().String()
}

// besideSet is an ApplicationSet whose Applications nobody syncs.
func besideSet(name, repository, applicationName, namespace string, g argov1alpha1.ApplicationSetGenerator) *argov1alpha1.ApplicationSet {
	set := &argov1alpha1.ApplicationSet{}
	set.Namespace, set.Name = platform.ArgoCDNamespace, name
	set.Spec.GoTemplate, set.Spec.GoTemplateOptions = true, []string{"missingkey=error"}
	set.Spec.Generators = []argov1alpha1.ApplicationSetGenerator{g}
	t := &set.Spec.Template
	t.Name, t.Labels = applicationName, map[string]string{besideLabel: name}
	t.Spec = argov1alpha1.ApplicationSpec{
		Project:     "default",
		Source:      &argov1alpha1.ApplicationSource{RepoURL: repository, TargetRevision: "main", Path: "."},
		Destination: argov1alpha1.ApplicationDestination{Server: "https://kubernetes.default.svc", Namespace: namespace},
	}
	return set
}

// applications are those of one of the two, by name.
func applications(ctx context.Context, of string) (map[string]types.UID, error) {
	var all argov1alpha1.ApplicationList
	if err := world.Kube.List(ctx, &all, client.InNamespace(platform.ArgoCDNamespace), client.MatchingLabels{besideLabel: of}); err != nil {
		return nil, err
	}
	there := map[string]types.UID{}
	for _, a := range all.Items {
		if a.DeletionTimestamp == nil {
			there[a.Name] = a.UID
		}
	}
	return there, nil
}

// kept is how many are there as they were.
func kept(before, now map[string]types.UID) int {
	n := 0
	for name, uid := range before {
		if now[name] == uid {
			n++
		}
	}
	return n
}

// BenchmarkBesideTheStockGenerator has Argo CD's own pull-request generator and
// ours look at one repository with 60 labelled pull requests, by way of a Git
// host that then fails in several ways. What theirs does is printed; that ours
// has all and loses none is asserted.
func BenchmarkBesideTheStockGenerator(b *testing.B) {
	ctx := platformtest.Begin(b, 40*time.Minute)
	const ours, stock = "beside-ours", "beside-stock"
	crowd, err := world.OpenCrowd(ctx, "crowd", crowded)
	platformtest.Must(b, err)
	var host faulty
	address := host.serve(ctx, b, crowd.Repository)
	world.Configure(ctx, b, func(config string) string {
		return strings.Replace(config, "forges:\n", "forges:\n  - name: faulty\n    type: gitea\n    url: "+address+
			"\n    credentialFile: /etc/seedling/forges/gitea-token\n", 1)
	})
	seconds := int64(askEvery / time.Second)
	owner, repo, _ := strings.Cut(crowd.Repository, "/")
	text := func(s string) apiextensionsv1.JSON { return apiextensionsv1.JSON{Raw: []byte(strconv.Quote(s))} }
	sets := []*argov1alpha1.ApplicationSet{
		besideSet(stock, crowd.URL, "beside-stock-{{.number}}", "default", argov1alpha1.ApplicationSetGenerator{PullRequest: &argov1alpha1.PullRequestGenerator{
			// Without a filter: every pull request has the label.
			Gitea:               &argov1alpha1.PullRequestGeneratorGitea{Owner: owner, Repo: repo, API: address},
			RequeueAfterSeconds: &seconds,
		}}),
		besideSet(ours, crowd.URL, "{{.app_name}}", "{{.namespace}}", argov1alpha1.ApplicationSetGenerator{Plugin: &argov1alpha1.PluginGenerator{
			ConfigMapRef: argov1alpha1.PluginConfigMapRef{Name: "seedling-plugin"}, RequeueAfterSeconds: &seconds,
			Input: argov1alpha1.PluginInput{Parameters: argov1alpha1.PluginParameters{
				"forge": text("faulty"), "repo": text(crowd.Repository), "label": text(platform.LabelPreview), "seed": text(platform.Seed),
				"comments": {Raw: []byte("false")},
			}},
		}}),
	}
	b.Cleanup(func() { endBeside(b, &host, crowd, sets) })
	for _, set := range sets {
		_ = world.Kube.Delete(ctx, set.DeepCopy()) // an earlier run's
		platformtest.Must(b, world.Kube.Create(ctx, set))
	}

	var before map[string]types.UID
	platformtest.Must(b, world.Wait(ctx, "wait for our Applications", func(ctx context.Context) error {
		if before, err = applications(ctx, ours); err != nil {
			return err
		}
		if len(before) != crowded {
			return fmt.Errorf("there are %d", len(before))
		}
		return nil
	}))
	all := stockSettled(ctx, b, &host, stock, 0)
	fmt.Fprintf(os.Stdout, "Argo CD %s, %d labelled pull requests: its own generator made %d Applications (pages asked for: up to %d), ours %d (up to %d)\n",
		world.Cluster.ArgoCD(), crowded, all, max(host.stockPages.Load(), 1), len(before), host.ourPages.Load())
	fmt.Fprintf(os.Stdout, "FIGURE beside_stock_listed %d applications\nFIGURE beside_ours_listed %d applications\n", all, len(before))

	for i, f := range faults {
		b.Run(f.name, func(b *testing.B) {
			theirs, err := applications(ctx, stock)
			platformtest.Must(b, err)
			host.fault.Store(int64(i))
			defer host.fault.Store(-1)
			least, last := watchBeside(ctx, b, ours, stock, before, theirs)
			fmt.Fprintf(os.Stdout, "%s for %s: of its %d Applications the stock generator kept %d, ours %d of %d\n", f.name, *failFor, len(theirs), least[stock], least[ours], len(before))
			fmt.Fprintf(os.Stdout, "FIGURE beside_stock_kept_%s %d applications\nFIGURE beside_ours_kept_%s %d applications\n", f.name, least[stock], f.name, least[ours])
			if least[ours] != crowded || last != crowded {
				b.Errorf("ours lost %d Applications, and %d namespaces of %d are there", crowded-least[ours], last, crowded)
			}
			host.fault.Store(-1)
			stockSettled(ctx, b, &host, stock, all)
		})
	}
}

// watchBeside watches both while the Git host fails: how many Applications of
// each were there as before at the worst moment, and how many namespaces of ours
// are there at the end. A change is printed.
func watchBeside(ctx context.Context, b *testing.B, ours, stock string, before, theirs map[string]types.UID) (least map[string]int, namespaces int) {
	b.Helper()
	began := time.Now()
	least = map[string]int{ours: len(before), stock: len(theirs)}
	said := map[string]int{ours: len(before), stock: len(theirs)}
	for end := time.After(*failFor); ; {
		for of, was := range map[string]map[string]types.UID{ours: before, stock: theirs} {
			now, err := applications(ctx, of)
			platformtest.Must(b, err)
			n := kept(was, now)
			if n != said[of] {
				said[of] = n
				fmt.Fprintf(os.Stdout, "  after %3.0f s %s has %d of its %d Applications\n", time.Since(began).Seconds(), of, n, len(was))
			}
			least[of] = min(least[of], n)
		}
		select {
		case <-end:
			for name := range before {
				var ns corev1.Namespace
				err := world.Kube.Get(ctx, client.ObjectKey{Name: name}, &ns)
				switch {
				case err == nil && ns.DeletionTimestamp == nil:
					namespaces++
				case err != nil && !apierrors.IsNotFound(err):
					b.Fatal(err)
				}
			}
			return least, namespaces
		case <-time.After(2 * time.Second):
		}
	}
}

// stockSettled waits until the stock generator has its Applications, and has asked
// a Git host that does not fail twice more; 0 for however many those are.
func stockSettled(ctx context.Context, b *testing.B, host *faulty, stock string, want int) int {
	b.Helper()
	// After an error it would wait for minutes.
	set := &argov1alpha1.ApplicationSet{}
	set.Namespace, set.Name = platform.ArgoCDNamespace, stock
	before := set.DeepCopy()
	set.Annotations = map[string]string{"argocd.argoproj.io/application-set-refresh": "true"}
	platformtest.Must(b, world.Kube.Patch(ctx, set, client.MergeFrom(before)))
	asked, n := host.stockAsked.Load(), 0
	platformtest.Must(b, world.Wait(ctx, "wait for the stock generator's Applications", func(ctx context.Context) error {
		now, err := applications(ctx, stock)
		if err != nil {
			return err
		}
		n = len(now)
		if more := host.stockAsked.Load() - asked; n == 0 || want > 0 && n != want || more < 2 {
			return fmt.Errorf("there are %d, and it has asked %d times", n, more)
		}
		return nil
	}))
	return n
}

// endBeside leaves nothing of the comparison.
func endBeside(b *testing.B, host *faulty, crowd *platform.Crowd, sets []*argov1alpha1.ApplicationSet) {
	b.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	host.fault.Store(-1)
	if err := crowd.Close(ctx); err != nil {
		b.Error(err)
	}
	err := world.Wait(ctx, "wait for the end of the comparison's previews", func(ctx context.Context) error {
		var all corev1.NamespaceList
		if err := world.Kube.List(ctx, &all, client.HasLabels{platform.LabelNumber}); err != nil {
			return err
		}
		n := 0
		for _, ns := range all.Items {
			if ns.Annotations[platform.AnnotationRepository] == crowd.Repository {
				n++
			}
		}
		if n > 0 {
			return fmt.Errorf("there are %d", n)
		}
		return nil
	})
	if err != nil {
		b.Error(err)
	}
	for _, set := range sets {
		if err := world.Kube.Delete(ctx, set); err != nil && !apierrors.IsNotFound(err) {
			b.Error(err)
		}
	}
	err = world.Wait(ctx, "wait for the end of the comparison's Applications", func(ctx context.Context) error {
		for _, set := range sets {
			now, err := applications(ctx, set.Name)
			if err != nil || len(now) > 0 {
				return errors.Join(err, fmt.Errorf("%s has %d", set.Name, len(now)))
			}
		}
		return nil
	})
	if err := errors.Join(err, crowd.Remove(ctx)); err != nil {
		b.Error(err)
	}
}
