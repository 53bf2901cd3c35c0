package shop

import (
	"strings"
	"testing"

	"github.com/seedling-dev/seedling/hooks/mask"
)

func TestPolicyIsOne(t *testing.T) {
	t.Parallel()
	if _, err := mask.ParsePolicy(Policy); err != nil {
		t.Fatal(err)
	}
}

func TestRepositoryNamesTheImage(t *testing.T) {
	t.Parallel()
	files, err := Repository("ghcr.io/seedling-dev/seed-postgres:0123")
	if err != nil {
		t.Fatal(err)
	}
	if got := string(files["deploy/preview/kustomization.yaml"]); !strings.Contains(got, `newTag: "0123"`) {
		t.Errorf("no image tag in:\n%s", got)
	}
	if files["deploy/preview/postgres.yaml"] == nil {
		t.Error("there is no postgres.yaml")
	}
	for name, content := range files {
		if strings.HasPrefix(name, "deploy/platform/") && strings.Contains(string(content), "StatefulSet") {
			t.Errorf("%s brings a database", name)
		}
	}
}
