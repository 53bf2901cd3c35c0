package mask

import "fmt"

var hstoreMasker = &masker{
	name:  "hstore",
	doc:   maskerDoc{"the pairs with their values masked", "no", "keys that look like names", "the keys; which rows have equal values"},
	kinds: []kind{kindHstore},
	options: []option{
		{name: "keys", kind: optRules, doc: "rules by key"},
		{name: "unlisted", kind: optString, choices: []string{"mask", "stop"}, fallback: "mask", doc: "what happens to values that no rule covers: masked like text, or the import stops"},
		malformed,
	},
	build: buildHstore,
}

type hstore struct {
	keys     map[string]transform
	unlisted transform // nil: stop
	names    *textMask // for keys that do not look like names
	at       map[string]innerPlace
}

const (
	notHstore      = reason("the value is not an hstore")
	unlistedHstore = reason("the hstore holds a key that `keys` does not list, and `unlisted` is stop")
)

func (m *hstore) mask(ws *workspace, dst, value []byte) ([]byte, error) {
	start := len(dst)
	key, elem, mask := ws.buf(), ws.buf(), ws.buf()
	defer ws.release()
	defer ws.release()
	defer ws.release()
	pos := 0
	for pos < len(value) {
		if value[pos] != '"' {
			return dst[:start], notHstore
		}
		*key, pos, _ = arrayElement((*key)[:0], value, pos)
		if pos < 0 || len(value) < pos+3 || value[pos] != '=' || value[pos+1] != '>' {
			return dst[:start], notHstore
		}
		pos += 2
		tf, listed := m.keys[string(*key)]
		if listed || plainName(*key) {
			dst = appendQuoted(dst, *key)
		} else {
			out, err := m.names.mask(ws, (*mask)[:0], *key)
			if err != nil {
				return dst[:start], err
			}
			*mask = out
			dst = appendQuoted(dst, out)
		}
		dst = append(dst, "=>"...)
		if value[pos] != '"' {
			if len(value) < pos+4 || !isNullWord(value[pos:pos+4]) {
				return dst[:start], notHstore
			}
			dst = append(dst, "NULL"...)
			pos += 4
		} else {
			*elem, pos, _ = arrayElement((*elem)[:0], value, pos)
			if pos < 0 {
				return dst[:start], notHstore
			}
			if !listed {
				tf = m.unlisted
				if tf == nil {
					return dst[:start], unlistedHstore
				}
			}
			var err error
			if *mask, err = tf.mask(ws, (*mask)[:0], *elem); err == nil {
				dst = appendQuoted(dst, *mask)
			}
			switch {
			case err == errNull: //nolint:errorlint // a sentinel of this package, never wrapped
				dst = append(dst, "NULL"...)
			case err != nil:
				return dst[:start], err
			}
			if err := ws.within(len(dst), pos, len(value)); err != nil {
				return dst[:start], err
			}
		}
		if pos < len(value) {
			if len(value) < pos+3 || value[pos] != ',' || value[pos+1] != ' ' {
				return dst[:start], notHstore
			}
			dst = append(dst, ", "...)
			pos += 2
		}
	}
	return dst, nil
}

func buildHstore(t *target, r *rule) (transform, traits, error) {
	m := &hstore{keys: map[string]transform{}, names: newTextMask(t.at("hstore names", kindText)), at: map[string]innerPlace{}}
	if r.text("unlisted") == "mask" {
		m.unlisted = newTextMask(t.at("hstore unlisted", kindText))
	}
	tr := traits{depth: 1}
	keys := r.rules("keys")
	for _, name := range sortedKeys(keys) {
		tf, kt, err := t.at("hstore "+name, kindText).buildRule(keys[name])
		if err == nil {
			err = tr.contain(kt)
		}
		if err != nil {
			return nil, tr, fmt.Errorf("key %q: %w", name, err)
		}
		m.keys[name] = tf
		m.at[name] = innerPlace{where: name, masker: keys[name].name, guessable: kt.guessable(), link: keys[name].link}
		switch {
		case kt.keep:
			tr.kept = append(tr.kept, name)
		default:
			for _, k := range kt.kept {
				tr.kept = append(tr.kept, name+" "+k)
			}
		}
	}
	tf, err := t.lenient(m, r)
	return tf, tr, err
}
