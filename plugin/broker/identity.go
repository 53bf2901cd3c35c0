package broker

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	authenticationv1 "k8s.io/api/authentication/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/seedling-dev/seedling/hooks/snapshot"
)

// Caller is the ServiceAccount behind a reviewed token.
type Caller struct {
	Namespace, Name string
	UID             types.UID
}

// Reviewer says whose token it is. ErrUnauthenticated means that it is no
// valid token for us; any other error, that nobody could tell.
type Reviewer interface {
	Review(ctx context.Context, token string) (Caller, error)
}

// ErrUnauthenticated is wrapped by Review for a token that is not valid, or
// not for us.
var ErrUnauthenticated = errors.New("the token is not valid here")

// TokenReviews asks the API server, for the audience of this project.
type TokenReviews struct{ Client client.Client }

// Review implements Reviewer. The API server has then checked signature,
// expiry, and that ServiceAccount and pod of the token still live.
func (t TokenReviews) Review(ctx context.Context, token string) (Caller, error) {
	review := &authenticationv1.TokenReview{Spec: authenticationv1.TokenReviewSpec{
		Token:     token,
		Audiences: []string{snapshot.TokenAudience},
	}}
	if err := t.Client.Create(ctx, review); err != nil {
		return Caller{}, fmt.Errorf("review the token: %w", err)
	}
	if !review.Status.Authenticated {
		return Caller{}, fmt.Errorf("%w: it has expired, or is not for audience %s", ErrUnauthenticated, snapshot.TokenAudience)
	}
	// A server that knows nothing of audiences answers without them.
	if !slices.Contains(review.Status.Audiences, snapshot.TokenAudience) {
		return Caller{}, fmt.Errorf("%w: it is not for audience %s", ErrUnauthenticated, snapshot.TokenAudience)
	}
	user := review.Status.User
	parts := strings.Split(user.Username, ":")
	if len(parts) != 4 || parts[0] != "system" || parts[1] != "serviceaccount" || parts[2] == "" || parts[3] == "" {
		return Caller{}, fmt.Errorf("%w: it is no ServiceAccount's", ErrUnauthenticated)
	}
	return Caller{Namespace: parts[2], Name: parts[3], UID: types.UID(user.UID)}, nil
}

// bearer reads the token of a request, "" without one.
func bearer(r *http.Request) string {
	scheme, token, ok := strings.Cut(r.Header.Get("Authorization"), " ")
	if !ok || !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return strings.TrimSpace(token)
}
