package probe

import (
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	kube "sigs.k8s.io/controller-runtime/pkg/client"
)

// The subcommands of the plugin that the pods run.
const (
	ServeVerb = "probe-serve"
	DialVerb  = "probe-dial"
)

// Probe is how to probe. The zero durations mean the defaults.
type Probe struct {
	Kube kube.Client
	// Name is of the namespace that is made and removed.
	Name string
	// Image is one of the plugin.
	Image string
	// Say is told what is done, a line each.
	Say func(string)

	// Start bounds the wait for the pods and their first connection, Refusal the
	// wait for a policy to act, Every is the pause between two looks.
	Start, Refusal, Every time.Duration
}

// Found is which directions are enforced.
type Found struct{ Egress, Ingress bool }

// errOpen is returned by a wait whose time was up.
var errOpen = errors.New("nothing changed")

const removal = 2 * time.Minute

// Run probes. What it made is gone when it returns, or the error says what is
// left. Any error means that nobody can tell whether policies are enforced.
func (p *Probe) Run(ctx context.Context) (found Found, err error) {
	p.defaults()
	if err := p.Kube.Create(ctx, namespace(p.Name)); err != nil {
		err = fmt.Errorf("make namespace %s: %w", p.Name, err)
		if ctx.Err() != nil { // it may have been made before the answer was lost
			err = errors.Join(err, p.remove(context.WithoutCancel(ctx)))
		}
		return found, err
	}
	defer func() {
		// Whatever ended the probe, an interrupt included.
		if gone := p.remove(context.WithoutCancel(ctx)); gone != nil {
			err = errors.Join(err, gone)
		}
	}()
	if err := p.begin(ctx); err != nil {
		return found, err
	}
	if found.Egress, err = p.try(ctx, client, networkingv1.PolicyTypeEgress); err != nil {
		return found, err
	}
	found.Ingress, err = p.try(ctx, server, networkingv1.PolicyTypeIngress)
	return found, err
}

func (p *Probe) defaults() {
	if p.Start == 0 {
		p.Start = 2 * time.Minute
	}
	if p.Refusal == 0 {
		p.Refusal = time.Minute
	}
	if p.Every == 0 {
		p.Every = 500 * time.Millisecond
	}
	if p.Say == nil {
		p.Say = func(string) {}
	}
}

// begin starts the two pods and waits until one reaches the other: what never
// was open proves nothing when it is closed.
func (p *Probe) begin(ctx context.Context) error {
	p.Say("two pods of image " + p.Image + " in namespace " + p.Name)
	if err := p.create(ctx, pod(p.Name, server, p.Image, "")); err != nil {
		return err
	}
	address := ""
	err := p.until(ctx, p.Start, server, func(s *corev1.Pod) bool {
		address = s.Status.PodIP
		return running(s) && address != ""
	})
	if errors.Is(err, errOpen) {
		return fmt.Errorf("the server did not start: %s; where the image cannot be pulled without a secret, name one that can by --probe-image", p.why(ctx, server))
	}
	if err != nil {
		return err
	}
	if err := p.create(ctx, pod(p.Name, client, p.Image, address)); err != nil {
		return err
	}
	err = p.until(ctx, p.Start, client, ready)
	if errors.Is(err, errOpen) {
		return fmt.Errorf("the client did not reach the server although no policy of ours denied it: %s; is there a policy for every namespace (AdminNetworkPolicy, CiliumClusterwideNetworkPolicy, GlobalNetworkPolicy)?", p.why(ctx, client))
	}
	return err
}

// create makes a pod. The namespace's ServiceAccount may take a moment.
func (p *Probe) create(ctx context.Context, pod *corev1.Pod) error {
	deadline := time.Now().Add(p.Start)
	for {
		err := p.Kube.Create(ctx, pod.DeepCopy())
		if err == nil {
			return nil
		}
		if !apierrors.IsForbidden(err) || time.Now().After(deadline) {
			return fmt.Errorf("make pod %s in namespace %s: %w", pod.Name, p.Name, err)
		}
		if err := p.pause(ctx); err != nil {
			return err
		}
	}
}

