package kubefake

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
)

// maxRequest is etcd's bound for one request, about.
const maxRequest = 3 << 20

// Server is an http.Handler. Its fields are set before the first call.
type Server struct {
	// Delay is how long each call takes, beside its work.
	Delay time.Duration
	// Fault is asked before each call but those that ask which kinds there are;
	// true when it answered itself. Clients hold a lock while they ask that.
	Fault func(w http.ResponseWriter, r *http.Request) bool
	// Unanswered is asked before each call that is to be done, and whose
	// connection then ends without an answer.
	Unanswered func(r *http.Request) bool

	scheme *runtime.Scheme
	codecs serializer.CodecFactory

	mu      sync.Mutex
	version uint64
	kinds   []*kind
	// dropped is closed to end the watches there are, and replaced.
	dropped chan struct{}
	calls   map[string]int
}

// New makes a server that has nothing. scheme knows the kinds that clients send
// in another form than JSON.
func New(scheme *runtime.Scheme) *Server {
	s := &Server{scheme: scheme, codecs: serializer.NewCodecFactory(scheme), dropped: make(chan struct{}), calls: map[string]int{}}
	for _, k := range known {
		k.objects, k.changed = map[string]map[string]*object{}, make(chan struct{})
		s.kinds = append(s.kinds, &k)
	}
	return s
}

// Calls are counted by method and kind.
func (s *Server) Calls() map[string]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.calls)
}

// EndWatches ends every watch there is.
func (s *Server) EndWatches() {
	s.mu.Lock()
	defer s.mu.Unlock()
	close(s.dropped)
	s.dropped = make(chan struct{})
}

// call is one call about a kind.
type call struct {
	kind            *kind
	namespace, name string
	// sub is a subresource.
	sub string
	// partial: metadata is all that is wanted.
	partial bool
	labels  labels.Selector
	fields  fields.Selector
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if s.Delay > 0 {
		time.Sleep(s.Delay)
	}
	if s.discover(w, r) || s.Fault != nil && s.Fault(w, r) {
		return
	}
	c, err := s.parse(r)
	if err != nil {
		refuse(w, err)
		return
	}
	s.count(r, c)
	if r.Method == http.MethodGet && (r.URL.Query().Get("watch") == "true" || r.URL.Query().Get("watch") == "1") {
		s.watch(w, r, c)
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxRequest))
	if err != nil {
		refuse(w, apierrors.NewBadRequest(err.Error()))
		return
	}
	unanswered := s.Unanswered != nil && s.Unanswered(r)
	answer, err := s.do(r, c, body)
	switch {
	case unanswered:
		panic(http.ErrAbortHandler)
	case err != nil:
		refuse(w, err)
	default:
		send(w, answer.code, answer.body)
	}
}

type answer struct {
	code int
	body []byte
}

func (s *Server) do(r *http.Request, c call, body []byte) (answer, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch r.Method {
	case http.MethodGet:
		if c.name == "" {
			return answer{http.StatusOK, s.list(c)}, nil
		}
		o, err := s.find(c)
		if err != nil {
			return answer{}, err
		}
		return answer{http.StatusOK, o.view(c.partial)}, nil
	case http.MethodPost:
		o, err := s.create(c, body)
		return answered(http.StatusCreated, o, err)
	case http.MethodPut:
		o, err := s.replace(c, body)
		return answered(http.StatusOK, o, err)
	case http.MethodPatch:
		o, err := s.patch(c, r, body)
		return answered(http.StatusOK, o, err)
	case http.MethodDelete:
		o, err := s.delete(c, body)
		return answered(http.StatusOK, o, err)
	}
	return answer{}, apierrors.NewMethodNotSupported(c.kind.resource(), r.Method)
}

func answered(code int, o *object, err error) (answer, error) {
	if err != nil {
		return answer{}, err
	}
	return answer{code, o.body}, nil
}

