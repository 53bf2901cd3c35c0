package main

import (
	"testing"

	"k8s.io/client-go/rest"
)

// What one part uses up of the API server's time is not another one's: not of its
// own clients of several kinds either.
func TestBudgetsAreApart(t *testing.T) {
	t.Parallel()
	config := &rest.Config{}
	generator, broker, janitor := forGenerator.within(config), forBroker.within(config), forJanitor.within(config)
	for janitor.RateLimiter.TryAccept() {
		continue // all of it
	}
	for broker.RateLimiter.TryAccept() {
		continue
	}
	if !generator.RateLimiter.TryAccept() {
		t.Error("hooks that wait, and previews that are removed, use the generator's calls up")
	}
	if config.RateLimiter != nil {
		t.Error("the configuration that all share has a limiter")
	}
}
