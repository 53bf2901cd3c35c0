package flow

import (
	"context"
	"encoding/base64"
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	cdplog "github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/seedling-dev/seedling/e2e/platform"
	"github.com/seedling-dev/seedling/e2e/shop"
	"github.com/seedling-dev/seedling/hooks/snapshot"
)

var (
	screenshot = flag.String("screenshot", "", "`FILE` that TestStatusPage writes a picture of the page to")
	comment    = flag.String("comment", "", "`FILE` that TestStatusPage writes a picture of the comment to")
)

// The status page in a real browser, before a real plugin: it shows the preview
// that was made, filters, is brought up to date by itself, works without a script,
// and nobody sees it without its token.
func TestStatusPage(t *testing.T) {
	ctx := beside(t, 5*time.Minute)
	pr, v := preview(ctx, t, "")
	if *screenshot != "" {
		others(ctx, t)
	}
	var secret corev1.Secret
	must(t, world.Kube.Get(ctx, client.ObjectKey{Namespace: platform.PluginNamespace, Name: platform.PageSecret}, &secret))
	token := strings.TrimSpace(string(secret.Data["token"]))
	// Browsers take localhost for as good as TLS.
	base := strings.Replace(forwardPlugin(ctx, t, 8084), "127.0.0.1", "localhost", 1)

	b := newBrowser(ctx, t)
	b.do(chromedp.Navigate(base+"/?q=x"), chromedp.WaitVisible("#token"), chromedp.SendKeys("#token", "not the token, but as long"), chromedp.Submit("#token"),
		chromedp.WaitVisible(`[role=alert]`))
	if html := b.html(); strings.Contains(html, v.Namespace) || strings.Contains(html, pr.Branch) {
		t.Error("the page shows something to somebody without its token")
	}
	b.do(chromedp.SendKeys("#token", token), chromedp.Submit("#token"), chromedp.WaitReady("#live"), chromedp.Navigate(base+"/"))

	row := `#live tr[data-key="` + v.Namespace + `"]`
	b.until("the preview is Ready, with its start and what it requests", row, func(text string) bool {
		for _, want := range []string{"Ready", v.Snapshot, "Healthy", "consent found", "GiB", "CPU", "in 6 d"} {
			if !strings.Contains(text, want) {
				return false
			}
		}
		return true
	})
	b.until("what the seed keeps, and its snapshots", "#live .seed", func(text string) bool {
		_, _, known := snapshot.KeptFrom(world.First.Annotations)
		return known == strings.Contains(text, "public.") && strings.Contains(text, world.First.Name) && strings.Contains(text, "Newest") && strings.Contains(text, "Succeeded")
	})
	b.until("the repository and its forge", "#live", func(text string) bool {
		return strings.Contains(text, platform.Organisation+"/"+platform.ShopRepository) && strings.Contains(text, "Calls since the start") && strings.Contains(text, "Network policies")
	})
	b.wellMade()
	b.noSecrets(ctx, token, v.Namespace)
	if *screenshot != "" {
		b.picture(base, *screenshot)
	}
	if *comment != "" {
		b.comment(ctx, pr, base, *comment)
	}

	// While one types, without loading anything anew. The driver sends the character
	// of a key whose press was taken for a shortcut, too.
	b.do(chromedp.Evaluate(`window.before = true; document.getElementById("q").value = ""`, nil), chromedp.SendKeys("#q", fmt.Sprintf("#%d %s", pr.Number, pr.Branch)))
	b.until("the filter to leave one", "#live .previews tbody", func(text string) bool {
		return strings.Contains(text, pr.Branch) && strings.Count(text, platform.Organisation+"/"+platform.ShopRepository) == 1
	})
	b.do(chromedp.SendKeys("#q", " and-nothing-like-it"))
	b.until("a filter that nothing matches", "#live", func(text string) bool { return strings.Contains(text, "previews matches.") })
	b.do(chromedp.Evaluate(`document.getElementById("q").value = ""`, nil), chromedp.SendKeys("#q", fmt.Sprintf("#%d", pr.Number)))
	b.until("the preview again", row, func(text string) bool { return strings.Contains(text, "Ready") })

	must(t, pr.Unlabel(ctx, platform.LabelPreview))
	must(t, world.WaitGone(ctx, v.Namespace))
	b.until("the preview among those that ended", `#live tr[data-key^="`+v.Namespace+`"]`, func(text string) bool {
		return strings.Contains(text, "label") && (strings.Contains(text, "just now") || strings.Contains(text, "min ago"))
	})
	var same bool
	b.do(chromedp.Evaluate(`window.before === true`, &same))
	if !same {
		t.Error("the page was loaded anew")
	}
	for _, e := range b.errors() {
		t.Errorf("the browser's console: %s", e)
	}

	// Without a script.
	b.do(emulation.SetScriptExecutionDisabled(true), chromedp.Navigate(fmt.Sprintf("%s/?q=%%23%d", base, pr.Number)))
	if html := b.html(); !strings.Contains(html, v.Namespace) || !strings.Contains(html, "Reload") {
		t.Error("without a script the page does not show what ended")
	}
}

