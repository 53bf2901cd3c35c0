package cluster

import (
	"fmt"
	"strings"
	"testing"
)

func TestProgressCountsWhatIsShared(t *testing.T) {
	t.Parallel()
	shared := []string{"fmt", "io", "net"}
	p := newProgress(map[string][]string{
		"one": append([]string{"one/main"}, shared...),
		"two": append([]string{"two/main"}, shared...),
	}, map[string]int{"one": 1, "two": 1})
	if want := 5 + 2*linkCost; p.total != want {
		t.Fatalf("total %d, want %d: what both need is compiled once", p.total, want)
	}
	if got := p.share(); got != 0 {
		t.Fatalf("share %v before anything is built", got)
	}
	said := p.compiling("one")
	for _, part := range []string{"fm", "t\nio", "\nnet\ngo: downloading example.com/x v1.0.0\n# one/main\nmain.go:1:2: oops\none/ma"} {
		if _, err := said.Write([]byte(part)); err != nil {
			t.Fatal(err)
		}
	}
	if got, want := p.share(), 3/float64(p.total); got != want {
		t.Errorf("share %v, want %v: three packages were said to be compiled", got, want)
	}
	p.built("one")
	if got, want := p.share(), float64(4+linkCost)/float64(p.total); got != want {
		t.Errorf("share %v, want %v: one is whole", got, want)
	}
	if got := p.sentence(); !strings.Contains(got, " min left") || strings.Contains(got, "one") {
		t.Errorf("sentence %q", got)
	}
	p.built("two")
	if got := p.share(); got != 1 {
		t.Errorf("share %v when all is built", got)
	}
}

func TestFailureOfABuildIsShort(t *testing.T) {
	t.Parallel()
	var said strings.Builder
	for i := range 50 {
		fmt.Fprintf(&said, "go: downloading example.com/m%d v1.0.0\nexample.com/m%d/internal\n", i, i)
	}
	said.WriteString("# example.com/broken\nbroken.go:3:1: syntax error\n")
	if got, want := withoutChatter(said.String()), "# example.com/broken\nbroken.go:3:1: syntax error"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
