package preview

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/url"
	"strconv"
	"sync/atomic"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/seedling-dev/seedling/hooks/snapshot"
)

const (
	labelPartOf = "app.kubernetes.io/part-of"
	partOf      = "seedling"
	// GuardName is the name of the quota, the limits and the network policy.
	GuardName = "seedling"
	// SecretName is the Secret with the preview's database login.
	SecretName = snapshot.Postgres
	// postgresPort is where a preview's Postgres answers, by its Service's name.
	postgresPort = "5432"
)

// Seed is what a preview's namespace needs to know of a seed.
type Seed struct {
	Name     string `json:"name"`
	Database string `json:"database"`
	Role     string `json:"role"`
	// MaxDataAge is how old its data may become; as for all seeds where it is 0.
	MaxDataAge Span `json:"maxDataAge"`
	// Warm is how many previews of it are made in advance.
	Warm int `json:"warm"`
}

// Guards are the settings of what surrounds a preview.
type Guards struct {
	// PodSecurity is the level enforced, PodSecurityWarn the one warned about.
	PodSecurity     string `json:"podSecurity"`
	PodSecurityWarn string `json:"podSecurityWarn"`
	// Quota replaces single limits of the default quota. requests.storage is
	// the seed's volume and ExtraStorage, unless it is set here.
	Quota        map[corev1.ResourceName]resource.Quantity `json:"quota"`
	ExtraStorage resource.Quantity                         `json:"extraStorage"`
	// MaxMemory and MaxEphemeralStorage are the most one container may have;
	// DefaultLimits and DefaultRequests what one has that does not say.
	MaxMemory           resource.Quantity                         `json:"maxMemory"`
	MaxEphemeralStorage resource.Quantity                         `json:"maxEphemeralStorage"`
	DefaultLimits       map[corev1.ResourceName]resource.Quantity `json:"defaultLimits"`
	DefaultRequests     map[corev1.ResourceName]resource.Quantity `json:"defaultRequests"`
	// IngressNamespace is where the ingress controller runs; empty for none.
	IngressNamespace string `json:"ingressNamespace"`
	// DNSNamespace is where DNS runs; DNSAddresses are blocks of addresses it
	// answers on outside of pods (a node-local cache).
	// The rest is found by itself: see Surroundings.
	DNSNamespace string   `json:"dnsNamespace"`
	DNSAddresses []string `json:"dnsAddresses"`
	// Access is who may look into previews. Credentials are the platform's test
	// credentials, of which each gets copies.
	Access      Access      `json:"access"`
	Credentials Credentials `json:"credentials"`
	// Egress is what previews may reach beyond themselves, DNS and the broker.
	Egress []Egress `json:"egress"`
}

// DefaultGuards are the settings where the configuration says nothing.
func DefaultGuards() Guards {
	return Guards{
		PodSecurity:     "baseline",
		PodSecurityWarn: "restricted",
		// No limits.cpu: a preview that is idle costs what it requests, and a
		// limit would slow every start.
		Quota: map[corev1.ResourceName]resource.Quantity{
			"pods":                     resource.MustParse("20"),
			"requests.cpu":             resource.MustParse("4"),
			"requests.memory":          resource.MustParse("8Gi"),
			"limits.memory":            resource.MustParse("16Gi"),
			"limits.ephemeral-storage": resource.MustParse("32Gi"),
			"persistentvolumeclaims":   resource.MustParse("5"),
			"services":                 resource.MustParse("20"),
			"services.loadbalancers":   resource.MustParse("0"),
			"services.nodeports":       resource.MustParse("0"),
			// What is stored in etcd; the admission policy previews-sizes bounds
			// the bytes of each.
			"configmaps": resource.MustParse("40"),
			"secrets":    resource.MustParse("40"),
			// Kubernetes' own default and the hook's are two of them.
			"count/serviceaccounts":  resource.MustParse("20"),
			"count/deployments.apps": resource.MustParse("20"),
			// Ten old ReplicaSets stay for each Deployment.
			"count/replicasets.apps":                     resource.MustParse("220"),
			"count/statefulsets.apps":                    resource.MustParse("10"),
			"count/jobs.batch":                           resource.MustParse("50"),
			"count/cronjobs.batch":                       resource.MustParse("20"),
			"count/ingresses.networking.k8s.io":          resource.MustParse("10"),
			"count/horizontalpodautoscalers.autoscaling": resource.MustParse("20"),
			"count/poddisruptionbudgets.policy":          resource.MustParse("20"),
			"count/controllerrevisions.apps":             resource.MustParse("110"),
		},
		ExtraStorage:        resource.MustParse("10Gi"),
		MaxMemory:           resource.MustParse("4Gi"),
		MaxEphemeralStorage: resource.MustParse("4Gi"),
		DefaultLimits: map[corev1.ResourceName]resource.Quantity{
			"memory": resource.MustParse("512Mi"), "ephemeral-storage": resource.MustParse("1Gi"),
		},
		DefaultRequests: map[corev1.ResourceName]resource.Quantity{
			"cpu": resource.MustParse("25m"), "memory": resource.MustParse("64Mi"),
			// Said, or the request would be the limit; none, for nodes that do not
			// count their local storage have none to give.
			"ephemeral-storage": resource.MustParse("0"),
		},
		DNSNamespace: "kube-system",
	}
}

