package restore

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/seedling-dev/seedling/hooks/command"
	"github.com/seedling-dev/seedling/hooks/snapshot"
)

// Options is what preview-restore is asked for.
type Options struct {
	// Broker is the broker's URL, without a path.
	Broker string
	// TokenFile holds the projected ServiceAccount token. The kubelet replaces
	// it before it expires, so it is read anew for each request.
	TokenFile string
	// Timeout bounds the whole wait.
	Timeout time.Duration
}

// Validate says everything that is wrong with the options at once.
func (o Options) Validate() error {
	var wrong []error
	u, err := url.Parse(o.Broker)
	switch {
	case err != nil, u.Scheme != "http" && u.Scheme != "https", u.Host == "", u.User != nil, u.RawQuery != "", u.Fragment != "", strings.Trim(u.Path, "/") != "":
		wrong = append(wrong, errors.New("--broker must be a URL like http://plugin.seedling.svc:8081, without a path"))
	}
	if o.TokenFile == "" {
		wrong = append(wrong, errors.New("--token-file is empty"))
	}
	if o.Timeout <= 0 {
		wrong = append(wrong, fmt.Errorf("--timeout is %s: it must be positive", o.Timeout))
	}
	return command.Misconfigured(errors.Join(wrong...))
}

// Limits of one request.
const (
	requestTimeout = 30 * time.Second
	maxReply       = 64 << 10
	maxSentence    = 500
	// Pauses: what the broker asks for within bounds, or these.
	defaultPause = 2 * time.Second
	errorPause   = 5 * time.Second
	maxPause     = 30 * time.Second
	// A network policy's engine may need a moment for a new pod, and drops or
	// refuses its first connections. So the first tries are short and follow
	// each other closely.
	firstPause   = 100 * time.Millisecond
	firstConnect = 500 * time.Millisecond
	maxConnect   = 10 * time.Second
)

// Transport is the one for Run: it gives up a first connection soon, and is
// more patient each time one fails. It uses no proxy, which would see the token.
func Transport() http.RoundTripper {
	var failed atomic.Int32
	return &http.Transport{
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			dialer := net.Dialer{Timeout: doubled(firstConnect, int(failed.Load()), maxConnect)}
			conn, err := dialer.DialContext(ctx, network, address)
			if err != nil {
				failed.Add(1)
			}
			return conn, err
		},
		TLSHandshakeTimeout: maxConnect,
		IdleConnTimeout:     time.Minute,
	}
}

func doubled(first time.Duration, times int, most time.Duration) time.Duration {
	return min(first<<min(times, 16), most)
}

// Run asks until the volume is there, and returns the broker's last reply.
func Run(ctx context.Context, log *slog.Logger, o Options, transport http.RoundTripper) (snapshot.RestoreReply, error) {
	if err := o.Validate(); err != nil {
		return snapshot.RestoreReply{}, err
	}
	a := asker{
		url:       strings.TrimRight(o.Broker, "/") + snapshot.RestorePath,
		tokenFile: o.TokenFile,
		client: &http.Client{
			Transport: transport,
			Timeout:   requestTimeout,
			// A redirect would carry the token elsewhere.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
	start := time.Now()
	a.wait = &command.Wait{Status: command.NewStatus(log), Timeout: o.Timeout}
	if err := a.wait.Until(ctx, a.ask); err != nil {
		return a.reply, fmt.Errorf("restore this preview's volume: %w", err)
	}
	log.Info("the volume is there", "snapshot", a.reply.Snapshot, "broker", a.reply.Message, "took", time.Since(start).Round(100*time.Millisecond))
	return a.reply, nil
}

type asker struct {
	url, tokenFile string
	client         *http.Client
	wait           *command.Wait
	reply          snapshot.RestoreReply
	// unheard counts the requests since the last one that was answered.
	unheard int
}

// ask sends one request.
func (a *asker) ask(ctx context.Context) (pending string, err error) {
	a.wait.Every = errorPause
	token, err := readToken(a.tokenFile)
	if err != nil {
		return "", err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, a.url, http.NoBody)
	if err != nil {
		return "", command.Misconfigured(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Accept", "application/json")
	resp, err := a.client.Do(req)
	if err != nil {
		a.wait.Every = doubled(firstPause, a.unheard, errorPause)
		a.unheard++
		return "the broker does not answer: " + sentence(err.Error()), nil
	}
	a.unheard = 0
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxReply))
	if err != nil {
		return "the broker's answer broke off: " + sentence(err.Error()), nil
	}
	var reply snapshot.RestoreReply
	valid := json.Unmarshal(body, &reply) == nil && (reply.Message != "" || reply.Snapshot != "")
	if valid {
		reply.Message = sentence(reply.Message)
		a.reply = reply
	} else {
		reply.Message = http.StatusText(resp.StatusCode)
	}
	return a.judge(resp, reply, valid)
}

// judge decides what an answer means; the codes are those of
// snapshot.RestoreReply.
func (a *asker) judge(resp *http.Response, reply snapshot.RestoreReply, valid bool) (pending string, err error) {
	code := resp.StatusCode
	switch {
	case code == http.StatusOK && valid:
		return "", nil
	case code == http.StatusOK:
		// Something between us answers in the broker's place.
		return "the answer was 200 but not the broker's", nil
	case code == http.StatusAccepted:
		a.wait.Every = pause(resp, defaultPause)
		if reply.Place > 0 {
			return fmt.Sprintf("%s (place %d)", reply.Message, reply.Place), nil
		}
		return reply.Message, nil
	case code == http.StatusUnauthorized, code == http.StatusForbidden:
		return "", command.Misconfiguredf("the broker refuses this preview's token (%d): %s", code, reply.Message)
	case code == http.StatusConflict:
		return "", command.Misconfiguredf("the preview holds a volume that is not ours: %s", reply.Message)
	case code == http.StatusUnprocessableEntity && valid:
		return "", command.Misconfiguredf("the volume is there, and Postgres does not start on it: %s", reply.Message)
	case code == http.StatusTooManyRequests, code == http.StatusRequestTimeout, code >= 500:
		a.wait.Every = pause(resp, errorPause)
		return fmt.Sprintf("the broker cannot serve now (%d): %s", code, reply.Message), nil
	default:
		return "", command.Misconfiguredf("%s answers %d: it is not the broker", a.url, code)
	}
}

// pause is what Retry-After asks for, in seconds, within bounds.
func pause(resp *http.Response, otherwise time.Duration) time.Duration {
	seconds, err := strconv.Atoi(strings.TrimSpace(resp.Header.Get("Retry-After")))
	if err != nil || seconds < 1 {
		return otherwise
	}
	return min(time.Duration(seconds)*time.Second, maxPause)
}

// readToken reads the projected token. Neither it nor anything derived from it
// is ever in an error.
func readToken(file string) (string, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return "", command.Misconfiguredf("read the token: %w", err)
	}
	b = bytes.TrimSpace(b)
	if len(b) == 0 || bytes.ContainsAny(b, " \t\r\n\x00") {
		return "", command.Misconfiguredf("read the token: %s holds no ServiceAccount token", file)
	}
	return string(b), nil
}

// sentence makes one line of bounded length of a text from elsewhere.
func sentence(s string) string {
	s = command.OneLine(strings.ToValidUTF8(s, "?"))
	if len(s) > maxSentence {
		s = strings.ToValidUTF8(s[:maxSentence], "") + "..."
	}
	return s
}
