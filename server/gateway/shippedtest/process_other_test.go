//go:build !linux

package shippedtest_test

import "syscall"

func processAttributes() *syscall.SysProcAttr { return nil }
