package probe

import (
	"context"
	"errors"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	kube "sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
)

// engine is a cluster: what it enforces, and what goes wrong in it.
type engine struct {
	egress, ingress bool
	// closed: nothing gets through, whatever the policies.
	closed bool
	// waiting is why no pod starts, serverEnds that the server does when a policy
	// comes.
	waiting    string
	serverEnds bool
	// onPolicy is called when a policy is made; lingers is how many looks the
	// namespace outlives its removal.
	onPolicy func()
	lingers  int
	stuck    error

	mu   sync.Mutex
	made []string
}

func (e *engine) client(t *testing.T) kube.Client {
	t.Helper()
	removed := false
	return fake.NewClientBuilder().WithScheme(clientgoscheme.Scheme).WithInterceptorFuncs(interceptor.Funcs{
		Create: func(ctx context.Context, c kube.WithWatch, o kube.Object, opts ...kube.CreateOption) error {
			e.mu.Lock()
			e.made = append(e.made, o.GetNamespace()+"/"+o.GetName())
			e.mu.Unlock()
			if _, ok := o.(*networkingv1.NetworkPolicy); ok && e.onPolicy != nil {
				e.onPolicy()
			}
			return c.Create(ctx, o, opts...)
		},
		Delete: func(ctx context.Context, c kube.WithWatch, o kube.Object, opts ...kube.DeleteOption) error {
			if _, ok := o.(*corev1.Namespace); ok {
				if e.stuck != nil {
					return e.stuck
				}
				removed = true
				if e.lingers > 0 {
					return nil
				}
			}
			return c.Delete(ctx, o, opts...)
		},
		Get: func(ctx context.Context, c kube.WithWatch, key kube.ObjectKey, o kube.Object, opts ...kube.GetOption) error {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if err := c.Get(ctx, key, o, opts...); err != nil {
				return err
			}
			switch o := o.(type) {
			case *corev1.Namespace:
				if e.lingers--; removed && e.lingers <= 0 {
					return c.Delete(ctx, o)
				}
			case *corev1.Pod:
				e.live(ctx, c, o)
			}
			return nil
		},
	}).Build()
}

// live gives a pod the status that a kubelet would.
func (e *engine) live(ctx context.Context, c kube.Client, p *corev1.Pod) {
	denied := func(role string) bool {
		return c.Get(ctx, kube.ObjectKey{Namespace: p.Namespace, Name: "deny-" + role}, &networkingv1.NetworkPolicy{}) == nil
	}
	state := corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}
	if e.waiting != "" {
		state = corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: e.waiting}}
	}
	if p.Name == server && e.serverEnds && (denied(client) || denied(server)) {
		state = corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: 137, Reason: "OOMKilled"}}
	}
	p.Status.PodIP = "10.0.0.7"
	p.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: p.Name, State: state}}
	status := corev1.ConditionTrue
	if e.closed || e.egress && denied(client) || e.ingress && denied(server) || e.serverEnds && denied(client) {
		status = corev1.ConditionFalse
	}
	p.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: status}}
}

func run(ctx context.Context, t *testing.T, e *engine) (Found, kube.Client, error) {
	t.Helper()
	c := e.client(t)
	p := &Probe{Kube: c, Name: "seedling-probe-x", Image: "plugin:test", Start: 20 * time.Millisecond, Refusal: 20 * time.Millisecond, Every: time.Millisecond}
	found, err := p.Run(ctx)
	return found, c, err
}

func gone(t *testing.T, c kube.Client) {
	t.Helper()
	if err := c.Get(t.Context(), kube.ObjectKey{Name: "seedling-probe-x"}, &corev1.Namespace{}); !apierrors.IsNotFound(err) {
		t.Errorf("the namespace is still there: %v", err)
	}
}

func TestFound(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]Found{
		"both": {Egress: true, Ingress: true}, "none": {}, "egress alone": {Egress: true}, "ingress alone": {Ingress: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := &engine{egress: want.Egress, ingress: want.Ingress, lingers: 3}
			found, c, err := run(t.Context(), t, e)
			if err != nil || found != want {
				t.Errorf("found %+v, %v", found, err)
			}
			gone(t, c)
			for _, o := range e.made {
				if o != "/seedling-probe-x" && !strings.HasPrefix(o, "seedling-probe-x/") {
					t.Errorf("it made %s outside of its namespace", o)
				}
			}
		})
	}
}

// TestNobodyCanTell: what was never open, or closed by something else, is an
// error and never "enforced".
func TestNobodyCanTell(t *testing.T) {
	t.Parallel()
	for says, e := range map[string]*engine{
		"did not reach the server although no policy of ours denied it": {closed: true},
		"ImagePullBackOff": {waiting: "ImagePullBackOff"},
		"the server ended meanwhile: container server ended with exit code 137": {serverEnds: true},
	} {
		t.Run(says, func(t *testing.T) {
			t.Parallel()
			found, c, err := run(t.Context(), t, e)
			if err == nil || !strings.Contains(err.Error(), says) || found != (Found{}) {
				t.Errorf("found %+v, %v", found, err)
			}
			gone(t, c)
		})
	}
}

// TestInterrupted: nothing stays, whenever it is interrupted.
func TestInterrupted(t *testing.T) {
	t.Parallel()
	ctx, stop := context.WithCancelCause(t.Context())
	interrupt := errors.New("interrupted")
	e := &engine{lingers: 2, onPolicy: func() { stop(interrupt) }}
	_, c, err := run(ctx, t, e)
	if !errors.Is(err, interrupt) {
		t.Errorf("error %v", err)
	}
	gone(t, c)
}

// TestLeft: what could not be removed is said, with what removes it.
func TestLeft(t *testing.T) {
	t.Parallel()
	_, c, err := run(t.Context(), t, &engine{egress: true, ingress: true, stuck: errors.New("the API server is away")})
	if err == nil || !strings.Contains(err.Error(), "kubectl delete namespace seedling-probe-x") {
		t.Errorf("error %v", err)
	}
	left, err := (&Probe{Kube: c, Name: "seedling-probe-y"}).Left(t.Context())
	if err != nil || !slices.Equal(left, []string{"seedling-probe-x"}) {
		t.Errorf("left %v, %v", left, err)
	}
}

// TestCanary: the client's verb tells an open port from a closed one.
func TestCanary(t *testing.T) {
	t.Parallel()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	l.Close()
	if err := Dial(t.Context(), address); err == nil {
		t.Error("a closed port is called open")
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- Serve(ctx, address) }()
	for Dial(ctx, address) != nil && ctx.Err() == nil {
		time.Sleep(time.Millisecond)
	}
	for range 3 { // it goes on serving
		if err := Dial(ctx, address); err != nil {
			t.Error(err)
		}
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
