package kubefake

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/uuid"
)

// known are the kinds there are.
var known = []kind{
	{name: "Namespace", plural: "namespaces", version: v("", "v1")},
	{name: "Node", plural: "nodes", version: v("", "v1")},
	{name: "PersistentVolume", plural: "persistentvolumes", version: v("", "v1")},
	{name: "ConfigMap", plural: "configmaps", version: v("", "v1"), namespaced: true},
	{name: "Event", plural: "events", version: v("", "v1"), namespaced: true},
	{name: "LimitRange", plural: "limitranges", version: v("", "v1"), namespaced: true},
	{name: "PersistentVolumeClaim", plural: "persistentvolumeclaims", version: v("", "v1"), namespaced: true},
	{name: "Pod", plural: "pods", version: v("", "v1"), namespaced: true},
	{name: "PodTemplate", plural: "podtemplates", version: v("", "v1"), namespaced: true},
	{name: "ResourceQuota", plural: "resourcequotas", version: v("", "v1"), namespaced: true},
	{name: "Secret", plural: "secrets", version: v("", "v1"), namespaced: true},
	{name: "Service", plural: "services", version: v("", "v1"), namespaced: true},
	{name: "ServiceAccount", plural: "serviceaccounts", version: v("", "v1"), namespaced: true},
	{name: "Deployment", plural: "deployments", version: v("apps", "v1"), namespaced: true},
	{name: "StatefulSet", plural: "statefulsets", version: v("apps", "v1"), namespaced: true},
	{name: "TokenReview", plural: "tokenreviews", version: v("authentication.k8s.io", "v1")},
	{name: "HorizontalPodAutoscaler", plural: "horizontalpodautoscalers", version: v("autoscaling", "v2"), namespaced: true},
	{name: "CronJob", plural: "cronjobs", version: v("batch", "v1"), namespaced: true},
	{name: "Job", plural: "jobs", version: v("batch", "v1"), namespaced: true},
	{name: "Lease", plural: "leases", version: v("coordination.k8s.io", "v1"), namespaced: true},
	{name: "EndpointSlice", plural: "endpointslices", version: v("discovery.k8s.io", "v1"), namespaced: true},
	{name: "Ingress", plural: "ingresses", version: v("networking.k8s.io", "v1"), namespaced: true},
	{name: "NetworkPolicy", plural: "networkpolicies", version: v("networking.k8s.io", "v1"), namespaced: true},
	{name: "PodDisruptionBudget", plural: "poddisruptionbudgets", version: v("policy", "v1"), namespaced: true},
	{name: "RoleBinding", plural: "rolebindings", version: v("rbac.authorization.k8s.io", "v1"), namespaced: true},
	{name: "StorageClass", plural: "storageclasses", version: v("storage.k8s.io", "v1")},
	{name: "VolumeSnapshot", plural: "volumesnapshots", version: v("snapshot.storage.k8s.io", "v1"), namespaced: true},
	{name: "VolumeSnapshotContent", plural: "volumesnapshotcontents", version: v("snapshot.storage.k8s.io", "v1")},
	{name: "Application", plural: "applications", version: v("argoproj.io", "v1alpha1"), namespaced: true},
	{name: "ApplicationSet", plural: "applicationsets", version: v("argoproj.io", "v1alpha1"), namespaced: true},
	{name: "Backup", plural: "backups", version: v("velero.io", "v1"), namespaced: true},
	{name: "BackupStorageLocation", plural: "backupstoragelocations", version: v("velero.io", "v1"), namespaced: true},
	{name: "DeleteBackupRequest", plural: "deletebackuprequests", version: v("velero.io", "v1"), namespaced: true},
	{name: "Restore", plural: "restores", version: v("velero.io", "v1"), namespaced: true},
}

func v(group, version string) schema.GroupVersion {
	return schema.GroupVersion{Group: group, Version: version}
}

// kind is the objects of one kind. Objects are never changed, only replaced.
type kind struct {
	name, plural string
	version      schema.GroupVersion
	namespaced   bool

	objects map[string]map[string]*object // by namespace and name
	log     history
	// changed is closed when the log grew, and replaced.
	changed chan struct{}
}

func (k *kind) resource() schema.GroupResource {
	return schema.GroupResource{Group: k.version.Group, Resource: k.plural}
}

type object struct {
	content *unstructured.Unstructured
	labels  labels.Set
	body    []byte
}

