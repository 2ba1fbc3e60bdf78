// Command sundog mirrors production traffic. It knows signals and exit codes;
// everything else is in package cli.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/sundog-mesh/sundog/internal/cli"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// The first signal drains; a second one ends the program at once.
	context.AfterFunc(ctx, stop)
	os.Exit(cli.Main(ctx, os.Args[1:], cli.Streams{In: os.Stdin, Out: os.Stdout, Err: os.Stderr}))
}
