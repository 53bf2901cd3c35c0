package main

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/term"

	"github.com/seedling-dev/seedling/hooks/command"
)

// progress shows how an import goes on: a bar on a terminal, otherwise a line
// in the log every few seconds.
type progress struct {
	log       *slog.Logger
	out       io.Writer // the terminal, nil when there is none
	bytesRead atomic.Int64
	rowsRead  atomic.Int64
	mu        sync.Mutex
	step      string
	total     int64
	started   time.Time
	stop      chan struct{}
	done      sync.WaitGroup
	once      sync.Once
}

// Pauses between two signs of life.
const (
	linesEvery = 5 * time.Second
	barEvery   = 200 * time.Millisecond
)

func newProgress(env command.Env) *progress {
	p := &progress{log: env.Log, stop: make(chan struct{})}
	every := linesEvery
	if f, ok := env.Stderr.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		p.out, every = f, barEvery
	}
	p.done.Go(func() {
		tick := time.NewTicker(every)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				p.show()
			case <-p.stop:
				return
			}
		}
	})
	return p
}

func (p *progress) close() {
	p.once.Do(func() {
		close(p.stop)
		p.done.Wait()
		p.clear()
	})
}

func (p *progress) clear() {
	if p.out != nil {
		fmt.Fprint(p.out, "\r\x1b[K")
	}
}

// Start begins a step.
func (p *progress) Start(step string, total int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.step, p.total, p.started = step, total, time.Now()
	p.bytesRead.Store(0)
	p.rowsRead.Store(0)
	p.clear()
	p.log.Info(step)
}

// Read adds stored bytes of the dump.
func (p *progress) Read(n int64) { p.bytesRead.Add(n) }

// Rows adds loaded rows.
func (p *progress) Rows(n int64) { p.rowsRead.Add(n) }

// End ends the step.
func (p *progress) End() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.step == "" {
		return
	}
	p.clear()
	args := []any{"seconds", fmt.Sprintf("%.1f", time.Since(p.started).Seconds())}
	if n := p.rowsRead.Load(); n > 0 {
		args = append(args, "rows", n)
	}
	p.log.Info(p.step+": done", args...)
	p.step = ""
}

func (p *progress) show() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.step == "" {
		return
	}
	read, rows, seconds := p.bytesRead.Load(), p.rowsRead.Load(), time.Since(p.started).Seconds()
	left := "?"
	share := 0.0
	if p.total > 0 {
		share = min(1, float64(read)/float64(p.total))
		if share > 0.02 && share < 1 {
			left = (time.Duration(seconds*(1-share)/share) * time.Second).Round(time.Second).String()
		} else if share == 1 {
			left = "indexes"
		}
	}
	if p.out == nil {
		args := []any{"seconds", int(seconds)}
		if p.total > 0 {
			args = append(args, "percent", int(share*100), "MB", read>>20, "of", p.total>>20, "rows", rows, "rows/s", int64(float64(rows)/max(seconds, 0.1)), "left", left)
		}
		p.log.Info(p.step, args...)
		return
	}
	if p.total == 0 {
		fmt.Fprintf(p.out, "\r\x1b[K%s ... %.0f s", p.step, seconds)
		return
	}
	const width = 30
	full := int(share * width)
	fmt.Fprintf(p.out, "\r\x1b[K%s [%s%s] %3.0f%%  %d of %d MB  %d rows  %.0f rows/s  left %s", p.step,
		strings.Repeat("#", full), strings.Repeat(".", width-full), share*100, read>>20, p.total>>20, rows, float64(rows)/max(seconds, 0.1), left)
}
