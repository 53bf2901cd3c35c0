package dump_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/seedling-dev/seedling/hooks/dump"
)

// TestNoIdentity: where nothing gives an identity, the sentence names the flag, and
// another attempt is not asked for.
func TestNoIdentity(t *testing.T) { //nolint:paralleltest // it changes the environment
	for name, value := range map[string]string{
		"AWS_EC2_METADATA_DISABLED": "true", "AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": "", "AWS_PROFILE": "", "AWS_WEB_IDENTITY_TOKEN_FILE": "",
		"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "", "AWS_CONTAINER_CREDENTIALS_FULL_URI": "", "HOME": t.TempDir(),
	} {
		t.Setenv(name, value)
	}
	_, err := dump.Open(t.Context(), "s3://bucket/a.dump?region=us-east-1", dump.Options{})
	if !errors.Is(err, dump.ErrUnusable) || !strings.Contains(err.Error(), "pass --dump-credentials with files AWS_ACCESS_KEY_ID") {
		t.Errorf("error %v", err)
	}
}