// Namespaces makes and guards the namespaces of previews.
type Namespaces struct {
	Client client.Client
	// Owner is the plugin's own namespace, which marks what is this plugin's.
	Owner  string
	Guards Guards
	// Broker is where the broker's pods are: their namespace and labels.
	BrokerNamespace string
	BrokerLabels    map[string]string
	BrokerPort      int32
	// Seeds by name; one that is not there has the defaults.
	Seeds map[string]Seed
	// ResolvConf is this pod's, with the nameservers that previews have too;
	// without it only the settings say where DNS is. APIServer is the address
	// that pods know the API server by.
	ResolvConf string
	APIServer  string

	// Keep keeps what else is the plugin's in a live preview; nil for nothing.
	Keep func(context.Context, Preview) error

	around atomic.Pointer[Surroundings]
}

// Prepare creates or adopts the namespace of a preview with everything in it
// that guards it. It may be called again at any time, and mends what drifted.
// A namespace that cannot be had is a Blocked Space and no error; an error is
// worth a retry, and comes with the UID of a namespace that is already there.
func (n *Namespaces) Prepare(ctx context.Context, p Preview) (Space, error) {
	ns, blocked, err := n.namespace(ctx, p)
	if err != nil || blocked != "" {
		return Space{Blocked: blocked}, err
	}
	space := Space{Namespace: p.Namespace, UID: ns.UID}
	// Before the quota, as what else it counts.
	var hook types.UID
	if err = n.credentials(ctx, ns, p); err == nil {
		hook, err = n.guard(ctx, p)
	}
	if err != nil {
		return space, fmt.Errorf("prepare namespace %s: %w", p.Namespace, err)
	}
	space.HookUID = hook
	return space, nil
}

// Mend looks over the guards of a live preview, and marks what is there as this
// plugin's. It never makes the namespace, and leaves another one than the
// preview's alone: a lost namespace is a reset.
func (n *Namespaces) Mend(ctx context.Context, p Preview) error {
	ns := &corev1.Namespace{}
	if err := n.Client.Get(ctx, types.NamespacedName{Name: p.Namespace}, ns); err != nil {
		return client.IgnoreNotFound(err)
	}
	if ns.UID != p.NamespaceUID || ns.DeletionTimestamp != nil || snapshot.Others(ns.Labels, n.Owner) {
		return nil
	}
	if err := n.mark(ctx, ns, p); err != nil {
		return err
	}
	if _, err := n.guard(ctx, p); err != nil {
		return err
	}
	// What is looked after by others does not wait for credentials that clash.
	var kept error
	if n.Keep != nil {
		kept = n.Keep(ctx, p)
	}
	return errors.Join(kept, n.revoke(ctx, p.Namespace), n.credentials(ctx, ns, p))
}

// labels are those of all that is made for a preview.
func (n *Namespaces) labels() map[string]string {
	return map[string]string{labelPartOf: partOf, snapshot.LabelOwner: n.Owner}
}