// view is the object as an answer has it.
func (o *object) view(partial bool) []byte {
	if !partial {
		return o.body
	}
	return encode(map[string]any{"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": o.content.Object["metadata"]})
}

func (o *object) is(c call) bool {
	return (c.namespace == "" || c.namespace == o.content.GetNamespace()) && c.labels.Matches(o.labels) &&
		c.fields.Matches(fields.Set{"metadata.name": o.content.GetName(), "metadata.namespace": o.content.GetNamespace()})
}

func encode(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Errorf("kubefake: %w", err)) // maps, strings and numbers
	}
	return b
}

// Put creates an object or replaces it as it is.
func (s *Server) Put(o runtime.Object) error {
	gvks, _, err := s.scheme.ObjectKinds(o)
	if err != nil {
		return err
	}
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(o)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	k := s.kind(gvks[0].Kind)
	u := &unstructured.Unstructured{Object: content}
	was := k.objects[u.GetNamespace()][u.GetName()]
	if was != nil {
		u.SetUID(was.content.GetUID())
		u.SetCreationTimestamp(was.content.GetCreationTimestamp())
	} else {
		s.begin(k, u)
	}
	s.keep(k, was, u)
	return nil
}

// Objects are copies of all objects of a kind, by namespace and name.
func (s *Server) Objects(name string) []*unstructured.Unstructured {
	s.mu.Lock()
	defer s.mu.Unlock()
	k := s.kind(name)
	var all []*unstructured.Unstructured
	for _, namespace := range slices.Sorted(maps.Keys(k.objects)) {
		for _, name := range slices.Sorted(maps.Keys(k.objects[namespace])) {
			all = append(all, k.objects[namespace][name].content.DeepCopy())
		}
	}
	return all
}

// Remove takes an object away, whatever finalizers it has.
func (s *Server) Remove(kindName, namespace, name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	k := s.kind(kindName)
	if o := k.objects[namespace][name]; o != nil {
		s.drop(k, o)
	}
}

func (s *Server) kind(name string) *kind {
	at := slices.IndexFunc(s.kinds, func(k *kind) bool { return k.name == name })
	if at < 0 {
		panic("kubefake: there is no kind " + name)
	}
	return s.kinds[at]
}

func (s *Server) find(c call) (*object, error) {
	if o := c.kind.objects[c.namespace][c.name]; o != nil {
		return o, nil
	}
	return nil, apierrors.NewNotFound(c.kind.resource(), c.name)
}

func (s *Server) list(c call) []byte {
	var b bytes.Buffer
	kindName, apiVersion := c.kind.name+"List", c.kind.version.String()
	if c.partial {
		kindName, apiVersion = "PartialObjectMetadataList", "meta.k8s.io/v1"
	}
	fmt.Fprintf(&b, `{"kind":%q,"apiVersion":%q,"metadata":{"resourceVersion":"%d"},"items":[`, kindName, apiVersion, s.version)
	first := true
	for _, namespace := range slices.Sorted(maps.Keys(c.kind.objects)) {
		if c.namespace != "" && c.namespace != namespace {
			continue
		}
		for _, name := range slices.Sorted(maps.Keys(c.kind.objects[namespace])) {
			o := c.kind.objects[namespace][name]
			if !o.is(c) {
				continue
			}
			if !first {
				b.WriteByte(',')
			}
			first = false
			b.Write(o.view(c.partial))
		}
	}
	b.WriteString("]}")
	return b.Bytes()
}

// read decodes a body in any form that clients send.
func (s *Server) read(body []byte) (map[string]any, error) {
	if bytes.HasPrefix(body, []byte("k8s\x00")) {
		o, _, err := s.codecs.UniversalDeserializer().Decode(body, nil, nil)
		if err != nil {
			return nil, apierrors.NewBadRequest(err.Error())
		}
		body = encode(o)
	}
	content := map[string]any{}
	if len(body) == 0 {
		return content, nil
	}
	if err := json.Unmarshal(body, &content); err != nil {
		return nil, apierrors.NewBadRequest(err.Error())
	}
	return content, nil
}

