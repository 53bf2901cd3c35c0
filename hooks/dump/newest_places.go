package dump

import (
	"context"
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"gocloud.dev/blob"
	"golang.org/x/net/html"
	"golang.org/x/sync/errgroup"
)

const (
	// page is how many names a store tells at once, at most.
	page = 1000
	// mostIndex bounds a web server's index, mostLinks how many of its links are
	// asked for, atOnce how many at a time.
	mostIndex = 8 << 20
	mostLinks = 1000
	atOnce    = 8
)

// list lists every object with a prefix, page by page. One that breaks off is
// asked for again; a list is never a part of one.
func (b *bucket) list(ctx context.Context, prefix string) (all []listed, err error) {
	token := blob.FirstPageToken
	for len(token) > 0 {
		type answer struct {
			objects []*blob.ListObject
			next    []byte
		}
		a, err := again(ctx, b.patience, func(ctx context.Context) (answer, error) {
			objects, next, err := b.b.ListPage(ctx, token, page, &blob.ListOptions{Prefix: b.prefix + prefix})
			return answer{objects, next}, blobError(err)
		})
		if err != nil {
			return nil, listError(err)
		}
		for _, o := range a.objects {
			all = append(all, listed{name: strings.TrimPrefix(o.Key, b.prefix), size: o.Size, modified: o.ModTime})
		}
		if len(all) > mostListed {
			return nil, unusable("more than %d objects begin with %q: let old dumps expire, or write more of the name before the first star", mostListed, prefix)
		}
		if slices.Equal(token, a.next) {
			return nil, errors.New("the store's list does not go on: it names the same page again")
		}
		token = a.next
	}
	return all, nil
}

// listError says which right is missing where one is: that to read does not do.
func listError(err error) error {
	if errors.Is(err, ErrUnusable) && strings.Contains(err.Error(), "status 403") {
		return unusable("to find the newest dump the identity must be allowed to list (s3:ListBucket, storage.objects.list, role Storage Blob Data Reader): %w", err)
	}
	return err
}

func localShelf(raw string, u *url.URL) (*shelf, error) {
	file := raw
	if u.Scheme == "file" {
		if u.Host != "" && u.Host != "localhost" {
			return nil, unusable("a file's URL has three slashes: file:///path")
		}
		file = u.Path
	}
	dir, pattern := filepath.Dir(file), filepath.Base(file)
	if strings.Contains(dir, "*") {
		return nil, unusable("of a path only the last part may have a star")
	}
	at, _, err := openFolder(dir)
	if err != nil {
		return nil, err
	}
	return &shelf{
		at: at, pattern: pattern,
		list: func(context.Context) (all []listed, err error) {
			entries, err := os.ReadDir(dir)
			if err != nil {
				return nil, fileError(err)
			}
			for _, e := range entries {
				info, err := os.Stat(filepath.Join(dir, e.Name())) //nolint:gosec // a link is what it leads to: only whether it is a file is told here
				if errors.Is(err, os.ErrNotExist) {
					continue // renamed or removed since
				}
				if err != nil {
					return nil, fileError(err)
				}
				if info.Mode().IsRegular() {
					all = append(all, listed{name: e.Name(), size: info.Size(), modified: info.ModTime()})
				}
			}
			return all, nil
		},
		url: func(name string) string { return filepath.Join(dir, name) },
	}, nil
}

// inside is the folder of a site's one file.
func (s *site) inside() *site {
	at := *s
	at.base = at.base.JoinPath("..")
	return &at
}

func webShelf(u *url.URL, o Options) (*shelf, error) {
	creds := secrets(o.Credentials)
	if err := creds.check(); err != nil {
		return nil, err
	}
	if u.Scheme == "http" && !loopback(u.Hostname()) {
		return nil, unusable("http would carry raw data unencrypted: use https")
	}
	dir, pattern := path.Split(u.Path)
	if strings.Contains(dir, "*") {
		return nil, unusable("of a web server's URL only the last part may have a star")
	}
	at := *u
	at.Path, at.RawPath = dir, ""
	s, err := newSite(&at, creds, o)
	if err != nil {
		return nil, err
	}
	return &shelf{
		at: s, pattern: pattern,
		list: func(ctx context.Context) ([]listed, error) { return s.list(ctx, pattern) },
		url:  func(name string) string { return s.base.JoinPath(url.PathEscape(name)).String() },
	}, nil
}

// list reads the links of the folder's index, and asks for each that the pattern
// matches when it was changed: an index itself tells that in many ways.
func (s *site) list(ctx context.Context, pattern string) ([]listed, error) {
	names, err := again(ctx, s.patience, s.index)
	if err != nil {
		return nil, err
	}
	names = slices.DeleteFunc(names, func(name string) bool { return !match(pattern, strings.TrimSuffix(name, digestSuffix)) })
	if len(names) > mostLinks {
		return nil, unusable("the index has more than %d names that match: let old dumps expire, or narrow the pattern", mostLinks)
	}
	all := make([]listed, len(names))
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(atOnce)
	for i, name := range names {
		g.Go(func() error {
			obj, err := s.open(gctx, name)
			if errors.Is(err, errNotFound) || errors.Is(err, errEmpty) {
				return nil // removed since; or empty, which nobody wants
			}
			if err != nil {
				return err
			}
			all[i] = listed{name: name, size: obj.size(), modified: obj.modified()}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	return slices.DeleteFunc(all, func(l listed) bool { return l.name == "" }), nil
}

// index reads the names that the folder's page links to, of files in that folder.
func (s *site) index(ctx context.Context) ([]string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.base.String(), nil)
	if err != nil {
		return nil, unusable("the URL cannot be parsed")
	}
	req.Header.Set("Accept", "text/html")
	if s.auth != "" {
		req.Header.Set("Authorization", s.auth)
	}
	res, err := s.client.Do(req)
	if err != nil {
		if ue, ok := errors.AsType[*url.Error](err); ok { // it quotes the URL, which may be signed
			err = ue.Err
		}
		return nil, err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return nil, refusal(res)
	}
	if kind, _, _ := mime.ParseMediaType(res.Header.Get("Content-Type")); kind != "text/html" && kind != "application/xhtml+xml" {
		return nil, unusable("the folder's index is no page of links (Content-Type %q): switch the server's index on, in HTML", kind)
	}
	body := &io.LimitedReader{R: res.Body, N: mostIndex}
	var names []string
	tokens := html.NewTokenizer(body)
	for {
		switch tokens.Next() {
		case html.ErrorToken:
			err := tokens.Err()
			switch {
			case !errors.Is(err, io.EOF):
				return nil, err
			case body.N == 0:
				return nil, unusable("the folder's index is larger than %d MiB", mostIndex>>20)
			case res.ContentLength >= 0 && res.ContentLength != mostIndex-body.N:
				return nil, errCut
			}
			return names, nil
		case html.StartTagToken:
			token := tokens.Token()
			for _, a := range token.Attr {
				if name, ok := s.inFolder(a.Val); ok && token.Data == "a" && a.Key == "href" && !slices.Contains(names, name) {
					names = append(names, name)
				}
			}
		}
	}
}

// inFolder is the name that a link of the index has in its folder.
func (s *site) inFolder(link string) (string, bool) {
	to, err := s.base.Parse(link)
	if err != nil || to.Scheme != s.base.Scheme || to.Host != s.base.Host {
		return "", false
	}
	dir, name := path.Split(to.Path)
	return name, dir == s.base.Path && name != ""
}
