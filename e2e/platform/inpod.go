package platform

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/tools/remotecommand"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// RunInPlugin runs a command of the plugin in its pod, as kubectl exec does. The
// error is for a command that was not run, or ended with another code than 0.
func (p *Platform) RunInPlugin(ctx context.Context, stdin io.Reader, args ...string) (stdout, stderr string, err error) {
	fail := func(err error) (string, string, error) {
		return "", "", fmt.Errorf("run plugin %q in its pod: %w", args, err)
	}
	var pods corev1.PodList
	if err := p.Kube.List(ctx, &pods, client.InNamespace(PluginNamespace), client.MatchingLabels{"app.kubernetes.io/name": "plugin"}); err != nil {
		return fail(err)
	}
	if len(pods.Items) != 1 {
		return fail(fmt.Errorf("there are %d of them", len(pods.Items)))
	}
	config := p.Cluster.REST()
	clients, err := kubernetes.NewForConfig(config)
	if err != nil {
		return fail(err)
	}
	request := clients.CoreV1().RESTClient().Post().Resource("pods").Namespace(PluginNamespace).Name(pods.Items[0].Name).SubResource("exec").
		VersionedParams(&corev1.PodExecOptions{
			Command: append([]string{"/usr/local/bin/plugin"}, args...), Stdin: stdin != nil, Stdout: true, Stderr: true,
		}, scheme.ParameterCodec)
	executor, err := remotecommand.NewSPDYExecutor(config, http.MethodPost, request.URL())
	if err != nil {
		return fail(err)
	}
	var out, said bytes.Buffer
	if err := executor.StreamWithContext(ctx, remotecommand.StreamOptions{Stdin: stdin, Stdout: &out, Stderr: &said}); err != nil {
		return out.String(), said.String(), fmt.Errorf("run plugin %q in its pod: %w: %s", args, err, said.String())
	}
	return out.String(), said.String(), nil
}
