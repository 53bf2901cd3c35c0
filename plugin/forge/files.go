package forge

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"time"
)

// files collects the files of a pull request, page by page, within its bounds.
type files struct {
	Changes
	// count is how many entries there were, size how long their names are.
	count, size int
}

// take reads one page, and says how many entries it has. name takes the names
// out of one: that of now, and that from before it was renamed.
func (f *files) take(body io.Reader, name func(json.RawMessage) (now, before string, err error)) (entries int, err error) {
	// A page is taken in as a whole or not at all.
	at := *f
	err = elements(body, func(e json.RawMessage) error {
		now, before, err := name(e)
		if err != nil || now == "" {
			return errors.New("a file without a name")
		}
		entries++
		if at.Cut != "" {
			return nil
		}
		at.count++
		at.size += len(now) + len(before)
		if at.count > maxFiles || at.size > maxPaths {
			at.Cut = fmt.Sprintf("it changes more than %d files, or their names take more than %d KiB", maxFiles, maxPaths>>10)
			at.Paths = nil
			return nil
		}
		at.Paths = append(at.Paths, now)
		if before != "" && before != now {
			at.Paths = append(at.Paths, before)
		}
		return nil
	})
	switch {
	case errors.Is(err, errTooLarge):
		// Nothing that comes later makes it smaller.
		f.Changes = Changes{Cut: "the forge's answer about its files is too large to be read"}
		return 0, nil
	case err != nil:
		return 0, err
	}
	*f = at
	return entries, nil
}

// whole are the changes, once the forge says that there are so many files.
func (f *files) whole(total int) (Changes, error) {
	switch {
	case f.Cut != "":
		return Changes{Cut: f.Cut}, nil
	case f.count != total:
		return Changes{}, fmt.Errorf("%d files came, and the forge counts %d", f.count, total)
	}
	return f.Changes, nil
}

var commitSHA = regexp.MustCompile(`^([0-9a-f]{40}|[0-9a-f]{64})$`)

// readCommits reads the list of Touched; one that is no list is an error. Forges
// give commits in the order of history, which their times alone do not tell.
func readCommits[E any](body io.Reader, commit func(E) (sha string, at time.Time)) ([]Commit, error) {
	var entries []E
	if err := json.NewDecoder(body).Decode(&entries); err != nil {
		if errors.Is(err, errTooLarge) {
			return nil, err
		}
		return nil, fmt.Errorf("the answer is not as the API says: %w", quiet(err))
	}
	if entries == nil {
		return nil, errors.New("the answer is no list")
	}
	list := make([]Commit, 0, len(entries))
	for _, e := range entries {
		sha, at := commit(e)
		if !commitSHA.MatchString(sha) {
			return nil, errors.New("a commit without its name")
		}
		list = append(list, Commit{SHA: sha, At: at})
	}
	return list[:min(len(list), MaxTouched)], nil
}
