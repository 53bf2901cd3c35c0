package page

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/seedling-dev/seedling/plugin/preview"
)

// Whoever may look wakes a preview that sleeps; nobody else does, and another site
// cannot have it done.
func TestWake(t *testing.T) {
	t.Parallel()
	asleep := reported(1, "Cheaper shipping", preview.StateAsleep, nil)
	s := sources(asleep, reported(2, "Another", preview.StateReady, nil))
	if page := shown(t, opened(t, s).Handler(), "/"); strings.Contains(page, `action="wake"`) {
		t.Error("there is a button that nothing is behind")
	}
	var woken []string
	s.Wake = func(_ context.Context, namespace string) error {
		switch namespace {
		case "gone":
			return preview.ErrNoPreview
		case "fails":
			return errors.New("the API server does not answer")
		}
		woken = append(woken, namespace)
		return nil
	}
	h := opened(t, s).Handler()
	if page := shown(t, h, "/"); strings.Count(page, `action="wake"`) != 1 || !strings.Contains(page, `value="`+asleep.Namespace+`"`) || !strings.Contains(page, ">Asleep<") {
		t.Errorf("the page is %s", page)
	}
	post := func(of string, edit func(*http.Request)) int {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/wake", strings.NewReader(url.Values{"preview": {of}}.Encode()))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		return send(t, h, r, edit).Code
	}
	for _, c := range []struct {
		name, of string
		edit     func(*http.Request)
		want     int
		wakes    bool
	}{
		{"a stranger", asleep.Namespace, nil, http.StatusSeeOther, false},
		{"another site", asleep.Namespace, func(r *http.Request) { bearer(r); r.Header.Set("Sec-Fetch-Site", "cross-site") }, http.StatusForbidden, false},
		{"a preview that is gone", "gone", bearer, http.StatusNotFound, false},
		{"a state that cannot be written", "fails", bearer, http.StatusServiceUnavailable, false},
		{"a reader", asleep.Namespace, bearer, http.StatusSeeOther, true},
	} {
		before := len(woken)
		if got := post(c.of, c.edit); got != c.want || (len(woken) > before) != c.wakes {
			t.Errorf("%s: %d, and %d are woken", c.name, got, len(woken)-before)
		}
	}
	if w := get(t, h, "/wake", bearer); w.Code == http.StatusOK {
		t.Error("a look wakes")
	}
	for range wakesAtOnce + 1 {
		post("x", bearer)
	}
	if got := post("x", bearer); got != http.StatusTooManyRequests {
		t.Errorf("after a flood it answers %d", got)
	}
}
