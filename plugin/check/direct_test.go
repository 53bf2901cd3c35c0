package check

import (
	"strings"
	"testing"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/seedling-dev/seedling/hooks/snapshot"
)

// TestDirect: whether direct mode is possible is said in either mode, and what
// is missing is wrong where the configuration asks for it.
func TestDirect(t *testing.T) {
	t.Parallel()
	handles := &corev1.ConfigMap{ObjectMeta: object("seedling", snapshot.HandlesConfigMap)}
	class := &storagev1.StorageClass{ObjectMeta: object("", "fast"), Provisioner: "csi.example.com"}
	const volume = "csi.example.com snap-1 1Gi fast -"
	for _, test := range []struct {
		name    string
		handle  string // of the newest snapshot
		without string
		change  func(*world)
		// says is the line in direct mode, without how it begins; rights says that
		// it is not about the seed, and is no line in Velero mode.
		says   string
		rights bool
	}{
		{name: "possible", handle: volume},
		{name: "not installed", without: "handles", says: "ConfigMap seedling/seedling-handles is not there: add the component manifests/plugin/direct"},
		{name: "nothing recorded", says: "no handle of snapshot seed-20261130000000-a is recorded, so Velero restores it"},
		{name: "garbage recorded", handle: "snap-1", says: `"snap-1" is not driver, handle, size`},
		{name: "the class is gone", handle: volume, without: "class", says: "StorageClass fast, which the seed's claim had"},
		{name: "a class of another driver", handle: "other.example.com snap-1 1Gi fast -", says: "StorageClass fast is of csi.example.com, and snapshot seed-20261130000000-a of other.example.com"},
		{name: "no right to the ConfigMap", handle: volume, change: func(w *world) { w.forbidden = append(w.forbidden, "StorageClass") }, says: "read StorageClass fast"},
		{
			name: "no rights", handle: volume, change: func(w *world) { w.denied = append(w.denied, "create volumesnapshots.snapshot.storage.k8s.io") },
			says: "may not create volumesnapshots.snapshot.storage.k8s.io: kubectl apply --server-side -k your overlay of manifests/plugin, with the component direct", rights: true,
		},
		{name: "no policies", handle: volume, without: "policies", says: "seedling-direct-contents, seedling-direct-volumes, seedling-handles are not there", rights: true},
	} {
		for _, direct := range []bool{false, true} {
			t.Run(test.name+map[bool]string{false: ", velero", true: ", direct"}[direct], func(t *testing.T) {
				t.Parallel()
				w := newWorld()
				w.direct = direct
				recorded := handles.DeepCopy()
				if test.handle != "" {
					recorded.Data = map[string]string{w.snapshot.Name: test.handle}
				}
				for name, o := range map[string]client.Object{"handles": recorded, "class": class.DeepCopy()} {
					if name != test.without {
						w.more = append(w.more, o)
					}
				}
				for _, name := range DirectPolicies {
					if test.without == "policies" {
						continue
					}
					w.policies = append(w.policies, &admissionv1.ValidatingAdmissionPolicy{ObjectMeta: object("", name)})
					w.bindings = append(w.bindings, &admissionv1.ValidatingAdmissionPolicyBinding{
						ObjectMeta: object("", name),
						Spec:       admissionv1.ValidatingAdmissionPolicyBindingSpec{PolicyName: name, ValidationActions: []admissionv1.ValidationAction{admissionv1.Deny}},
					})
				}
				if test.change != nil {
					test.change(w)
				}
				out, err := w.look(t)
				switch {
				case (err != nil) != (direct && test.says != ""):
					t.Errorf("%v:\n%s", err, out)
				case test.says == "" && direct && !strings.Contains(out, "ok     direct mode of seed seed: the handle of snapshot seed-20261130000000-a is recorded\n"):
					t.Errorf("it is not said that all is well:\n%s", out)
				case (test.says == "" || test.rights) && !direct && !strings.Contains(out, "note   direct mode of seed seed is possible: "):
					t.Errorf("it is not said that it is possible:\n%s", out)
				case test.says != "" && !test.rights && !direct && (len(lines(out, "note   direct mode of seed seed is not possible, and mode: velero does not need it: ")) != 1 || !strings.Contains(out, test.says)):
					t.Errorf("it is not said that it is not possible:\n%s", out)
				case test.says != "" && direct && (len(lines(out, "WRONG")) != 1 || !strings.Contains(lines(out, "WRONG")[0], test.says)):
					t.Errorf("%q is not the one thing that is wrong:\n%s", test.says, out)
				}
			})
		}
	}
}