// try denies one direction, and says whether the connection that was open is
// refused then.
func (p *Probe) try(ctx context.Context, role string, direction networkingv1.PolicyType) (enforced bool, err error) {
	policy := deny(p.Name, role, direction)
	if err := p.Kube.Create(ctx, policy); err != nil {
		return false, fmt.Errorf("make NetworkPolicy %s: %w", policy.Name, err)
	}
	began := time.Now()
	err = p.until(ctx, p.Refusal, client, func(c *corev1.Pod) bool { return running(c) && !ready(c) })
	switch {
	case errors.Is(err, errOpen):
		p.Say(fmt.Sprintf("%s: open after %s, although a policy denies it", direction, p.Refusal))
	case err != nil:
		return false, err
	default:
		// A server that ended would be refused as well.
		if err := p.until(ctx, p.Every, server, running); err != nil {
			return false, fmt.Errorf("the server ended meanwhile: %s", p.why(ctx, server))
		}
		p.Say(fmt.Sprintf("%s: refused after %s", direction, time.Since(began).Round(100*time.Millisecond)))
		enforced = true
	}
	if err := p.Kube.Delete(ctx, policy); err != nil {
		return enforced, fmt.Errorf("remove NetworkPolicy %s: %w", policy.Name, err)
	}
	if err := p.until(ctx, p.Refusal, client, ready); err != nil {
		return enforced, fmt.Errorf("the connection stayed closed when the policy was gone, so it was closed by something else: %w", err)
	}
	return enforced, nil
}

// until looks at a pod until it is as wanted.
func (p *Probe) until(ctx context.Context, bound time.Duration, role string, wanted func(*corev1.Pod) bool) error {
	deadline := time.Now().Add(bound)
	for {
		var is corev1.Pod
		err := p.Kube.Get(ctx, kube.ObjectKey{Namespace: p.Name, Name: role}, &is)
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case err != nil:
			return fmt.Errorf("look at pod %s: %w", role, err)
		case wanted(&is):
			return nil
		case is.Status.Phase == corev1.PodFailed || is.Status.Phase == corev1.PodSucceeded:
			return fmt.Errorf("pod %s ended: %s", role, reason(&is))
		case time.Now().After(deadline):
			return errOpen
		}
		if err := p.pause(ctx); err != nil {
			return err
		}
	}
}

func (p *Probe) pause(ctx context.Context) error {
	timer := time.NewTimer(p.Every)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return nil
	}
}

// remove deletes the namespace with all in it, and waits for its end.
func (p *Probe) remove(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, removal)
	defer cancel()
	left := func(err error) error {
		return fmt.Errorf("namespace %s is still there: %w; `kubectl delete namespace %s` removes it", p.Name, err, p.Name)
	}
	if err := p.Kube.Delete(ctx, namespace(p.Name)); err != nil && !apierrors.IsNotFound(err) {
		return left(err)
	}
	for {
		err := p.Kube.Get(ctx, kube.ObjectKey{Name: p.Name}, &corev1.Namespace{})
		if apierrors.IsNotFound(err) {
			p.Say("namespace " + p.Name + " is removed")
			return nil
		}
		if ctx.Err() != nil {
			return left(context.Cause(ctx))
		}
		if err := p.pause(ctx); err != nil {
			return left(err)
		}
	}
}

// Left are the namespaces of probes that were killed.
func (p *Probe) Left(ctx context.Context) ([]string, error) {
	var all metav1.PartialObjectMetadataList
	all.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("NamespaceList"))
	if err := p.Kube.List(ctx, &all, kube.HasLabels{label}); err != nil {
		return nil, fmt.Errorf("list namespaces: %w", err)
	}
	var names []string
	for _, n := range all.Items {
		if n.DeletionTimestamp == nil && n.Name != p.Name {
			names = append(names, n.Name)
		}
	}
	return names, nil
}

func running(p *corev1.Pod) bool {
	return len(p.Status.ContainerStatuses) == 1 && p.Status.ContainerStatuses[0].State.Running != nil
}

func ready(p *corev1.Pod) bool {
	for _, c := range p.Status.Conditions {
		if c.Type == corev1.PodReady {
			return c.Status == corev1.ConditionTrue
		}
	}
	return false
}

// why says what is known of a pod that is not as it should be.
func (p *Probe) why(ctx context.Context, role string) string {
	var is corev1.Pod
	if err := p.Kube.Get(ctx, kube.ObjectKey{Namespace: p.Name, Name: role}, &is); err != nil {
		return err.Error()
	}
	return reason(&is)
}

func reason(p *corev1.Pod) string {
	for _, s := range p.Status.ContainerStatuses {
		if w := s.State.Waiting; w != nil {
			return fmt.Sprintf("container %s waits: %s %s", s.Name, w.Reason, w.Message)
		}
		if t := s.State.Terminated; t != nil {
			return fmt.Sprintf("container %s ended with exit code %d: %s %s", s.Name, t.ExitCode, t.Reason, t.Message)
		}
	}
	for _, c := range p.Status.Conditions {
		if c.Type == corev1.PodScheduled && c.Status == corev1.ConditionFalse {
			return "it is not scheduled: " + c.Message
		}
	}
	return "it is " + string(p.Status.Phase)
}
