package guide

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/seedling-dev/seedling/e2e/cluster"
	"github.com/seedling-dev/seedling/e2e/platform"
)

// shown says who runs a block of commands: a test, by package and name, or
// nobody, and why.
type shown struct {
	document, section string
	begins            string // the block's first line, from its beginning
	by                string // package.Test; may be "" where there is a reason
	reason            string
}

// table has every block of shell and SQL in README.md and docs/.
var table = []shown{
	{"README.md", "Two commands", "make demo ", "e2e/flow.TestPreviewFromLabelToUnlabel", "the demo takes minutes and tells a story; its steps are those of e2e/flow, and make test is what runs this"},
	{"README.md", "Adopting it", "kubectl -n argocd patch configmap argocd-cm ", "e2e/guide.TestAdoption", ""},
	{"README.md", "Adopting it", "registry=", "e2e/guide.TestAdoption", ""},
	{"README.md", "Adopting it", "kubectl create namespace seed ", "e2e/guide.TestAdoption", ""},
	{"README.md", "Adopting it", "dump=", "e2e/guide.TestAdoption", ""},
	{"README.md", "Adopting it", "git add . ", "e2e/guide.TestAdoption", ""},
	{"docs/operations.md", "A new dump", "key=$(mktemp) ", "e2e/guide.TestAdoption", ""},
	{"docs/operations.md", "Another policy", "$EDITOR ", "e2e/guide.TestAdoption", ""},
	{"docs/operations.md", "Another key", "key=$(mktemp) ", "e2e/guide.TestAdoption", ""},
	{"docs/operations.md", "A refused import", "kubectl -n argocd get application ", "e2e/guide.TestAdoption", ""},
	{"docs/operations.md", "A preview that does not come, or fails", "kubectl -n argocd get application ", "e2e/guide.TestAdoption", ""},
	{"docs/operations.md", "Other certificates for the seed", "seed-import certificates ", "e2e/guide.TestAdoption", ""},
	{"docs/operations.md", "Upgrading", "kubectl apply ", "e2e/guide.TestAdoption", ""},
	{"docs/operations.md", "Removing it", "kubectl -n argocd delete ", "e2e/guide.TestAdoption", ""},
	{"docs/storage.md", "Storage", "kubectl apply --server-side -k manifests/storage-classes/", "e2e/flow.TestManifestsPassADryRun", "the drivers are clouds': their classes pass a server-side dry run"},
	{"docs/storage.md", "Finding out before the first seed", "kubectl create namespace storage-trial", "e2e/guide.TestAdoption", ""},
	{"docs/check-policy.md", "The pull request that adds a column", "pg_dump --schema-only ", "hooks/cmd/seed-import.TestCheckInCI", "the database is the reader's; what is done with its schema is tested"},
	{"docs/aws.md", "Who may do what", "aws eks create-pod-identity-association ", "", "it takes an AWS account"},
	{"docs/aws.md", "1. Volumes and snapshots", "aws eks create-addon ", "e2e/flow.TestManifestsPassADryRun", "the add-ons take an AWS account; the classes pass a server-side dry run"},
	{"docs/aws.md", "2. Velero", "aws s3api create-bucket ", "", "it takes an AWS account"},
	{"docs/aws.md", "2. Velero", "velero install ", "e2e/guide.TestVeleroInstall", "as a dry run: the bucket takes an AWS account"},
	{"docs/aws.md", "3. Dumps from RDS", "CREATE USER dump ", "", "role rds_iam is RDS'"},
	{"docs/aws.md", "3. Dumps from RDS", "export PGPASSWORD=$(aws rds ", "", "it takes an AWS account"},
	{"docs/aws.md", "3. Dumps from RDS", "aws s3api put-public-access-block ", "", "it takes an AWS account"},
}

