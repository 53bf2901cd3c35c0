package check

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/seedling-dev/seedling/hooks/snapshot"
)

// visited is a preview's address as its handler answers.
type visited struct{ http.Handler }

func (v visited) RoundTrip(r *http.Request) (*http.Response, error) {
	if v.Handler == nil {
		return nil, fmt.Errorf("no route to host")
	}
	w := httptest.NewRecorder()
	v.ServeHTTP(w, r)
	answer := w.Result()
	answer.Request = r
	return answer, nil
}

// Whoever has only the address of a preview must not see what is in it.
func TestOpened(t *testing.T) {
	t.Parallel()
	answers := func(code int, header, value, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			if len(r.Cookies()) > 0 || r.Header.Get("Authorization") != "" {
				panic("a stranger has no login")
			}
			if header != "" {
				w.Header().Set(header, value)
			}
			w.WriteHeader(code)
			fmt.Fprint(w, body)
		}
	}
	const open, unseen, none = "WRONG  a preview's address", "unseen a preview's address", "note   no live preview has an Ingress"
	for name, test := range map[string]struct {
		answer http.Handler
		change func(*world)
		says   string
	}{
		"content":            {answers(200, "", "", "users: 1"), nil, open},
		"a refusal":          {answers(401, "", "", "who are you"), nil, "ok     a preview's address: https://preview-shop-1-0123456789.example.com answers 401"},
		"a login elsewhere":  {answers(302, "Location", "https://login.example.com/x?rd=secret", "moved"), nil, "sending its visitor to https://login.example.com without"},
		"an empty answer":    {answers(204, "", "", ""), nil, "ok     a preview's address"},
		"nothing there":      {answers(404, "", "", "default backend"), nil, "answers 404 without a login"},
		"content further on": {onward("/shop", answers(200, "", "", "users: 1")), nil, open},
		"round and round":    {answers(302, "Location", "/", ""), nil, "ok     a preview's address"},
		"out of reach":       {nil, nil, unseen},
		"no Ingress":         {answers(200, "", "", "users: 1"), func(w *world) { w.more = w.more[:1] }, none},
		"another plugin's": {answers(200, "", "", "users: 1"), func(w *world) {
			w.more[0].SetLabels(map[string]string{snapshot.LabelPreview: "1", snapshot.LabelOwner: "other"})
		}, none},
		"an Ingress of others": {answers(200, "", "", "users: 1"), func(w *world) { w.more[1].SetNamespace("shop") }, none},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			const host = "preview-shop-1-0123456789.example.com"
			w := newWorld()
			w.more = append(w.more,
				&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{
					Name: "preview-shop-1-0123456789", CreationTimestamp: metav1.NewTime(time.Now()),
					Labels: map[string]string{snapshot.LabelPreview: "1", snapshot.LabelOwner: "seedling"}, Annotations: map[string]string{snapshot.AnnotationHost: host},
				}},
				&networkingv1.Ingress{ObjectMeta: object("preview-shop-1-0123456789", "web"), Spec: networkingv1.IngressSpec{Rules: []networkingv1.IngressRule{{Host: host}}}},
			)
			if test.change != nil {
				test.change(w)
			}
			w.visitor = visited{test.answer}
			out, _ := w.look(t)
			if !strings.Contains(out, test.says) || strings.Contains(out, "rd=secret") || strings.Contains(out, "users:") {
				t.Errorf("it says\n%s", out)
			}
		})
	}
}

// onward sends whoever asks for / on.
func onward(to string, there http.Handler) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /{$}", http.RedirectHandler(to, http.StatusFound))
	mux.Handle("GET "+to, there)
	return mux
}
