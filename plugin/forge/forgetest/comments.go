package forgetest

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/seedling-dev/seedling/plugin/forge"
)

// Comment is a comment on a pull request, by somebody; empty for a deleted user.
type Comment struct {
	ID       int64
	By, Body string
}

// comment adds a comment, and returns it.
func (w *World) comment(number int64, by, body string) *Comment {
	if w.Comments == nil {
		w.Comments = map[int64][]*Comment{}
	}
	w.commented++
	c := &Comment{ID: w.commented, By: by, Body: body}
	w.Comments[number] = append(w.Comments[number], c)
	return c
}

// commentOf finds a comment by its ID.
func (w *World) commentOf(id string) *Comment {
	for _, list := range w.Comments {
		for _, c := range list {
			if strconv.FormatInt(c.ID, 10) == id {
				return c
			}
		}
	}
	return nil
}

// uncomment removes one.
func (w *World) uncomment(number int64, id string) {
	w.Comments[number] = slices.DeleteFunc(w.Comments[number], func(c *Comment) bool { return strconv.FormatInt(c.ID, 10) == id })
}

// bodyOf is the text that a call carries.
func bodyOf(r *http.Request) string {
	var b struct {
		Body string `json:"body"`
	}
	_ = json.NewDecoder(r.Body).Decode(&b) // what is missing fails the test
	return b.Body
}

const marker = "[//]: # (seedling previews)"

// comments: ours is found again, by its author and its marker, and nobody else's
// is touched.
func comments(t *testing.T, k Kind) {
	me := k.Login
	if me == "" {
		me = "seedling"
	}
	w := newWorld(2)
	f, ok := open(t, k, w).(forge.Commenter)
	if !ok {
		t.Fatalf("%s does not comment", k.Type)
	}
	own := func() forge.Comment {
		t.Helper()
		c, err := f.OwnComment(t.Context(), Repository, 1, marker)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	if c := own(); c.ID != "" {
		t.Errorf("nobody said anything, and found is %+v", c)
	}
	w.Change(func() {
		w.comment(2, me, "of another\n\n"+marker)
		w.comment(1, "", "a deleted user's\n\n"+marker)
		w.comment(1, "stranger", "a stranger's\n\n"+marker)
		w.comment(1, me+"x", "one of a like name\n\n"+marker)
		w.comment(1, me, "> "+marker+"\n\nis what somebody said, and\n"+marker+"\nwithin")
		w.comment(1, me, "without")
		for n := range 250 {
			w.comment(1, "stranger", fmt.Sprintf("talk %d\n\n%s", n, marker))
		}
	})
	if c := own(); c.ID != "" {
		t.Errorf("found is %+v", c)
	}
	body := "Ünïcode *is* <b>kept</b>\n\n" + marker
	id, err := f.AddComment(t.Context(), Repository, 1, body)
	if err != nil || id == "" {
		t.Fatalf("%q, error %v", id, err)
	}
	if c := own(); c.ID != id || c.Body != body {
		t.Errorf("found is %+v", c)
	}
	w.Change(func() { w.comment(1, me, "a second\n\n"+marker) })
	if err := f.EditComment(t.Context(), Repository, 1, id, "new\n\n"+marker); err != nil {
		t.Error(err)
	}
	if c := own(); c.ID != id || c.Body != "new\n\n"+marker {
		t.Errorf("found is %+v", c)
	}
	w.Change(func() {
		for _, c := range w.Comments[1] {
			if c.By != me && strings.HasPrefix(c.Body, "new") {
				t.Errorf("edited was %+v", c)
			}
		}
		// Lines may end otherwise on the way back.
		w.commentOf(id).Body = "new\r\n\r\n" + marker + "\r\n"
	})
	if c := own(); c.ID != id {
		t.Errorf("found is %+v", c)
	}
	w.Change(func() { w.uncomment(1, id) })
	if err := f.EditComment(t.Context(), Repository, 1, id, "x"); !errors.Is(err, forge.ErrNoComment) {
		t.Errorf("one that is gone: error %v", err)
	}
	for _, private := range []bool{true, false} {
		w.Change(func() { w.Private = private })
		if got, err := f.Private(t.Context(), Repository); err != nil || got != private {
			t.Errorf("private %v, error %v", got, err)
		}
	}
	commentsFail(t, f, w)
}

// commentsFail: what could not be read is never none, and what was not written
// is never said to be.
func commentsFail(t *testing.T, f forge.Commenter, w *World) {
	t.Helper()
	for name, fault := range map[string]func(http.ResponseWriter, *http.Request) bool{
		"an error":      reply(http.StatusInternalServerError, "application/json", `{"message":"secret-token"}`),
		"forbidden":     reply(http.StatusForbidden, "application/json", `{"message":"secret-token"}`),
		"its own 404":   reply(http.StatusNotFound, "application/json", `{"message":"Not Found"}`),
		"a login page":  reply(http.StatusOK, "text/html", "<html>log in</html>"),
		"an object":     reply(http.StatusOK, "application/json", `{}`),
		"nothing":       reply(http.StatusOK, "application/json", ""),
		"half a list":   reply(http.StatusOK, "application/json", `[{"id":1,`),
		"a proxy's 404": reply(http.StatusNotFound, "text/plain", "404"),
	} {
		w.Change(func() {
			w.Fault = func(rw http.ResponseWriter, r *http.Request) bool {
				return (strings.Contains(r.URL.Path, "/comments") || strings.Contains(r.URL.Path, "/notes") || strings.Contains(r.URL.Path, "/threads") ||
					strings.HasSuffix(r.URL.Path, "/activities")) && fault(rw, r)
			}
		})
		if c, err := f.OwnComment(t.Context(), Repository, 1, marker); err == nil || strings.Contains(err.Error(), token) {
			t.Errorf("%s: found is %+v, error %v", name, c, err)
		}
		if id, err := f.AddComment(t.Context(), Repository, 1, "x"); err == nil {
			t.Errorf("%s: %q was added", name, id)
		}
		w.Change(func() { w.Fault = fault })
		if private, err := f.Private(t.Context(), Repository); err == nil {
			t.Errorf("%s: private %v", name, private)
		}
	}
}
