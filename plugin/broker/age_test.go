package broker_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/seedling-dev/seedling/hooks/snapshot"
	"github.com/seedling-dev/seedling/plugin/broker"
)

// TestMaxDataAge: a snapshot whose data is too old is none, and that is said with
// what helps. The newest is an hour old, the older one 25, and data a minute
// more.
func TestMaxDataAge(t *testing.T) {
	t.Parallel()
	undated := func(objects map[string]client.Object) {
		for _, name := range []string{"newest", "older"} {
			annotations := objects[name].GetAnnotations()
			delete(annotations, snapshot.AnnotationDataTime)
		}
	}
	for name, test := range map[string]struct {
		most   time.Duration
		edit   func(map[string]client.Object)
		newest string
		older  bool // the older one may be used again
		says   string
	}{
		"any age":                {0, nil, newest, true, ""},
		"both young":             {26 * time.Hour, nil, newest, true, ""},
		"one young":              {25 * time.Hour, nil, newest, false, ""},
		"none young":             {time.Hour, nil, "", false, "no usable snapshot of seed seed: the data of snapshot " + newest + " is 0 days old, and maxDataAge is 1h: import again"},
		"by the Backup's time":   {61 * time.Minute, undated, newest, false, ""},
		"nothing but an old one": {2 * time.Hour, func(o map[string]client.Object) { delete(o, "newest") }, "", false, "the data of snapshot " + older + " is 1 days old"},
		"none at all": {time.Hour, func(o map[string]client.Object) {
			delete(o, "newest")
			delete(o, "older")
		}, "", false, "it has no Backup yet"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			edit := test.edit
			if edit == nil {
				edit = func(map[string]client.Object) {}
			}
			w := newWorld(t, interceptor.Funcs{}, edit)
			s := broker.Snapshots{
				Client: w.WithWatch, VeleroNamespace: "velero", Now: func() time.Time { return now },
				MaxDataAge: func(string) time.Duration { return test.most },
			}
			got, err := s.Newest(t.Context(), seed)
			switch {
			case test.newest != "" && (err != nil || got.Name != test.newest):
				t.Errorf("%v, error %v", got, err)
			case test.newest == "" && (!errors.Is(err, snapshot.ErrNone) || !strings.Contains(err.Error(), test.says)):
				t.Errorf("%v, error %v", got, err)
			}
			if _, err := s.Usable(t.Context(), seed, older); (err == nil) != test.older {
				t.Errorf("the older one: error %v", err)
			}
		})
	}
}
