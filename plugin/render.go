package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"

	"github.com/seedling-dev/seedling/hooks/command"
	"github.com/seedling-dev/seedling/plugin/argocd"
	"github.com/seedling-dev/seedling/plugin/preview"
	"github.com/seedling-dev/seedling/plugin/server"
)

// render prints what the plugin would answer for an ApplicationSet, by the
// forge alone: as if every seed had a snapshot and every namespace could be
// made; the log says of every other open pull request why it is not in the
// answer. It needs no cluster and changes nothing.
func (p *program) render(ctx context.Context) error {
	cfg, err := readConfig(p.config, p.getenv)
	if err != nil {
		return command.Misconfigured(err)
	}
	forges, err := cfg.openForges()
	if err != nil {
		return command.Misconfigured(err)
	}
	if p.applicationSet == "" {
		return command.Misconfigured(errors.New("--applicationset names no file"))
	}
	b, err := p.readApplicationSet()
	if err != nil {
		return command.Misconfiguredf("read the ApplicationSet: %w", err)
	}
	set, err := applicationSet(b)
	if err != nil {
		return command.Misconfiguredf("read the ApplicationSet %s: %w", p.applicationSet, err)
	}
	inputs := server.Inputs(set, cfg.GeneratorConfigMap)
	if len(inputs) == 0 {
		return command.Misconfiguredf("ApplicationSet %s in %s has no top-level plugin generator that names ConfigMap %s",
			set.Name, p.applicationSet, cfg.GeneratorConfigMap)
	}
	if err := p.askable(cfg, inputs); err != nil {
		return command.Misconfigured(err)
	}
	renderings, err := preview.Render(ctx, forges, set.Name, inputs)
	if _, ok := errors.AsType[*preview.InputError](err); ok {
		return command.Misconfigured(err)
	}
	if err != nil {
		return err
	}
	for _, one := range renderings {
		for _, l := range one.Left {
			p.log.InfoContext(ctx, "not in it", "number", l.Number, "reason", l.Reason)
		}
		fmt.Fprintf(p.stdout, "%s\n", one.Body)
	}
	return nil
}

// readApplicationSet reads it from its file, or from standard input: in the plugin's
// pod there are no files but its own.
func (p *program) readApplicationSet() ([]byte, error) {
	if p.applicationSet == "-" {
		return io.ReadAll(p.stdin)
	}
	return os.ReadFile(p.applicationSet)
}

// askable says where to run it instead when the credential of a forge that is asked
// is in the plugin's pod alone.
func (p *program) askable(cfg *Config, inputs []map[string]json.RawMessage) error {
	asked := map[string]bool{}
	for _, parameters := range inputs {
		in, _ := preview.ParseInput(parameters) // Render says what is wrong with it
		asked[in.Forge] = true
	}
	var wrong []error
	for _, f := range cfg.Forges {
		if asked[f.Name] && p.elsewhere(f.CredentialFile) {
			wrong = append(wrong, fmt.Errorf("forge %s: its credential %s is in the plugin's pod: run `%s --applicationset=- < FILE`, or name a file that is here as credentialFile",
				f.Name, f.CredentialFile, cfg.exec("exec -i", "render")))
		}
	}
	return errors.Join(wrong...)
}

// applicationSet reads a file that holds one ApplicationSet and nothing else.
func applicationSet(file []byte) (*argocd.ApplicationSet, error) {
	var documents [][]byte
	reader := utilyaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(file)))
	for {
		document, err := reader.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		var content any
		if err := yaml.Unmarshal(document, &content); err != nil {
			return nil, err
		}
		if content != nil {
			documents = append(documents, document)
		}
	}
	if len(documents) != 1 {
		return nil, fmt.Errorf("it has %d documents: give a file with one ApplicationSet", len(documents))
	}
	var set argocd.ApplicationSet
	if err := yaml.Unmarshal(documents[0], &set); err != nil {
		return nil, err
	}
	if set.Kind != "ApplicationSet" {
		return nil, fmt.Errorf("%s is no ApplicationSet", set.Kind)
	}
	return &set, nil
}
