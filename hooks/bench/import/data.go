package main

import (
	"context"
	"fmt"
	"strings"
)

// The shop of the measurements: narrow rows, wide rows, JSON in partitions, a
// log. Rows per GB of COPY text, about.
const schema = `
CREATE TABLE users (id bigint PRIMARY KEY, email text NOT NULL UNIQUE, first_name text, last_name text, phone text, street text, city text, company text, born date, notes text, created_at timestamptz NOT NULL);
CREATE TABLE orders (id bigint PRIMARY KEY, user_id bigint NOT NULL, status text NOT NULL, total numeric(10,2) NOT NULL, ship_to text, created_at timestamptz NOT NULL);
CREATE TABLE order_items (id bigint PRIMARY KEY, order_id bigint NOT NULL, product int NOT NULL, quantity int NOT NULL, price numeric(10,2) NOT NULL);
CREATE TABLE events (id bigint NOT NULL, at timestamptz NOT NULL, user_id bigint, kind text, body jsonb) PARTITION BY RANGE (at);
CREATE TABLE events_1 PARTITION OF events FOR VALUES FROM ('2024-01-01') TO ('2024-04-01');
CREATE TABLE events_2 PARTITION OF events FOR VALUES FROM ('2024-04-01') TO ('2024-07-01');
CREATE TABLE events_3 PARTITION OF events FOR VALUES FROM ('2024-07-01') TO ('2024-10-01');
CREATE TABLE events_4 PARTITION OF events FOR VALUES FROM ('2024-10-01') TO ('2025-01-01');
CREATE TABLE audit_log (id bigint PRIMARY KEY, at timestamptz NOT NULL, actor text, ip text, message text);
`

const indexes = `
CREATE INDEX ON orders (user_id); CREATE INDEX ON orders (created_at); CREATE INDEX ON order_items (order_id);
CREATE INDEX ON events (user_id); CREATE INDEX ON events (at); CREATE INDEX ON audit_log (at);
ALTER TABLE orders ADD FOREIGN KEY (user_id) REFERENCES users; ALTER TABLE order_items ADD FOREIGN KEY (order_id) REFERENCES orders;
`

// rows are the counts per GB in an even and in a skewed archive, where the log
// is most of it.
func counts(shape string, gb float64) map[string]int {
	n := map[string]float64{"users": 370e3, "orders": 1480e3, "order_items": 2960e3, "events": 1480e3, "audit_log": 740e3}
	if shape == "skewed" {
		n = map[string]float64{"users": 65e3, "orders": 260e3, "order_items": 520e3, "events": 260e3, "audit_log": 2110e3}
	}
	out := map[string]int{}
	for k, v := range n {
		out[k] = int(v * gb)
	}
	return out
}

