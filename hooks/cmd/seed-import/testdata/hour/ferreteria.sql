-- A wholesaler's books in Spain, grown for twenty years: prefixes, abbreviations, char columns with blanks, partitions, inheritance,
-- checks over several columns, rules, foreign tables, an event trigger.
CREATE EXTENSION IF NOT EXISTS postgres_fdw WITH SCHEMA public;
CREATE SCHEMA IF NOT EXISTS {P};
SET search_path = {P}, public;
CREATE FUNCTION pg_temp.given(n int) RETURNS text LANGUAGE sql AS $$ SELECT pg_temp.pick(n, 'Íñigo', 'Begoña', 'Rocío', 'Nacho', 'Montserrat', 'Aitor', 'Pilar', 'Joaquín', 'Remedios', 'Xavier', 'Dolores') $$;
CREATE FUNCTION pg_temp.family(n int) RETURNS text LANGUAGE sql AS $$ SELECT pg_temp.pick(n * 3 + 1, 'Etxeberria', 'Núñez', 'Carrasco', 'Villalobos', 'Zubizarreta', 'Peñalver', 'Ibáñez', 'Montoya', 'Quesada', 'Gallardo') $$;
CREATE DOMAIN nif AS char(9) CHECK (VALUE ~ '^[0-9XYZ][0-9]{7}[A-Z]$');
CREATE TABLE t_cli (cli_cod char(8) PRIMARY KEY, cli_nom varchar(40) NOT NULL, cli_ape1 varchar(40), cli_ape2 varchar(40), cli_nif nif UNIQUE, cli_rsoc varchar(80), cli_dir varchar(80), cli_cp char(5), cli_pob varchar(40), cli_tlf varchar(15), cli_movil varchar(15), cli_mail varchar(80), cli_ccc char(24), cli_fnac date, cli_obs text, cli_dto numeric(5,2) DEFAULT 0, cli_baja boolean DEFAULT false, cli_fbaja date, cli_com smallint,
	CONSTRAINT baja_coherente CHECK ((cli_baja AND cli_fbaja IS NOT NULL) OR (NOT cli_baja AND cli_fbaja IS NULL)), CONSTRAINT persona_o_empresa CHECK (cli_rsoc IS NOT NULL OR (cli_ape1 IS NOT NULL AND cli_nif IS NOT NULL)), CONSTRAINT mayus CHECK (cli_nom = upper(cli_nom)));
