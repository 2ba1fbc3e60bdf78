package cli

import (
	"bytes"
	"errors"
	"io"
	"log/slog"
	"path/filepath"

	"github.com/sundog-mesh/sundog/internal/config"
	"github.com/sundog-mesh/sundog/internal/envoy"
)

// reloader loads the configuration again when its files change, and keeps the
// running one whatever is wrong with the new.
type reloader struct {
	src    *source
	apply  func(*envoy.Snapshot) error
	logger *slog.Logger
	err    io.Writer // for problems

	named []string     // files that the configuration names
	from  []policyFile // those of them that ShadowPolicies name

	versions envoy.Versions
	version  string // of the snapshot that serves
	contents string // of the files that its ShadowPolicies name
	told     string // the problems printed last
	good     fingerprint
	failing  bool
}

// paths are the files and folders that the configuration comes from, with the
// certificates, keys and schemas that the last one named.
func (r *reloader) paths() []string {
	files := r.src.flags.files
	return append(append(files[:len(files):len(files)], r.src.flags.meshConfig), r.named...)
}

// load loads the first configuration and prints its problems. It fails if
// there is an error among them.
func (r *reloader) load() (*envoy.Snapshot, error) {
	r.good = takeFingerprint(watchable(r.paths()))
	l := r.src.load()
	r.follow(&l)
	r.tell(l.problems)
	if config.HasErrors(l.problems) {
		return nil, errInvalid()
	}
	r.version, r.contents = r.versions.Of(l.snapshot), l.contents
	return l.snapshot, nil
}

// follow watches the files that the configuration names, too.
func (r *reloader) follow(l *loaded) {
	r.named, r.from = l.watched(), l.named
	for name, mark := range takeFingerprint(watchable(r.named)) {
		if _, known := r.good[name]; !known {
			r.good[name] = mark
		}
	}
}

// reload loads the configuration again.
func (r *reloader) reload() {
	now := takeFingerprint(watchable(r.paths()))
	if name, ok := r.good.emptied(now); ok {
		r.refuse("a file is empty, so it may be half written; the running configuration stays until it is whole", append([]any{"path", name}, r.whose(name)...)...)
		return
	}
	l := r.src.load()
	if !now.equal(takeFingerprint(watchable(r.paths()))) {
		r.logger.Debug("files changed while they were read; waiting for the next change")
		return
	}
	r.named, r.from = l.watched(), l.named
	r.tell(l.problems)
	if config.HasErrors(l.problems) {
		r.refuse("the new configuration has errors; the running one stays")
		return
	}
	version := r.versions.Of(l.snapshot)
	if version == r.version && l.contents == r.contents {
		if r.failing {
			r.logger.Info("the configuration is good again, and as it was", "version", version)
		}
		r.good, r.failing = now, false
		return
	}
	if err := r.apply(l.snapshot); err != nil {
		args := []any{"error", err}
		if h := (*hinted)(nil); errors.As(err, &h) {
			args = append(args, "hint", h.hint)
		}
		r.refuse("the new configuration cannot be served; the running one stays", args...)
		return
	}
	r.good, r.version, r.contents, r.failing = now, version, l.contents, false
	r.follow(&l)
	r.logger.Info("configuration reloaded", "version", version, "objects", l.objects)
}

// whose tells which ShadowPolicy names the file, if one does.
func (r *reloader) whose(path string) []any {
	for _, f := range r.from {
		if filepath.Clean(f.path) == path {
			return []any{"object", f.where.Object, "field", f.where.Field}
		}
	}
	return nil
}

func (r *reloader) refuse(message string, args ...any) {
	r.failing = true
	r.logger.Error(message, args...)
}

// tell prints problems, unless they are those that were printed last.
func (r *reloader) tell(problems []config.Problem) {
	var b bytes.Buffer
	printProblems(&b, problems)
	if b.String() == r.told {
		return
	}
	r.told = b.String()
	_, _ = r.err.Write(b.Bytes())
}
