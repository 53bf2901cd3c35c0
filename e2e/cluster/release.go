package cluster

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"
)

// pinsFile holds the checksums of upstreams' released files, by path in the
// repository. [PinReleases] writes it; where it is missing, or lacks an
// upstream, that one is built from source.
const pinsFile = "e2e/cluster/upstream/pins.json"

// fromSource reports whether released files are left alone, as in CI.
func fromSource() bool { return os.Getenv("UPSTREAM") == "source" }

// release is a file that an upstream publishes, with placeholders: {version}
// with its v, {number} without it, {arch} as Go says it.
type release struct {
	url string
	// members are the programs in it, by their path in the archive; a file
	// that is the program itself has one without a path.
	members map[string]string
}

// pin is a released file that somebody downloaded.
type pin struct {
	Upstream string `json:"upstream"`
	Version  string `json:"version"`
	URL      string `json:"url"`
	SHA256   string `json:"sha256"`
}

// errChecksum says that a file is not the one that was pinned.
var errChecksum = errors.New("the file is not the one that was pinned")

// githubRelease is where a project on GitHub keeps its released files.
func githubRelease(project, file string) string {
	return "https://github.com/" + project + "/releases/download/{version}/" + file
}

// expand fills in the placeholders, of a URL or of a path in an archive.
func expand(s, version string) string {
	machine := map[string]string{"amd64": "x86_64", "arm64": "arm64"}[runtime.GOARCH]
	return strings.NewReplacer("{version}", version, "{number}", strings.TrimPrefix(version, "v"),
		"{arch}", runtime.GOARCH, "{machine}", machine).Replace(s)
}

