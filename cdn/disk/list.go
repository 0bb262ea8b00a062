package disk

import (
	"context"
	"errors"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/nearside/nearside/cdn"
)

// List implements cdn.Lister. Blobs that are put or removed during the walk may be listed or not;
// other files in the directory are skipped.
func (s *Store) List(ctx context.Context, after cdn.Digest, each func(cdn.Info) error) error {
	return s.walk(ctx, ".", 0, after.String(), each)
}

// walk visits a folder that is depth folders below the root; blobs lie at depth two.
func (s *Store) walk(ctx context.Context, dir string, depth int, after string, each func(cdn.Info) error) error {
	entries, err := s.entries(dir)
	if err != nil {
		return failed("list blobs", err)
	}
	for _, e := range entries {
		name := e.Name()
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case depth == 2:
			err = s.visit(path.Join(dir, name), e, after, each)
		case e.IsDir() && len(name) == 2 && name >= after[2*depth:2*depth+2],
			e.IsDir() && len(name) == 2 && depth == 1 && path.Base(dir) > after[:2]:
			err = s.walk(ctx, path.Join(dir, name), depth+1, after, each)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (s *Store) visit(name string, e fs.DirEntry, after string, each func(cdn.Info) error) error {
	d, err := cdn.ParseDigest(e.Name())
	if err != nil || place(d) != name || e.Name() <= after || !e.Type().IsRegular() {
		return nil // not a blob
	}
	info, err := e.Info()
	if errors.Is(err, fs.ErrNotExist) {
		return nil // deleted in the meantime
	}
	if err != nil {
		return failed("list blobs", err)
	}
	return each(cdn.Info{Digest: d, Size: info.Size(), PutAt: info.ModTime()})
}

// entries returns a folder's entries in the order of their names.
func (s *Store) entries(dir string) ([]fs.DirEntry, error) {
	f, err := s.root.Open(dir)
	if err != nil {
		return nil, err
	}
	entries, err := f.ReadDir(-1)
	slices.SortFunc(entries, func(a, b fs.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
	return entries, errors.Join(err, f.Close())
}
