//go:build !linux

package traefiktest_test

import "syscall"

func processAttributes() *syscall.SysProcAttr { return nil }
