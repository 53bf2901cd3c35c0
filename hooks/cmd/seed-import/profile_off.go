//go:build !profile

package main

import "github.com/seedling-dev/seedling/hooks/hook"

func profile(hook.Env) (stop func()) { return func() {} }
