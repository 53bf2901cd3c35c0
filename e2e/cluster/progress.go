package cluster

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
)

// progress tells how far the builds of other people's programs are, counted in
// packages: what is to be compiled, each once, though several programs are
// made from it. A link counts as many packages as it takes as long.
type progress struct {
	mu       sync.Mutex
	began    time.Time
	packages map[string][]string // upstream -> what it is made from
	total    int
	done     map[string]bool
	building map[string]map[string]bool // upstream -> what go said that it compiles
}

// linkCost is how many packages a link takes as long as.
const linkCost = 40

// newProgress begins to count; packages says what each upstream that has to be
// built is made from.
func newProgress(packages map[string][]string, links map[string]int) *progress {
	p := &progress{began: time.Now(), packages: map[string][]string{}, done: map[string]bool{}, building: map[string]map[string]bool{}}
	all := map[string]bool{}
	for name, made := range packages {
		for i := range links[name] * linkCost {
			made = append(made, fmt.Sprintf("%s link %d", name, i))
		}
		p.packages[name] = made
		for _, pkg := range made {
			all[pkg] = true
		}
	}
	p.total = len(all)
	return p
}

// compiling returns what to write to what `go build -v` says on its standard
// error: the packages that it compiles, one a line, and what it has to say
// besides.
func (p *progress) compiling(name string) io.Writer {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.building[name] = map[string]bool{}
	return &packageLines{progress: p, name: name}
}

// packageLines counts the packages in what is written to it.
type packageLines struct {
	progress *progress
	name     string
	rest     []byte // of a line that has no end yet
}

func (l *packageLines) Write(said []byte) (int, error) {
	l.rest = append(l.rest, said...)
	for {
		line, rest, whole := bytes.Cut(l.rest, []byte("\n"))
		if !whole {
			return len(said), nil
		}
		l.rest = rest
		if isImportPath(string(line)) {
			l.progress.compiles(l.name, string(line))
		}
	}
}

func (p *progress) compiles(name, pkg string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if compiled, ok := p.building[name]; ok {
		compiled[pkg] = true
	}
}

// built says that an upstream is whole.
func (p *progress) built(name string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, pkg := range p.packages[name] {
		p.done[pkg] = true
	}
	delete(p.building, name)
}

// share is how much is done, of 1.
func (p *progress) share() float64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := len(p.done)
	for _, compiled := range p.building {
		n += len(compiled)
	}
	return min(float64(n)/float64(max(p.total, 1)), 1)
}

// sentence says how far it is, and how long the rest takes at this pace.
func (p *progress) sentence() string {
	share := p.share()
	p.mu.Lock()
	running := strings.Join(slices.Sorted(maps.Keys(p.building)), ", ")
	elapsed := time.Since(p.began)
	p.mu.Unlock()
	text := fmt.Sprintf("%.0f %% of the programs of others are built", 100*share)
	if running != "" {
		text += ", now " + running
	}
	// The first packages are small ones that everything is made from.
	const guessable = 0.05
	if share < guessable {
		return text
	}
	left := time.Duration(float64(elapsed) * (1 - share) / share)
	return fmt.Sprintf("%s; about %d min left", text, int(left.Minutes())+1)
}

// tell logs the sentence now and then, until the context ends.
func (p *progress) tell(ctx context.Context, log *slog.Logger) {
	tick := time.NewTicker(30 * time.Second)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			log.Info(p.sentence())
		case <-ctx.Done():
			return
		}
	}
}

// isImportPath tells a package that go says it compiles from the rest of what
// it says.
func isImportPath(line string) bool {
	return line != "" && !strings.ContainsAny(line, " :#")
}

// withoutChatter is what go said of a failure: not what it fetched and compiled
// before.
func withoutChatter(said string) string {
	var kept []string
	for line := range strings.Lines(said) {
		line = strings.TrimRight(line, "\n")
		if line == "" || isImportPath(line) || strings.HasPrefix(line, "go: downloading ") {
			continue
		}
		kept = append(kept, line)
	}
	return strings.Join(kept, "\n")
}
