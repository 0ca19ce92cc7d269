package traefiktest_test

import "syscall"

// processAttributes have Traefik end with the test, even if that is killed.
func processAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
}
