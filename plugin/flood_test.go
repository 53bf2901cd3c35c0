package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/seedling-dev/seedling/hooks/snapshot"
	"github.com/seedling-dev/seedling/plugin/broker"
	"github.com/seedling-dev/seedling/plugin/forge"
	"github.com/seedling-dev/seedling/plugin/preview"
	"github.com/seedling-dev/seedling/plugin/server"
	"github.com/seedling-dev/seedling/plugin/web"
)

// floodMemory is the most that the process may have had at once, in bytes.
const floodMemory = 128 << 20

// TestFloodedServer is the other process of TestFloodsTakeLittleMemory: the two
// listeners that strangers reach, with a forge and an API server that refuse.
func TestFloodedServer(t *testing.T) { //nolint:paralleltest // it is alone in its process
	if os.Getenv("SEEDLING_FLOODED") == "" {
		t.Skip("it is run by TestFloodsTakeLittleMemory")
	}
	quiet := slog.New(slog.DiscardHandler)
	gitea, err := forge.New(forge.Config{Name: "gitea", Type: "gitea", URL: "http://127.0.0.1:1", CredentialFile: os.Args[0], WebhookSecretFile: os.Getenv("SEEDLING_FLOODED")})
	if err != nil {
		t.Fatal(err)
	}
	webhooks := server.Engine(quiet)
	(&web.Webhooks{Forges: map[string]forge.Forge{"gitea": gitea}, Log: quiet}).Register(webhooks)
	restore := broker.New(broker.Options{
		Reviewer: refusing{}, Previews: oneLive{}, Ready: func() error { return nil }, Log: quiet,
	})
	listeners := []server.Listener{
		{Name: "webhook", Address: "127.0.0.1:0", Handler: webhooks},
		{Name: "broker", Address: "127.0.0.1:0", Handler: restore},
	}
	open, err := server.Listen(t.Context(), listeners)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(os.Stdout, "\nlistening %s %s\n", open[0].Addr(), open[1].Addr())
	ctx, stop := context.WithCancel(t.Context())
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		stop()
	}()
	if err := server.Serve(ctx, quiet, listeners, open); err != nil {
		t.Error(err)
	}
}

type refusing struct{}

func (refusing) Review(context.Context, string) (broker.Caller, error) {
	return broker.Caller{}, broker.ErrUnauthenticated
}

type oneLive struct{ broker.Previews }

func (oneLive) Live(namespace string) (preview.Preview, bool) {
	return preview.Preview{Namespace: namespace, HookUID: "uid"}, namespace == "preview-a"
}

// Neither bodies that nobody signed nor tokens that nobody gave out take the
// memory of the process.
func TestFloodsTakeLittleMemory(t *testing.T) {
	t.Parallel()
	secret := t.TempDir() + "/secret"
	if err := os.WriteFile(secret, []byte("a secret of a webhook"), 0o600); err != nil {
		t.Fatal(err)
	}
	child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestFloodedServer$")
	child.Env = append(os.Environ(), "SEEDLING_FLOODED="+secret)
	stdin, err := child.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	var webhook, restore string
	for lines := bufio.NewScanner(stdout); lines.Scan(); {
		if n, _ := fmt.Sscanf(lines.Text(), "listening %s %s", &webhook, &restore); n == 2 {
			break
		}
	}
	go func() { _, _ = io.Copy(io.Discard, stdout) }()

	t.Logf("%d MiB before", peakMemory(t, child.Process.Pid)>>20)
	body := bytes.Repeat([]byte("x"), 5<<20)
	signature := "X-Gitea-Signature: " + strings.Repeat("00", 32) + "\r\n"
	claims := fmt.Sprintf(`{"aud":"seedling","kubernetes.io":{"namespace":"preview-a","serviceaccount":{"name":%q,"uid":%q}}}`, snapshot.HookServiceAccount, types.UID("uid"))
	token := "e30." + base64.RawURLEncoding.EncodeToString([]byte(claims)) + "." + strings.Repeat("x", 6<<10)
	var group sync.WaitGroup
	for range 120 {
		for _, head := range []string{
			"Content-Length: 5242880\r\n",                        // not signed
			signature + "Content-Length: 5242880\r\n",            // and too large
			signature + "Content-Length: 1048576\r\n",            // as large as may be
			signature + "Transfer-Encoding: chunked\r\n",         // larger than it says
			"X-Padding: " + strings.Repeat("x", 15<<10) + "\r\n", // headers alone
		} {
			group.Go(func() { send(t.Context(), webhook, "/webhook/gitea", head, body) })
		}
	}
	for range 8 {
		group.Go(func() {
			for range 500 {
				send(t.Context(), restore, snapshot.RestorePath, "Authorization: Bearer "+token+"\r\nContent-Length: 0\r\n", nil)
			}
		})
	}
	group.Wait()

	peak := peakMemory(t, child.Process.Pid)
	_ = stdin.Close()
	if err := child.Wait(); err != nil {
		t.Errorf("the flooded process: %v", err)
	}
	t.Logf("at most %d MiB", peak>>20)
	if peak > floodMemory {
		t.Errorf("the process took %d MiB", peak>>20)
	}
}

// send makes one call by hand, as no client would: it goes on sending a body
// whatever is answered, and ends when the other side does.
func send(ctx context.Context, address, path, head string, body []byte) {
	c, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
	if err != nil {
		return
	}
	defer func() { _ = c.Close() }()
	_ = c.SetDeadline(time.Now().Add(30 * time.Second))
	go func() {
		_, err := io.WriteString(c, "POST "+path+" HTTP/1.1\r\nHost: plugin\r\n"+head+"\r\n")
		if err == nil && strings.Contains(head, "chunked") {
			_, err = fmt.Fprintf(c, "%x\r\n", len(body))
		}
		if err == nil {
			_, _ = c.Write(body)
		}
	}()
	answer, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err == nil {
		_, _ = io.Copy(io.Discard, answer.Body)
		_ = answer.Body.Close()
	}
}

// peakMemory is the most memory of its own that a process had: without the pages
// of its program, which the kernel may drop at any time.
func peakMemory(t *testing.T, pid int) int64 {
	t.Helper()
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/status")
	if err != nil {
		t.Fatal(err)
	}
	kib := map[string]int64{}
	for line := range strings.Lines(string(b)) {
		if name, value, ok := strings.Cut(line, ":"); ok {
			kib[name], _ = strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 10, 64)
		}
	}
	if kib["VmHWM"] == 0 || kib["RssFile"] == 0 {
		t.Fatalf("the kernel does not say how much memory it had:\n%s", b)
	}
	return (kib["VmHWM"] - kib["RssFile"]) << 10
}
