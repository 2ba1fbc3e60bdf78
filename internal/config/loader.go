package config

import (
	"crypto/sha256"
	"io"

	"github.com/sundog-mesh/sundog/internal/config/strict"
)

// Loader loads a configuration again and again. A document that it knows from
// the load before by its text, wherever that stood, is not parsed and checked
// again; its object has the same Spec, so Sets share what did not change. The
// zero Loader is ready. It is not for concurrent use.
type Loader struct {
	reader *reader
	pieces map[textHash]*piece // of the last load
}

type textHash [sha256.Size]byte

// Load reads the files that paths name, as Read does, and the mesh
// configuration file, and parses them. It also reads the certificate files
// that the objects name; those that cannot be read are for translate to judge,
// which knows whether this proxy needs them.
func (l *Loader) Load(paths []string, stdin io.Reader, opt Options) (*Set, []Problem) {
	files, problems := Read(paths, stdin)
	var mesh *File
	if opt.MeshConfig != "" {
		f, err := readFile(opt.MeshConfig, stdin)
		if err != nil {
			problems = append(problems, unreadable(opt.MeshConfig, err))
		} else {
			mesh = &f
		}
	}
	set, more := l.Parse(files, mesh, opt)
	set.readCredentials()
	return set, append(problems, more...)
}

// Parse makes a Set of files and of the mesh configuration, which may be nil.
// It does no I/O. Equal input gives an equal Set and equal Problems, whatever
// was parsed before; the Problems are in the order of the files and of their
// lines. With errors the Set holds what could be understood; it is never nil.
func (l *Loader) Parse(files []File, mesh *File, opt Options) (*Set, []Problem) {
	p := &parser{set: &Set{}, seen: map[string]Position{}}
	if namespace := p.namespace(opt); l.reader == nil || l.reader.namespace != namespace {
		l.reader, l.pieces = newReader(namespace), nil
	}
	p.reader = l.reader
	now := make(map[textHash]*piece, len(l.pieces))
	for _, f := range files {
		p.file(f, func(file string, text strict.Text) *piece {
			hash := textHash(sha256.Sum256(text.Data))
			pc := l.pieces[hash]
			if pc == nil || pc.lines && pc.line != text.Line {
				pc = l.reader.piece(file, text)
			}
			now[hash] = pc.moved(file, text.Line)
			return now[hash]
		})
	}
	l.pieces = now
	p.checkDelegates()
	p.mesh(mesh)
	for _, value := range opt.Endpoints {
		p.endpoint(value)
	}
	p.sort(files, mesh)
	return p.set, p.problems
}
