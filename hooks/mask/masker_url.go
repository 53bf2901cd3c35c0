package mask

import "bytes"

var urlMasker = &masker{
	name:    "url",
	doc:     maskerDoc{"`https://www.example.com/<20 characters>` (a reserved domain)", "yes, unless `unique: false`", "http or https", "which rows have equal values"},
	kinds:   []kind{kindText},
	options: []option{uniqueOption},
	build:   buildURL,
}

type url struct {
	keyed
	unique bool
	host   string
}

func (m *url) mask(ws *workspace, dst, value []byte) ([]byte, error) {
	if len(value) == 0 {
		return dst, nil
	}
	t := m.tag(ws, value)
	if bytes.HasPrefix(value, []byte("http:")) {
		dst = append(dst, "http"...)
	} else {
		dst = append(dst, "https"...)
	}
	dst = append(append(append(dst, "://"...), m.host...), '/')
	at := len(dst)
	dst = t.appendUnique(dst)
	if !m.unique {
		dst = dst[:at+8]
	}
	return dst, nil
}

func buildURL(t *target, r *rule) (transform, traits, error) {
	m := &url{keyed: t.keyed("url"), unique: r.flag("unique"), host: "www.example.com"}
	rest := len("https:///") + 8
	if m.unique {
		rest = len("https:///") + uniqueLen
	}
	if t.length > 0 && rest+len(m.host) > t.length {
		m.host = "example.com"
	}
	if t.length > 0 && rest+len(m.host) > t.length {
		return nil, traits{}, t.tooLong("url", rest+len(m.host))
	}
	return m, traits{injective: m.unique, clean: true, remedy: "leave url its `unique: true`"}, nil
}