// namespaceLabels are those of a preview's namespace.
func (n *Namespaces) namespaceLabels(p Preview) map[string]string {
	labels := n.labels()
	maps.Copy(labels, map[string]string{
		snapshot.LabelPreview:                strconv.FormatInt(p.Number, 10),
		snapshot.LabelKey:                    p.Hash(),
		snapshot.LabelSeed:                   p.Seed,
		snapshot.VeleroExcludeLabel:          "true",
		"pod-security.kubernetes.io/enforce": n.Guards.PodSecurity,
		"pod-security.kubernetes.io/warn":    n.Guards.PodSecurityWarn,
	})
	if p.Postgres != "" {
		labels[snapshot.LabelPostgres] = p.Postgres
	}
	maps.Copy(labels, costLabels(&p))
	if snapshot.IsSlot(p.Namespace) {
		labels[snapshot.LabelSlot] = snapshot.SlotAssigned
		if p.unassigned() {
			labels[snapshot.LabelSlot] = snapshot.SlotFree
		}
	}
	return labels
}

func (n *Namespaces) namespace(ctx context.Context, p Preview) (ns *corev1.Namespace, blocked string, err error) {
	ns = &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{
		Name: p.Namespace, Labels: n.namespaceLabels(p),
		Annotations: map[string]string{snapshot.AnnotationRepository: p.Repository},
	}}
	if p.Host != "" {
		ns.Annotations[snapshot.AnnotationHost] = p.Host
	}
	// A slot that is gone is not made anew.
	if !snapshot.IsSlot(p.Namespace) {
		err = n.Client.Create(ctx, ns)
		if err == nil {
			return ns, "", nil
		}
		if !apierrors.IsAlreadyExists(err) {
			return nil, "", fmt.Errorf("create namespace %s: %w", p.Namespace, err)
		}
	}
	ns = &corev1.Namespace{}
	if err := n.Client.Get(ctx, types.NamespacedName{Name: p.Namespace}, ns); err != nil {
		return nil, "", fmt.Errorf("get namespace %s: %w", p.Namespace, err)
	}
	if ns.DeletionTimestamp != nil {
		return nil, reasonTorndown, nil
	}
	if snapshot.Others(ns.Labels, n.Owner) {
		return nil, fmt.Sprintf("namespace %s is that of a preview of another plugin, in namespace %s: give this ApplicationSet another name",
			p.Namespace, ns.Labels[snapshot.LabelOwner]), nil
	}
	if ns.Labels[snapshot.LabelKey] != p.Hash() || ns.Labels[snapshot.LabelPreview] != strconv.FormatInt(p.Number, 10) {
		return nil, fmt.Sprintf("namespace %s exists and is not the plugin's: remove it", p.Namespace), nil
	}
	if _, marked := ns.Labels[snapshot.LabelOwner]; !marked && ns.UID != p.NamespaceUID {
		return nil, fmt.Sprintf("namespace %s does not say which plugin made it, and this one does not remember it: remove it, or if it is this one's `kubectl label namespace %[1]s %s=%s`",
			p.Namespace, snapshot.LabelOwner, n.Owner), nil
	}
	// One that was made for another seed may hold its data.
	if got := ns.Labels[snapshot.LabelSeed]; got != p.Seed {
		return nil, fmt.Sprintf("namespace %s was made for seed %s: remove it", p.Namespace, got), nil
	}
	if err := n.mark(ctx, ns, p); err != nil {
		return nil, "", err
	}
	return ns, "", nil
}

// mark brings a namespace's labels to what they should be, and writes the
// preview's host, where the admission policies read which hosts its Ingresses
// may have.
func (n *Namespaces) mark(ctx context.Context, ns *corev1.Namespace, p Preview) error {
	before := ns.DeepCopy()
	n.brand(ns, p)
	if equality.Semantic.DeepEqual(before.Labels, ns.Labels) && equality.Semantic.DeepEqual(before.Annotations, ns.Annotations) {
		return nil
	}
	// With its version: a namesake that was made since is not marked.
	if err := n.Client.Patch(ctx, ns, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{})); err != nil {
		return fmt.Errorf("mark namespace %s: %w", p.Namespace, err)
	}
	return nil
}