func (s *Server) create(c call, body []byte) (*object, error) {
	content, err := s.read(body)
	if err != nil {
		return nil, err
	}
	u := &unstructured.Unstructured{Object: content}
	if c.kind.name == "TokenReview" {
		return review(u), nil
	}
	if c.kind.namespaced {
		u.SetNamespace(c.namespace)
		if ns := s.kind("Namespace").objects[""][c.namespace]; ns == nil {
			return nil, apierrors.NewNotFound(schema.GroupResource{Resource: "namespaces"}, c.namespace)
		}
	}
	if u.GetName() == "" {
		u.SetName(u.GetGenerateName() + strconv.FormatUint(s.version, 36))
	}
	if c.kind.objects[u.GetNamespace()][u.GetName()] != nil {
		return nil, apierrors.NewAlreadyExists(c.kind.resource(), u.GetName())
	}
	if c.kind.name == "Secret" {
		textToData(u)
	}
	s.begin(c.kind, u)
	return s.keep(c.kind, nil, u), nil
}

// textToData does what a Secret's stringData is for.
func textToData(u *unstructured.Unstructured) {
	text, _, _ := unstructured.NestedStringMap(u.Object, "stringData") // absent is none
	for key, value := range text {
		_ = unstructured.SetNestedField(u.Object, base64.StdEncoding.EncodeToString([]byte(value)), "data", key) // data is a map
	}
	delete(u.Object, "stringData")
}

// begin gives a new object what the server gives.
func (s *Server) begin(k *kind, u *unstructured.Unstructured) {
	u.SetUID(uuid.NewUUID())
	u.SetCreationTimestamp(metav1.Time{Time: time.Now().Truncate(time.Second)})
	u.SetGeneration(1)
	u.SetDeletionTimestamp(nil)
	if k.name == "Namespace" {
		// A controller does this, and soon.
		account := &unstructured.Unstructured{Object: map[string]any{}}
		account.SetNamespace(u.GetName())
		account.SetName("default")
		s.begin(s.kind("ServiceAccount"), account)
		s.keep(s.kind("ServiceAccount"), nil, account)
	}
}

// keep stores an object and tells the watches.
func (s *Server) keep(k *kind, was *object, u *unstructured.Unstructured) *object {
	u.SetAPIVersion(k.version.String())
	u.SetKind(k.name)
	s.version++
	u.SetResourceVersion(strconv.FormatUint(s.version, 10))
	if was != nil && !bytes.Equal(encode(was.content.Object["spec"]), encode(u.Object["spec"])) {
		u.SetGeneration(was.content.GetGeneration() + 1)
	}
	o := &object{content: u, labels: u.GetLabels(), body: encode(u.Object)}
	if k.objects[u.GetNamespace()] == nil {
		k.objects[u.GetNamespace()] = map[string]*object{}
	}
	k.objects[u.GetNamespace()][u.GetName()] = o
	k.tell(event{version: s.version, was: was, is: o})
	return o
}

// drop takes an object away and tells the watches.
func (s *Server) drop(k *kind, o *object) {
	namespace, name := o.content.GetNamespace(), o.content.GetName()
	delete(k.objects[namespace], name)
	s.version++
	k.tell(event{version: s.version, was: o})
	if k.name != "Namespace" {
		return
	}
	for _, in := range s.kinds {
		for _, content := range in.objects[name] {
			s.drop(in, content)
		}
	}
}

func (s *Server) replace(c call, body []byte) (*object, error) {
	content, err := s.read(body)
	if err != nil {
		return nil, err
	}
	was, err := s.find(c)
	if err != nil {
		return nil, err
	}
	return s.change(c, was, &unstructured.Unstructured{Object: content})
}

func (s *Server) patch(c call, r *http.Request, body []byte) (*object, error) {
	kind := types.PatchType(r.Header.Get("Content-Type"))
	if kind != types.MergePatchType && kind != types.ApplyPatchType {
		return nil, &apierrors.StatusError{ErrStatus: metav1.Status{
			Status: metav1.StatusFailure, Code: http.StatusUnsupportedMediaType, Reason: metav1.StatusReasonUnsupportedMediaType,
			Message: "kubefake knows merge patches and applies, and not " + string(kind),
		}}
	}
	var patch map[string]any
	if err := json.Unmarshal(body, &patch); err != nil {
		return nil, apierrors.NewBadRequest(err.Error())
	}
	was, err := s.find(c)
	if err != nil && kind == types.ApplyPatchType {
		if uid, _, _ := unstructured.NestedString(patch, "metadata", "uid"); uid != "" {
			return nil, apierrors.NewConflict(c.kind.resource(), c.name, fmt.Errorf("there is none of UID %s", uid))
		}
		return s.create(c, body)
	}
	if err != nil {
		return nil, err
	}
	u := was.content.DeepCopy()
	merge(u.Object, patch)
	return s.change(c, was, u)
}

