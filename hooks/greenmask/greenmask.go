// Package greenmask reads the transformations of a Greenmask configuration as
// suggestions for a first policy.
//
// A transformer with a counterpart becomes that masker. What has none (programs,
// templates, values that depend on other columns) has no rule here, so that the draft
// masks the column as strictly as it can, and carries a question. Nothing else of a
// configuration is read: it may hold credentials of databases and stores.
//
// Names and parameters are those of Greenmask 0.2,
// https://docs.greenmask.io/latest/built_in_transformers/.
package greenmask

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/seedling-dev/seedling/hooks/mask"
)

// config is the part of a configuration that says what happens to rows.
type config struct {
	Dump struct {
		Transformation    []table            `yaml:"transformation"`
		VirtualReferences []virtualReference `yaml:"virtual_references"`
	} `yaml:"dump"`
}

type table struct {
	Schema       string        `yaml:"schema"`
	Name         string        `yaml:"name"`
	Query        string        `yaml:"query"`
	SubsetConds  []string      `yaml:"subset_conds"`
	When         string        `yaml:"when"`
	Transformers []transformer `yaml:"transformers"`
}

type transformer struct {
	Name          string               `yaml:"name"`
	Params        map[string]yaml.Node `yaml:"params"`
	DynamicParams map[string]yaml.Node `yaml:"dynamic_params"`
	When          string               `yaml:"when"`
}

type virtualReference struct {
	Schema string `yaml:"schema"`
	Name   string `yaml:"name"`
}

// Questions that several tables or columns share.
const (
	asksSubset     = "Greenmask takes a part of its rows by SQL, which is not taken over: say which rows to load, as where, newest or share"
	asksCondition  = "Greenmask does it where a condition holds; here it holds for every row"
	asksSeveral    = "Greenmask has several transformers for it, one after the other, which have no counterpart: it is masked as strictly as it can be"
	asksReferences = "Greenmask's virtual_references join columns without a foreign key: see that `links` has them"
)

// Read reads a configuration, YAML or JSON. An error is about the file and never
// quotes it.
func Read(content []byte) (*mask.Suggestions, error) {
	var c config
	if err := yaml.Unmarshal(content, &c); err != nil {
		return nil, errors.New("the file is not a Greenmask configuration: it cannot be read as YAML, or transformation and transformers are not lists")
	}
	if len(c.Dump.Transformation) == 0 {
		return nil, errors.New("the file is not a Greenmask configuration with rules: dump.transformation is missing or empty")
	}
	s := &mask.Suggestions{From: "Greenmask", Columns: map[mask.ColumnName]mask.Suggestion{}, Tables: map[mask.Name][]string{}}
	for i, t := range c.Dump.Transformation {
		if t.Name == "" {
			return nil, fmt.Errorf("entry %d of dump.transformation names no table", i+1)
		}
		if err := t.read(s); err != nil {
			return nil, err
		}
	}
	for _, v := range c.Dump.VirtualReferences {
		n := tableName(v.Schema, v.Name)
		s.Tables[n] = append(s.Tables[n], asksReferences)
	}
	return s, nil
}

func tableName(schema, name string) mask.Name {
	if schema == "" {
		schema = "public"
	}
	return mask.Name{Schema: unquote(schema), Name: unquote(name)}
}

// unquote takes the quotes off a name that stands in them, as SQL would.
func unquote(name string) string {
	if len(name) > 2 && strings.HasPrefix(name, `"`) && strings.HasSuffix(name, `"`) {
		return strings.ReplaceAll(name[1:len(name)-1], `""`, `"`)
	}
	return name
}

// read adds what a table's entry says.
func (t *table) read(s *mask.Suggestions) error {
	n := tableName(t.Schema, t.Name)
	if (t.Query != "" || len(t.SubsetConds) > 0) && !slices.Contains(s.Tables[n], asksSubset) {
		s.Tables[n] = append(s.Tables[n], asksSubset)
	}
	for _, tr := range t.Transformers {
		columns := tr.columns()
		if len(columns) == 0 {
			// A program or template for whole rows may change any of them.
			s.Tables[n] = append(s.Tables[n], "Greenmask's "+tr.Name+" works on whole rows and names no column: its columns are judged as everywhere, look at each")
			continue
		}
		for _, c := range columns {
			if c.name == "" {
				return fmt.Errorf("%s: a %s has a column without a name", n, tr.Name)
			}
			key := mask.ColumnName{Schema: n.Schema, Table: n.Name, Column: unquote(c.name)}
			sug := tr.suggest(c)
			if _, again := s.Columns[key]; again {
				sug = mask.Suggestion{Why: asksSeveral}
			}
			if (tr.When != "" || t.When != "") && sug.Why == "" {
				sug.Why = asksCondition
			}
			s.Columns[key] = sug
		}
	}
	return nil
}

// column is one that a transformer changes, with what the transformer says of it
// alone.
type column struct{ name, template string }

// columns are those that a transformer changes: its parameter column, or columns, as
// names or with a name and a template each.
func (t *transformer) columns() []column {
	if n, ok := t.Params["column"]; ok {
		return []column{{name: n.Value}}
	}
	n, ok := t.Params["columns"]
	if !ok {
		return nil
	}
	var out []column
	for _, item := range n.Content {
		switch item.Kind {
		case yaml.ScalarNode:
			out = append(out, column{name: item.Value})
		case yaml.MappingNode:
			var c struct{ Name, Template string }
			_ = item.Decode(&c) // a column without a name is said
			out = append(out, column{c.Name, c.Template})
		}
	}
	return out
}

// suggest says what a transformer does with one of its columns.
func (t *transformer) suggest(c column) mask.Suggestion {
	if t.Name == "Cmd" || t.Name == "TemplateRecord" {
		return strictest(t.Name)
	}
	find, ok := counterparts[t.Name]
	if !ok {
		return strictest(t.Name)
	}
	return find(t, c)
}

// strictest is for what has no counterpart.
func strictest(name string) mask.Suggestion {
	return mask.Suggestion{Why: "Greenmask's " + name + " has no counterpart: it is masked as strictly as it can be"}
}