// parse reads what a call is about.
func (s *Server) parse(r *http.Request) (call, error) {
	parts := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
	version := schema.GroupVersion{}
	switch {
	case len(parts) > 2 && parts[0] == "api":
		version.Version, parts = parts[1], parts[2:]
	case len(parts) > 3 && parts[0] == "apis":
		version.Group, version.Version, parts = parts[1], parts[2], parts[3:]
	default:
		return call{}, errNoPath
	}
	c := call{partial: strings.Contains(r.Header.Get("Accept"), "as=PartialObjectMetadata")}
	if parts[0] == "namespaces" && len(parts) > 2 && parts[2] != "status" && parts[2] != "finalize" {
		c.namespace, parts = parts[1], parts[2:]
	}
	at := slices.IndexFunc(s.kinds, func(k *kind) bool { return k.plural == parts[0] && k.version == version })
	if at < 0 {
		return call{}, errNoPath
	}
	c.kind = s.kinds[at]
	if len(parts) > 1 {
		c.name = parts[1]
	}
	if len(parts) > 2 {
		c.sub = parts[2]
	}
	var wrong [2]error
	c.labels, wrong[0] = labels.Parse(r.URL.Query().Get("labelSelector"))
	c.fields, wrong[1] = fields.ParseSelector(r.URL.Query().Get("fieldSelector"))
	if err := errors.Join(wrong[:]...); err != nil {
		return call{}, apierrors.NewBadRequest(err.Error())
	}
	return c, nil
}

var errNoPath = &apierrors.StatusError{ErrStatus: metav1.Status{
	Status: metav1.StatusFailure, Code: http.StatusNotFound, Reason: metav1.StatusReasonNotFound,
	Message: "the server could not find the requested resource",
}}

func (s *Server) count(r *http.Request, c call) {
	s.mu.Lock()
	defer s.mu.Unlock()
	verb := r.Method
	switch {
	case r.URL.Query().Get("watch") != "":
		verb = "WATCH"
	case verb == http.MethodGet && c.name == "":
		verb = "LIST"
	}
	s.calls[verb+" "+c.kind.name]++
}

// discover answers which kinds there are.
func (s *Server) discover(w http.ResponseWriter, r *http.Request) bool {
	path := strings.Trim(r.URL.Path, "/")
	switch path {
	case "api":
		send(w, http.StatusOK, []byte(`{"kind":"APIVersions","versions":["v1"]}`))
		return true
	case "apis":
		groups := metav1.APIGroupList{TypeMeta: metav1.TypeMeta{Kind: "APIGroupList", APIVersion: "v1"}}
		for _, k := range s.kinds {
			v := metav1.GroupVersionForDiscovery{GroupVersion: k.version.String(), Version: k.version.Version}
			if k.version.Group == "" || slices.ContainsFunc(groups.Groups, func(g metav1.APIGroup) bool { return g.Name == k.version.Group }) {
				continue
			}
			groups.Groups = append(groups.Groups, metav1.APIGroup{
				Name: k.version.Group, Versions: []metav1.GroupVersionForDiscovery{v}, PreferredVersion: v,
			})
		}
		send(w, http.StatusOK, encode(groups))
		return true
	}
	of := strings.TrimPrefix(strings.TrimPrefix(path, "apis/"), "api/")
	list := metav1.APIResourceList{TypeMeta: metav1.TypeMeta{Kind: "APIResourceList", APIVersion: "v1"}, GroupVersion: of}
	for _, k := range s.kinds {
		if k.version.String() == of {
			list.APIResources = append(list.APIResources, metav1.APIResource{
				Name: k.plural, Kind: k.name, Namespaced: k.namespaced,
				Verbs: metav1.Verbs{"create", "delete", "get", "list", "patch", "update", "watch"},
			})
		}
	}
	if len(list.APIResources) == 0 {
		return false
	}
	send(w, http.StatusOK, encode(list))
	return true
}

func refuse(w http.ResponseWriter, err error) {
	var status apierrors.APIStatus
	if !errors.As(err, &status) {
		status = apierrors.NewInternalError(err)
	}
	st := status.Status()
	st.Kind, st.APIVersion = "Status", "v1"
	send(w, int(cmp.Or(st.Code, http.StatusInternalServerError)), encode(st))
}

func send(w http.ResponseWriter, code int, body []byte) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", fmt.Sprint(len(body)))
	w.WriteHeader(code)
	_, _ = w.Write(body) //nolint:gosec // no page; whoever asked sees a short answer
}
