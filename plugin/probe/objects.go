package probe

import (
	"net"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const (
	// label says which of the two a pod is.
	label  = "seedling.dev/probe"
	server = "server"
	client = "client"
	// program is the plugin's, in its image.
	program = "/usr/local/bin/plugin"
	// lifetime bounds the pods of a probe that was killed.
	lifetime = 600
)

func namespace(name string) *corev1.Namespace {
	return &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{
		Name: name,
		Labels: map[string]string{
			label: "true", "app.kubernetes.io/part-of": "seedling",
			"pod-security.kubernetes.io/enforce": "restricted",
			// A mesh's sidecar would take every connection, whatever comes of it.
			"istio-injection": "disabled",
		},
		Annotations: map[string]string{"linkerd.io/inject": "disabled"},
	}}
}

// pod is a server, which both are. Where dial names an address, its readiness
// is whether that is reached.
func pod(space, role, image, dial string) *corev1.Pod {
	container := corev1.Container{
		Name: role, Image: image, Args: []string{ServeVerb},
		ImagePullPolicy: corev1.PullIfNotPresent,
		Resources: corev1.ResourceRequirements{
			Requests: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("10m"), corev1.ResourceMemory: resource.MustParse("64Mi")},
			Limits:   corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("256Mi")},
		},
		SecurityContext: &corev1.SecurityContext{
			AllowPrivilegeEscalation: new(false), ReadOnlyRootFilesystem: new(true),
			Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
		},
	}
	if dial != "" {
		container.ReadinessProbe = &corev1.Probe{
			ProbeHandler:  corev1.ProbeHandler{Exec: &corev1.ExecAction{Command: []string{program, DialVerb, net.JoinHostPort(dial, Port)}}},
			PeriodSeconds: 1, TimeoutSeconds: 5,
			// Some engines refuse a new pod's first connection.
			FailureThreshold: 2,
		}
	}
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: space, Name: role, Labels: map[string]string{label: role, "app.kubernetes.io/part-of": "seedling"},
			Annotations: map[string]string{"sidecar.istio.io/inject": "false", "linkerd.io/inject": "disabled"},
		},
		Spec: corev1.PodSpec{
			RestartPolicy:                 corev1.RestartPolicyNever,
			ActiveDeadlineSeconds:         new(int64(lifetime)),
			TerminationGracePeriodSeconds: new(int64(1)),
			AutomountServiceAccountToken:  new(false),
			EnableServiceLinks:            new(false),
			SecurityContext: &corev1.PodSecurityContext{
				RunAsNonRoot: new(true), RunAsUser: new(int64(65532)), RunAsGroup: new(int64(65532)),
				SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
			},
			Containers: []corev1.Container{container},
		},
	}
}

// deny is a policy that permits a pod nothing in one direction.
func deny(space, role string, direction networkingv1.PolicyType) *networkingv1.NetworkPolicy {
	return &networkingv1.NetworkPolicy{
		ObjectMeta: metav1.ObjectMeta{Namespace: space, Name: "deny-" + role},
		Spec: networkingv1.NetworkPolicySpec{
			PodSelector: metav1.LabelSelector{MatchLabels: map[string]string{label: role}},
			PolicyTypes: []networkingv1.PolicyType{direction},
		},
	}
}