// brand makes a namespace say whose it is.
func (n *Namespaces) brand(ns *corev1.Namespace, p Preview) {
	if _, said := ns.Annotations[snapshot.AnnotationAssignment]; !said && p.hasSlot() && !p.unassigned() && ns.UID == p.NamespaceUID {
		n.inscribe(ns, p, p.FirstSeen) // somebody took it off
	}
	if ns.Labels == nil {
		ns.Labels = map[string]string{}
	}
	maps.Copy(ns.Labels, n.namespaceLabels(p))
	if p.Postgres == "" {
		delete(ns.Labels, snapshot.LabelPostgres)
	}
	if p.Host == "" {
		delete(ns.Annotations, snapshot.AnnotationHost)
	} else {
		metav1.SetMetaDataAnnotation(&ns.ObjectMeta, snapshot.AnnotationHost, p.Host)
	}
}

// guard makes everything in the namespace, side by side: a preview waits for
// it.
func (n *Namespaces) guard(ctx context.Context, p Preview) (hook types.UID, err error) {
	group, ctx := errgroup.WithContext(ctx)
	meta := func(name string) metav1.ObjectMeta {
		return metav1.ObjectMeta{Namespace: p.Namespace, Name: name, Labels: n.labels()}
	}
	group.Go(caught(func() error {
		// Secret and ServiceAccounts first: what a new quota counts is refused until
		// its use has been counted.
		uid, err := n.counted(ctx, p, meta)
		if err != nil {
			return err
		}
		hook = uid
		hard, err := n.quota(ctx, p)
		if err != nil {
			return err
		}
		return keep(ctx, n.Client, &corev1.ResourceQuota{ObjectMeta: meta(GuardName), Spec: corev1.ResourceQuotaSpec{Hard: hard}},
			func(is, want *corev1.ResourceQuota) bool {
				return replace(&is.Spec, want.Spec)
			})
	}))
	group.Go(caught(func() error { return n.access(ctx, meta(GuardName)) }))
	group.Go(caught(func() error {
		return keep(ctx, n.Client, &corev1.LimitRange{ObjectMeta: meta(GuardName), Spec: n.limits()},
			func(is, want *corev1.LimitRange) bool { return replace(&is.Spec, want.Spec) })
	}))
	group.Go(caught(func() error {
		policy := &networkingv1.NetworkPolicy{ObjectMeta: meta(GuardName), Spec: n.network(p)}
		if p.unassigned() {
			policy.Spec = shutNetwork()
		}
		policy.Annotations = map[string]string{AnnotationGuards: n.guardsDigest(policy.Spec)}
		return keep(ctx, n.Client, policy, func(is, want *networkingv1.NetworkPolicy) bool {
			spec := replace(&is.Spec, want.Spec)
			digest := is.Annotations[AnnotationGuards] != want.Annotations[AnnotationGuards]
			if digest {
				metav1.SetMetaDataAnnotation(&is.ObjectMeta, AnnotationGuards, want.Annotations[AnnotationGuards])
			}
			return spec || digest
		})
	}))
	err = group.Wait()
	return hook, err
}

// counted makes what the quota counts, and returns the UID of the hook's
// ServiceAccount.
func (n *Namespaces) counted(ctx context.Context, p Preview, meta func(string) metav1.ObjectMeta) (hook types.UID, err error) {
	group, ctx := errgroup.WithContext(ctx)
	no := false
	account := func(name string) (types.UID, error) {
		sa := &corev1.ServiceAccount{ObjectMeta: meta(name), AutomountServiceAccountToken: &no}
		err := keep(ctx, n.Client, sa, func(is, want *corev1.ServiceAccount) bool {
			return replace(&is.AutomountServiceAccountToken, want.AutomountServiceAccountToken)
		})
		return sa.UID, err
	}
	group.Go(caught(func() error { return n.secret(ctx, p, meta(SecretName)) }))
	group.Go(caught(func() error {
		_, err := account("default")
		return err
	}))
	if !p.unassigned() { // nobody is a slot's hook yet, and has its token
		group.Go(caught(func() (err error) {
			hook, err = account(snapshot.HookServiceAccount)
			return err
		}))
	}
	if err := group.Wait(); err != nil {
		return "", err
	}
	return hook, nil
}

