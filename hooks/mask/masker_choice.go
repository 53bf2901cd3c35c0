package mask

import "errors"

var choiceMasker = &masker{
	name:  "choice",
	doc:   maskerDoc{"one of the given values", "no", "nothing", "which rows had equal values; how frequent a value is often tells which it was. With `by` nothing: the original is not read"},
	kinds: nil,
	options: []option{
		{name: "values", kind: optScalars, required: true, doc: "the values to choose from"},
		byOption,
	},
	build: buildChoice,
}

var byOption = option{
	name: "by", kind: optString,
	doc: "draw from this column of the row (its key, say) in place of the value, so that the mask says nothing about the value",
}

// drawer draws by a keyed function of the value, or of the row's entity.
type drawer struct {
	keyed
	byEntity bool
}

func (d *drawer) draw(ws *workspace, value []byte) tag {
	if d.byEntity {
		value = ws.entity
		if ws.entityNull {
			value = nil
		}
	}
	return d.tag(ws, value)
}

// drawer builds a drawer for a masker that has byOption.
func (t *target) drawer(r *rule) (drawer, traits, error) {
	by := r.text("by")
	if by == "" {
		return drawer{keyed: t.keyed(r.name)}, traits{}, nil
	}
	if t.entity == nil {
		return drawer{}, traits{}, errors.New("by names a column of the row and cannot be used here")
	}
	label, eq, err := t.entity(by)
	if err != nil {
		return drawer{}, traits{}, err
	}
	// The label holds both columns: two columns drawn by one entity differ.
	return drawer{keyed{newPRF(t.key, r.name+"\x00"+t.label+"\x00by\x00"+label), eq}, true}, traits{entity: by}, nil
}

type choice struct {
	drawer
	values [][]byte
}

func (c *choice) mask(ws *workspace, dst, value []byte) ([]byte, error) {
	d := c.draw(ws, value).dice()
	return append(dst, c.values[d.n(len(c.values))]...), nil
}

func buildChoice(t *target, r *rule) (transform, traits, error) {
	c := &choice{}
	for _, v := range r.list("values") {
		b, err := t.literal(v)
		if err != nil {
			return nil, traits{}, err
		}
		c.values = append(c.values, b)
	}
	var tr traits
	var err error
	c.drawer, tr, err = t.drawer(r)
	return c, tr, err
}
