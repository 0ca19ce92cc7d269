package mongotest

import "syscall"

// attributes makes a node die with the thread that started it, and keeps the
// terminal's Ctrl-C from it: the tests end first, then the node.
func attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
}
