package broker_test

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	velerov1 "github.com/vmware-tanzu/velero/pkg/apis/velero/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/seedling-dev/seedling/plugin/broker"
)

// Many choose at once, and nobody while a snapshot is removed.
func TestChoicesAndRemovals(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := broker.NewChoices()
		one, err := c.Choose(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		two, err := c.Choose(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		var removed, chosen bool
		go func() {
			release, err := c.Exclude(t.Context())
			if err != nil {
				t.Error(err)
				return
			}
			removed = true
			time.Sleep(time.Second)
			release()
		}()
		synctest.Wait()
		go func() {
			release, err := c.Choose(t.Context())
			if err != nil {
				t.Error(err)
				return
			}
			chosen = true
			release()
		}()
		synctest.Wait()
		if removed || chosen {
			t.Errorf("while two choose: removed %v, and one who came later chose %v", removed, chosen)
		}
		one()
		two()
		synctest.Wait()
		if !removed || chosen {
			t.Errorf("after they chose: removed %v, chosen %v", removed, chosen)
		}
		hurried, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		if _, err := c.Choose(hurried); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a request that ends waits on: %v", err)
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if !chosen {
			t.Error("nobody chooses after the removal")
		}
	})
}

// A preview waits for the removal of a snapshot, and writes nothing until then.
func TestNoChoiceDuringRemoval(t *testing.T) {
	t.Parallel()
	w := newWorld(t, interceptor.Funcs{})
	choices := broker.NewChoices()
	w.velero = broker.NewVelero(broker.VeleroOptions{
		Client: w.WithWatch, Previews: w.state, VeleroNamespace: "velero", Owner: "seedling",
		Log: slog.New(slog.DiscardHandler), Now: func() time.Time { return now }, Choices: choices,
	})
	release, err := choices.Exclude(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	hurried, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if _, err := w.velero.Step(hurried, w.state.live[ns]); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a choice during a removal: %v", err)
	}
	if _, ok := w.state.live[ns]; !ok || w.state.live[ns].Snapshot != "" {
		t.Error("a snapshot was recorded during a removal")
	}
	release()
	if got, err := w.velero.Step(t.Context(), w.state.live[ns]); err != nil || got.Snapshot != newest {
		t.Errorf("after it: %+v, %v", got, err)
	}
}

// What might be chosen stays: the newest usable one, the one that is taken while
// its storage cannot be read, and the newest of any age.
func TestChoices(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		edit func(map[string]client.Object)
		most time.Duration
		want []string
	}{
		"the newest":                          {nil, 0, []string{newest}},
		"none":                                {func(o map[string]client.Object) { delete(o, "newest"); delete(o, "older") }, 0, nil},
		"all are too old":                     {nil, time.Hour, []string{newest}},
		"nobody knows the policy":             {func(o map[string]client.Object) { delete(o, "request") }, 0, nil},
		"the newest's storage cannot be read": {change("newest", func(b *velerov1.Backup) { b.Spec.StorageLocation = "gone" }), 0, []string{newest, older}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			edit := test.edit
			if edit == nil {
				edit = func(map[string]client.Object) {}
			}
			w := newWorld(t, interceptor.Funcs{}, edit)
			got, err := broker.Snapshots{
				Client: w.WithWatch, VeleroNamespace: "velero", MaxDataAge: func(string) time.Duration { return test.most }, Now: func() time.Time { return now },
			}.Choices(t.Context(), seed)
			if err != nil {
				t.Fatal(err)
			}
			names := map[string]bool{}
			for _, b := range got {
				names[b.Name] = true
			}
			for _, n := range test.want {
				if !names[n] {
					t.Errorf("%s is none of %v", n, names)
				}
			}
			if len(names) != len(test.want) {
				t.Errorf("%v, want %v", names, test.want)
			}
		})
	}
	away := newWorld(t, interceptor.Funcs{}, func(o map[string]client.Object) { delete(o, "location") })
	if _, err := (broker.Snapshots{Client: away.WithWatch, VeleroNamespace: "velero", Now: func() time.Time { return now }}).Choices(t.Context(), seed); !errors.Is(err, broker.ErrStorage) {
		t.Errorf("without storage: %v", err)
	}
}