// secret writes the preview's database login, once: the plugin may not read
// Secrets, and never does.
func (n *Namespaces) secret(ctx context.Context, p Preview, meta metav1.ObjectMeta) error {
	seed, secret := n.seed(p.Seed), password()
	uri := url.URL{
		Scheme: "postgresql", User: url.UserPassword(seed.Role, secret),
		Host: net.JoinHostPort(snapshot.Postgres, postgresPort), Path: "/" + seed.Database,
	}
	err := n.Client.Create(ctx, &corev1.Secret{ObjectMeta: meta, StringData: map[string]string{
		"username": seed.Role, "password": secret, "database": seed.Database,
		"host": snapshot.Postgres, "port": postgresPort, "uri": uri.String(),
	}})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("create Secret %s: %w", SecretName, err)
	}
	return nil
}

// keep creates an object or brings the live one to it, with its labels. mend
// changes the live object and says whether it did; want holds the live object
// afterwards.
func keep[T client.Object](ctx context.Context, c client.Client, want T, mend func(is, want T) bool) error {
	kind := fmt.Sprintf("%T", want)
	err := c.Create(ctx, want)
	if err == nil {
		return nil
	}
	if !apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("create %s %s: %w", kind, want.GetName(), err)
	}
	is, ok := want.DeepCopyObject().(T)
	if !ok {
		return fmt.Errorf("copy %s %s: the copy is of another kind", kind, want.GetName())
	}
	if err := c.Get(ctx, client.ObjectKeyFromObject(want), is); err != nil {
		return fmt.Errorf("get %s %s: %w", kind, want.GetName(), err)
	}
	changed := mend(is, want)
	for name, value := range want.GetLabels() {
		if labels := is.GetLabels(); labels[name] != value {
			labels = maps.Clone(labels)
			if labels == nil {
				labels = map[string]string{}
			}
			labels[name], changed = value, true
			is.SetLabels(labels)
		}
	}
	if changed {
		if err := c.Update(ctx, is); err != nil {
			return fmt.Errorf("update %s %s: %w", kind, want.GetName(), err)
		}
	}
	want.SetUID(is.GetUID())
	return nil
}

func replace[T any](is *T, want T) bool {
	if equality.Semantic.DeepEqual(*is, want) {
		return false
	}
	*is = want
	return true
}

func (n *Namespaces) seed(name string) Seed {
	s := n.Seeds[name]
	if s.Database == "" {
		s.Database = "app"
	}
	if s.Role == "" {
		s.Role = "app"
	}
	s.Name = name
	return s
}

// quota fits the seed: its volume and some more.
func (n *Namespaces) quota(ctx context.Context, p Preview) (corev1.ResourceList, error) {
	hard := corev1.ResourceList{}
	maps.Copy(hard, n.Guards.Quota)
	if p.asleep() {
		halt(hard)
	}
	if _, ok := hard["requests.storage"]; ok {
		return hard, nil
	}
	var pvc corev1.PersistentVolumeClaim
	err := n.Client.Get(ctx, types.NamespacedName{Namespace: p.Seed, Name: snapshot.SeedPVC}, &pvc)
	if apierrors.IsNotFound(err) {
		// The seed may be gone while its snapshots are not: then the number of
		// claims is the bound.
		return hard, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the size of the seed's volume: %w", err)
	}
	size := pvc.Spec.Resources.Requests[corev1.ResourceStorage]
	if c := pvc.Status.Capacity[corev1.ResourceStorage]; c.Cmp(size) > 0 {
		size = c
	}
	size.Add(n.Guards.ExtraStorage)
	hard["requests.storage"] = size
	return hard, nil
}

func (n *Namespaces) limits() corev1.LimitRangeSpec {
	item := corev1.LimitRangeItem{
		Type: corev1.LimitTypeContainer,
		Max: corev1.ResourceList{
			corev1.ResourceMemory: n.Guards.MaxMemory, corev1.ResourceEphemeralStorage: n.Guards.MaxEphemeralStorage,
		},
		Default:        corev1.ResourceList{},
		DefaultRequest: corev1.ResourceList{},
	}
	maps.Copy(item.Default, n.Guards.DefaultLimits)
	maps.Copy(item.DefaultRequest, n.Guards.DefaultRequests)
	return corev1.LimitRangeSpec{Limits: []corev1.LimitRangeItem{item}}
}

