package argocd

import (
	"encoding/json"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// SchemeGroupVersion is Argo CD's.
var SchemeGroupVersion = schema.GroupVersion{Group: "argoproj.io", Version: "v1alpha1"}

const (
	// AnnotationKeyRefresh makes Argo CD look at an Application at once.
	AnnotationKeyRefresh = "argocd.argoproj.io/refresh"
	// RefreshNormal is its value where caches may be used.
	RefreshNormal = "normal"

	// ConditionComparisonError is on an Application whose manifests cannot be
	// built or compared.
	ConditionComparisonError = "ComparisonError"
	// ConditionInvalidSpecError is on one that is not permitted, or not valid.
	ConditionInvalidSpecError = "InvalidSpecError"
)

// AddToScheme makes the kinds known.
func AddToScheme(s *runtime.Scheme) error {
	s.AddKnownTypes(SchemeGroupVersion, &Application{}, &ApplicationList{}, &ApplicationSet{}, &ApplicationSetList{}, &AppProject{}, &AppProjectList{})
	metav1.AddToGroupVersion(s, SchemeGroupVersion)
	return nil
}

// Application is one preview, or a seed.
type Application struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata"`

	Spec      ApplicationSpec   `json:"spec"`
	Status    ApplicationStatus `json:"status"`
	Operation *Operation        `json:"operation,omitempty"`
}

// ApplicationList is many of them.
type ApplicationList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata"`

	Items []Application `json:"items"`
}

// ApplicationSpec is what an Application asks for.
type ApplicationSpec struct {
	Project        string                 `json:"project"`
	Source         *ApplicationSource     `json:"source,omitempty"`
	Sources        []ApplicationSource    `json:"sources,omitempty"`
	SourceHydrator *SourceHydrator        `json:"sourceHydrator,omitempty"`
	Destination    ApplicationDestination `json:"destination"`
	SyncPolicy     *SyncPolicy            `json:"syncPolicy,omitempty"`
}

// AllSources are those that manifests come from.
func (s *ApplicationSpec) AllSources() []ApplicationSource {
	switch {
	case s.SourceHydrator != nil:
		return []ApplicationSource{{RepoURL: s.SourceHydrator.DrySource.RepoURL}}
	case len(s.Sources) > 0:
		return s.Sources
	case s.Source != nil:
		return []ApplicationSource{*s.Source}
	}
	return nil
}

// ApplicationSource is a repository at a revision.
type ApplicationSource struct {
	RepoURL        string `json:"repoURL"`
	TargetRevision string `json:"targetRevision,omitempty"`
}

// SourceHydrator is a source whose rendered manifests are committed.
type SourceHydrator struct {
	DrySource DrySource `json:"drySource"`
}

// DrySource is what is rendered.
type DrySource struct {
	RepoURL string `json:"repoURL"`
}

// SyncPolicy is how an Application syncs.
type SyncPolicy struct {
	SyncOptions []string `json:"syncOptions,omitempty"`
}

// ApplicationStatus is what Argo CD found.
type ApplicationStatus struct {
	Conditions     []ApplicationCondition `json:"conditions,omitempty"`
	OperationState *OperationState        `json:"operationState,omitempty"`
	Health         HealthStatus           `json:"health"`
}

// HealthStatus is what Argo CD calls an Application, and since when.
type HealthStatus struct {
	Status             string       `json:"status,omitempty"`
	LastTransitionTime *metav1.Time `json:"lastTransitionTime,omitempty"`
}

// ApplicationCondition is what keeps an Application from something.
type ApplicationCondition struct {
	Type string `json:"type"`
}

// Operation is what is asked to be done, or is being done.
type Operation struct {
	Sync *SyncOperation `json:"sync,omitempty"`
}

// SyncOperation is a sync. Revisions are by source.
type SyncOperation struct {
	Revisions []string `json:"revisions,omitempty"`
}

// OperationState is what came of an operation.
type OperationState struct {
	Operation  Operation            `json:"operation"`
	Phase      OperationPhase       `json:"phase"`
	Message    string               `json:"message,omitempty"`
	SyncResult *SyncOperationResult `json:"syncResult,omitempty"`
	RetryCount int64                `json:"retryCount,omitempty"`
	StartedAt  metav1.Time          `json:"startedAt"`
	FinishedAt *metav1.Time         `json:"finishedAt,omitempty"`
}

// OperationPhase is how far an operation is, or a hook.
type OperationPhase string

// Running says whether it goes on.
func (p OperationPhase) Running() bool { return p == "Running" }

// Succeeded says whether it is over, and well.
func (p OperationPhase) Succeeded() bool { return p == "Succeeded" }

// Failed says whether it is over, and not well.
func (p OperationPhase) Failed() bool { return p == "Failed" || p == "Error" }

// SyncOperationResult is what came of a sync. Revisions are by source.
type SyncOperationResult struct {
	Resources []*ResourceResult `json:"resources,omitempty"`
	Revisions []string          `json:"revisions,omitempty"`
}

