package platform

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/seedling-dev/seedling/e2e/cluster"
	"github.com/seedling-dev/seedling/hooks/dump"
)

// export runs the scripts of manifests/dump-export, with programs of a test in the
// place of pg_dump, pg_restore and rclone, which is told what it uploads.
type export struct {
	bin, folder, target string
}

func newExport(t *testing.T, programs map[string]string) *export {
	t.Helper()
	e := &export{t.TempDir(), t.TempDir(), t.TempDir()}
	for name, script := range programs {
		if err := os.WriteFile(filepath.Join(e.bin, name), []byte("#!/bin/sh\n"+script), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return e
}

func (e *export) run(ctx context.Context, t *testing.T, script string, args ...string) (string, error) {
	t.Helper()
	root, err := cluster.Root()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(ctx, "sh", append([]string{filepath.Join(root, "manifests/dump-export", script)}, args...)...)
	cmd.Env = []string{"PATH=" + e.bin + ":" + os.Getenv("PATH"), "DUMP_FOLDER=" + e.folder, "DUMP_NAME=shop", "DUMP_TARGET=" + e.target}
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// An export becomes whole at its last step, and one that breaks off never does.
func TestExport(t *testing.T) {
	t.Parallel()
	programs := map[string]string{
		"pg_dump":    `for a; do case $a in --file=*) printf 'PGDMP and rows' >"${a#--file=}";; esac; done; case "$*" in *--format=custom*--no-owner*--exclude-table-data=log*service=production) ;; *) exit 9;; esac`,
		"pg_restore": `grep -q rows "$2"`,
		"rclone": `case $1 in copyto) cp "$2" "$3";; moveto) mv "$2" "$3";; *) exit 9;; esac
ls ` + "\"$(dirname \"$3\")\" | sort | tr '\\n' ' ' >>\"$(dirname \"$0\")/told\"; echo >>\"$(dirname \"$0\")/told\"",
	}
	e := newExport(t, programs)
	if err := os.WriteFile(filepath.Join(e.folder, "shop-old.dump"), []byte("of an attempt before"), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := e.run(t.Context(), t, "dump.sh", "--exclude-table-data=log"); err != nil {
		t.Fatalf("dump.sh: %v: %s", err, out)
	}
	if out, err := e.run(t.Context(), t, "upload.sh"); err != nil {
		t.Fatalf("upload.sh: %v: %s", err, out)
	}
	told, err := os.ReadFile(filepath.Join(e.bin, "told"))
	if err != nil {
		t.Fatal(err)
	}
	var endings []string
	for line := range strings.Lines(string(told)) {
		for name := range strings.FieldsSeq(line) {
			_, ending, _ := strings.Cut(name, "Z.")
			endings = append(endings, ending)
		}
		endings = append(endings, ";")
	}
	if got, want := strings.Join(endings, " "), "dump.partial ; dump ; dump dump.sha256 ;"; got != want {
		t.Errorf("the target had %q after each step, and not %q", got, want)
	}
	picked, err := dump.Newest(t.Context(), filepath.Join(e.target, "*.dump"), dump.Options{}, dump.Pick{Beside: true})
	if err != nil || picked.SHA256 == "" || len(picked.Skipped) > 0 {
		t.Errorf("a seed picks %+v (%v)", picked, err)
	}

	for name, change := range map[string][2]string{
		"pg_dump fails":        {"pg_dump", `for a; do case $a in --file=*) printf 'PGDMP' >"${a#--file=}";; esac; done; exit 1`},
		"pg_dump is cut":       {"pg_dump", `for a; do case $a in --file=*) printf 'PGDMP' >"${a#--file=}";; esac; done`},
		"the upload breaks":    {"rclone", `cp "$2" "$3"; exit 1`},
		"the rename is not it": {"rclone", `case $1 in copyto) cp "$2" "$3";; *) exit 1;; esac`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := newExport(t, programs)
			if err := os.WriteFile(filepath.Join(e.bin, change[0]), []byte("#!/bin/sh\n"+change[1]), 0o755); err != nil {
				t.Fatal(err)
			}
			_, dumped := e.run(t.Context(), t, "dump.sh", "--exclude-table-data=log")
			out, uploaded := e.run(t.Context(), t, "upload.sh")
			if uploaded == nil || change[0] == "pg_dump" && dumped == nil {
				t.Errorf("both steps end well: %v, %v: %s", dumped, uploaded, out)
			}
			if picked, err := dump.Newest(t.Context(), filepath.Join(e.target, "*.dump"), dump.Options{}, dump.Pick{Beside: true}); err == nil {
				t.Errorf("a seed picks %+v", picked)
			}
		})
	}
}

// The export's pod has no token, no rights and nothing that it does not need, and
// each container has the secret of its own step alone.
func TestExportManifest(t *testing.T) {
	t.Parallel()
	root, err := cluster.Root()
	if err != nil {
		t.Fatal(err)
	}
	objects, err := BuildFolder(filepath.Join(root, "manifests/dump-export"))
	if err != nil {
		t.Fatal(err)
	}
	found := false
	for _, u := range objects {
		if u.GetKind() != "CronJob" {
			continue
		}
		found = true
		spec, _, _ := unstructured.NestedMap(u.Object, "spec", "jobTemplate", "spec", "template", "spec")
		if token, said := spec["automountServiceAccountToken"].(bool); !said || token {
			t.Error("the pod has a token")
		}
		for list, secret := range map[string]string{"initContainers": "source", "containers": "target"} {
			containers, _, _ := unstructured.NestedSlice(spec, list)
			if len(containers) != 1 {
				t.Fatalf("%s: %d", list, len(containers))
			}
			container := containers[0].(map[string]any)
			mounts, _, _ := unstructured.NestedSlice(container, "volumeMounts")
			for _, m := range mounts {
				if name := m.(map[string]any)["name"]; (name == "source" || name == "target") && name != secret {
					t.Errorf("%s has the secret %s", list, name)
				}
			}
			// Without these rclone asks what the README's policy does not let it.
			env := fmt.Sprint(container["env"])
			for _, name := range []string{"RCLONE_NO_CHECK_DEST", "RCLONE_S3_NO_CHECK_BUCKET"} {
				if !strings.Contains(env, name) {
					t.Errorf("%s lacks %s", list, name)
				}
			}
			if limit, _, _ := unstructured.NestedString(container, "resources", "limits", "memory"); limit == "" {
				t.Errorf("%s has no limit of memory", list)
			}
		}
	}
	if !found {
		t.Error("there is no CronJob")
	}
}
