package shop

import (
	"bytes"
	"embed"
	"fmt"
	"io/fs"
	"strings"
)

// Policy says what happens to every column of the shop.
//
//go:embed policy.yaml
var Policy []byte

//go:embed all:deploy
var deploy embed.FS

// Repository is what the shop's Git repository holds: the manifests of its
// previews, with the given image of Postgres.
func Repository(postgres string) (map[string][]byte, error) {
	name, tag, ok := strings.Cut(postgres, ":")
	if !ok {
		return nil, fmt.Errorf("the shop's image %q has no tag", postgres)
	}
	files := map[string][]byte{"README.md": []byte("# The shop\n\nLabel a pull request `preview` and it gets one.\n")}
	err := fs.WalkDir(deploy, "deploy", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		content, err := deploy.ReadFile(path)
		if strings.HasSuffix(path, "/kustomization.yaml") {
			content = append(bytes.TrimRight(content, "\n"), "\nimages:\n  - name: "+name+"\n    newTag: \""+tag+"\"\n"...)
		}
		files[path] = content
		return err
	})
	return files, err
}
