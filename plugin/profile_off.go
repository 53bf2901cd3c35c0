//go:build !profile

package main

import "github.com/seedling-dev/seedling/hooks/command"

func profile(command.Env) (stop func()) { return func() {} }
