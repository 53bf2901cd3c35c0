package broker

import (
	"context"
	"encoding/base64"
	"encoding/json"
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

// maxToken is far above a ServiceAccount's token, which has some 1,200 bytes.
const maxToken = 8 << 10

// claimed is what a token says of itself. Nobody has checked its signature: it
// is good for refusing what a review would refuse, and for nothing else.
func claimed(token string) (Caller, error) {
	refused := func(why string) (Caller, error) {
		return Caller{}, fmt.Errorf("%w: %s", ErrUnauthenticated, why)
	}
	parts := strings.Split(token, ".")
	if len(token) > maxToken || len(parts) != 3 {
		return refused("it is no ServiceAccount's")
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return refused("it is no ServiceAccount's")
	}
	var claims struct {
		Audience   audiences `json:"aud"`
		Kubernetes struct {
			Namespace      string `json:"namespace"`
			ServiceAccount struct {
				Name string    `json:"name"`
				UID  types.UID `json:"uid"`
			} `json:"serviceaccount"`
		} `json:"kubernetes.io"`
	}
	if err := json.Unmarshal(payload, &claims); err != nil {
		return refused("it is no ServiceAccount's")
	}
	if !slices.Contains(claims.Audience, snapshot.TokenAudience) {
		return refused("it is not for audience " + snapshot.TokenAudience)
	}
	account := claims.Kubernetes.ServiceAccount
	if claims.Kubernetes.Namespace == "" || account.Name == "" {
		return refused("it is no ServiceAccount's")
	}
	return Caller{Namespace: claims.Kubernetes.Namespace, Name: account.Name, UID: account.UID}, nil
}

// audiences is a claim that may be one string or several.
type audiences []string

// UnmarshalJSON implements json.Unmarshaler.
func (a *audiences) UnmarshalJSON(b []byte) error {
	var one string
	if json.Unmarshal(b, &one) == nil {
		*a = audiences{one}
		return nil
	}
	return json.Unmarshal(b, (*[]string)(a))
}

// bearer reads the token of a request, "" without one.
func bearer(r *http.Request) string {
	scheme, token, ok := strings.Cut(r.Header.Get("Authorization"), " ")
	if !ok || !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return strings.TrimSpace(token)
}
