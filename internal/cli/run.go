package cli

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/sundog-mesh/sundog/internal/priority"
)

func newRun(s Streams) *cobra.Command {
	var flags configFlags
	var serve serveFlags
	var watch bool
	cmd := &cobra.Command{
		Use:   "run -f PATH...",
		Short: "Serve a configuration: route its traffic, and mirror the share that it asks for",
		Long: `Run reads a configuration, refuses to start if it has errors, and serves it: the
Gateways that fit --gateway, and the mesh on --outbound, an HTTP proxy.

It reloads when a file changes. A new configuration with errors is refused, and
the running one goes on. SIGTERM drains, SIGUSR1 reopens the access log.`,
		Example: `  # the mesh: http_proxy=http://127.0.0.1:15001 curl http://httpbin:8000/headers
  sundog run -f examples/in-cluster --endpoint httpbin/v1=127.0.0.1:28001 --endpoint httpbin/v2=127.0.0.1:28002

  # a Gateway's port 80 on port 8080, without root
  sundog run -f conf/ --publish 127.0.0.1:8080:80 --access-log - --shadow-log

  # what became of the copies
  curl http://127.0.0.1:15000/ledger`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			src, err := flags.source("run", s.In)
			if err != nil {
				return err
			}
			r := &reloader{src: src, err: s.Err}
			snapshot, err := r.load()
			if err != nil {
				return err
			}
			srv, err := newServer(s, serve, "--publish PORT:GATEWAYPORT (like 8080:80) for a Gateway, --outbound ADDRESS for the mesh")
			if err != nil {
				return err
			}
			r.apply, r.logger = srv.apply, srv.logger
			var follow func(context.Context) error
			if watch {
				w := newWatcher(r.paths, r.good, srv.logger)
				follow = func(ctx context.Context) error { return w.Run(ctx, func() { priority.Low(r.reload) }) }
			}
			return srv.run(cmd.Context(), func() error { return srv.apply(snapshot) }, follow)
		},
	}
	flags.add(cmd.Flags())
	cmd.Flags().BoolVar(&watch, "watch", true, "reload when a file changes")
	serve.add(cmd.Flags())
	return cmd
}
