package forge

import (
	"net/http"
	"net/http/httptest"
	"testing"
)

// What is used of a forge is counted, and what it says is left is known.
func TestBudget(t *testing.T) {
	t.Parallel()
	left := ""
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if left != "" {
			w.Header().Set("X-RateLimit-Remaining", left)
		}
	}))
	defer server.Close()
	c := newClient(server.URL)
	for i, test := range []struct {
		left string
		want Budget
	}{
		{"", Budget{Calls: 1, Remaining: -1}},
		{"4999", Budget{Calls: 2, Remaining: 4999, Known: true}},
		{"nonsense", Budget{Calls: 3, Remaining: 4999, Known: true}},
		{"0", Budget{Calls: 4, Remaining: 0, Known: true}},
	} {
		left = test.left
		res, err := c.Get(server.URL)
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		if got := budgetOf(c); got != test.want {
			t.Errorf("%d: %+v, want %+v", i, got, test.want)
		}
	}
	if got := budgetOf(http.DefaultClient); got != (Budget{}) {
		t.Errorf("of another client: %+v", got)
	}
}
