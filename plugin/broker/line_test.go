package broker

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/seedling-dev/seedling/plugin/preview"
)

// waits is a preview of a repository, emitted so many seconds after the first.
func waits(repository string, n int) preview.Preview {
	return preview.Preview{
		Key:       preview.Key{ForgeURL: "https://git.example.com", Repository: repository, Number: int64(n)},
		Namespace: fmt.Sprintf("preview-%s-%d", repository, n), EmittedAt: time.Unix(int64(n), 0),
	}
}

// drain lets everybody ask again and again, and ends one Restore after the other:
// the order in which Velero was asked.
func drain(t *testing.T, l *line, now time.Time, all []preview.Preview) (order []string) {
	t.Helper()
	atWork := map[string]string{}
	var velero []string
	left := append([]preview.Preview{}, all...)
	for range 10 * len(all) {
		// In the worst order: the last one asks first.
		asking := left
		left = nil
		for _, p := range slices.Backward(asking) {
			if _, ok := l.turn(p, atWork, now); ok {
				order = append(order, strings.TrimPrefix(p.Namespace, "preview-"))
				atWork[p.Namespace] = repositoryOf(p)
				velero = append(velero, p.Namespace)
			} else {
				left = append(left, p)
			}
		}
		slices.Reverse(left)
		if len(atWork) > aheadMost {
			t.Fatalf("Velero has %d Restores", len(atWork))
		}
		if len(velero) > 0 {
			delete(atWork, velero[0])
			velero = velero[1:]
		}
		now = now.Add(time.Second)
	}
	if len(left) > 0 {
		t.Fatalf("%d never had a turn", len(left))
	}
	return order
}

// The previews of one repository go in their order, and another repository's only
// one is not behind all of them.
func TestLineIsFair(t *testing.T) {
	t.Parallel()
	now := time.Unix(1000, 0)
	var all []preview.Preview
	for n := range 12 {
		all = append(all, waits("large", n))
	}
	l := newLine()
	// Everybody has asked before the first turn, so that all are known.
	busy := map[string]string{"a": "", "b": "", "c": "", "d": ""}
	all = append(all, waits("small", 50), waits("other", 60))
	for _, p := range all {
		if place, ok := l.turn(p, busy, now); ok || place < 5 {
			t.Fatalf("%s has place %d, and Velero has four", p.Namespace, place)
		}
	}
	order := drain(t, l, now, all)
	at := map[string]int{}
	for i, name := range order {
		at[name] = i
	}
	if at["small-50"] > 3 || at["other-60"] > 3 {
		t.Errorf("another repository's only preview waits for many: %v", order)
	}
	for n := 5; n < 12; n++ { // the first four may be asked for in one round
		if at[fmt.Sprintf("large-%d", n)] < at[fmt.Sprintf("large-%d", n-1)] && at[fmt.Sprintf("large-%d", n-1)] > 3 {
			t.Errorf("%d is before %d: %v", n, n-1, order)
		}
	}
}

// Who stopped asking holds nobody up, and a turn is one also before the watch
// knows of its Restore, and again for who asks twice.
func TestLineOfThoseThatAsk(t *testing.T) {
	t.Parallel()
	now := time.Unix(1000, 0)
	l := newLine()
	busy := map[string]string{"a": "", "b": "", "c": "", "d": ""}
	if _, ok := l.turn(waits("shop", 1), busy, now); ok || !l.has("preview-shop-1") {
		t.Error("the first does not wait")
	}
	delete(busy, "a")
	if place, ok := l.turn(waits("shop", 2), busy, now.Add(time.Second)); ok || place != 5 {
		t.Errorf("the second goes before the first, which asks: place %d", place)
	}
	if _, ok := l.turn(waits("shop", 2), busy, now.Add(absentAfter)); !ok {
		t.Error("the second waits for one that asks no more")
	}
	if _, ok := l.turn(waits("shop", 3), busy, now.Add(absentAfter)); ok {
		t.Error("a turn that the watch does not know yet is given twice")
	}
	if _, ok := l.turn(waits("shop", 2), busy, now.Add(absentAfter)); !ok {
		t.Error("who has a turn has none when it asks again")
	}
	if _, ok := l.turn(waits("shop", 3), busy, now.Add(absentAfter+grantedFor)); !ok {
		t.Error("a turn that nobody took is kept for ever")
	}
}
