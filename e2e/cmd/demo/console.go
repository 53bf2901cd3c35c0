package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"golang.org/x/term"
)

// console writes for people: the same lines on a terminal and in a CI log, with
// colour on the former.
type console struct {
	mu     sync.Mutex
	out    io.Writer
	colour bool
	began  time.Time
	step   int
	since  time.Time
}

func newConsole(out io.Writer) *console {
	f, ok := out.(*os.File)
	return &console{
		out: out, began: time.Now(),
		colour: ok && term.IsTerminal(int(f.Fd())) && os.Getenv("NO_COLOR") == "",
	}
}

const (
	bold  = "\x1b[1m"
	dim   = "\x1b[2m"
	green = "\x1b[32m"
	red   = "\x1b[31m"
	plain = "\x1b[0m"
)

func (c *console) paint(colour, s string) string {
	if !c.colour {
		return s
	}
	return colour + s + plain
}

func (c *console) printf(format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	fmt.Fprintf(c.out, format, args...)
}

// title begins a numbered step.
func (c *console) title(text string) {
	c.step++
	c.since = time.Now()
	c.printf("\n%s\n", c.paint(bold, fmt.Sprintf("%d  %s", c.step, text)))
}

// done says that something is, and how long it took.
func (c *console) done(took time.Duration, format string, args ...any) {
	c.printf("   %s %-70s %s\n", c.paint(green, "✓"), fmt.Sprintf(format, args...), c.paint(dim, seconds(took)))
}

// note says something beside.
func (c *console) note(format string, args ...any) {
	c.printf("     %s\n", c.paint(dim, fmt.Sprintf(format, args...)))
}

// table writes rows in columns, none wider than said; the first row is their
// head.
func (c *console) table(rows [][]string, widest ...int) {
	width := map[int]int{}
	for _, row := range rows {
		for i, cell := range row {
			if i < len(widest) {
				row[i] = shorten(cell, widest[i])
			}
			width[i] = max(width[i], utf8.RuneCountInString(row[i]))
		}
	}
	for r, row := range rows {
		var line strings.Builder
		for i, cell := range row {
			line.WriteString(cell)
			if i < len(row)-1 {
				line.WriteString(strings.Repeat(" ", width[i]-utf8.RuneCountInString(cell)+2))
			}
		}
		text := strings.TrimRight(line.String(), " ")
		if r == 0 {
			text = c.paint(dim, text)
		}
		c.printf("     %s\n", text)
	}
}

// shorten cuts a cell to its column, and keeps it on one line.
func shorten(s string, most int) string {
	s = strings.Join(strings.Fields(s), " ")
	if r := []rune(s); len(r) > most {
		return string(r[:most-1]) + "…"
	}
	return s
}

func seconds(d time.Duration) string {
	switch {
	case d >= time.Minute:
		return fmt.Sprintf("%d min %02d s", int(d.Minutes()), int(d.Seconds())%60)
	default:
		return fmt.Sprintf("%.1f s", d.Seconds())
	}
}

// megabytes in the units of storage vendors.
func megabytes(n int64) string { return fmt.Sprintf("%.0f MB", float64(n)/1e6) }

// millions of rows.
func millions(n int64) string { return fmt.Sprintf("%.1f M", float64(n)/1e6) }

// handler makes what the cluster and the platform log part of the story.
func (c *console) handler() slog.Handler { return &lines{console: c} }

type lines struct {
	console *console
	attrs   []slog.Attr
}

func (l *lines) Enabled(_ context.Context, level slog.Level) bool { return level >= slog.LevelInfo }

func (l *lines) Handle(_ context.Context, r slog.Record) error {
	var took time.Duration
	var ended bool
	var rest []string
	each := func(a slog.Attr) bool {
		switch {
		case a.Key == "took" && a.Value.Kind() == slog.KindDuration:
			took, ended = a.Value.Duration(), true
		default:
			rest = append(rest, a.Key+" "+a.Value.String())
		}
		return true
	}
	for _, a := range l.attrs {
		each(a)
	}
	r.Attrs(each)
	text := r.Message
	if len(rest) > 0 {
		text += " (" + strings.Join(rest, ", ") + ")"
	}
	switch {
	case r.Level >= slog.LevelWarn:
		l.console.printf("   %s %s\n", l.console.paint(red, "!"), text)
	case ended:
		l.console.done(took, "%s", text)
	default:
		l.console.printf("   %s %s\n", l.console.paint(dim, "·"), text)
	}
	return nil
}

func (l *lines) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &lines{l.console, append(slices.Clip(l.attrs), attrs...)}
}

func (l *lines) WithGroup(string) slog.Handler { return l }