// password is 192 bits in letters that need no quoting anywhere.
func password() string {
	b := make([]byte, 24)
	_, _ = rand.Read(b) // never fails: it ends the program instead
	return base64.RawURLEncoding.EncodeToString(b)
}

// view is what exists of previews in the cluster: the UID of a namespace, and of
// the Postgres claim in one; empty for what is not there or is being deleted.
type view struct {
	namespace func(name string) types.UID
	volume    func(namespace string) types.UID
	// slot names the one that is assigned to a key; empty for none.
	slot func(Key) string
}

// readAll lists what previews consist of, with two calls however many there are:
// those of every plugin, for it is UIDs that are looked up.
func (n *Namespaces) readAll(ctx context.Context) (view, error) {
	namespaces, volumes, slots := map[string]types.UID{}, map[string]types.UID{}, map[string]string{}
	var list corev1.NamespaceList
	if err := n.Client.List(ctx, &list, client.HasLabels{snapshot.LabelPreview}); err != nil {
		return view{}, fmt.Errorf("list the namespaces of previews: %w", err)
	}
	for _, ns := range list.Items {
		if ns.DeletionTimestamp == nil {
			namespaces[ns.Name] = ns.UID
		}
		if ns.Labels[snapshot.LabelSlot] == snapshot.SlotAssigned {
			slots[slotIndex(ns.Labels[snapshot.LabelKey], ns.Labels[snapshot.LabelPreview])] = ns.Name
		}
	}
	var claims metav1.PartialObjectMetadataList
	claims.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("PersistentVolumeClaimList"))
	if err := n.Client.List(ctx, &claims, client.HasLabels{snapshot.VeleroRestoreLabel}); err != nil {
		return view{}, fmt.Errorf("list the volumes of previews: %w", err)
	}
	for _, c := range claims.Items {
		if c.Name == snapshot.SeedPVC && c.DeletionTimestamp == nil {
			volumes[c.Namespace] = c.UID
		}
	}
	return view{
		namespace: func(name string) types.UID { return namespaces[name] },
		volume:    func(namespace string) types.UID { return volumes[namespace] },
		slot:      func(k Key) string { return slots[slotIndex(k.Hash(), strconv.FormatInt(k.Number, 10))] },
	}, nil
}

// loss says what a live preview lost, nil for nothing. The preview was read
// before the view was taken.
func (v view) loss(p *Preview) *Loss {
	l := &Loss{NamespaceUID: p.NamespaceUID, PVCUID: p.PVCUID}
	switch {
	case p.Phase != Live:
		return nil
	case v.namespace(p.Namespace) != p.NamespaceUID:
		l.Reason = reasonLostNamespace
	case p.PVCUID != "" && v.volume(p.Namespace) != p.PVCUID:
		l.Reason = reasonLostVolume
	default:
		return nil
	}
	return l
}

// confirm asks for what a view lacks by name, because a view is by label, and
// a label may have been taken off by hand, and it may be behind: the reason of a
// loss is what is confirmed. It returns nil where the loss is not confirmed.
func (n *Namespaces) confirm(ctx context.Context, p *Preview, l *Loss) (*Loss, error) {
	if l == nil {
		return nil, nil
	}
	gone := func(object client.Object, name types.NamespacedName, uid types.UID) (bool, error) {
		err := n.Client.Get(ctx, name, object)
		if apierrors.IsNotFound(err) {
			return true, nil
		}
		if err != nil {
			return false, fmt.Errorf("confirm what preview %s lost: %w", p.Namespace, err)
		}
		return object.GetUID() != uid || object.GetDeletionTimestamp() != nil, nil
	}
	confirmed := *l
	confirmed.Reason = reasonLostNamespace
	lost, err := gone(&corev1.Namespace{}, types.NamespacedName{Name: p.Namespace}, p.NamespaceUID)
	if err == nil && !lost && p.PVCUID != "" {
		confirmed.Reason = reasonLostVolume
		lost, err = gone(&corev1.PersistentVolumeClaim{}, types.NamespacedName{Namespace: p.Namespace, Name: snapshot.SeedPVC}, p.PVCUID)
	}
	if err != nil || !lost {
		return nil, err
	}
	return &confirmed, nil
}
