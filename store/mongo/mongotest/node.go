package mongotest

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
)

// Node is one mongod of a Set.
type Node struct {
	Port int // on 127.0.0.1

	bin, dir string
	starter  starter
	process  *process
}

// process is one life of a node.
type process struct {
	cmd   *exec.Cmd
	ready chan struct{} // closed when it takes connections
	ended chan struct{} // closed when it is gone; log is complete then
	log   []string      // its last lines
}

// exitAddressInUse is mongod's exit code when it cannot listen.
const exitAddressInUse = 48

// newNode starts a mongod with an empty data folder on a free port.
func newNode(ctx context.Context, s starter, bin, dir string) (*Node, error) {
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, err
	}
	for try := 1; ; try++ {
		port, err := freePort(ctx)
		if err != nil {
			return nil, err
		}
		n := &Node{Port: port, bin: bin, dir: dir, starter: s}
		err = n.start(ctx)
		if err == nil {
			return n, nil
		}
		// Between looking for a port and taking it, somebody else may have.
		if n.process == nil || n.process.cmd.ProcessState.ExitCode() != exitAddressInUse || try == 5 {
			return nil, err
		}
	}
}

// FreeAddress returns an address of this machine that nobody listens at, for a
// program that a test starts, and starts again.
func FreeAddress(ctx context.Context) (string, error) {
	port, err := freePort(ctx)
	return host(port), err
}

// freePort finds one below the range from which the kernel takes the ports of
// outgoing connections: a node that restarts needs its own port back.
func freePort(ctx context.Context) (int, error) {
	var listen net.ListenConfig
	var last error
	for range 100 {
		port := 20000 + rand.IntN(10000)
		l, err := listen.Listen(ctx, "tcp", host(port))
		if err == nil {
			return port, l.Close()
		}
		last = err
	}
	return 0, fmt.Errorf("find a free port: %w", last)
}

func host(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }

// Host returns the node's address, as the replica set knows it.
func (n *Node) Host() string { return host(n.Port) }

// PID returns the id of the node's process, also after its end.
func (n *Node) PID() int { return n.process.cmd.Process.Pid }

// start runs mongod and returns when it takes connections.
func (n *Node) start(ctx context.Context) error {
	// The data is thrown away and the machine is shared: little cache, no
	// preallocation, no diagnostics. The journal stays: tests ask what it keeps.
	cmd := exec.CommandContext(context.WithoutCancel(ctx), n.bin,
		"--dbpath", n.dir, "--port", strconv.Itoa(n.Port), "--replSet", replicaSet,
		"--bind_ip", "127.0.0.1", "--nounixsocket",
		"--wiredTigerCacheSizeGB", "0.25", "--oplogSize", "64",
		"--setParameter", "diagnosticDataCollectionEnabled=false",
		"--setParameter", "shutdownTimeoutMillisForSignaledShutdown=0",
		"--wiredTigerEngineConfigString", "log=(prealloc=false,file_max=16MB)")
	cmd.SysProcAttr = attributes()
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	cmd.Stderr = cmd.Stdout
	if err := n.starter.do(cmd.Start); err != nil {
		return fmt.Errorf("start %s: %w", n.bin, err)
	}
	p := &process{cmd: cmd, ready: make(chan struct{}), ended: make(chan struct{})}
	n.process = p
	go p.follow(bufio.NewReader(out))

	select {
	case <-p.ready:
		return nil
	case <-p.ended:
		return fmt.Errorf("mongod on port %d ended with %s; its last lines:\n%s",
			n.Port, cmd.ProcessState, strings.Join(p.log, ""))
	case <-ctx.Done():
		n.Kill()
		return fmt.Errorf("wait for mongod on port %d: %w", n.Port, context.Cause(ctx))
	}
}

// follow reads the log to its end and then takes leave of the process.
func (p *process) follow(out *bufio.Reader) {
	const keep = 10
	up := false
	for {
		line, err := out.ReadString('\n')
		if line != "" {
			p.log = append(p.log[max(0, len(p.log)-keep+1):], line)
		}
		if !up && strings.Contains(line, `"Waiting for connections"`) {
			up = true
			close(p.ready)
		}
		if err != nil {
			break
		}
	}
	_ = p.cmd.Wait() // how it ended is in ProcessState
	close(p.ended)
}

// Kill ends the node as kill -9 does and returns when it is gone. On a node
// that is gone it does nothing.
func (n *Node) Kill() {
	_ = n.process.cmd.Process.Kill() // the only error is that it has ended
	<-n.process.ended
}

// Signal sends the node a signal, such as SIGSTOP and SIGCONT.
func (n *Node) Signal(sig syscall.Signal) error {
	if err := n.process.cmd.Process.Signal(sig); err != nil {
		return fmt.Errorf("send %v to mongod on port %d: %w", sig, n.Port, err)
	}
	return nil
}

// Restart starts a node that has ended on the port and data it had, and
// returns when it takes connections, which is before it is in sync.
func (n *Node) Restart(ctx context.Context) error {
	select {
	case <-n.process.ended:
		return n.start(ctx)
	default:
		return errors.New("restart of a node that still runs")
	}
}