// TestEveryCommandIsRun: each block of commands in the documents stands in the
// table, by which a test runs it, or with the reason why none can. Shell parses,
// names of make's targets and of folders are those that there are, and YAML is
// YAML.
func TestEveryCommandIsRun(t *testing.T) {
	t.Parallel()
	dir := root(t)
	documents, err := filepath.Glob(filepath.Join(dir, "docs/*.md"))
	if err != nil || len(documents) < 5 {
		t.Fatalf("documents %v, %v", documents, err)
	}
	used := make([]bool, len(table))
	for _, path := range append(documents, filepath.Join(dir, "README.md")) {
		name, err := filepath.Rel(dir, path)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range fences(t, name) {
			switch f.language {
			case "yaml":
				for one := range strings.SplitSeq(f.text, "\n---\n") {
					if err := yaml.Unmarshal([]byte(one), &map[string]any{}); err != nil {
						t.Errorf("%s, %s: %v", name, f.first(), err)
					}
				}
				continue
			case "sh", "sql":
			default:
				continue
			}
			i := slices.IndexFunc(table, func(s shown) bool {
				return s.document == name && s.section == f.section && strings.HasPrefix(f.first(), s.begins)
			})
			if i < 0 {
				t.Errorf("%s, %q: nobody runs the block that begins with\n\t%s\nAdd it to the table: which test runs it, or why none can.", name, f.section, f.first())
				continue
			}
			used[i] = true
			if f.language == "sh" {
				parses(t, f)
				named(t, dir, f)
			}
		}
	}
	for i, s := range table {
		if !used[i] {
			t.Errorf("%s, %q: no block begins with %s", s.document, s.section, s.begins)
		}
		if s.by == "" && s.reason == "" {
			t.Errorf("%s, %q: neither a test nor a reason", s.document, s.begins)
		}
		if s.by != "" && !declared(t, dir, s.by) {
			t.Errorf("%s, %q: there is no test %s", s.document, s.begins, s.by)
		}
	}
}

// parses runs a block through the shell's parser.
func parses(t *testing.T, f fence) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "bash", "-n")
	cmd.Stdin = strings.NewReader(f.text)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%s, %s: %v: %s", f.document, f.first(), err, out)
	}
}

var (
	makeTarget = regexp.MustCompile(`(?m)(?:^|[(;&] *)make(?: -s)? ([a-z][a-z0-9-]*)`)
	ourFolder  = regexp.MustCompile(`-k (manifests/\S+)`)
)

// named are make's targets and folders of ours.
func named(t *testing.T, dir string, f fence) {
	t.Helper()
	makefile, err := os.ReadFile(filepath.Join(dir, "Makefile"))
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range makeTarget.FindAllStringSubmatch(f.text, -1) {
		if !strings.Contains(string(makefile), "\n"+m[1]+":") {
			t.Errorf("%s: make has no target %s", f.document, m[1])
		}
	}
	for _, m := range ourFolder.FindAllStringSubmatch(f.text, -1) {
		if _, err := platform.BuildFolder(filepath.Join(dir, m[1])); err != nil {
			t.Errorf("%s: %v", f.document, err)
		}
	}
}

// declared says whether there is a test of that package and name.
func declared(t *testing.T, dir, test string) bool {
	t.Helper()
	pkg, name, _ := strings.Cut(test, ".")
	files, err := filepath.Glob(filepath.Join(dir, pkg, "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	return slices.ContainsFunc(files, func(file string) bool {
		content, err := os.ReadFile(file)
		return err == nil && strings.Contains(string(content), "\nfunc "+name+"(")
	})
}

const noCluster = `apiVersion: v1
kind: Config
current-context: none
contexts: [{name: none, context: {cluster: none, user: none}}]
clusters: [{name: none, cluster: {server: "http://127.0.0.1:1"}}]
users: [{name: none, user: {}}]
`

// TestVeleroInstall: the flags in docs/aws.md are those of Velero's own program.
func TestVeleroInstall(t *testing.T) {
	t.Parallel()
	velero, err := cluster.Program(t.Context(), "velero")
	if err != nil {
		t.Fatal(err)
	}
	var script string
	for _, f := range commands(t, "docs/aws.md", "2. Velero") {
		if strings.HasPrefix(f.text, "velero install ") {
			script, _, _ = strings.Cut(f.text, "    #")
		}
	}
	cmd := exec.CommandContext(t.Context(), "bash", "-c", edited(t, script, edit{"velero install ", velero + " install --dry-run --output yaml "}))
	// It reads one, and asks nobody.
	kubeconfig := filepath.Join(t.TempDir(), "kubeconfig")
	if err := os.WriteFile(kubeconfig, []byte(noCluster), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd.Env = append(os.Environ(), "KUBECONFIG="+kubeconfig)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	all, err := cluster.Objects(out)
	if err != nil {
		t.Fatal(err)
	}
	account := slices.IndexFunc(all, func(u *unstructured.Unstructured) bool { return u.GetKind() == "ServiceAccount" })
	if account < 0 || all[account].GetAnnotations()["eks.amazonaws.com/role-arn"] == "" {
		t.Errorf("Velero's ServiceAccount has no role among %d objects", len(all))
	}
	for _, want := range []string{"--features=EnableCSI", "bucket: acme-velero", "velero-plugin-for-aws"} {
		if !strings.Contains(string(out), want) {
			t.Errorf("nothing says %s", want)
		}
	}
}