// browser is a headless Chromium with a page open.
type browser struct {
	t   *testing.T
	ctx context.Context

	mu   sync.Mutex
	said []string
}

func newBrowser(ctx context.Context, t *testing.T) *browser {
	t.Helper()
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true), chromedp.WindowSize(1360, 1000))
	ctx, stop := chromedp.NewExecAllocator(ctx, options...)
	t.Cleanup(stop)
	ctx, stop = chromedp.NewContext(ctx)
	t.Cleanup(stop)
	b := &browser{t: t, ctx: ctx}
	chromedp.ListenTarget(ctx, func(event any) {
		b.mu.Lock()
		defer b.mu.Unlock()
		switch e := event.(type) {
		case *runtime.EventExceptionThrown:
			b.said = append(b.said, "exception: "+e.ExceptionDetails.Error())
		case *runtime.EventConsoleAPICalled:
			if e.Type == runtime.APITypeError {
				b.said = append(b.said, fmt.Sprint(e.Type))
			}
		case *cdplog.EventEntryAdded:
			// The answer to a wrong token is a 403, which it calls an error.
			if e.Entry.Level == cdplog.LevelError && !strings.HasSuffix(e.Entry.URL, "/login") {
				b.said = append(b.said, e.Entry.Text+" "+e.Entry.URL)
			}
		}
	})
	return b
}

// errors are what the console has said since they were asked for last.
func (b *browser) errors() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	said := b.said
	b.said = nil
	return said
}

func (b *browser) do(actions ...chromedp.Action) {
	b.t.Helper()
	must(b.t, chromedp.Run(b.ctx, actions...))
}

func (b *browser) html() (html string) {
	b.t.Helper()
	b.do(chromedp.OuterHTML("html", &html, chromedp.ByQuery))
	return html
}

// until waits for the text of what is selected, hidden parts included.
func (b *browser) until(what, selector string, good func(string) bool) {
	b.t.Helper()
	err := world.Wait(b.ctx, "wait on the status page for "+what, func(ctx context.Context) error {
		var text string
		script := fmt.Sprintf(`[...document.querySelectorAll(%q)].map(e => e.textContent).join("\n")`, selector)
		if err := chromedp.Run(b.ctx, chromedp.Evaluate(script, &text)); err != nil {
			return err
		}
		if !good(text) {
			return errors.New("it says: " + strings.Join(strings.Fields(text), " "))
		}
		return nil
	})
	must(b.t, err)
}

// audit finds what somebody who does not see the page, or not well, would miss: names
// of fields and links, headers of tables, contrast of 4.5 between text and ground.
const audit = `(() => {
  const bad = [];
  for (const e of document.querySelectorAll("input:not([type=hidden]), button, a, summary")) {
    const name = (e.labels && e.labels.length ? e.labels[0].textContent : e.textContent).trim() || e.getAttribute("aria-label");
    if (!name) bad.push("no name: " + e.outerHTML);
  }
  for (const t of document.querySelectorAll("table")) {
    if (!t.querySelector("thead th[scope=col]")) bad.push("a table without headers");
    for (const r of t.querySelectorAll("tbody tr")) if (!r.querySelector("th[scope=row]")) bad.push("a row without a header");
  }
  for (const one of ["main", "h1", "header", "nav", "footer"]) if (!document.querySelector(one)) bad.push("no " + one);
  if (!document.querySelector("[aria-live=polite]")) bad.push("nothing is said aloud");
  const ids = [...document.querySelectorAll("[id]")].map(e => e.id);
  if (new Set(ids).size !== ids.length) bad.push("an id twice");
  const rgb = c => c.match(/[\d.]+/g).map(Number);
  const light = c => c.slice(0, 3).map(v => v / 255).map(v => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4).reduce((s, v, i) => s + v * [0.2126, 0.7152, 0.0722][i], 0);
  const ground = e => { for (; e; e = e.parentElement) { const c = rgb(getComputedStyle(e).backgroundColor); if (c.length < 4 || c[3] > 0) return c; } return [255, 255, 255]; };
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let n = walk.nextNode(); n; n = walk.nextNode()) {
    const e = n.parentElement;
    if (!n.nodeValue.trim() || !e.checkVisibility()) continue;
    const [a, b] = [light(rgb(getComputedStyle(e).color)), light(ground(e))].sort((x, y) => y - x);
    const ratio = (a + 0.05) / (b + 0.05);
    if (ratio < 4.5) bad.push("contrast " + ratio.toFixed(2) + ": " + n.nodeValue.trim());
  }
  return bad;
})()`

