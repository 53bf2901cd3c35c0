package preview

import (
	"context"
	"log/slog"
	"time"

	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Watch calls on for each change of a kind of object until ctx ends, and for
// each object there is whenever it has to begin again. What it misses is found
// by polling; it is there to be fast.
func Watch(ctx context.Context, log *slog.Logger, c client.WithWatch, list client.ObjectList, on func(object client.Object, deleted bool), opts ...client.ListOption) {
	const first, most = time.Second, time.Minute
	fresh, ok := list.DeepCopyObject().(client.ObjectList)
	if !ok {
		return // a copy of a list is a list
	}
	pause := first
	for ctx.Err() == nil {
		began := time.Now()
		w, err := c.Watch(ctx, fresh, opts...)
		if err == nil {
			drain(ctx, w, on)
			w.Stop()
		} else if ctx.Err() == nil {
			log.WarnContext(ctx, "watch failed; polling goes on", "error", err)
		}
		if time.Since(began) > most {
			pause = first
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
		pause = min(2*pause, most)
	}
}

func drain(ctx context.Context, w watch.Interface, on func(client.Object, bool)) {
	for {
		select {
		case <-ctx.Done():
			return
		case e, ok := <-w.ResultChan():
			if !ok || e.Type == watch.Error {
				return
			}
			if o, ok := e.Object.(client.Object); ok && e.Type != watch.Bookmark {
				on(o, e.Type == watch.Deleted)
			}
		}
	}
}
