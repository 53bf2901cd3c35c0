package server

import (
	"testing"
	"time"
)

func TestReach(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		does func(*Reach, func(time.Duration))
		want time.Duration
	}{
		"nobody has probed":         {func(_ *Reach, pass func(time.Duration)) { pass(5 * time.Second) }, reachAgain},
		"a probe found it ready":    {func(r *Reach, _ func(time.Duration)) { r.Probed() }, reachSettles},
		"later probes change less":  {func(r *Reach, pass func(time.Duration)) { r.Probed(); pass(time.Second); r.Probed() }, reachSettles - time.Second},
		"everybody knows":           {func(r *Reach, pass func(time.Duration)) { r.Probed(); pass(reachSettles) }, 0},
		"Argo CD has asked":         {func(r *Reach, _ func(time.Duration)) { r.Asked() }, 0},
		"there is nobody who would": {func(_ *Reach, pass func(time.Duration)) { pass(reachAfter) }, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			now := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
			r := &Reach{Now: func() time.Time { return now }}
			r.Wait()
			test.does(r, func(d time.Duration) { now = now.Add(d) })
			if got := r.Wait(); got != test.want {
				t.Errorf("%s, want %s", got, test.want)
			}
		})
	}
}
