package cluster

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
)

// Load copies images from the Docker engine into the cluster, for pods with
// imagePullPolicy IfNotPresent or Never. Images that are there already are
// skipped, so a changed image needs a new tag.
func (c *Cluster) Load(ctx context.Context, images ...string) error {
	there, err := c.Exec(ctx, "ctr", "--namespace", "k8s.io", "images", "list", "--quiet")
	if err != nil {
		return fmt.Errorf("list the cluster's images: %w", err)
	}
	held := map[string]bool{}
	for line := range strings.Lines(there) {
		held[strings.TrimSpace(line)] = true
	}
	var missing []string
	for _, image := range images {
		// A tag that moves may mean another image now.
		if !held[canonical(image)] || strings.HasSuffix(image, ":dev") {
			missing = append(missing, image)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	save := exec.CommandContext(ctx, "docker", append([]string{"save"}, missing...)...)
	load := exec.CommandContext(ctx, "docker", "exec", "--interactive", containerName(c.name),
		"ctr", "--namespace", "k8s.io", "images", "import", "-")
	// The system's own pipe: when one end fails, the other ends too.
	read, write, err := os.Pipe()
	if err != nil {
		return err
	}
	var saveSaid, loadSaid bytes.Buffer
	save.Stdout, save.Stderr = write, &saveSaid
	load.Stdin, load.Stderr = read, &loadSaid
	errSave, errLoad := save.Start(), load.Start()
	write.Close()
	read.Close()
	if errSave == nil {
		errSave = save.Wait()
	}
	if errLoad == nil {
		errLoad = load.Wait()
	}
	if errSave != nil {
		errSave = &RunError{Command: save.Args, Output: saveSaid.String(), Inner: errSave}
	}
	if errLoad != nil {
		errLoad = &RunError{Command: load.Args, Output: loadSaid.String(), Inner: errLoad}
	}
	if err := errors.Join(errSave, errLoad); err != nil {
		return fmt.Errorf("load %s into the cluster: %w", strings.Join(missing, ", "), err)
	}
	return nil
}

// canonical is the name under which containerd holds an image.
func canonical(ref string) string {
	if first, _, found := strings.Cut(ref, "/"); found && strings.ContainsAny(first, ".:") {
		return ref
	} else if found {
		return "docker.io/" + ref
	}
	return "docker.io/library/" + ref
}
