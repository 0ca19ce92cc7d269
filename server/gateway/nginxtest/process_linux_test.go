package nginxtest_test

import "syscall"

// processAttributes have nginx end with the test, even if that is killed.
func processAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
}
