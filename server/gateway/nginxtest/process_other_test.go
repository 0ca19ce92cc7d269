//go:build !linux

package nginxtest_test

import "syscall"

func processAttributes() *syscall.SysProcAttr { return nil }