INSERT INTO t_cli SELECT 'C' || lpad(g::text, 6, '0'), upper(pg_temp.given(g)), pg_temp.family(g), pg_temp.family(g + 31), lpad((g * 7919 % 99999999)::text, 8, '0') || substr('TRWAGMYFPDXBNJZSQVHLCKE', 1 + g * 7919 % 23, 1), CASE WHEN g % 6 = 0 THEN 'Suministros ' || pg_temp.family(g) || ', S.L.' END, 'C/ ' || pg_temp.pick(g, 'Mayor', 'del Carmen', 'Zurbano') || ', ' || g % 70, lpad((g * 37 % 52000)::text, 5, '0'), pg_temp.pick(g, 'Getxo', 'Cáceres', 'Úbeda'), '9' || 10000000 + g * 713, '6' || 10000000 + g * 919, 'pedidos' || g || '@ferre.test', 'ES' || lpad((g * 99991)::text, 22, '7'), CASE WHEN g % 3 > 0 THEN date '1950-01-01' + g * 41 END, CASE WHEN g % 4 = 0 THEN 'Paga tarde; hablar con ' || pg_temp.given(g + 2) || ' ' || pg_temp.family(g + 2) END, g % 15, g % 25 = 0, CASE WHEN g % 25 = 0 THEN date '2023-01-01' + g END, g % 5 FROM generate_series(1, 300) g;
CREATE UNIQUE INDEX t_cli_mail_uk ON t_cli (lower(cli_mail)) WHERE NOT cli_baja; CREATE UNIQUE INDEX t_cli_tlf_uk ON t_cli (replace(cli_tlf, ' ', ''));
CREATE TABLE t_com (com_id smallint PRIMARY KEY, com_alias char(3) NOT NULL UNIQUE, com_nomb text NOT NULL, com_jefe smallint REFERENCES t_com, com_pass varchar(64)); INSERT INTO t_com SELECT g, upper(substr(translate(pg_temp.given(g + 3), 'ÍñíúéÓ', 'InIUEO'), 1, 2)) || g, pg_temp.given(g + 3) || ' ' || pg_temp.family(g + 3), CASE WHEN g > 0 THEN 0 END, md5('pw' || g) FROM generate_series(0, 7) g;
ALTER TABLE t_cli ADD FOREIGN KEY (cli_com) REFERENCES t_com;
CREATE TABLE t_doc (doc_id bigint NOT NULL, doc_serie char(2) NOT NULL, doc_fec date NOT NULL, cli_cod char(8) NOT NULL REFERENCES t_cli, doc_imp numeric(12,2), doc_env text, doc_ref varchar(20), PRIMARY KEY (doc_serie, doc_fec, doc_id)) PARTITION BY LIST (doc_serie);
CREATE TABLE t_doc_a PARTITION OF t_doc FOR VALUES IN ('A ') PARTITION BY RANGE (doc_fec); CREATE TABLE t_doc_a_23 PARTITION OF t_doc_a FOR VALUES FROM ('2023-01-01') TO ('2024-01-01'); CREATE TABLE t_doc_a_def PARTITION OF t_doc_a DEFAULT; CREATE TABLE t_doc_otros PARTITION OF t_doc DEFAULT;
INSERT INTO t_doc SELECT g, CASE WHEN g % 3 = 0 THEN 'B' ELSE 'A' END, date '2023-03-01' + g % 600, 'C' || lpad((1 + g % 300)::text, 6, '0'), g * 1.21, 'Entregar a ' || pg_temp.given(g) || ' ' || pg_temp.family(g), 'PED/' || g FROM generate_series(1, 900) g;
CREATE TABLE t_lin (doc_serie char(2), doc_fec date, doc_id bigint, lin smallint, art_cod varchar(15), lin_des varchar(60), lin_cant int, PRIMARY KEY (doc_serie, doc_fec, doc_id, lin), FOREIGN KEY (doc_serie, doc_fec, doc_id) REFERENCES t_doc); INSERT INTO t_lin SELECT doc_serie, doc_fec, doc_id, l, 'ART' || lpad((doc_id % 90)::text, 5, '0'), pg_temp.pick(doc_id::int, 'Tornillo M8 inox', 'Bisagra latón', 'Llave allen') || ' x' || l, l FROM t_doc, generate_series(1, 2) l;
CREATE TABLE t_ent (ent_id serial PRIMARY KEY, nombre text NOT NULL, alta date NOT NULL DEFAULT CURRENT_DATE); CREATE TABLE t_prov (cif varchar(9) UNIQUE, banco text, contacto text, CHECK (cif ~ '^[A-Z][0-9]{8}$')) INHERITS (t_ent); CREATE TABLE t_trans (matricula varchar(8), chofer text, chofer_tel text) INHERITS (t_ent);
INSERT INTO t_prov (nombre, alta, cif, banco, contacto) SELECT 'Herrajes ' || pg_temp.family(g) || ' S.A.', date '2010-01-01' + g, 'B' || lpad((g * 7919)::text, 8, '4'), 'ES' || lpad((g * 31)::text, 22, '3'), pg_temp.given(g) || ' ' || pg_temp.family(g) FROM generate_series(1, 60) g;
INSERT INTO t_trans (nombre, alta, matricula, chofer, chofer_tel) SELECT 'Transportes ' || g, date '2012-01-01' + g, lpad((g * 37 % 9999)::text, 4, '0') || 'KLM', pg_temp.given(g) || ' ' || pg_temp.family(g), '6' || 20000000 + g * 77 FROM generate_series(1, 25) g;
CREATE TABLE t_usr_log (f timestamp, usr varchar(12), maq varchar(20), acc text); INSERT INTO t_usr_log SELECT timestamp '2024-01-01' + g * interval '20 minutes', lower(substr(translate(pg_temp.given(g % 8), 'Íñíúé', 'Iniue'), 1, 4)) || g % 8, 'PC-' || upper(substr(translate(pg_temp.given(g % 8), 'Íñíúé', 'Iniue'), 1, 5)), pg_temp.pick(g, 'ENTRA', 'SALE', 'IMPRIME') FROM generate_series(1, 300) g;
CREATE VIEW v_cli AS SELECT cli_cod, cli_nom || ' ' || coalesce(cli_ape1, '') AS nombre, cli_mail FROM t_cli WHERE NOT cli_baja; CREATE RULE v_cli_del AS ON DELETE TO v_cli DO INSTEAD UPDATE t_cli SET cli_baja = true, cli_fbaja = CURRENT_DATE WHERE cli_cod = OLD.cli_cod;
CREATE VIEW v_deuda AS WITH RECURSIVE j AS (SELECT com_id, com_jefe FROM t_com WHERE com_jefe IS NULL UNION ALL SELECT c.com_id, c.com_jefe FROM t_com c JOIN j ON j.com_id = c.com_jefe) SELECT j.com_id, sum(doc_imp) OVER (PARTITION BY j.com_id) FROM j JOIN t_cli ON cli_com = j.com_id JOIN t_doc USING (cli_cod);
CREATE SERVER tienda{S} FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host 'tienda.test', dbname 'web'); CREATE FOREIGN TABLE web_pedidos (id int, correo text) SERVER tienda{S} OPTIONS (table_name 'pedidos'); CREATE VIEW v_web AS SELECT id FROM web_pedidos;
CREATE FUNCTION avisa{S}() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN RAISE NOTICE 'DDL %', tg_tag; END $$; CREATE EVENT TRIGGER avisa{S} ON ddl_command_end EXECUTE FUNCTION avisa{S}();
-- about somebody: t_cli | cli_nom | cli_ape1 | cli_ape2 | cli_nif | cli_dir | cli_tlf | cli_movil | cli_mail | cli_ccc | cli_fnac | cli_obs
-- either: t_cli | cli_rsoc | cli_cp | cli_pob | cli_cod | cli_fbaja
-- about somebody: t_com | com_nomb | com_pass
-- either: t_com | com_alias
-- about somebody: t_doc | doc_env
-- either: t_doc | cli_cod | doc_ref
-- about somebody: t_prov | banco | contacto
-- either: t_prov | nombre | cif
-- about somebody: t_trans | chofer | chofer_tel | matricula
-- either: t_trans | nombre
-- about somebody: t_usr_log | usr
-- either: t_usr_log | maq
