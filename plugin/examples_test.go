package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	argov1alpha1 "github.com/argoproj/argo-cd/v2/pkg/apis/application/v1alpha1"
	"sigs.k8s.io/yaml"

	"github.com/seedling-dev/seedling/plugin/forge"
	"github.com/seedling-dev/seedling/plugin/preview"
	"github.com/seedling-dev/seedling/plugin/server"
)

// Each kind of forge has an example whose input the plugin takes, and whose
// template uses nothing but what the plugin gives.
func TestExamples(t *testing.T) {
	t.Parallel()
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, values, _ := strings.Cut(string(readme), "Values, all strings: `")
	values, _, _ = strings.Cut(values, "`")
	given := map[string]bool{}
	for v := range strings.FieldsSeq(values) {
		given[v] = true
	}
	if !given["head_sha"] {
		t.Fatalf("the README gives %q", values)
	}
	template := regexp.MustCompile(`\{\{\s*\.(\w+)`)
	for _, kind := range forge.Types() {
		text, err := os.ReadFile(filepath.Join("../applicationsets/examples", kind+".yaml"))
		if err != nil {
			t.Error(err)
			continue
		}
		var set argov1alpha1.ApplicationSet
		if err := yaml.UnmarshalStrict(text, &set); err != nil {
			t.Errorf("%s: %v", kind, err)
		}
		inputs := server.Inputs(&set, "seedling-plugin")
		if len(inputs) != 1 {
			t.Errorf("%s: %d inputs", kind, len(inputs))
			continue
		}
		in, err := preview.ParseInput(inputs[0])
		if err != nil || in.Forge != kind {
			t.Errorf("%s: input %+v, error %v", kind, in, err)
		}
		uses := template.FindAllStringSubmatch(string(text), -1)
		if len(uses) == 0 {
			t.Errorf("%s uses nothing", kind)
		}
		for _, use := range uses {
			if !given[use[1]] {
				t.Errorf("%s uses %s", kind, use[1])
			}
		}
	}
}
