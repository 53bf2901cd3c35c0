package resync

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/seedling-dev/seedling/plugin/argocd"
)

type resource = argocd.ResourceResult

// ended is a preview whose sync of the head that it asks for came to that.
func ended(phase, message string, resources ...*resource) *argocd.Application {
	return syncing(func(a *argocd.Application) {
		a.Operation = nil
		a.Status.OperationState = &argocd.OperationState{
			Message:    message,
			SyncResult: &argocd.SyncOperationResult{Revisions: []string{newHead, "c"}, Resources: resources},
		}
		set(&a.Status.OperationState.Phase, phase)
	})
}

// set gives a text a type that is not ours to name.
func set[T ~string](to *T, text string) { *to = T(text) }

func hook(kind, name, message string) *resource {
	return &resource{Kind: kind, Name: name, HookType: "PreSync", HookPhase: "Failed", Message: message}
}

func refusedResource(kind, name, message string) *resource {
	return &resource{Kind: kind, Name: name, Status: "SyncFailed", Message: message}
}

const denied = `deployments.apps "web" is forbidden: ValidatingAdmissionPolicy 'seedling-previews-pods' with binding 'seedling-previews-pods' denied request: `

func TestFailure(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		app   *argocd.Application
		why   string
		known bool
	}{
		"synced":     {ended("Succeeded", "successfully synced"), "", true},
		"goes on":    {ended("Running", "waiting for completion of hook"), "", false},
		"a hook":     {ended("Failed", "one or more synchronization tasks completed unsuccessfully", hook("Job", "preview-restore", "Job has reached the specified backoff limit")), "hook Job preview-restore failed: it failed as often as it may; its pod's log says why", true},
		"exit 2":     {ended("Failed", "", hook("Job", "preview-restore", "Container preview-restore for pod x/y failed with exit code 2 matching FailJob rule at index 0")), "hook Job preview-restore failed: it ended with exit code 2, which no retry mends", true},
		"our policy": {ended("Failed", "", refusedResource("Deployment", "web", denied+"priorityClassName must be seedling-preview")), "Deployment web was not applied: priorityClassName must be seedling-preview", true},
		"quota": {
			ended("Failed", "", refusedResource("Service", "web", `services "web" is forbidden: exceeded quota: seedling, requested: services=1, used: services=20, limited: services=20`)),
			"Service web was not applied: the preview's quota is exceeded, requested: services=1", true,
		},
		"tried again": {func() *argocd.Application {
			a := ended("Running", "", refusedResource("Service", "web", `no matches for kind "X"`))
			a.Status.OperationState.RetryCount = 1
			return a
		}(), "Service web was not applied: the cluster does not know its kind; it is tried again", true},
		"its next try goes on": {func() *argocd.Application {
			a := ended("Running", "waiting for completion of hook", &resource{Kind: "Job", Name: "x", HookType: "PreSync", HookPhase: "Running"})
			a.Status.OperationState.RetryCount = 1
			return a
		}(), "", false},
		"more than are named": {
			ended("Failed", "", refusedResource("Service", "a", ""), refusedResource("Service", "b", ""), refusedResource("Service", "c", "")),
			"Service a was not applied; Service b was not applied; and 1 more", true,
		},
		"an operation's own error": {ended("Error", "ComparisonError: kustomize said: password=hunter2"), "the sync failed, and Argo CD says why in the Application", true},
		"of an older head": {syncing(func(a *argocd.Application) {
			*a = *ended("Failed", "")
			a.Status.OperationState.SyncResult.Revisions[0] = oldHead
		}), "", true},
		"cannot be built": {syncing(func(a *argocd.Application) {
			a.Status.Conditions = []argocd.ApplicationCondition{{Type: argocd.ConditionComparisonError}}
		}), "its manifests cannot be built or compared; Argo CD says why in Application preview-shop-1-0123456789", true},
		"no commit is asked for": {syncing(func(a *argocd.Application) { a.Spec.Sources[0].TargetRevision = "main" }), "", false},
		"nothing at all":         {&argocd.Application{}, "", false},
	} {
		_, why, known := failure(c.app)
		if diff := cmp.Diff(c.why, why); diff != "" || known != c.known {
			t.Errorf("%s: known %v\n%s", name, known, diff)
		}
	}
}

