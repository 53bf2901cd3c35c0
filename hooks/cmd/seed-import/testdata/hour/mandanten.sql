-- One application for many customers: keys of tenant and number, row level security on a setting, attributes as rows, custom
-- fields, rows as documents in an audit, telephone numbers with dots, indexes on numbers inside of documents.
CREATE SCHEMA IF NOT EXISTS {P};
SET search_path = {P}, public;
CREATE FUNCTION pg_temp.given(n int) RETURNS text LANGUAGE sql AS $$ SELECT pg_temp.pick(n, 'Leonie', 'Torben', 'Ayşe', 'Björn', 'Swantje', 'Cem', 'Friederike', 'Jörg', 'Katharina', 'Mehmet', 'Annegret') $$;
CREATE FUNCTION pg_temp.family(n int) RETURNS text LANGUAGE sql AS $$ SELECT pg_temp.pick(n * 3 + 1, 'Brinkmann', 'Öztürk', 'Schäfermeier', 'von Rabenau', 'Kowalke', 'Yıldırım', 'Niedermayer', 'Thiessen', 'Grabowski') $$;
CREATE FUNCTION pg_temp.tenant(n int) RETURNS uuid LANGUAGE sql AS $$ SELECT md5('tenant' || n % 12)::uuid $$;
CREATE TABLE tenants (id uuid PRIMARY KEY, slug text NOT NULL UNIQUE, display_name text NOT NULL, billing_contact text, settings jsonb NOT NULL DEFAULT '{}', trial_ends_on date, status text NOT NULL CHECK (status IN ('trial', 'active', 'suspended')));
INSERT INTO tenants SELECT pg_temp.tenant(g), lower(translate(pg_temp.family(g), ' öäüÖı', '-oauOi')) || '-' || g, pg_temp.family(g) || ' ' || pg_temp.pick(g, 'Haustechnik GmbH', 'Logistik KG', 'Praxis', 'Elektro OHG'), pg_temp.given(g) || ' ' || pg_temp.family(g), jsonb_build_object('seats', 5 + g, 'locale', 'de-DE', 'smtp', jsonb_build_object('host', 'mail.kunde' || g || '.test', 'user', 'versand' || g, 'password', 'Pw-' || md5('smtp' || g))), date '2024-01-31' + g, (ARRAY['trial', 'active', 'suspended'])[1 + g % 3] FROM generate_series(0, 11) g;
CREATE INDEX tenants_seats ON tenants (((settings ->> 'seats')::int));
CREATE TABLE members (tenant_id uuid NOT NULL REFERENCES tenants ON DELETE CASCADE, member_no int NOT NULL, email text NOT NULL, name text NOT NULL, direct_dial text, password_digest text, invited_by_no int, role text NOT NULL DEFAULT 'user', custom jsonb NOT NULL DEFAULT '{}', last_seen inet, PRIMARY KEY (tenant_id, member_no), FOREIGN KEY (tenant_id, invited_by_no) REFERENCES members);
CREATE UNIQUE INDEX members_email ON members (tenant_id, lower(email));
INSERT INTO members SELECT pg_temp.tenant(g), g / 12 + 1, 'person' || g || '@kunde' || g % 12 || '.test', pg_temp.given(g) || ' ' || pg_temp.family(g), '2' || 10 + g % 40 || '.' || 100 + g % 150 || '.' || 10 + g % 89 || '.' || 10 + g % 83, '$2a$12$' || repeat(md5('m' || g), 2), CASE WHEN g >= 12 THEN 1 END, pg_temp.pick(g, 'user', 'admin', 'viewer'), jsonb_build_object('personalnummer', 'P' || 10000 + g * 7, 'kostenstelle', 4000 + g % 5, 'vorgesetzt', pg_temp.given(g + 1) || ' ' || pg_temp.family(g + 1)), ('91.22.' || g % 250 || '.7')::inet FROM generate_series(0, 359) g;
CREATE TABLE api_keys (tenant_id uuid NOT NULL REFERENCES tenants, prefix char(8) NOT NULL, secret_hash bytea NOT NULL, created_by int, label text, scopes text[], PRIMARY KEY (tenant_id, prefix), FOREIGN KEY (tenant_id, created_by) REFERENCES members);
INSERT INTO api_keys SELECT pg_temp.tenant(g), substr(md5('key' || g), 1, 8), sha256(('key' || g)::bytea), 1, 'Schlüssel von ' || pg_temp.given(g), '{read,write}' FROM generate_series(1, 60) g;
CREATE TABLE custom_values (tenant_id uuid NOT NULL, member_no int NOT NULL, field text NOT NULL, value text, PRIMARY KEY (tenant_id, member_no, field), FOREIGN KEY (tenant_id, member_no) REFERENCES members ON DELETE CASCADE);
INSERT INTO custom_values SELECT pg_temp.tenant(g), g / 12 + 1, f, CASE f WHEN 'Geburtstag' THEN (date '1960-02-01' + g * 29)::text WHEN 'Notfallkontakt' THEN pg_temp.given(g + 4) || ' ' || pg_temp.family(g + 4) || ', 0171 ' || 1000000 + g * 331 ELSE pg_temp.pick(g, 'S', 'M', 'L', 'XL') END FROM generate_series(0, 199) g, unnest(ARRAY['Geburtstag', 'Notfallkontakt', 'T-Shirt']) f;
CREATE TABLE tickets (tenant_id uuid NOT NULL REFERENCES tenants, ticket_no bigint NOT NULL, subject text NOT NULL, body text, reporter_no int, watchers int[], mentions text[], priority smallint NOT NULL CHECK (priority BETWEEN 1 AND 5), opened_at timestamptz NOT NULL, estimate interval, PRIMARY KEY (tenant_id, ticket_no), FOREIGN KEY (tenant_id, reporter_no) REFERENCES members);
INSERT INTO tickets SELECT pg_temp.tenant(g), g, 'Heizung bei ' || pg_temp.family(g) || ' defekt', 'Frau ' || pg_temp.family(g) || ' bittet um Rückruf unter 0151 ' || 2000000 + g * 911 || ', am besten abends.', g / 12 % 20 + 1, ARRAY[1, 2], ARRAY['@' || lower(pg_temp.given(g)) || g % 30], 1 + g % 5, timestamptz '2024-01-01' + g * interval '3 hours', g % 9 * interval '15 minutes' FROM generate_series(1, 500) g;
CREATE TABLE audit (id bigserial PRIMARY KEY, tenant_id uuid, actor_no int, action text NOT NULL, before jsonb, after jsonb, at timestamptz NOT NULL);
INSERT INTO audit (tenant_id, actor_no, action, before, after, at) SELECT m.tenant_id, 1, 'members.update', to_jsonb(m), to_jsonb(m) || jsonb_build_object('name', m.name || '-Neu'), timestamptz '2024-02-01' + m.member_no * interval '1 hour' FROM members m WHERE m.member_no < 15;
CREATE INDEX audit_personal ON audit ((after #>> '{custom,personalnummer}')); CREATE INDEX audit_cost ON audit (((after #>> '{custom,kostenstelle}')::int)) WHERE action = 'members.update';
ALTER TABLE members ENABLE ROW LEVEL SECURITY; ALTER TABLE tickets ENABLE ROW LEVEL SECURITY;
CREATE POLICY own_members ON members USING (tenant_id = current_setting('app.tenant', true)::uuid); CREATE POLICY own_tickets ON tickets USING (tenant_id = current_setting('app.tenant', true)::uuid);
-- about somebody: tenants | billing_contact | settings #>> '{smtp,password}'
-- either: tenants | slug | display_name | settings | trial_ends_on | id
-- about somebody: members | email | name | direct_dial | password_digest | custom ->> 'personalnummer' | custom ->> 'vorgesetzt' | last_seen
-- either: members | custom | tenant_id
-- about somebody: api_keys | secret_hash | label
-- either: api_keys | prefix | tenant_id | created_by | scopes
-- about somebody: custom_values | value
-- either: custom_values | field | tenant_id
-- about somebody: tickets | subject | body | unnest(mentions)
-- either: tickets | mentions | tenant_id | watchers
-- about somebody: audit | before ->> 'email' | after ->> 'name' | after #>> '{custom,vorgesetzt}' | before ->> 'direct_dial' | before ->> 'password_digest'
-- either: audit | before | after | tenant_id
