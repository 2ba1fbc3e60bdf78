package config

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// stdinName is the file name that Problems in standard input carry.
const stdinName = "stdin"

// File is one file of the user's, read whole.
type File struct {
	Name string
	Data []byte
}

// Read collects the files that paths name: files, folders (their *.yaml,
// *.yml and *.json, not deeper, by name) and "-" for stdin. A file that is
// named twice is read once. What cannot be read is a Problem.
func Read(paths []string, stdin io.Reader) ([]File, []Problem) {
	var files []File
	var problems []Problem
	seen := map[string]bool{}
	for _, path := range paths {
		names, p := expand(path)
		problems = append(problems, p...)
		for _, name := range names {
			if seen[name] {
				continue
			}
			seen[name] = true
			f, err := readFile(name, stdin)
			if err != nil {
				problems = append(problems, unreadable(name, err))
				continue
			}
			files = append(files, f)
		}
	}
	return files, problems
}

// expand names the files that one path stands for.
func expand(path string) ([]string, []Problem) {
	if path == "-" {
		return []string{path}, nil
	}
	path = filepath.Clean(path)
	info, err := os.Stat(path)
	if err != nil {
		return nil, []Problem{unreadable(path, err)}
	}
	if !info.IsDir() {
		return []string{path}, nil
	}
	entries, err := os.ReadDir(path)
	if err != nil {
		return nil, []Problem{unreadable(path, err)}
	}
	var names []string
	for _, e := range entries {
		if e.IsDir() || strings.HasPrefix(e.Name(), ".") || !isConfigName(e.Name()) {
			continue
		}
		names = append(names, filepath.Join(path, e.Name()))
	}
	if len(names) == 0 {
		return nil, []Problem{{
			Severity: Error,
			Position: Position{File: path},
			Message:  "the folder has no *.yaml, *.yml or *.json file",
			Hint:     "folders inside it are not read: name them with an -f of their own",
		}}
	}
	slices.Sort(names)
	return names, nil
}

func isConfigName(name string) bool {
	switch filepath.Ext(name) {
	case ".yaml", ".yml", ".json":
		return true
	}
	return false
}

func readFile(name string, stdin io.Reader) (File, error) {
	if name != "-" {
		data, err := os.ReadFile(name)
		return File{Name: name, Data: data}, err
	}
	if stdin == nil {
		return File{Name: stdinName}, errors.New("there is no standard input")
	}
	data, err := io.ReadAll(stdin)
	return File{Name: stdinName, Data: data}, err
}

// unreadable says in plain words why a file could not be read.
func unreadable(name string, err error) Problem {
	p := Problem{Severity: Error, Position: Position{File: name}}
	if name == "-" {
		p.Position.File = stdinName
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		p.Message, p.Hint = "no such file or folder", "check the path; relative paths start at the working directory"
	case errors.Is(err, fs.ErrPermission):
		p.Message, p.Hint = "no permission to read it", "check the rights of the file and of the folders above it"
	default:
		if pe := (*fs.PathError)(nil); errors.As(err, &pe) {
			err = pe.Err
		}
		p.Message = fmt.Sprintf("cannot be read: %v", err)
	}
	return p
}
