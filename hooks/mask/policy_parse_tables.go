package mask

import (
	"regexp"
	"slices"
	"strconv"

	"go.yaml.in/yaml/v3"
)

func (p *parser) tables(n *yaml.Node) {
	seen := map[string]int{}
	p.mapping(n, "tables", func(key string, k, v *yaml.Node) {
		parts, err := parseDotted(key, 2)
		if err != nil {
			p.fail(k, "table %q: %v", key, err)
			return
		}
		t := tableRule{schema: parts[0], table: parts[1], line: k.Line}
		if line, dup := seen[t.String()]; dup {
			p.fail(k, "table %s stands here twice (first in line %d)", t, line)
			return
		}
		seen[t.String()] = k.Line
		columns := map[string]int{}
		said := false
		p.mapping(v, "table "+t.String(), func(field string, k, v *yaml.Node) {
			switch field {
			case "rows":
				said = true
				t.rows = p.rows(v, t.String())
			case "columns":
				said = true
				p.mapping(v, "columns of "+t.String(), func(name string, k, v *yaml.Node) {
					cp, err := parseDotted(name, 1)
					if err != nil {
						p.fail(k, "column %q of %s: %v", name, t, err)
						return
					}
					c := columnRule{column: cp[0]}
					if line, dup := columns[c.column.String()]; dup {
						p.fail(k, "column %s of %s stands here twice (first in line %d)", c.column, t, line)
						return
					}
					columns[c.column.String()] = k.Line
					if c.rule = p.rule(v, t.String()+"."+c.column.String(), false); c.rule != nil {
						t.columns = append(t.columns, c)
					}
				})
			case "indexes":
				said = true
				p.indexes(v, &t)
			default:
				p.unknown(k, "field of table "+t.String(), field, []string{"columns", "indexes", "rows"})
			}
		})
		if !said && v.Kind == yaml.MappingNode {
			p.fail(k, "table %s says nothing: write columns or `rows: none`", t)
		}
		if t.rows != nil && t.rows.none && t.exact() && len(t.columns) > 0 {
			p.fail(k, "table %s has `rows: none`, so its columns need no rules: remove one of the two", t)
		}
		p.policy.tables = append(p.policy.tables, t)
	})
}

// indexes reads what is said of a table's unique indexes.
func (p *parser) indexes(n *yaml.Node, t *tableRule) {
	if !t.exact() {
		p.fail(n, "indexes of %s: write them under the table's own name, without *", t)
		return
	}
	p.mapping(n, "indexes of "+t.String(), func(name string, k, v *yaml.Node) {
		parts, err := parseDotted(name, 1)
		switch {
		case err != nil:
			p.fail(k, "index %q of %s: %v", name, t, err)
		case v.Kind != yaml.ScalarNode || v.Value != indexTry && v.Value != indexDrop:
			p.fail(v, "index %s of %s must be try or drop", parts[0], t)
		default:
			t.indexes = append(t.indexes, indexRule{parts[0].text, v.Value, k.Line})
		}
	})
}

func (p *parser) rows(n *yaml.Node, table string) *rowsRule {
	r := &rowsRule{line: n.Line}
	if n.Kind == yaml.ScalarNode {
		switch n.Value {
		case "none":
			r.none = true
		case "all":
		default:
			p.fail(n, "rows of %s must be all, none or {where: [...]}", table)
		}
		return r
	}
	p.mapping(n, "rows of "+table, func(key string, k, v *yaml.Node) {
		switch key {
		case "where":
			if v.Kind != yaml.SequenceNode || len(v.Content) == 0 {
				p.fail(v, "where of %s must be a list of conditions, such as {column: status, in: [open]}", table)
				return
			}
			for _, c := range v.Content {
				r.where = append(r.where, p.condition(deref(c), table))
			}
		case "on_missing_parent":
			switch {
			case v.Tag == "!!null":
				r.onMissing = orphansNull // YAML takes the bare word for nothing
			case slices.Contains([]string{orphansStop, orphansDrop, orphansNull, orphansFollow}, v.Value):
				r.onMissing = v.Value
			default:
				p.fail(v, "on_missing_parent of %s must be stop (rows that reference a dropped row stop the import), drop (they go too), null (their reference does, where its column is nullable) or follow (drop, and null where tables reference each other in a circle)", table)
			}
		default:
			p.unknown(k, "field of rows of "+table, key, []string{"where", "on_missing_parent"})
		}
	})
	if len(r.where) == 0 && len(p.errs) == 0 {
		p.fail(n, "rows of %s has no where", table)
	}
	return r
}

func (p *parser) condition(n *yaml.Node, table string) condition {
	c := condition{line: n.Line}
	tests := 0
	values := func(v *yaml.Node, what string) []string {
		tests++
		list := p.scalars(v, what)
		out := make([]string, len(list))
		for i, s := range list {
			out[i] = s.text
		}
		slices.Sort(out)
		return out
	}
	p.mapping(n, "a condition of "+table, func(key string, k, v *yaml.Node) {
		switch key {
		case "column":
			c.column, _ = p.str(v, "column")
		case "in":
			c.in = values(v, "in")
		case "not_in":
			c.notIn = values(v, "not_in")
		case "is":
			tests++
			switch {
			case v.Tag == "!!null" || v.Value == "null":
				c.null = new(bool)
				*c.null = true
			case v.Value == "not null":
				c.null = new(bool)
			default:
				p.fail(v, "is must be null or not null")
			}
		case "from":
			tests++
			if s, ok := p.str(v, "from"); ok {
				c.from = &s
			}
		case "below":
			tests++
			if s, ok := p.str(v, "below"); ok {
				c.below = &s
			}
		case "newest":
			tests++
			c.newest = p.newest(v, table)
		case "share":
			tests++
			c.share = p.share(v, table)
		default:
			p.unknown(k, "field of a condition of "+table, key, []string{"column", "in", "not_in", "is", "from", "below", "newest", "share"})
		}
	})
	if c.column == "" {
		p.fail(n, "a condition of %s has no column", table)
	}
	if tests == 0 {
		p.fail(n, "a condition of %s tests nothing: add in, not_in, is, from, below, newest or share", table)
	}
	if c.newest > 0 && c.from != nil {
		p.fail(n, "a condition of %s has from and newest, which are both the least value: write one", table)
	}
	return c
}

var newestText = regexp.MustCompile(`^([1-9][0-9]{0,4})([hdw])$`)

// newest reads an age as hours.
func (p *parser) newest(v *yaml.Node, table string) int {
	m := newestText.FindStringSubmatch(v.Value)
	if m == nil {
		p.fail(v, "newest of %s must be an age of rows when the dump was made: hours, days or weeks, such as 36h, 90d or 8w", table)
		return 0
	}
	n, _ := strconv.Atoi(m[1]) // five digits
	return n * map[string]int{"h": 1, "d": 24, "w": 7 * 24}[m[2]]
}

var shareText = regexp.MustCompile(`^([0-9]{1,2}(?:\.[0-9]{1,6})?) ?%$`)

// share reads a percentage.
func (p *parser) share(v *yaml.Node, table string) float64 {
	if m := shareText.FindStringSubmatch(v.Value); m != nil {
		if f, err := strconv.ParseFloat(m[1], 64); err == nil && f > 0 {
			return f
		}
	}
	p.fail(v, "share of %s must be a part of the column's values, above 0 %% and below 100 %%, such as 5 %%", table)
	return 0
}
