package server

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strconv"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/seedling-dev/seedling/plugin/argocd"
	"github.com/seedling-dev/seedling/plugin/preview"
)

const (
	// GeneratorPath is where Argo CD's plugin generator posts to.
	GeneratorPath = "/api/v1/getparams.execute"

	maxRequest = 1 << 20
	// answerTimeout is less than the 20 s that manifests/argocd has Argo CD wait.
	answerTimeout = 18 * time.Second
)

// Texts of refusals are constant: Argo CD writes them into the
// ApplicationSet's status, where a changing text would cause another round.
const (
	textUnauthorized = "the token is not the plugin's"
	textNotReady     = "the plugin has no confirmed list of pull requests now; Applications stay as they are"
	textTooLarge     = "the request is larger than 1 MiB"
	textNoJSON       = "the request is no JSON of a plugin generator"
	textNoName       = "the request names no ApplicationSet"
	textNotAsked     = "no ApplicationSet of that name asks with this input; use the plugin as a top-level generator"
	textPanic        = "the plugin failed; see its log"
)

// Answerer gives the body of an answer. The Reconciler is one.
type Answerer interface {
	Answer(ctx context.Context, applicationSet string, parameters map[string]json.RawMessage) ([]byte, error)
}

// Generator is the endpoint of Argo CD's plugin generator.
//
// Argo CD reads every 2xx that it cannot make sense of as an empty list, and
// deletes all previews. So a 2xx here has one source, a validated body, and
// everything else is an error: 401 for the token, 400 for the input, 500 for a
// panic, 503 for the rest.
type Generator struct {
	Tokens  Tokens
	Answers Answerer
	// Ready is nil while this process may answer.
	Ready func() error
	// Asked is told of each request with the token; it may be nil.
	Asked func()
	Log   *slog.Logger
}

// Handler serves GeneratorPath and nothing else.
func (g Generator) Handler() http.Handler {
	e := Engine(g.Log)
	e.POST(GeneratorPath, g.answer)
	return e
}

// Engine is a gin engine that turns a panic into a 500 with constant text and
// redirects nobody: a client that follows a redirect may turn POST into GET.
func Engine(log *slog.Logger) *gin.Engine {
	e := gin.New()
	e.HandleMethodNotAllowed = true
	e.RedirectTrailingSlash = false
	e.Use(func(c *gin.Context) {
		defer func() {
			if p := recover(); p != nil {
				log.ErrorContext(c, "a request panicked", "path", c.Request.URL.Path, "panic", p, "stack", string(debug.Stack()))
				if !c.Writer.Written() {
					refuse(c, http.StatusInternalServerError, textPanic)
				}
				c.Abort()
			}
		}()
		c.Next()
	})
	return e
}

func (g Generator) answer(c *gin.Context) {
	ok, err := g.Tokens.allow(c.Request)
	switch {
	case err != nil:
		g.Log.ErrorContext(c, "the generator's token could not be read", "error", err)
		refuse(c, http.StatusServiceUnavailable, textNotReady)
		return
	case !ok:
		g.Log.WarnContext(c, "a generator request carried a wrong token", "from", c.Request.RemoteAddr)
		refuse(c, http.StatusUnauthorized, textUnauthorized)
		return
	}
	if g.Asked != nil {
		g.Asked()
	}
	request, problem := decode(c.Request.Body, c.Writer)
	if problem != "" {
		refuse(c, http.StatusBadRequest, problem)
		return
	}
	if err := g.Ready(); err != nil {
		g.Log.WarnContext(c, "a generator request came while the plugin was not ready", "applicationset", request.ApplicationSetName, "error", err)
		refuse(c, http.StatusServiceUnavailable, textNotReady)
		return
	}
	ctx, cancel := context.WithTimeout(c.Request.Context(), answerTimeout)
	defer cancel()
	body, err := g.Answers.Answer(ctx, request.ApplicationSetName, request.Input.Parameters)
	var input *preview.InputError
	switch {
	case errors.As(err, &input):
		g.Log.WarnContext(c, "a generator request's input was refused", "applicationset", request.ApplicationSetName, "error", err)
		refuse(c, http.StatusBadRequest, err.Error())
	case errors.Is(err, preview.ErrNotAsked):
		g.Log.WarnContext(c, "a generator request was refused", "applicationset", request.ApplicationSetName, "error", err)
		refuse(c, http.StatusBadRequest, textNotAsked)
	case err != nil:
		g.Log.WarnContext(c, "a generator request could not be answered", "applicationset", request.ApplicationSetName, "error", err)
		refuse(c, http.StatusServiceUnavailable, textNotReady)
	case !whole(body):
		g.Log.ErrorContext(c, "an answer was not fit to be sent: this is a bug", "applicationset", request.ApplicationSetName)
		refuse(c, http.StatusServiceUnavailable, textNotReady)
	default:
		// With its length said, an answer that is cut on its way is an error.
		c.Header("Content-Length", strconv.Itoa(len(body)))
		c.Data(http.StatusOK, "application/json", body)
	}
}

// decode reads a request; problem is a constant text. Fields that a newer
// Argo CD may send beside the input are let through; the input's own are not.
func decode(body io.ReadCloser, w http.ResponseWriter) (request argocd.PluginRequest, problem string) {
	b, err := io.ReadAll(http.MaxBytesReader(w, body, maxRequest))
	if err != nil {
		if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
			return request, textTooLarge
		}
		return request, textNoJSON
	}
	if json.Unmarshal(b, &request) != nil {
		return request, textNoJSON
	}
	if request.ApplicationSetName == "" || len(request.ApplicationSetName) > 253 {
		return request, textNoName
	}
	return request, ""
}

// whole says whether Argo CD will read the list that is meant.
func whole(body []byte) bool {
	var a struct {
		Output *struct {
			Parameters *[]map[string]string `json:"parameters"`
		} `json:"output"`
	}
	return json.Unmarshal(body, &a) == nil && a.Output != nil && a.Output.Parameters != nil && *a.Output.Parameters != nil
}

func refuse(c *gin.Context, status int, text string) {
	c.Header("Cache-Control", "no-store")
	c.String(status, text)
	c.Abort()
}