// merge is RFC 7386.
func merge(into, patch map[string]any) {
	for key, value := range patch {
		switch value := value.(type) {
		case nil:
			delete(into, key)
		case map[string]any:
			inner, ok := into[key].(map[string]any)
			if !ok {
				inner = map[string]any{}
			}
			merge(inner, value)
			into[key] = inner
		default:
			into[key] = value
		}
	}
}

// change puts another version in an object's place.
func (s *Server) change(c call, was *object, u *unstructured.Unstructured) (*object, error) {
	before := was.content
	if got := u.GetResourceVersion(); got != "" && got != before.GetResourceVersion() {
		return nil, apierrors.NewConflict(c.kind.resource(), c.name, fmt.Errorf("it is at version %s", before.GetResourceVersion()))
	}
	if got := u.GetUID(); got != "" && got != before.GetUID() {
		return nil, apierrors.NewConflict(c.kind.resource(), c.name, fmt.Errorf("its UID is %s", before.GetUID()))
	}
	u.SetNamespace(before.GetNamespace())
	u.SetName(before.GetName())
	u.SetUID(before.GetUID())
	u.SetResourceVersion(before.GetResourceVersion())
	u.SetCreationTimestamp(before.GetCreationTimestamp())
	u.SetDeletionTimestamp(before.GetDeletionTimestamp())
	u.SetGeneration(before.GetGeneration())
	u.SetAPIVersion(before.GetAPIVersion())
	u.SetKind(before.GetKind())
	if bytes.Equal(encode(u.Object), was.body) {
		return was, nil
	}
	if u.GetDeletionTimestamp() != nil && len(u.GetFinalizers()) == 0 {
		s.drop(c.kind, was)
		return was, nil
	}
	return s.keep(c.kind, was, u), nil
}

func (s *Server) delete(c call, body []byte) (*object, error) {
	if c.name == "" {
		return nil, apierrors.NewMethodNotSupported(c.kind.resource(), "deletecollection")
	}
	content, err := s.read(body)
	if err != nil {
		return nil, err
	}
	o, err := s.find(c)
	if err != nil {
		return nil, err
	}
	uid, _, _ := unstructured.NestedString(content, "preconditions", "uid") // absent is none
	version, _, _ := unstructured.NestedString(content, "preconditions", "resourceVersion")
	if uid != "" && types.UID(uid) != o.content.GetUID() || version != "" && version != o.content.GetResourceVersion() {
		return nil, apierrors.NewConflict(c.kind.resource(), c.name, fmt.Errorf("the precondition does not hold"))
	}
	if len(o.content.GetFinalizers()) == 0 {
		s.drop(c.kind, o)
		return o, nil
	}
	if o.content.GetDeletionTimestamp() != nil {
		return o, nil
	}
	u := o.content.DeepCopy()
	u.SetDeletionTimestamp(&metav1.Time{Time: time.Now().Truncate(time.Second)})
	return s.keep(c.kind, o, u), nil
}

// review believes every token: it is whose it says.
func review(u *unstructured.Unstructured) *object {
	token, _, _ := unstructured.NestedString(u.Object, "spec", "token") // one that is missing is nobody's
	status := map[string]any{"authenticated": false}
	if parts := strings.Split(token, "."); len(parts) == 3 {
		payload, err := base64.RawURLEncoding.DecodeString(parts[1])
		var claims struct {
			Kubernetes struct {
				Namespace      string `json:"namespace"`
				ServiceAccount struct {
					Name string `json:"name"`
					UID  string `json:"uid"`
				} `json:"serviceaccount"`
			} `json:"kubernetes.io"`
		}
		if err == nil && json.Unmarshal(payload, &claims) == nil {
			of := claims.Kubernetes
			audiences, _, _ := unstructured.NestedSlice(u.Object, "spec", "audiences") // absent is none
			status = map[string]any{"authenticated": true, "audiences": audiences, "user": map[string]any{
				"username": "system:serviceaccount:" + of.Namespace + ":" + of.ServiceAccount.Name, "uid": of.ServiceAccount.UID,
			}}
		}
	}
	u.Object["status"] = status
	u.SetAPIVersion("authentication.k8s.io/v1")
	u.SetKind("TokenReview")
	return &object{content: u, body: encode(u.Object)}
}
