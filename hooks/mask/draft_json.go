package mask

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
)

func (s *Sample) lookJSON(v []byte) {
	if s.json == nil {
		s.json = newJSONSample()
	}
	d := json.NewDecoder(bytes.NewReader(v))
	d.UseNumber()
	var doc any
	if d.Decode(&doc) == nil {
		s.json.add(doc, 0)
	}
}

// jsonSample is what documents look like at one place.
type jsonSample struct {
	seen    int // documents, or objects above, that have the place
	members map[string]*jsonSample
	items   *jsonSample
	values  *Sample // of strings
	numbers *Sample
	scalars int // numbers and booleans
	objects int
}

func newJSONSample() *jsonSample { return &jsonSample{members: map[string]*jsonSample{}} }

// maxMembers is how many different members an object may have: with more it is taken
// for a map, whose names are data.
const maxMembers = 60

func (s *jsonSample) add(v any, depth int) {
	if depth > 12 {
		return
	}
	switch v := v.(type) {
	case map[string]any:
		s.objects++
		for name, m := range v {
			if !plainName([]byte(name)) || s.members[name] == nil && len(s.members) >= maxMembers {
				name = "*"
			}
			if s.members[name] == nil {
				s.members[name] = newJSONSample()
			}
			s.members[name].seen++
			s.members[name].add(m, depth+1)
		}
	case []any:
		for _, item := range v {
			if s.items == nil {
				s.items = newJSONSample()
			}
			s.items.add(item, depth+1)
		}
	case string:
		if s.values == nil {
			s.values = NewSample(Column{BaseType: "text"})
		}
		s.values.look([]byte(v))
	case json.Number:
		s.scalars++
		if s.numbers == nil {
			s.numbers = NewSample(Column{BaseType: "numeric"})
		}
		s.numbers.look([]byte(v))
	case bool:
		s.scalars++
	}
}

// proposeJSON proposes a rule for every path that the sample has seen. Names
// of members that may be data are not written down.
func proposeJSON(table Name, s *Sample) proposal {
	if s == nil || s.json == nil {
		return proposal{"json", true, ""}
	}
	var paths []string
	sure := true
	propose := func(path, name string, k kind, values *Sample, unlisted string) {
		p := proposeFor(table, name, k, false, values)
		if p.rule != unlisted { // what no path lists is masked so
			paths = append(paths, fmt.Sprintf("%s: %s", yamlKey(path), p.rule))
			sure = sure && p.sure
		}
	}
	var walk func(n *jsonSample, path, name string)
	walk = func(n *jsonSample, path, name string) {
		if len(paths) >= 200 {
			return
		}
		switch {
		case n.values != nil && n.scalars > 0: // whatever it is
		case n.values != nil:
			propose(path, name, kindText, n.values, "text")
		case n.numbers != nil:
			propose(path, name, kindNumeric, n.numbers, "key")
		case n.scalars > 0:
			propose(path, name, kindBool, nil, "")
		}
		for _, m := range sortedKeys(n.members) {
			// Named only when many objects have it: a member seen once may be
			// data. What is left out is masked like text.
			if m == "*" || len(n.members) >= maxMembers || n.objects >= enough && n.members[m].seen*50 < n.objects {
				continue
			}
			walk(n.members[m], path+"."+quoteMember(m), m)
		}
		if n.items != nil {
			walk(n.items, path+"[*]", name)
		}
	}
	walk(s.json, "$", "")
	if len(paths) == 0 {
		return proposal{"json", true, ""}
	}
	return proposal{"{mask: json, paths: {" + strings.Join(paths, ", ") + "}}", sure, asksPaths}
}
