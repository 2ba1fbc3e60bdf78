package cli

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/fsnotify/fsnotify"
)

// How soon a change of files is acted on.
const (
	quietFor  = 100 * time.Millisecond // nothing more happens, so the writer is done
	atLatest  = 500 * time.Millisecond // after the first of many changes
	pollEvery = 2 * time.Second        // in case the kernel tells nothing, as on some network file systems
)

// watcher tells when the files of a configuration may have changed. It watches
// the folders above them, since editors and Kubernetes replace files instead
// of writing to them.
type watcher struct {
	paths  func() []string // files and folders; they may change with their content
	logger *slog.Logger

	names   map[string]bool // what events about a path of ours are called
	folders map[string]bool // whose configuration files are all ours
	last    fingerprint
}

// newWatcher watches for changes since the fingerprint was taken.
func newWatcher(paths func() []string, since fingerprint, logger *slog.Logger) *watcher {
	return &watcher{paths: func() []string { return watchable(paths()) }, logger: logger, last: since}
}

// watchable are the paths that can change: all but standard input.
func watchable(paths []string) []string {
	var out []string
	for _, p := range paths {
		if p != "-" && p != "" {
			out = append(out, filepath.Clean(p))
		}
	}
	return out
}

// Run calls changed, on its own goroutine, after changes have come to rest,
// until ctx ends. changed may be called for nothing.
func (w *watcher) Run(ctx context.Context, changed func()) error {
	if len(w.paths()) == 0 {
		return nil
	}
	poll := pollEvery
	var events <-chan fsnotify.Event
	var failures <-chan error
	fs, err := fsnotify.NewWatcher()
	if err != nil {
		w.logger.Warn("watching files is not possible; they are looked at now and then", "error", err)
		poll = atLatest
	} else {
		defer func() { _ = fs.Close() }() // nothing is lost with it
		events, failures = fs.Events, fs.Errors
	}
	w.follow(fs)
	ticker := time.NewTicker(poll)
	defer ticker.Stop()
	var d debounce
	defer d.stop()
	if !w.last.equal(takeFingerprint(w.paths())) {
		d.touch(time.Now()) // changed before it was watched
	}
	for {
		select {
		case <-ctx.Done():
			return nil
		case ev := <-events:
			if w.concerns(ev) {
				d.touch(time.Now())
			}
		case err := <-failures:
			w.logger.Debug("watching files", "error", err) // lost events are found by the ticker
		case <-ticker.C:
			if !w.last.equal(takeFingerprint(w.paths())) {
				d.touch(time.Now())
			}
		case <-d.due():
			d.reset()
			w.last = takeFingerprint(w.paths())
			changed()
			w.follow(fs)
		}
	}
}

// follow watches the folders that the paths lead through now: those above
// them, and those that symbolic links point into.
func (w *watcher) follow(fs *fsnotify.Watcher) {
	w.names, w.folders = map[string]bool{}, map[string]bool{}
	watch := map[string]bool{}
	for _, p := range w.paths() {
		ways := []string{p}
		if real, err := filepath.EvalSymlinks(p); err == nil && real != p {
			ways = append(ways, real)
		}
		for _, way := range ways {
			w.names[way] = true
			watch[filepath.Dir(way)] = true
			if info, err := os.Stat(way); err == nil && info.IsDir() {
				w.folders[way] = true
				watch[way] = true
			}
		}
	}
	if fs == nil {
		return
	}
	for dir := range watch {
		if err := fs.Add(dir); err != nil {
			w.logger.Debug("watching a folder", "path", dir, "error", err)
		}
	}
}

// concerns reports whether the event may be about one of our files. Kubernetes
// swaps a whole volume by renaming ..data, beside the files.
func (w *watcher) concerns(ev fsnotify.Event) bool {
	if ev.Op == fsnotify.Chmod {
		return false
	}
	name := filepath.Clean(ev.Name)
	base := filepath.Base(name)
	if w.names[name] || strings.HasPrefix(base, "..") {
		return true
	}
	return w.folders[filepath.Dir(name)] && isConfigName(base)
}

func isConfigName(base string) bool {
	switch filepath.Ext(base) {
	case ".yaml", ".yml", ".json":
		return true
	}
	return false
}

// debounce is due when touches have stopped, or went on for too long.
type debounce struct {
	timer *time.Timer
	first time.Time // of the touches that it is due for; zero: none
}

func (d *debounce) touch(now time.Time) {
	if d.first.IsZero() {
		d.first = now
	}
	wait := min(quietFor, max(0, d.first.Add(atLatest).Sub(now)))
	if d.timer == nil {
		d.timer = time.NewTimer(wait)
		return
	}
	d.timer.Reset(wait)
}

func (d *debounce) due() <-chan time.Time {
	if d.timer == nil {
		return nil
	}
	return d.timer.C
}

func (d *debounce) reset() { d.first = time.Time{} }

func (d *debounce) stop() {
	if d.timer != nil {
		d.timer.Stop()
	}
}

// fingerprint tells files from what they were before, without reading them.
type fingerprint map[string]fileMark

type fileMark struct {
	size int64
	time time.Time
}

// takeFingerprint looks at the files, and at those in folders.
func takeFingerprint(paths []string) fingerprint {
	f := fingerprint{}
	for _, p := range paths {
		info, err := os.Stat(p)
		if err != nil {
			continue
		}
		f[p] = fileMark{info.Size(), info.ModTime()}
		if !info.IsDir() {
			continue
		}
		f[p] = fileMark{} // of a folder, its files count
		entries, err := os.ReadDir(p)
		if err != nil {
			continue
		}
		for _, e := range entries {
			name := filepath.Join(p, e.Name())
			if info, err := os.Stat(name); err == nil && !info.IsDir() && isConfigName(e.Name()) {
				f[name] = fileMark{info.Size(), info.ModTime()}
			}
		}
	}
	return f
}

func (f fingerprint) equal(g fingerprint) bool {
	if len(f) != len(g) {
		return false
	}
	for name, mark := range f {
		if other, ok := g[name]; !ok || other.size != mark.size || !other.time.Equal(mark.time) {
			return false
		}
	}
	return true
}

// emptied names a file that had content in f and has none now, as while it is
// being rewritten.
func (f fingerprint) emptied(now fingerprint) (string, bool) {
	for name, mark := range now {
		if mark.size == 0 && f[name].size > 0 {
			return name, true
		}
	}
	return "", false
}
