package platform

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/seedling-dev/seedling/e2e/cluster"
)

// Each folder of manifests/storage-classes has one class of each kind, of one
// driver, as docs/storage.md asks for.
func TestStorageClasses(t *testing.T) {
	t.Parallel()
	dir, err := cluster.Root()
	must(t, err)
	folders, err := filepath.Glob(filepath.Join(dir, "manifests/storage-classes/*"))
	must(t, err)
	if len(folders) < 4 {
		t.Fatalf("folders %v", folders)
	}
	for _, folder := range folders {
		built, err := BuildFolder(folder)
		must(t, err)
		found := map[string]*unstructured.Unstructured{}
		for _, u := range built {
			found[u.GetKind()] = u
		}
		class, snapshots := found["StorageClass"], found["VolumeSnapshotClass"]
		if len(built) != 2 || class == nil || snapshots == nil {
			t.Errorf("%s has %v", folder, found)
			continue
		}
		if class.Object["provisioner"] != snapshots.Object["driver"] {
			t.Errorf("%s: volumes are %v's, snapshots %v's", folder, class.Object["provisioner"], snapshots.Object["driver"])
		}
		if class.Object["reclaimPolicy"] != "Delete" || class.Object["volumeBindingMode"] != "WaitForFirstConsumer" || snapshots.Object["deletionPolicy"] != "Delete" {
			t.Errorf("%s: %v, %v, %v", folder, class.Object["reclaimPolicy"], class.Object["volumeBindingMode"], snapshots.Object["deletionPolicy"])
		}
		if snapshots.GetLabels()["velero.io/csi-volumesnapshot-class"] != "true" {
			t.Errorf("%s: Velero does not see its VolumeSnapshotClass", folder)
		}
	}
}

// The IAM policies of docs/aws.md are JSON, allow no action by a pattern, and
// nothing on every resource.
func TestPoliciesForAWS(t *testing.T) {
	t.Parallel()
	dir, err := cluster.Root()
	must(t, err)
	guide, err := os.ReadFile(filepath.Join(dir, "docs/aws.md"))
	must(t, err)
	policies := regexp.MustCompile("(?s)```json\n(.*?)```").FindAllSubmatch(guide, -1)
	if len(policies) < 6 {
		t.Fatalf("%d policies", len(policies))
	}
	anything := regexp.MustCompile(`^\*$|:\*$|^arn:aws:s3:::\*`)
	for _, p := range policies {
		var policy struct {
			Version   string `json:"Version"`
			Statement []struct {
				Effect    string                       `json:"Effect"`
				Action    any                          `json:"Action"`   // one, or a list
				Resource  any                          `json:"Resource"` // the same
				Principal map[string]string            `json:"Principal"`
				Condition map[string]map[string]string `json:"Condition"`
			} `json:"Statement"`
		}
		if err := json.Unmarshal(p[1], &policy); err != nil {
			t.Errorf("%v: %s", err, p[1])
			continue
		}
		if policy.Version != "2012-10-17" || len(policy.Statement) == 0 {
			t.Errorf("no policy: %s", p[1])
		}
		for _, s := range policy.Statement {
			if s.Effect != "Allow" || s.Action == nil || (s.Resource == nil) == (s.Principal == nil) || s.Principal != nil && s.Condition == nil {
				t.Errorf("statement %+v", s)
			}
			for _, value := range slices.Concat(list(s.Action), list(s.Resource)) {
				if anything.MatchString(value) {
					t.Errorf("%s allows too much", value)
				}
			}
		}
	}
}

// list is a policy's value, which may be one or several.
func list(value any) []string {
	switch v := value.(type) {
	case string:
		return []string{v}
	case []any:
		var all []string
		for _, one := range v {
			all = append(all, list(one)...)
		}
		return all
	}
	return nil
}