// generate makes the archive, from a database that it drops again. Names are of letters:
// those that are numbers would be found among other numbers, and fail an import.
func (b *bench) generate(ctx context.Context, shape string, gb float64, archive string) error {
	n := counts(shape, gb)
	fill := []string{
		fmt.Sprintf(`INSERT INTO users SELECT g, 'user' || g || '.' || substr(md5(g::text), 1, 6) || '@corp' || g %% 500 || '.com', initcap(translate(substr(md5('f' || g), 1, 7), '0123456789', 'ghijklmnop')), initcap(translate(substr(md5('l' || g), 1, 9), '0123456789', 'ghijklmnop')), '+30 210 ' || 1000000 + g, g %% 300 || ' Long Street', initcap(translate(substr(md5('c' || g %% 900), 1, 8), '0123456789', 'ghijklmnop')), 'Company ' || g %% 5000 || ' Ltd', date '1950-01-01' + g %% 20000, 'Called ' || substr(md5('n' || g), 1, 12) || ' about the order, will call back on Monday', '2020-01-01'::timestamptz + g * interval '61 seconds' FROM generate_series(1, %d) g`, n["users"]),
		fmt.Sprintf(`INSERT INTO orders SELECT g, 1 + g %% %d, (ARRAY['new','paid','sent','returned'])[1 + g %% 4], (g %% 100000) / 100.0, g %% 300 || ' Long Street, ' || substr(md5(g::text), 1, 8), '2022-01-01'::timestamptz + g * interval '17 seconds' FROM generate_series(1, %d) g`, n["users"], n["orders"]),
		fmt.Sprintf(`INSERT INTO order_items SELECT g, 1 + g %% %d, g %% 20000, 1 + g %% 5, (g %% 9000) / 100.0 FROM generate_series(1, %d) g`, n["orders"], n["order_items"]),
		fmt.Sprintf(`INSERT INTO events SELECT g, '2024-01-01'::timestamptz + (g %% 31000000) * interval '1 second', 1 + g %% %d, (ARRAY['view','click','buy'])[1 + g %% 3], jsonb_build_object('email', 'user' || g %% %d || '@corp.com', 'ip', '10.' || g %% 250 || '.3.4', 'page', '/shop/item/' || g %% 20000, 'agent', 'Mozilla/5.0 (X11; Linux x86_64) ' || md5(g::text), 'items', jsonb_build_array(g, g + 1), 'name', jsonb_build_object('first', translate(substr(md5(g::text), 1, 6), '0123456789', 'ghijklmnop'), 'last', translate(substr(md5(g::text), 6, 8), '0123456789', 'ghijklmnop'))) FROM generate_series(1, %d) g`, n["users"], n["users"], n["events"]),
		fmt.Sprintf(`INSERT INTO audit_log SELECT g, '2023-01-01'::timestamptz + g * interval '13 seconds', 'user' || g %% %d || '@corp.com', '192.168.' || g %% 250 || '.' || g %% 199, 'changed ' || repeat(md5(g::text) || ' ', 10) || 'and saved it' FROM generate_series(1, %d) g`, max(1, n["users"]), n["audit_log"]),
	}
	psql := func(sql string) error {
		_, err := b.sh(ctx, "psql -X -q -v ON_ERROR_STOP=1 -d bench_source <<'SQL'\nSET synchronous_commit = off;\n"+sql+";\nSQL")
		return err
	}
	if _, err := b.sh(ctx, "psql -X -q -d postgres -c 'DROP DATABASE IF EXISTS bench_source' -c 'CREATE DATABASE bench_source TEMPLATE template0'"); err != nil {
		return err
	}
	for _, sql := range append(append([]string{schema}, fill...), indexes) {
		if err := psql(sql); err != nil {
			return err
		}
	}
	var tables []string
	for _, t := range []string{"users", "orders", "order_items", "events_1", "events_2", "events_3", "events_4", "audit_log"} {
		tables = append(tables, "psql -X -d bench_source -c 'COPY "+t+" TO STDOUT'")
	}
	_, err := b.sh(ctx, "{ "+strings.Join(tables, "; ")+"; } | wc -c >/bench/"+archive+".bytes && pg_dump -Fc -f /bench/"+archive+".part bench_source && mv /bench/"+archive+".part /bench/"+archive+" && psql -X -q -d postgres -c 'DROP DATABASE bench_source'")
	return err
}

// maskedPolicy masks fourteen columns, JSON among them.
const maskedPolicy = `
version: 1
roles: {postgres: app}
tables:
  public.users:
    columns: {id: keep, email: email, first_name: first_name, last_name: last_name, phone: phone, street: street, city: city, company: company, born: year_only, notes: text, created_at: keep}
  public.orders:
    columns: {id: keep, status: keep, total: keep, ship_to: text, created_at: keep}
  public.order_items:
    columns: {id: keep, product: keep, quantity: keep, price: keep}
  public.events:
    columns:
      id: keep
      at: keep
      user_id: keep
      kind: keep
      body: {mask: json, paths: {"$.email": email, "$.ip": ip, "$.page": keep, "$.agent": keep, "$.items": keep, "$.items[*]": keep, "$.name.first": first_name, "$.name.last": last_name}}
  public.audit_log:
    columns: {id: keep, at: keep, actor: email, ip: ip, message: keep}
`

const keptPolicy = `
version: 1
roles: {postgres: app}
tables: {"*.*": {columns: {"*": keep}}}
`

// updateInPlace is what people do today, as cheaply as it can be written.
const updateInPlace = `
UPDATE users SET email = md5(email) || chr(64) || md5(id::text) || chr(46) || length(email), first_name = md5(first_name), last_name = md5(last_name), phone = md5(phone), street = md5(street), city = md5(city), company = md5(company), born = date_trunc($$year$$, born), notes = md5(notes);
UPDATE orders SET ship_to = md5(ship_to);
UPDATE events SET body = jsonb_set(jsonb_set(body, $${email}$$, to_jsonb(md5(body->>$$email$$))), $${name}$$, to_jsonb(md5(body->>$$name$$)));
UPDATE audit_log SET actor = md5(actor), ip = md5(ip);`
