package main

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"time"
)

// source is a file or a folder, and its path in an archive.
type source struct{ from, to string }

// files returns the files that match, each at its own path.
func files(patterns ...string) ([]source, error) {
	var found []source
	for _, pattern := range patterns {
		names, err := filepath.Glob(filepath.FromSlash(pattern))
		if err != nil {
			return nil, err
		}
		for _, name := range names {
			found = append(found, source{name, filepath.ToSlash(name)})
		}
	}
	return found, nil
}

// entry is a file of an archive.
type entry struct {
	path string
	data []byte
	mode fs.FileMode
}

// archive writes NAME.tar.gz, or NAME.zip, in which everything is below a
// folder of that name.
func (r *release) archive(name string, zipped bool, sources []source) error {
	var entries []entry
	for _, s := range sources {
		err := filepath.WalkDir(filepath.FromSlash(s.from), func(file string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			data, err := os.ReadFile(file)
			if err != nil {
				return err
			}
			within, err := filepath.Rel(filepath.FromSlash(s.from), file)
			if err != nil {
				return err
			}
			mode := fs.FileMode(0o644)
			if s.to == "" {
				mode = 0o755 // the commands
			}
			entries = append(entries, entry{path.Join(name, s.to, filepath.ToSlash(within)), data, mode})
			return nil
		})
		if err != nil {
			return err
		}
	}
	if zipped {
		data, err := zipFile(entries, r.date)
		if err != nil {
			return err
		}
		return write(filepath.Join(r.out, name+".zip"), data)
	}
	data, err := tarFile(entries, r.date)
	if err != nil {
		return err
	}
	if data, err = compress(data); err != nil {
		return err
	}
	return write(filepath.Join(r.out, name+".tar.gz"), data)
}

func tarFile(entries []entry, date time.Time) ([]byte, error) {
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, e := range entries {
		header := tar.Header{
			Typeflag: tar.TypeReg, Name: e.path, Size: int64(len(e.data)), Mode: int64(e.mode), ModTime: date,
			Uname: "root", Gname: "root", Format: tar.FormatPAX,
		}
		if err := w.WriteHeader(&header); err != nil {
			return nil, err
		}
		if _, err := w.Write(e.data); err != nil {
			return nil, err
		}
	}
	err := w.Close()
	return out.Bytes(), err
}

func zipFile(entries []entry, date time.Time) ([]byte, error) {
	var out bytes.Buffer
	w := zip.NewWriter(&out)
	for _, e := range entries {
		header := zip.FileHeader{Name: e.path, Method: zip.Deflate, Modified: date}
		header.SetMode(e.mode)
		f, err := w.CreateHeader(&header)
		if err != nil {
			return nil, err
		}
		if _, err := f.Write(e.data); err != nil {
			return nil, err
		}
	}
	err := w.Close()
	return out.Bytes(), err
}

// compress returns data as gzip, which holds no time.
func compress(data []byte) ([]byte, error) {
	var out bytes.Buffer
	w, err := gzip.NewWriterLevel(&out, gzip.BestCompression)
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(data); err != nil {
		return nil, err
	}
	err = w.Close()
	return out.Bytes(), err
}
