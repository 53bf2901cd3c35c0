package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
)

const (
	veleroBucket = "velero"
	s3Region     = "us-east-1"
)

// veleroFlags make Velero quick enough for previews; each is a setting that
// the README advises.
var veleroFlags = []string{
	"--item-operation-sync-frequency=1s",
	"--disable-informer-cache=true",
	"--terminating-resource-timeout=60s",
	"--resource-timeout=3m",
	"--concurrent-backups=2",
	"--garbage-collection-frequency=10m",
}

// applyVelero installs what `velero install` installs, with images and flags
// of ours.
func (s *start) applyVelero(ctx context.Context, a *applier, c *Cluster) error {
	if err := makeBucket(ctx, c.S3(), veleroBucket); err != nil {
		return fmt.Errorf("install Velero: %w", err)
	}
	secret, err := os.CreateTemp("", "seedling-velero-")
	if err != nil {
		return err
	}
	defer os.Remove(secret.Name())
	_, err = fmt.Fprintf(secret, "[default]\naws_access_key_id=%s\naws_secret_access_key=%s\n", adminUser, adminPassword)
	if err := errors.Join(err, secret.Close()); err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, filepath.Join(s.built["velero"], "velero"), "install", "--kubeconfig="+c.Kubeconfig(),
		"--dry-run", "--output=yaml", "--provider=aws", "--features=EnableCSI", "--use-volume-snapshots=false",
		"--image="+s.image["velero"], "--plugins="+s.image["velero"], "--bucket="+veleroBucket, "--secret-file="+secret.Name(),
		"--backup-location-config=region="+s3Region+",s3ForcePathStyle=true,s3Url="+s3InCluster)
	manifests, err := output(cmd)
	if err != nil {
		return fmt.Errorf("install Velero: %w", err)
	}
	all, err := Objects([]byte(manifests))
	if err != nil {
		return fmt.Errorf("install Velero: %w", err)
	}
	for _, u := range all {
		if u.GetKind() == "Deployment" && u.GetName() == "velero" {
			if err := adaptVelero(u); err != nil {
				return fmt.Errorf("install Velero: %w", err)
			}
		}
	}
	if err := a.apply(ctx, all); err != nil {
		return fmt.Errorf("install Velero: %w", err)
	}
	return nil
}

// adaptVelero sets the flags, and drops the init container that would copy the
// plugin: it is in our image already.
func adaptVelero(u *unstructured.Unstructured) error {
	var d appsv1.Deployment
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(u.Object, &d); err != nil {
		return err
	}
	pod := &d.Spec.Template.Spec
	if len(pod.Containers) != 1 {
		return fmt.Errorf("expected one container in Velero's Deployment, found %d", len(pod.Containers))
	}
	pod.InitContainers = nil
	velero := &pod.Containers[0]
	velero.ImagePullPolicy = corev1.PullIfNotPresent
	velero.Args = append(velero.Args, veleroFlags...)
	velero.Env = append(velero.Env, corev1.EnvVar{Name: "CSI_SNAPSHOT_EARLY_FREQUENT_POLLING", Value: "true"})
	velero.Resources = corev1.ResourceRequirements{}
	mounts := velero.VolumeMounts[:0]
	for _, m := range velero.VolumeMounts {
		if m.Name != "plugins" {
			mounts = append(mounts, m)
		}
	}
	velero.VolumeMounts = mounts
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(&d)
	if err != nil {
		return err
	}
	u.Object = content
	u.SetAPIVersion("apps/v1")
	u.SetKind("Deployment")
	unstructured.RemoveNestedField(u.Object, "status")
	return nil
}

// makeBucket creates a bucket unless it is there.
func makeBucket(ctx context.Context, e Endpoint, name string) error {
	client := s3.New(s3.Options{
		BaseEndpoint: aws.String(e.URL), Region: s3Region, UsePathStyle: true,
		Credentials: credentials.NewStaticCredentialsProvider(e.User, e.Password, ""),
	})
	return poll(ctx, "bucket "+name, func(ctx context.Context) error {
		_, err := client.CreateBucket(ctx, &s3.CreateBucketInput{Bucket: aws.String(name)})
		var owned *types.BucketAlreadyOwnedByYou
		var exists *types.BucketAlreadyExists
		if errors.As(err, &owned) || errors.As(err, &exists) {
			return nil
		}
		return err
	})
}
