package platformtest

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// Four that go on beside others and two that go on alone, in a time of their own:
// the first four two at once, then the others in their order, each by itself. One
// that leaves while it waits holds nobody up.
func TestTurns(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		o := NewTurns(2)
		began, said := time.Now(), []string{}
		say := func(who, what string) {
			o.mu.Lock()
			defer o.mu.Unlock()
			said = append(said, fmt.Sprintf("%s %s %s", time.Since(began), who, what))
		}
		for range 4 {
			o.ask()
		}
		first, second := o.ticket(), o.ticket()
		for _, ticket := range []int{second, first} {
			go func() {
				o.enterAlone(ticket)
				say(fmt.Sprintf("alone%d", ticket), "begins")
				time.Sleep(time.Minute)
				say(fmt.Sprintf("alone%d", ticket), "ends")
				o.leaveAlone()
			}()
		}
		synctest.Wait()
		for i := range 4 {
			go func() {
				time.Sleep(time.Duration(i) * time.Second)
				o.enter()
				say(fmt.Sprintf("beside%d", i), "begins")
				if i == 0 {
					o.leave()
					time.Sleep(time.Hour)
					return
				}
				time.Sleep(10 * time.Second)
				say(fmt.Sprintf("beside%d", i), "ends")
				o.leave()
			}()
		}
		time.Sleep(2 * time.Hour)
		want := []string{
			"0s beside0 begins", "1s beside1 begins", "2s beside2 begins", "11s beside1 ends", "11s beside3 begins",
			"12s beside2 ends", "21s beside3 ends",
			"21s alone0 begins", "1m21s alone0 ends", "1m21s alone1 begins", "2m21s alone1 ends",
		}
		if !slices.Equal(said, want) {
			t.Errorf("said\n%s\nwant\n%s", strings.Join(said, "\n"), strings.Join(want, "\n"))
		}
	})
}
