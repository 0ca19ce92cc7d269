//go:build !linux

package mongotest

import "syscall"

// attributes keeps the terminal's Ctrl-C from a node. Only Linux can also tie
// its life to ours: elsewhere a killed test leaves it running.
func attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true}
}