// wellMade audits the page in light and in dark, and its keys.
func (b *browser) wellMade() {
	b.t.Helper()
	grounds := map[string]string{}
	for _, scheme := range []string{"dark", "light"} {
		var bad []string
		var ground string
		b.do(emulation.SetEmulatedMedia().WithFeatures([]*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}),
			chromedp.Evaluate(audit, &bad), chromedp.Evaluate(`getComputedStyle(document.body).backgroundColor`, &ground))
		for _, what := range bad {
			b.t.Errorf("the page in %s: %s", scheme, what)
		}
		grounds[ground] = scheme
	}
	if len(grounds) != 2 {
		b.t.Error("dark is no other than light")
	}
	var first, then string
	b.do(chromedp.KeyEvent("\t"), chromedp.Evaluate(`document.activeElement.className`, &first), chromedp.KeyEvent("/"), chromedp.Evaluate(`document.activeElement.id`, &then))
	if first != "skip" || then != "q" {
		b.t.Errorf("the first key leads to %q, / to %q", first, then)
	}
}

// noSecrets: neither a secret nor a value of a row is on the page, or in a cookie
// that a script sees.
func (b *browser) noSecrets(ctx context.Context, token, namespace string) {
	b.t.Helper()
	password, err := world.Password(ctx, namespace)
	must(b.t, err)
	never := []string{token, password}
	for _, c := range shop.Canaries() {
		never = append(never, c.Value)
	}
	var cookies string
	b.do(chromedp.Evaluate(`document.cookie`, &cookies))
	html := b.html()
	for _, value := range never {
		if strings.Contains(html, value) {
			b.t.Error("a secret, or a value of a row, is on the page")
		}
	}
	if cookies != "" {
		b.t.Error("a script sees the login")
	}
}

// others are previews for a picture: two that are ready, one that starts.
func others(ctx context.Context, t *testing.T) {
	t.Helper()
	for i, title := range []string{"Cheaper shipping for heavy parcels", "Search forgives typing errors", "Invoices as PDF"} {
		pr, err := world.OpenPullRequest(ctx, "feature-"+strings.ToLower(strings.ReplaceAll(title, " ", "-")), title, nil)
		must(t, err)
		t.Cleanup(func() { must(t, pr.Close(context.WithoutCancel(ctx))) })
		must(t, pr.Label(ctx, platform.LabelPreview))
		if i < 2 {
			_, err := world.WaitPreview(ctx, pr, "")
			must(t, err)
		}
	}
}

// comment takes the plugin's comment on a pull request, as the Git host renders it.
// The frame is ours: this Git host has no front end.
func (b *browser) comment(ctx context.Context, pr *platform.PullRequest, base, file string) {
	b.t.Helper()
	c := said(ctx, b.t, pr, "ready", func(body string) bool { return strings.Contains(body, "psql") })
	html, err := world.Rendered(ctx, c.Body)
	must(b.t, err)
	const frame = `<!doctype html><meta charset="utf-8"><style>
body { margin: 0; font: 15px/1.5 sans-serif; color: #1f2328; background: #fff }
#comment { width: 860px; margin: 16px; border: 1px solid #d0d7de; border-radius: 6px }
h2 { margin: 0; padding: 8px 16px; font-size: 14px; font-weight: normal; background: #f6f8fa; border-bottom: 1px solid #d0d7de }
article { padding: 4px 16px 12px } table { border-collapse: collapse } td, th { padding: 4px 12px; border: 1px solid #d0d7de; text-align: left }
code { padding: 2px 4px; background: #eff1f3; border-radius: 4px } pre { padding: 12px; background: #f6f8fa } pre code { padding: 0; background: none }
a { color: #0969da; text-decoration: none }
</style><div id="comment"><h2><b>seedling-plugin</b> commented</h2><article>%s</article></div>`
	var png []byte
	b.do(chromedp.Navigate("data:text/html;base64,"+base64.StdEncoding.EncodeToString([]byte(fmt.Sprintf(frame, html)))),
		chromedp.Screenshot("#comment", &png, chromedp.NodeVisible), chromedp.Navigate(base+"/"), chromedp.WaitReady("#live"))
	must(b.t, os.WriteFile(file, png, 0o644))
}

// picture takes one of those previews and what is below them.
func (b *browser) picture(base, file string) {
	b.t.Helper()
	var png []byte
	b.do(chromedp.Navigate(base+"/?q=feature-"), chromedp.WaitVisible("#fresh.on"),
		chromedp.Evaluate(`document.querySelector(".previews tr:last-child details").open = true`, nil), chromedp.CaptureScreenshot(&png),
		chromedp.Navigate(base+"/"), chromedp.WaitReady("#live"))
	must(b.t, os.WriteFile(file, png, 0o644))
}