// readPins reads the pins, of which there may be none.
func readPins(repo string) ([]pin, error) {
	raw, err := os.ReadFile(filepath.Join(repo, pinsFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var pins []pin
	if err := json.Unmarshal(raw, &pins); err != nil {
		return nil, fmt.Errorf("read %s: %w; make it anew with: make pin-upstream", pinsFile, err)
	}
	return pins, nil
}

// pinned returns the pins of all of the upstream's released files, in their
// order; none if one is missing, is of another version, or nothing is released.
func (u upstream) pinned(ctx context.Context, repo string) ([]pin, error) {
	if fromSource() || len(u.releases) == 0 {
		return nil, nil
	}
	pins, err := readPins(repo)
	if err != nil || len(pins) == 0 {
		return nil, err
	}
	version, err := u.version(ctx, repo)
	if err != nil {
		return nil, err
	}
	var mine []pin
	for _, r := range u.releases {
		url := expand(r.url, version)
		i := slices.IndexFunc(pins, func(p pin) bool { return p.Upstream == u.name && p.URL == url })
		if i < 0 {
			return nil, nil
		}
		mine = append(mine, pins[i])
	}
	return mine, nil
}

// version is the upstream's, as its go.mod has it.
func (u upstream) version(ctx context.Context, repo string) (string, error) {
	if u.name == "kubernetes" {
		return kubernetesVersion, nil
	}
	listed, err := goCommand(ctx, u.source(repo), u.environment(), "list", "-mod=readonly", "-m", "-f", "{{.Path}} {{.Version}}", "all")
	if err != nil {
		return "", fmt.Errorf("find the version of %s: %w", u.name, err)
	}
	longest, version := "", ""
	for line := range strings.Lines(listed) {
		module, v, _ := strings.Cut(strings.TrimSpace(line), " ")
		inside := u.binaries[0].pkg == module || strings.HasPrefix(u.binaries[0].pkg, module+"/")
		if inside && len(module) > len(longest) {
			longest, version = module, v
		}
	}
	if version == "" {
		return "", fmt.Errorf("find the version of %s: no module of its go.mod holds %s", u.name, u.binaries[0].pkg)
	}
	return version, nil
}

// download puts the upstream's programs into a folder, as they were released.
// A file that differs from its pin is [errChecksum]; after another error they
// may be built from source instead.
func (u upstream) download(ctx context.Context, client *http.Client, into, version string, pins []pin) error {
	for i, p := range pins {
		file := filepath.Join(into, fmt.Sprintf("released-%d", i))
		sum, err := fetch(ctx, client, p.URL, file)
		if err != nil {
			return err
		}
		if sum != p.SHA256 {
			return fmt.Errorf("%w: %s has the SHA-256 %s, and %s says %s: if the upstream has published it anew, look at what changed and run make pin-upstream; UPSTREAM=source builds it instead",
				errChecksum, p.URL, sum, pinsFile, p.SHA256)
		}
		if err := unpack(file, into, u.releases[i], version); err != nil {
			return fmt.Errorf("unpack %s: %w", p.URL, err)
		}
		if err := os.Remove(file); err != nil {
			return err
		}
	}
	return nil
}

// fetch writes what a URL answers to a file, and returns its SHA-256.
func fetch(ctx context.Context, client *http.Client, url, file string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Minute)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	answer, err := client.Do(request)
	if err != nil {
		return "", fmt.Errorf("download: %w", err) // names the URL
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return "", fmt.Errorf("download %s: %s", url, answer.Status)
	}
	out, err := os.Create(file)
	if err != nil {
		return "", err
	}
	h := sha256.New()
	_, err = io.Copy(io.MultiWriter(out, h), answer.Body)
	if err = errors.Join(err, out.Close()); err != nil {
		return "", fmt.Errorf("download %s: %w", url, err)
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// unpack takes the programs out of a released file.
func unpack(file, into string, r release, version string) error {
	in, err := os.Open(file)
	if err != nil {
		return err
	}
	defer in.Close()
	wanted := map[string]string{}
	for name, member := range r.members {
		wanted[expand(member, version)] = name
	}
	if name, itself := wanted[""]; itself {
		return writeProgram(filepath.Join(into, name), in)
	}
	zipped, err := gzip.NewReader(in)
	if err != nil {
		return err
	}
	archive := tar.NewReader(zipped)
	for len(wanted) > 0 {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return fmt.Errorf("it does not hold %s", strings.Join(slices.Sorted(keysOf(wanted)), ", "))
		}
		if err != nil {
			return err
		}
		member := path.Clean(header.Name)
		name, ok := wanted[member]
		if !ok || header.Typeflag != tar.TypeReg {
			continue
		}
		if err := writeProgram(filepath.Join(into, name), archive); err != nil {
			return err
		}
		delete(wanted, member)
	}
	return nil
}

func writeProgram(file string, from io.Reader) error {
	out, err := os.OpenFile(file, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o755)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, from)
	return errors.Join(err, out.Close())
}

// PinReleases downloads every released file of the upstreams once, and writes
// its version, URL and SHA-256 to a file of the repository. What cannot be
// downloaded gets no pin, is built from source, and is part of the error.
func PinReleases(ctx context.Context, log *slog.Logger) error {
	repo, err := Root()
	if err != nil {
		return err
	}
	return pinAll(ctx, repo, upstreams, http.DefaultClient, log)
}

func pinAll(ctx context.Context, repo string, all []upstream, client *http.Client, log *slog.Logger) error {
	dir, err := os.MkdirTemp("", "seedling-pins-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	var pins []pin
	var failed []error
	for _, u := range all {
		if len(u.releases) == 0 {
			log.Info("releases no programs, so it is built from source", "upstream", u.name)
			continue
		}
		version, err := u.version(ctx, repo)
		if err != nil {
			return err
		}
		for _, r := range u.releases {
			url := expand(r.url, version)
			file := filepath.Join(dir, "file")
			sum, err := fetch(ctx, client, url, file)
			if err == nil {
				err = unpack(file, dir, r, version)
			}
			if err != nil {
				failed = append(failed, fmt.Errorf("pin %s: %w", u.name, err))
				continue
			}
			log.Info("pinned", "upstream", u.name, "version", version, "url", url)
			pins = append(pins, pin{Upstream: u.name, Version: version, URL: url, SHA256: sum})
		}
	}
	if len(pins) == 0 {
		return errors.Join(append(failed, errors.New("nothing was pinned, and the pins are as they were"))...)
	}
	raw, err := json.MarshalIndent(pins, "", "  ")
	if err != nil {
		return err
	}
	return errors.Join(append(failed, os.WriteFile(filepath.Join(repo, pinsFile), append(raw, '\n'), 0o644))...)
}