// A commit status may be public. Nothing that an API server or a tool quotes gets
// into it, whatever an author makes them quote.
func TestFailureQuotesNoValue(t *testing.T) {
	t.Parallel()
	const secret = "hunter2"
	for name, r := range map[string]*resource{
		"a patch":             refusedResource("Secret", "postgres", `error when applying patch: {"data":{"password":"hunter2"}} to: Resource: "/v1, Resource=secrets"`),
		"an invalid value":    refusedResource("Deployment", "web", `Deployment.apps "web" is invalid: spec.template.spec.containers[0].env[0].value: Invalid value: "hunter2": no`),
		"a value of a number": refusedResource("Deployment", "web", `Deployment.apps "web" is invalid: spec.replicas: Invalid value: hunter2`),
		"a hook's log":        hook("Job", "migrate", "hunter2"),
		"a Secret's policy":   refusedResource("Secret", "x", `secrets "x" is forbidden: ValidatingAdmissionPolicy 'seedling-previews-sizes' with binding 'seedling-previews-sizes' denied request: hunter2`),
		"a forged policy":     refusedResource("Deployment", "web", `error: x "hunter2 `+denied+`hunter2"`),
		"another's policy":    refusedResource("Deployment", "web", strings.ReplaceAll(denied, "seedling-", "acme-")+secret),
		"a name":              refusedResource("Deployment", "Hunter2 hunter2", ""),
		"a kind":              refusedResource("hunter2 or so", "web", ""),
		"a quota's name":      refusedResource("Pod", "x", `exceeded quota: Hunter2 hunter2, requested: pods=1, used: pods=1`),
		"a panicking tool":    refusedResource("Deployment", "web", "panic: hunter2\ngoroutine 1"),
	} {
		_, why, _ := failure(ended("Failed", r.Message, r))
		if strings.Contains(strings.ToLower(why), secret) {
			t.Errorf("%s: %s", name, why)
		}
	}
}

// What our own policies say may hold what an author named: it is a plain text of
// bounded length.
func TestFailureIsAPlainText(t *testing.T) {
	t.Parallel()
	for name, say := range map[string]string{
		"long":      strings.Repeat("host x is not the preview's own; ", 1000),
		"one word":  strings.Repeat("ü", 1000),
		"markup":    "<img src=x onerror=1> [a](javascript:b) `x` @everyone",
		"turned":    "a\u202eb\u200bc\u2066",
		"control":   "a\x1b[31mb\x00\x7f",
		"two lines": "one\ntwo",
		"not UTF-8": "a\xff\xfeb",
	} {
		_, why, _ := failure(ended("Failed", "", refusedResource("Deployment", "web", denied+say), hook("Job", "x", ""), hook("Job", "y", "")))
		if len(why) > longest || !utf8.ValidString(why) || strings.ContainsAny(why, "<>`[]@\n\x00\x1b\u202e\u200b\u2066") || strings.Contains(why, "two") {
			t.Errorf("%s: %d bytes: %q", name, len(why), why)
		}
	}
}

// What an Application tells is told, and of others' nothing.
func TestSee(t *testing.T) {
	t.Parallel()
	var said []string
	e := &Ender{
		Ours:   func(name string) bool { return name == "preview-shop-1-0123456789" },
		Failed: func(name, commit, why string) { said = append(said, "failed "+name+" "+commit[:1]+" "+why) },
		Gone:   func(name string) { said = append(said, "gone "+name) },
	}
	if !e.see(syncing(nil), false) {
		t.Error("an outdated sync of ours is not ended")
	}
	if e.see(syncing(func(a *argocd.Application) { a.Name = "preview-shop-2-0123456789" }), false) {
		t.Error("an outdated sync of another plugin's preview is ended")
	}
	e.see(ended("Failed", "", hook("Job", "x", "")), false)
	e.see(syncing(nil), true)
	want := []string{
		"failed preview-shop-1-0123456789 b ", "failed preview-shop-2-0123456789 b ",
		"failed preview-shop-1-0123456789 b hook Job x failed", "gone preview-shop-1-0123456789",
	}
	if diff := cmp.Diff(want, said); diff != "" {
		t.Error(diff)
	}
}