// ResourceResult is what came of one object, or one hook.
type ResourceResult struct {
	Kind      string         `json:"kind"`
	Name      string         `json:"name"`
	Status    string         `json:"status,omitempty"`
	Message   string         `json:"message,omitempty"`
	HookType  string         `json:"hookType,omitempty"`
	HookPhase OperationPhase `json:"hookPhase,omitempty"`
}

// ApplicationSet makes Applications.
type ApplicationSet struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata"`

	Spec ApplicationSetSpec `json:"spec"`
}

// ApplicationSetList is many of them.
type ApplicationSetList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata"`

	Items []ApplicationSet `json:"items"`
}

// ApplicationSetSpec is what an ApplicationSet asks for.
type ApplicationSetSpec struct {
	Generators    []ApplicationSetGenerator `json:"generators"`
	Template      ApplicationSetTemplate    `json:"template"`
	TemplatePatch *string                   `json:"templatePatch,omitempty"`
}

// ApplicationSetGenerator is one of an ApplicationSet's generators. Plugin is nil
// for one of another kind, or for one that holds others.
type ApplicationSetGenerator struct {
	Plugin *PluginGenerator `json:"plugin,omitempty"`
}

// PluginGenerator asks a plugin.
type PluginGenerator struct {
	ConfigMapRef PluginConfigMapRef     `json:"configMapRef"`
	Input        PluginInput            `json:"input"`
	Template     ApplicationSetTemplate `json:"template"`
}

// PluginConfigMapRef names the ConfigMap that says where the plugin is.
type PluginConfigMapRef struct {
	Name string `json:"name"`
}

// PluginInput is what a plugin is asked with.
type PluginInput struct {
	Parameters map[string]json.RawMessage `json:"parameters,omitempty"`
}

// PluginRequest is the body of a request to a plugin.
type PluginRequest struct {
	ApplicationSetName string      `json:"applicationSetName"`
	Input              PluginInput `json:"input"`
}

// ApplicationSetTemplate is what Applications are made from.
type ApplicationSetTemplate struct {
	Spec ApplicationSpec `json:"spec"`
}

// AppProject is what Applications may do.
type AppProject struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata"`

	Spec AppProjectSpec `json:"spec"`
}

// AppProjectList is many of them.
type AppProjectList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata"`

	Items []AppProject `json:"items"`
}

// AppProjectSpec is where manifests may come from, and go to.
type AppProjectSpec struct {
	SourceRepos  []string                 `json:"sourceRepos,omitempty"`
	Destinations []ApplicationDestination `json:"destinations,omitempty"`

	ClusterResourceWhitelist   []metav1.GroupKind `json:"clusterResourceWhitelist,omitempty"`
	ClusterResourceBlacklist   []metav1.GroupKind `json:"clusterResourceBlacklist,omitempty"`
	NamespaceResourceWhitelist []metav1.GroupKind `json:"namespaceResourceWhitelist,omitempty"`
	NamespaceResourceBlacklist []metav1.GroupKind `json:"namespaceResourceBlacklist,omitempty"`

	// DestinationServiceAccounts are whom Argo CD acts as where it impersonates.
	DestinationServiceAccounts []DestinationServiceAccount `json:"destinationServiceAccounts,omitempty"`
}

// DestinationServiceAccount is an account for the namespaces that match.
type DestinationServiceAccount struct {
	Server                string `json:"server"`
	Namespace             string `json:"namespace,omitempty"`
	DefaultServiceAccount string `json:"defaultServiceAccount"`
}

// ApplicationDestination is a namespace of a cluster.
type ApplicationDestination struct {
	Server    string `json:"server,omitempty"`
	Namespace string `json:"namespace,omitempty"`
	Name      string `json:"name,omitempty"`
}

// copied goes by way of JSON: in the plugin only the empty list of a watch is
// ever copied.
func copied[T any](in *T) *T {
	out := new(T)
	b, err := json.Marshal(in)
	if err == nil {
		err = json.Unmarshal(b, out)
	}
	if err != nil {
		panic(err) // these types are what JSON is made of
	}
	return out
}

// DeepCopyObject implements runtime.Object.
func (a *Application) DeepCopyObject() runtime.Object { return copied(a) }

// DeepCopyObject implements runtime.Object.
func (l *ApplicationList) DeepCopyObject() runtime.Object { return copied(l) }

// DeepCopyObject implements runtime.Object.
func (s *ApplicationSet) DeepCopyObject() runtime.Object { return copied(s) }

// DeepCopyObject implements runtime.Object.
func (l *ApplicationSetList) DeepCopyObject() runtime.Object { return copied(l) }

// DeepCopyObject implements runtime.Object.
func (p *AppProject) DeepCopyObject() runtime.Object { return copied(p) }

// DeepCopyObject implements runtime.Object.
func (l *AppProjectList) DeepCopyObject() runtime.Object { return copied(l) }
